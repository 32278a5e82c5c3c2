import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from activekd_lab.active.begin import iterate
from activekd_lab.active.inputs import FrozenInputs, ViewInputs
from activekd_lab.active.predict import predict, predict_features
from activekd_lab.config import RunConfig
from activekd_lab.data import Split
from activekd_lab.errors import Cancelled, MissingExtraError, NonFiniteError, SettingError
from activekd_lab.runs.stored import load_run
from activekd_lab.students.draws import pairs
from activekd_lab.students.losses import dho_loss
from activekd_lab.students.methods import find_method
from activekd_lab.students.options import WeightAverage, make_accelerator, own_share
from activekd_lab.students.student import DualHeadStudent
from activekd_lab.students.training import TrainingPlan, fit, step
from activekd_lab.teachers.zero_shot import ZeroShotHead


@pytest.fixture
def problem(g):
    """Two separable clouds of backbone features, a teacher that is right about both."""
    labels = torch.arange(60) % 2
    features = torch.randn(60, 512, generator=g) + 2 * labels[:, None] * torch.randn(512, generator=g)
    teacher = torch.nn.functional.one_hot(labels, 2).float() * 4
    return FrozenInputs(features, teacher), labels


def student():
    start = torch.Generator().manual_seed(1)
    return DualHeadStudent("efficientnet_lite0", 2, freeze_backbone=True, projection_dim=8, generator=start)


PLAN = TrainingPlan(steps=30, batch_labeled=8, batch_unlabeled=8)


def train(inputs, labels, plan=PLAN, **options):
    model = student().eval()  # as `predict` left it
    options = {"generator": torch.Generator().manual_seed(2)} | options
    history = fit(model, inputs, torch.arange(10), labels[:10], torch.arange(10, 60), plan, **options)
    return model, history


def test_training_learns_and_is_deterministic(problem):
    inputs, labels = problem
    model, history = train(inputs, labels)
    assert history.loss[-1] < 0.5 * history.loss[0]
    assert float((predict_features(model, inputs.features).ce_logits.argmax(1) == labels).float().mean()) > 0.95
    assert train(inputs, labels)[1] == history


def test_without_distillation_the_teacher_has_no_influence(problem):
    inputs, labels = problem
    plan = TrainingPlan(steps=5, batch_labeled=8, batch_unlabeled=8, method=find_method("ce"))
    wrong = FrozenInputs(inputs.features, -inputs.teacher_logits)
    assert train(inputs, labels, plan)[1] == train(wrong, labels, plan)[1]
    assert train(inputs, labels)[1] != train(wrong, labels)[1]


def test_a_step_is_one_forward_over_both_batches(problem):
    inputs, labels = problem
    calls = []

    class Counting(FrozenInputs):
        def forward(self, student, x):
            calls.append(len(x))
            return super().forward(student, x)

    counting = Counting(*vars(inputs).values())
    step(student(), counting, torch.arange(16), labels[:8], PLAN, torch.Generator())
    assert calls == [16]
    train(counting, labels, replace(PLAN, steps=2, method=find_method("ce")))
    assert calls == [16, 8, 8]  # without a teacher there is no unlabelled batch


def test_a_step_is_the_loss_of_its_plan_with_each_row_beside_its_own_teacher(problem, g):
    features, labels = problem[0].features, problem[1]
    inputs = FrozenInputs(features, torch.randn(60, 2, generator=g))
    plan, ids = replace(PLAN, temperature=3.0, ce_share=0.2), torch.randperm(60, generator=g)[:20]
    loss = step(student(), inputs, ids, labels[ids[:8]], plan, g)
    output, teacher = student().heads(features[ids]), inputs.teacher_logits[ids]
    expected = dho_loss(
        output[:8], labels[ids[:8]], teacher[:8], output[8:], teacher[8:], temperature=3.0, ce_share=0.2
    )
    torch.testing.assert_close(torch.stack(loss), torch.stack(expected))


