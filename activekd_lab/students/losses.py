"""The DHO loss (arXiv:2505.07675) and the single-head baselines, as plain functions on logits."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from activekd_lab.io.arguments import checked, unchecked
from activekd_lab.students.images import check_batch, single
from activekd_lab.students.student import StudentOutput


class DHOLoss(NamedTuple):
    """The loss and its parts, scalars. `total` is what to differentiate."""

    total: Tensor
    ce: Tensor
    kd_labeled: Tensor
    kd_unlabeled: Tensor


@checked(student_logits="(B, C) floats", teacher_logits="(B, C) finite", temperature="0.001 … 1000")
def distillation_loss(student_logits: Tensor, teacher_logits: Tensor, *, temperature: float) -> Tensor:
    """Return `T² · KL(softmax(teacher / T) ‖ softmax(student / T))`, the mean over the batch.

    Args:
        student_logits: (B, C).
        teacher_logits: (B, C); no gradient flows into them.
        temperature: T > 0, softens both sides; T² keeps the gradient's size (Hinton et al., arXiv:1503.02531).
    """
    target = F.log_softmax(single(teacher_logits.detach()) / temperature, dim=1)
    log_p = F.log_softmax(single(student_logits) / temperature, dim=1)
    return temperature**2 * F.kl_div(log_p, target, reduction="batchmean", log_target=True)


_TEACHER = {"teacher_logits_labeled": "(L, C) finite", "teacher_logits_unlabeled": "(U, C) finite"}


@checked(labels="(L,) integers", **_TEACHER, temperature="0.001 … 1000", ce_share="0 … 1")
def dho_loss(
    labeled: StudentOutput,
    labels: Tensor,
    teacher_logits_labeled: Tensor,
    unlabeled: StudentOutput,
    teacher_logits_unlabeled: Tensor,
    *,
    temperature: float = 2.0,
    ce_share: float = 0.5,
    loss_weights: tuple[float, float, float] | None = None,
) -> DHOLoss:
    """Return `λ·CE(ce_logits_l, y) + (1 − λ)·[KD(kd_logits_l, t_l) + KD(kd_logits_u, t_u)]` (arXiv:2505.07675).

    With a `StudentOutput` whose two heads are one tensor, this is the single-head baseline (CE + KD on one head).

    Args:
        labeled: outputs on the labelled images, logits (B_l, C).
        labels: (B_l,) int64.
        teacher_logits_labeled: (B_l, C) teacher logits of the same views.
        unlabeled: outputs on the unlabelled images, logits (B_u, C).
        teacher_logits_unlabeled: (B_u, C) teacher logits of the same views.
        temperature: T of the distillation terms.
        ce_share: λ in [0, 1]; 1 trains on labels only, 0 on the teacher only.
        loss_weights: of the three terms instead of λ, 1 − λ, 1 − λ; the papers' low-shot code has (1, 1, 1).

    Raises:
        SettingError: `ce_share` outside [0, 1] or `temperature` outside [0.001, 1000].
    """
    check_batch("dho_loss", labeled, labels, teacher_logits_labeled)
    check_batch("dho_loss", unlabeled, None, teacher_logits_unlabeled)
    ce = F.cross_entropy(single(labeled.ce_logits), labels)
    divergence = unchecked(distillation_loss)
    kd_labeled = divergence(labeled.kd_logits, teacher_logits_labeled, temperature=temperature)
    kd_unlabeled = divergence(unlabeled.kd_logits, teacher_logits_unlabeled, temperature=temperature)
    if loss_weights is None:
        total = ce_share * ce + (1 - ce_share) * (kd_labeled + kd_unlabeled)
    else:
        total = loss_weights[0] * ce + loss_weights[1] * kd_labeled + loss_weights[2] * kd_unlabeled
    return DHOLoss(total, ce, kd_labeled, kd_unlabeled)


@checked(labels="(L,) integers", **_TEACHER, temperature="0.001 … 1000")
def teacher_loss(
    labeled: StudentOutput,
    labels: Tensor,
    teacher_logits_labeled: Tensor,
    unlabeled: StudentOutput,
    teacher_logits_unlabeled: Tensor,
    *,
    temperature: float = 2.0,
) -> DHOLoss:
    """Return `dho_loss` with λ = 0: both batches learn from the teacher alone."""
    known, unknown = (labeled, labels, teacher_logits_labeled), (unlabeled, teacher_logits_unlabeled)
    return unchecked(dho_loss)(*known, *unknown, temperature=temperature, ce_share=0)


@checked(labels="(L,) integers")
def label_loss(labeled: StudentOutput, labels: Tensor, *unused: object) -> DHOLoss:
    """Return the cross-entropy on labels alone (the baseline without distillation) in the shape of a `DHOLoss`."""
    check_batch("label_loss", labeled, labels, None)
    ce = F.cross_entropy(single(labeled.ce_logits), labels)
    zero = torch.zeros_like(ce)
    return DHOLoss(ce, ce, zero, zero)
