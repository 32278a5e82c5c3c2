from functools import partial

import pytest
import torch

from activekd_lab.active.inputs import FrozenInputs
from activekd_lab.students.conflict import ConflictLog, gradient_conflict
from activekd_lab.students.losses import dho_loss
from activekd_lab.students.student import DualHeadStudent
from activekd_lab.students.training import TrainingPlan, fit

IMAGES = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 0])


def loss_of(student, teacher):
    out = student(IMAGES)
    return dho_loss(out, LABELS, teacher, out, teacher)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_teacher_that_repeats_or_opposes_the_labels(sign):
    """On one head, a certain teacher's gradient is along that of the labels, or against it."""
    student = DualHeadStudent(
        "small_cnn", 2, single_head=True, image_size=16, generator=torch.Generator().manual_seed(0)
    )
    out = student(IMAGES[:2])
    labels = torch.tensor([0, 1])
    teacher = sign * 30 * (torch.nn.functional.one_hot(labels, 2).float() - 0.5)
    conflict = gradient_conflict(student, dho_loss(out, labels, teacher, out, teacher, temperature=1.0))
    assert sign * conflict["all"] > 0.95


def test_the_cosine_is_that_of_the_flattened_gradients():
    student = DualHeadStudent("small_cnn", 3, image_size=16, generator=torch.Generator().manual_seed(0))
    teacher = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    loss = loss_of(student, teacher)
    found = gradient_conflict(student, loss)
    shared = list(student.backbone.parameters())
    ce = torch.cat([g.flatten() for g in torch.autograd.grad(loss.ce, shared, retain_graph=True)])
    kd = torch.cat([g.flatten() for g in torch.autograd.grad(2 * loss.kd_labeled, shared, retain_graph=True)])
    assert found["all"] == pytest.approx(float(torch.cosine_similarity(ce, kd, dim=0)), abs=1e-5)
    assert {"0", "3", "6", "9"} <= set(found)
    loss.total.backward()  # the graph is still there


def test_a_log_measures_every_nth_step_and_changes_nothing():
    g = torch.Generator().manual_seed(0)
    inputs = FrozenInputs(torch.randn(20, 512, generator=g), torch.randn(20, 3, generator=g))
    ids, labels, plan = (
        torch.arange(10),
        torch.arange(10) % 3,
        TrainingPlan(steps=7, batch_labeled=4, batch_unlabeled=4),
    )

    def train(log_every=None):
        student = DualHeadStudent(
            "efficientnet_lite0", 3, freeze_backbone=True, projection_dim=8, generator=torch.Generator().manual_seed(1)
        )
        log = ConflictLog(every=log_every or 1)
        on_loss = partial(log.on_loss, student) if log_every else None
        generator = torch.Generator().manual_seed(2)
        return fit(student, inputs, ids, labels, torch.arange(10, 20), plan, generator=generator, on_loss=on_loss), log

    plain, _ = train()
    logged, log = train(log_every=3)
    assert logged == plain
    assert log.steps == [0, 3, 6]
    assert len(log.cosines["all"]) == 3
    assert all(-1 <= value <= 1 for value in log.cosines["all"])