def test_the_first_steps_equal_adamw_written_out(problem, g):
    """Four steps by hand: batches of labelled and of unlabelled ids, warm-up to the peak over two, then decay."""
    features, labels = problem[0].features, problem[1]
    inputs = FrozenInputs(features, torch.randn(60, 2, generator=g))
    plan = TrainingPlan(4, 8, 16, learning_rate=0.05, weight_decay=0.3, warmup=0.5, temperature=3.0, ce_share=0.2)
    model, history = train(inputs, labels, plan)
    hand, draws = student().train(), torch.Generator().manual_seed(2)
    drawn = pairs(torch.arange(10), torch.arange(10, 60), (8, 16), draws)
    optimizer = torch.optim.AdamW([p for p in hand.parameters() if p.requires_grad], weight_decay=0.3)
    rates = [0.025, 0.05, 0.05, 0.025]
    for rate in rates:
        optimizer.param_groups[0]["lr"] = rate
        ids = torch.cat(next(drawn))
        loss = step(hand, inputs, ids, labels[ids[:8]], plan, draws)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
    assert history.learning_rate == pytest.approx(rates)
    torch.testing.assert_close(weights(model), weights(hand))


def test_views_are_cut_at_the_size_of_the_student_and_mirrored_only_on_request():
    """Every image is dark on its left and bright on its right; the teacher is asked about the very crops."""
    ramp = torch.linspace(0, 255, 40).to(torch.uint8).expand(12, 3, 40, 40)
    split, seen = Split("train", ramp, torch.zeros(12, dtype=torch.int64)), []

    class Teacher:
        def encode_views(self, views):
            seen.append(views)
            return views.mean((2, 3))

    head = ZeroShotHead(torch.eye(3), 2.0)
    for flip in (True, False):
        inputs = ViewInputs(split, Teacher(), head, torch.device("cpu"), 24, flip)
        views, logits = inputs.batch(torch.arange(12), torch.Generator().manual_seed(0))
        assert views.shape == (12, 3, 24, 24)
        assert seen[-1] is views
        torch.testing.assert_close(logits, head.logits(views.mean((2, 3))))
        rises = views[:, 0, 12, -1] > views[:, 0, 12, 0]
        assert bool(rises.all()) is not flip


def test_outputs_of_a_split_are_those_of_an_evaluated_student_in_order():
    images = torch.randint(0, 256, (7, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    split, seen = Split("test", images, torch.zeros(7, dtype=torch.int64)), []
    for single in (False, True):
        model = DualHeadStudent("small_cnn", 3, image_size=16, single_head=single).train()
        output = predict(model, split, batch=3, progress=lambda done, total: seen.append((done, total)))
        assert not model.training
        with torch.no_grad():
            expected = model(images)
        torch.testing.assert_close(output.kd_logits, expected.kd_logits)
        torch.testing.assert_close(output.probabilities(kd_temperature=3.0), expected.probabilities(kd_temperature=3.0))
        assert (output.kd_logits is output.ce_logits) is single
    assert seen == [(3, 7), (6, 7), (7, 7)] * 2


def test_cached_features_are_predicted_by_an_evaluated_student(problem):
    model = student().train()
    first = predict_features(model, problem[0].features)
    again = predict_features(model, problem[0].features[:5])  # no batch statistics: a row does not see its neighbours
    torch.testing.assert_close(again.ce_logits, first.ce_logits[:5])
    assert not model.training


def test_a_used_up_pool_still_trains(problem):
    inputs, labels = problem
    losses, *_ = fit(
        student(), inputs, torch.arange(60), labels, torch.arange(0), PLAN, generator=torch.Generator().manual_seed(0)
    )
    assert losses[-1] < losses[0]


def test_non_finite_loss_names_the_step(problem):
    inputs, labels = problem
    broken = FrozenInputs(inputs.features, inputs.teacher_logits * float("nan"))
    with pytest.raises(
        NonFiniteError, match=r"became nan at step 0 \(seen at step 29, learning rate 0\.00033, last ids \["
    ):
        train(broken, labels)


def test_cancel_stops_between_steps(problem):
    inputs, labels = problem
    done = []
    with pytest.raises(Cancelled, match="step 3 of 30"):
        train(inputs, labels, on_loss=lambda i, loss: done.append(i), cancel=lambda: len(done) == 3)


def test_separate_passes_let_batch_norm_see_each_part_alone(problem, g):
    """Batch statistics of the joint pass are those of all 24 images; apart, of 8 and then of 16, with momentum."""
    inputs, labels = problem
    ids = torch.randperm(60, generator=g)[:24]
    found = {}
    for separate in (False, True):
        model = student().train()
        plan = replace(PLAN, separate=separate)
        loss = step(model, inputs, ids, labels[ids[:8]], plan, g)
        found[separate] = (loss, model.projection[0].running_mean.clone())
    x = inputs.features[ids]
    joint = 0.1 * x.mean(0)
    apart = 0.9 * (0.1 * x[:8].mean(0)) + 0.1 * x[8:].mean(0)
    torch.testing.assert_close(found[False][1], joint)
    torch.testing.assert_close(found[True][1], apart)
    hand = student().train()
    known, unknown = (inputs.forward(hand, part) for part in (x[:8], x[8:]))
    teacher = inputs.teacher_logits[ids]
    expected = dho_loss(known, labels[ids[:8]], teacher[:8], unknown, teacher[8:])
    torch.testing.assert_close(torch.stack(found[True][0]), torch.stack(expected))
    assert not torch.allclose(found[True][0].total, found[False][0].total)


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters() if p.requires_grad])


