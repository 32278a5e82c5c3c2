"""Runs by the published protocols, made small by overrides: what each setting does to a round."""

import json
from functools import partial

import pytest
import torch

from activekd_lab.active.begin import run, start
from activekd_lab.active.inputs import ViewInputs
from activekd_lab.active.prepare import prepare
from activekd_lab.active.rounds import training_plan
from activekd_lab.config import RunConfig
from activekd_lab.errors import DataError, PoolError
from activekd_lab.students.student import CosineHead
from activekd_lab.teachers.clip import load_teacher

SMALL = {
    "task": "shapes", "task_options": {"num_classes": 4, "pool_size": 60, "test_per_class": 5, "val_per_class": 5},
    "teacher": "bundled", "backbone": "small_cnn", "pretrained": False, "image_size": 32, "device": "cpu",
}  # fmt: skip
SHORT = SMALL | {"batch_labeled": 8, "batch_unlabeled": 8}


def views_config(**settings):
    return RunConfig(**SMALL | {"freeze_backbone": False, "rounds": 0, "steps": 2, "batch_unlabeled": 8} | settings)


def test_a_published_run_says_what_it_changed(tmp_path):
    result = run(RunConfig(protocol="activekd-10", **SHORT, rounds=1, steps=3, selector="badge"), store=tmp_path)
    stored = json.loads((result.folder / "config.json").read_text())["provenance"]
    assert stored == json.loads(json.dumps(result.provenance))
    assert stored["protocol"] == "activekd-10"
    assert stored["overrides"]["rounds"] == {"published": 15, "used": 1}
    assert stored["overrides"].keys() == (SHORT.keys() - {"device"}) | {"rounds", "steps"}
    assert stored["as_published"].startswith("activekd-10 as published but for task='shapes'")
    assert result.config["selector_options"] == {"protocol": "released"}
    assert [record.labels for record in result.records] == [4, 8]


SMALLEST = {
    "activekd-10": {"few_shot": "clap", "rounds": 1, "steps": 2},
    "activekd-imagenet": {"rounds": 1, "pool_limit": 16, "pool_epochs": 1, "last_pool_epochs": 2},
    "dho-few-shot": {"epochs": 2, "initial_per_class": 3},
    "dho-few-shot-imagenet": {"pool_epochs": 1},
    "dho-low-shot": {
        "backbone": "open_clip/bundled", "image_size": 64, "initial_per_class": 1, "pool_epochs": 1, "warmup_steps": 2,
    },
}  # fmt: skip


@pytest.mark.parametrize("protocol", SMALLEST)
def test_every_published_experiment_runs_its_smallest_job(protocol):
    result = run(RunConfig(protocol=protocol, **SHORT | SMALLEST[protocol]))
    assert len(result.records) == SMALLEST[protocol].get("rounds", 0) + 1
    assert all(0 <= record.accuracy <= 1 for record in result.records)
    assert result.provenance["as_published"].startswith(f"{protocol} as published but for task='shapes'")


def test_the_last_round_may_be_longer_and_its_pool_smaller():
    settings = SHORT | {"rounds": 1, "pool_limit": 20, "pool_epochs": 2, "last_pool_epochs": 3}
    active = start(RunConfig(protocol="activekd-imagenet", **settings))
    first = next(iter(active.open()))
    asked = set(active.view.ids.tolist())
    assert len(asked) == 20
    assert set(first.picks) <= asked
    assert (first.ce_weight, first.kd_temperature) == (0.4, 0.5)
    plan = partial(training_plan, active.config, active.prepared.method)
    assert (plan(4, 20).steps, plan(8, 16, last=True).steps) == (2 * 3, 3 * 2)
    assert len(active.pool.unlabeled_ids) == 16


def test_a_limited_pool_resumes_to_the_same_bytes_and_is_counted(tmp_path):
    settings = views_config(pool_limit=20, rounds=2, steps=2)
    whole = run(settings, store=tmp_path / "whole")
    active = start(settings, store=tmp_path / "cut")
    next(iter(active))
    again = run(settings, store=tmp_path / "cut")
    files = ("labels.csv", "rounds.jsonl")
    assert [(whole.folder / f).read_bytes() for f in files] == [(again.folder / f).read_bytes() for f in files]
    with pytest.raises(PoolError, match="exceed the pool of 24 images; at most 5 rounds fit"):
        start(settings.with_(rounds=6))


def test_another_mix_for_selecting_than_for_testing():
    active = start(views_config(query_mix=(1.0, 1.0), ce_weight=0.0))
    record = next(iter(active))
    assert record.accuracy == record.kd_accuracy
    assert torch.equal(active.view.probabilities, active.view.ce_probabilities)


