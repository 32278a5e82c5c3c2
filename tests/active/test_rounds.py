"""A round's plain functions, by hand: what is trained, shown, mixed and measured."""

from dataclasses import replace

import pytest
import torch

from activekd_lab.active.pool import Pool
from activekd_lab.active.rounds import measure_round, pool_view, training_plan, tuned_mixing
from activekd_lab.config import RunConfig
from activekd_lab.data import Split
from activekd_lab.runs.records import Label
from activekd_lab.students.methods import find_method
from activekd_lab.students.student import StudentOutput
from activekd_lab.students.training import TrainingPlan

DHO = find_method("dho")
SETTINGS = {
    "batch_labeled": 10, "batch_unlabeled": 20, "learning_rate": 0.5, "weight_decay": 0.25, "warmup": 0.75,
    "temperature": 3.0, "ce_share": 0.125, "precision": "bfloat16", "clip_norm": 2.0, "ema": 0.875,
    "deterministic": True, "schedule": "cosine", "labeled_draw": "padded",
}  # fmt: skip


def test_the_plan_of_a_round_holds_every_setting():
    plan = training_plan(RunConfig(epochs=6, **SETTINGS).resolve(), DHO, labels=35)
    rest = {"steps": 6 * 4, "method": DHO, "separate": False, "loss_weights": None, "warmup_steps": None}
    assert vars(plan) == SETTINGS | rest
    plain = TrainingPlan()
    assert all(getattr(plan, name) != getattr(plain, name) for name in SETTINGS)
    published = training_plan(
        RunConfig(loss_weights=(1, 1, 1), passes="separate", warmup_steps=9).resolve(), DHO, labels=35
    )
    assert (published.loss_weights, published.separate, published.warmup_steps) == ((1, 1, 1), True, 9)
    assert training_plan(RunConfig(steps=7).resolve(), DHO, labels=35).steps == 7


def pool_of(size, labels):
    """Return a ledger of `size` images with {id: label}."""
    split = Split("train", torch.zeros(size, 3, 1, 1, dtype=torch.uint8), torch.zeros(size, dtype=torch.int64))
    return Pool(split, [Label(i, y, 0, "initial") for i, y in labels.items()])


def output_of(rows, classes, g, width=2):
    return StudentOutput(*(torch.randn(rows, size, generator=g) for size in (classes, classes, width)))


def test_a_view_takes_each_tensor_from_its_own_source(g):
    output, ids, labeled = output_of(9, 3, g), torch.tensor([1, 4, 6]), torch.tensor([8, 0])
    mixed, teacher = (torch.randn(9, 3, generator=g).softmax(1) for _ in range(2))
    view = pool_view(output, mixed, teacher, pool_of(9, {8: 2, 0: 1}), ids, round=4)
    view.validate()
    sources = {
        "probabilities": mixed, "teacher_probabilities": teacher, "features": output.features,
        "ce_probabilities": output.ce_logits.softmax(1), "kd_probabilities": output.kd_logits.softmax(1),
    }  # fmt: skip
    for name, source in sources.items():
        assert torch.equal(getattr(view, name), source[ids]), name
        assert torch.equal(getattr(view, f"labeled_{name}"), source[labeled]), name
    assert (view.ids.tolist(), view.labeled_ids.tolist(), view.labeled_labels.tolist()) == ([1, 4, 6], [8, 0], [2, 1])
    assert view.round == 4


def test_the_mix_is_the_configured_one_unless_held_out_labels_tune_it():
    """One head leans to the right class of all three images, the other is sure of a wrong one."""
    right, wrong = torch.eye(3), 9 * torch.eye(3).roll(1, 0)
    config = RunConfig(ce_weight=0.25, kd_temperature=2.0)
    none = StudentOutput(*torch.zeros(3, 0, 3))
    assert tuned_mixing(config, none, torch.arange(0)) == {"ce_weight": 0.25, "kd_temperature": 2.0}
    for ce, kd in ((right, wrong), (wrong, right)):
        output = StudentOutput(ce, kd, torch.zeros(3, 1))
        assert bool((output.probabilities(ce_weight=0.25, kd_temperature=2.0).argmax(1) != torch.arange(3)).all())
        mix = tuned_mixing(config, output, torch.arange(3))
        assert bool((output.probabilities(**mix).argmax(1) == torch.arange(3)).all())


@pytest.fixture
def measured():
    """Two unlabelled images of a pool on a line of the simplex, two labelled; four test images of two classes."""
    p = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [1.0, 0.0]])
    output = StudentOutput(p.log(), p.log(), p)
    view = pool_view(output, p, p, pool_of(4, {0: 0, 3: 0}), torch.tensor([1, 2]), round=0)
    ce = torch.tensor([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    kd = torch.tensor([[9.0, 0.0], [0.0, 9.0], [0.0, 1.0], [0.0, 9.0]])
    return view, StudentOutput(ce, kd, ce), torch.tensor([0, 0, 0, 1])


def measure(view, test, labels, picks=(), **mix):
    mix = {"ce_weight": 0.5, "kd_temperature": 1.0} | mix
    picks = torch.tensor(picks, dtype=torch.int64)
    return measure_round(2, view, picks, test, labels, labels=7, loss=1.5, **mix)


def test_a_round_is_measured_by_its_own_mix(measured):
    """CE is right about all four; KD is sure of a wrong class for the second image and leans to it for the third."""
    record = measure(*measured)
    assert (record.accuracy, record.ce_accuracy, record.kd_accuracy) == (0.75, 1, 0.5)
    assert record.class_accuracy == pytest.approx((2 / 3, 1))
    assert (record.round, record.labels, record.loss, record.classes_covered) == (2, 7, 1.5, 1)
    assert (record.ce_weight, record.kd_temperature) == (0.5, 1.0)
    assert measure(*measured, ce_weight=0.0).accuracy == 0.5
    softer = measure(*measured, ce_weight=0.4, kd_temperature=4.0)
    assert (softer.accuracy, softer.ce_weight, softer.kd_temperature) == (0.75, 0.4, 4.0)
    assert measure(*measured, ce_weight=0.4, kd_temperature=0.1).accuracy == 0.5


def test_coverage_is_measured_before_and_after_each_pick_in_turn(measured):
    far, near = 2**0.5, 0.1 * 2**0.5
    record = measure(*measured)
    assert (record.covering_radius, record.mean_distance) == pytest.approx((far, (far + near) / 2))
    assert (record.picks, record.pick_radii) == ((), ())
    record = measure(*measured, picks=[1, 2])
    assert record.picks == (1, 2)
    assert record.covering_radius == pytest.approx(far)
    assert record.pick_radii == pytest.approx((far, 0.9 * far, 0))
    assert record.mean_distance == pytest.approx((far + near) / 2)
    assert measure(*measured, picks=[2, 1]).pick_radii == pytest.approx((far, near, 0), abs=1e-6)


def test_a_pool_that_is_used_up_is_covered(measured):
    view, *rest = measured
    empty = {name: getattr(view, name)[:0] for name in ("ids", "probabilities", "features")}
    empty |= {f"{kind}_probabilities": None for kind in ("teacher", "ce", "kd")}
    record = measure(replace(view, **empty), *rest)
    assert (record.covering_radius, record.mean_distance, record.pick_radii) == (0, 0, ())


def test_a_class_without_test_images_counts_as_nothing(measured):
    view, test, labels = measured
    assert measure(view, test[:3], labels[:3]).class_accuracy == pytest.approx((2 / 3, 0))