def test_the_history_tells_each_step(problem):
    inputs, labels = problem
    _, history = train(inputs, labels)
    table = history.frame()
    assert list(table.columns) == ["loss", "ce", "kd", "learning_rate"]
    torch.testing.assert_close(torch.tensor(table.loss), torch.tensor(0.5 * table.ce + 0.5 * table.kd))
    rates = history.learning_rate
    assert rates[0] < rates[2] == max(rates) == PLAN.learning_rate > rates[-1] > 0
    assert history.final_loss == pytest.approx(sum(history.loss[-3:]) / 3)


def test_bfloat16_products_learn_what_float32_does(problem):
    inputs, labels = problem
    model, rough = train(inputs, labels, replace(PLAN, precision="bfloat16"))
    exact = train(inputs, labels)[1]
    assert rough.loss != exact.loss
    assert rough.final_loss == pytest.approx(exact.final_loss, abs=0.1)
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_clipping_bounds_the_gradient(problem):
    inputs, labels = problem
    model, norms = student(), []

    def on_loss(step, loss):
        norms.append([p.grad.norm() for p in model.parameters() if p.grad is not None])

    plan = replace(PLAN, clip_norm=1e-3, steps=3)
    fit(
        model,
        inputs,
        torch.arange(10),
        labels[:10],
        torch.arange(10, 60),
        plan,
        generator=torch.Generator(),
        on_loss=on_loss,
    )
    for found in norms[1:]:
        assert float(torch.stack(found).norm()) == pytest.approx(1e-3, rel=1e-3)


def test_averaged_weights_lag_behind_the_last_ones_and_forget_the_start(problem):
    inputs, labels = problem
    start, last = weights(student()), weights(train(inputs, labels)[0])
    near, far = (weights(train(inputs, labels, replace(PLAN, ema=decay))[0]) for decay in (0.01, 0.999))
    assert (near - last).norm() < (far - last).norm() < 0.05 * (last - start).norm()


def test_the_average_is_the_sum_that_its_formula_gives():
    w = torch.zeros(1)
    average = WeightAverage([w], 0.25)
    for value in (11.0, 24.0, 8.0):  # decays 2/11, 3/12 and, where the warm-up is over, 0.25
        w.fill_(value)
        average.update()
    average.apply()
    assert float(w) == pytest.approx(0.25 * (0.25 * 9 + 0.75 * 24) + 0.75 * 8)


def test_batch_statistics_are_averaged_with_the_weights_of_a_backbone_that_trains():
    class Images:
        def batch(self, ids, generator):
            return torch.rand(len(ids), 3, 16, 16, generator=generator), torch.zeros(len(ids), 2)

        def forward(self, student, x):
            return student(x)

    found = []
    for ema in (None, 0.9):
        model = DualHeadStudent("small_cnn", 2, image_size=16, generator=torch.Generator().manual_seed(1))
        plan = TrainingPlan(steps=4, batch_labeled=2, batch_unlabeled=2, ema=ema)
        options = {"generator": torch.Generator().manual_seed(2)}
        fit(model, Images(), torch.arange(2), torch.arange(2), torch.arange(2, 6), plan, **options)
        found.append(model.backbone.body[1].running_mean)
    assert not torch.allclose(*found)


def test_deterministic_mode_ends_with_the_training(problem):
    inputs, labels = problem
    seen = []
    plan = replace(PLAN, deterministic=True, steps=2)
    train(inputs, labels, plan, on_loss=lambda *_: seen.append(torch.are_deterministic_algorithms_enabled()))
    assert seen == [True, True]
    assert not torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        train(inputs, labels, plan)
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler, and there is no g++")
def test_a_compiled_backbone_trains_as_a_plain_one(tiny):
    config = RunConfig(**tiny | {"backbone": "small_cnn", "image_size": 32, "rounds": 0, "steps": 2})
    (plain,), (compiled,) = iterate(config), iterate(config.with_(compile=True, channels_last=True))
    assert compiled.loss == pytest.approx(plain.loss, rel=1e-3)