def test_the_selector_may_see_crops_of_its_round():
    plain, crops = (next_view(views_config(query_views=q)) for q in (False, True))
    again = next_view(views_config(query_views=True))
    assert torch.equal(crops.probabilities, again.probabilities)
    assert not torch.allclose(crops.probabilities, plain.probabilities, atol=1e-4)
    assert torch.equal(crops.teacher_probabilities, plain.teacher_probabilities)


def next_view(config):
    active = start(config)
    next(iter(active))
    return active.view


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_best_epoch_and_mix_on_a_split_are_kept(split, monkeypatch):
    """Three epochs; the kept student has, with the kept mix, the best accuracy that any epoch had."""
    seen = []
    from activekd_lab.active import choosing

    real = choosing.best_mix

    def spy(config, output, labels, **heads):
        seen.append((real(config, output, labels, **heads), len(labels)))
        return seen[-1][0]

    monkeypatch.setattr(choosing, "best_mix", spy)
    settings = {"choose_on": split, "steps": None, "epochs": 3, "labeled_draw": "loader", "batch_labeled": 2}
    active = start(views_config(**settings, learning_rate=0.02))
    record = next(iter(active))
    assert [n for _, n in seen] == [20, 20, 20]
    best = max(found for found, _ in seen)[0]
    chosen = next(found for found, _ in seen if found[0] == best)
    assert (record.ce_weight, record.kd_temperature) == chosen[1:]
    task = active.prepared.task
    images = task.test if split == "test" else task.val
    with torch.no_grad():
        output = active.student.eval()(images.images)
    p = output.probabilities(ce_weight=chosen[1], kd_temperature=chosen[2])
    assert float((p.argmax(1) == images.labels).float().mean()) == pytest.approx(best)


def test_choosing_on_a_frozen_backbone_looks_at_cached_features(tiny):
    record = next(iter(start(RunConfig(**tiny | {"rounds": 0, "choose_on": "validation"}))))
    assert 0 <= record.accuracy <= 1


def test_a_task_without_a_validation_split_is_refused_before_anything_is_encoded(monkeypatch):
    monkeypatch.setattr("activekd_lab.teachers.clip.Teacher.encode", lambda *_: pytest.fail("encoded"))
    config = RunConfig(task="digits", choose_on="validation", device="cpu")
    from dataclasses import replace

    from activekd_lab.data import load_task

    task = replace(load_task("digits"), val=None)
    with pytest.raises(DataError, match="choose_on='validation' needs a validation split, but 'digits' has none"):
        prepare(config, task=task)


def test_views_are_cut_at_the_larger_size():
    student, larger = (prepare(views_config(view_size=size, image_size=24)).inputs for size in ("student", "larger"))
    assert isinstance(student, ViewInputs)
    assert (student.size, larger.size) == (24, load_teacher("bundled", device="cpu").image_size)


def test_a_released_language_start_has_unnormalised_text_and_a_bias():
    config = views_config(
        backbone="open_clip/bundled", pretrained=True, image_size=64, language_start="released", teacher="bundled"
    )
    prepared = prepare(config)
    student = prepared.new_student(torch.Generator())
    raw = prepared.zero_shot.raw_text
    assert not torch.allclose(raw.norm(dim=1), torch.ones(4), atol=1e-2)
    assert isinstance(student.kd_head, CosineHead)
    for head in (student.kd_head, student.ce_head):
        assert torch.equal(head.weight, raw)
        assert torch.equal(head.bias, torch.zeros(4))
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        student.kd_head.bias += torch.tensor([0.0, 0.1, 0.0, 0.0])
        out = student.eval()(x)
    unit = out.features / out.features.norm(dim=1, keepdim=True)
    torch.testing.assert_close(out.kd_logits, 100 * (unit @ raw.T + student.kd_head.bias))


@pytest.mark.parametrize("few_shot", ["clap", "tip_adapter_f"])
def test_a_teacher_fitted_on_crops(few_shot):
    config = views_config(few_shot=few_shot, teacher_fit="crops", protocol="released")
    active = start(config)
    zero_shot = active.prepared.teacher_probabilities
    next(iter(active))
    fitted = active.prepared.teacher_probabilities
    assert not torch.allclose(fitted, zero_shot, atol=1e-4)  # in round 0 already
    torch.testing.assert_close(fitted.sum(1), torch.ones(60))


def test_text_that_is_not_made_unit_again_gives_smaller_logits():
    found = {
        a: prepare(views_config(text_average=a, templates=("imagenet-7",))).zero_shot.text
        for a in ("mean", "normalized")
    }
    lengths = found["mean"].norm(dim=1)
    assert bool((lengths < 0.999).all())
    torch.testing.assert_close(found["mean"] / lengths[:, None], found["normalized"])
