import pytest
import torch

from activekd_lab.errors import Cancelled, NonFiniteError
from activekd_lab.student import DualHeadStudent
from activekd_lab.training import FrozenInputs, TrainingPlan, _Cycle, fit, predict_features, step


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
    model = student()
    options = {"generator": torch.Generator().manual_seed(2)} | options
    losses = fit(model, inputs, torch.arange(10), labels[:10], torch.arange(10, 60), plan, **options)
    return model, losses


def test_training_learns_and_is_deterministic(problem):
    inputs, labels = problem
    model, losses = train(inputs, labels)
    assert losses[-1] < 0.5 * losses[0]
    assert float((predict_features(model, inputs.features).ce_logits.argmax(1) == labels).float().mean()) > 0.95
    assert train(inputs, labels)[1] == losses


def test_without_distillation_the_teacher_has_no_influence(problem):
    inputs, labels = problem
    plan = TrainingPlan(steps=5, batch_labeled=8, batch_unlabeled=8, distill=False)
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

    step(student(), Counting(*vars(inputs).values()), torch.arange(16), labels[:8], PLAN, torch.Generator())
    assert calls == [16]


def test_a_used_up_pool_still_trains(problem):
    inputs, labels = problem
    losses = fit(
        student(), inputs, torch.arange(60), labels, torch.arange(0), PLAN, generator=torch.Generator().manual_seed(0)
    )
    assert losses[-1] < losses[0]


def test_non_finite_loss_names_the_step(problem):
    inputs, labels = problem
    broken = FrozenInputs(inputs.features, inputs.teacher_logits * float("nan"))
    with pytest.raises(NonFiniteError, match=r"became nan at step 0 .*learning rate.*ids"):
        train(broken, labels)


def test_cancel_stops_between_steps(problem):
    inputs, labels = problem
    done = []
    with pytest.raises(Cancelled, match="step 3 of 30"):
        train(inputs, labels, on_loss=lambda i, loss: done.append(i), cancel=lambda: len(done) == 3)


def test_cycle_shows_every_id_once_before_any_twice(g):
    cycle = _Cycle(torch.arange(10), 4, g)
    seen = torch.cat([cycle.next() for _ in range(5)])
    assert sorted(seen[:10].tolist()) == sorted(seen[10:].tolist()) == list(range(10))