TWO_PROCESSES = """
import sys, torch
import activekd_lab as akd
from activekd_lab.active.begin import start
from activekd_lab.students.student import DualHeadStudent
from activekd_lab.students.training import TrainingPlan, fit
from activekd_lab.students.options import make_accelerator
from safetensors.torch import save_file

class Fixed:
    def __init__(self):
        g = torch.Generator().manual_seed(0)
        self.images = torch.rand(24, 3, 160, 160, generator=g, dtype=torch.float64)
        self.logits = torch.randn(24, 3, generator=g, dtype=torch.float64)
    def batch(self, ids, generator):
        return self.images[ids], self.logits[ids]
    def forward(self, student, x):
        return student(x)

accelerator = make_accelerator()
g = torch.Generator().manual_seed(1)
student = DualHeadStudent("timm/test_vit", 3, image_size=160, pretrained=False, generator=g).double()
plan = TrainingPlan(steps=3, batch_labeled=4, batch_unlabeled=8)
fit(student, Fixed(), torch.arange(8), torch.arange(8) % 3, torch.arange(8, 24), plan,
    generator=torch.Generator().manual_seed(2), accelerator=accelerator)
if accelerator is None or accelerator.is_main_process:
    save_file(student.state_dict(), sys.argv[1] + "/weights.safetensors")
task = {"num_classes": 4, "pool_size": 80, "test_per_class": 5, "val_per_class": 2}
shared = {"task": "shapes", "task_options": task, "rounds": 1, "budget": 5, "steps": 4, "device": "cpu"}
akd.run(akd.RunConfig(**shared), store=sys.argv[1])
rank = 0 if accelerator is None else accelerator.process_index
for name, more in (("frozen", {}), ("trains", {"backbone": "small_cnn", "image_size": 32, "ema": 0.5})):
    active = start(akd.RunConfig(**shared | more))
    picks = [record.picks for record in active]
    tensors = active.saved_student().student.state_dict() | {"picks": torch.tensor(picks[0])}
    save_file({key: value.contiguous() for key, value in tensors.items()}, f"{sys.argv[1]}/{name}-{rank}.safetensors")
"""


def test_two_processes_train_what_one_does_and_hold_one_student(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(TWO_PROCESSES)
    # On processors alone accelerate's own launcher starts a single process; torchrun's starts two.
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    found = []
    for name, command in (("one", [str(script)]), ("two", [*launch, str(script)])):
        (tmp_path / name).mkdir()
        environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
        done = subprocess.run(
            [sys.executable, *command, str(tmp_path / name)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found.append(load_file(tmp_path / name / "weights.safetensors"))
        (folder,) = (p for p in (tmp_path / name).iterdir() if p.is_dir())
        assert [r.labels for r in load_run(folder).records] == [4, 9]
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, atol=1e-9, rtol=0)  # float64
    for run in ("frozen", "trains"):
        first, second = (load_file(tmp_path / "two" / f"{run}-{rank}.safetensors") for rank in (0, 1))
        assert all(torch.equal(value, second[name]) for name, value in first.items())


class Three:
    num_processes, process_index = 3, 0

    def reduce(self, gradients, how):
        return gradients


def test_several_processes_without_accelerate_are_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)
    assert make_accelerator() is None
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(MissingExtraError, match=r'accelerate.*pip install "activekd_lab\[multi-gpu\]"'):
        make_accelerator()


def test_a_process_takes_its_own_share_of_a_batch():
    second = Three()
    second.process_index = 1
    assert own_share(torch.arange(9), second).tolist() == [1, 4, 7]
    assert own_share(torch.arange(9), None).tolist() == list(range(9))


def test_processes_need_not_share_a_batch_that_nobody_trains_on(problem):
    plan = TrainingPlan(steps=1, batch_labeled=6, batch_unlabeled=8)
    with pytest.raises(SettingError, match="batch_labeled must be a multiple of the 3 processes, but got 64"):
        train(*problem, replace(plan, batch_labeled=64), accelerator=Three())
    with pytest.raises(SettingError, match="labeled_draw='loader' has a smaller last batch"):
        train(*problem, replace(plan, batch_unlabeled=6, labeled_draw="loader"), accelerator=Three())
    with pytest.raises(SettingError, match="batch_unlabeled must be a multiple of the 3 processes"):
        train(*problem, plan, accelerator=Three())
    assert len(train(*problem, replace(plan, method=find_method("ce")), accelerator=Three())[1].loss) == 1
