"""The DHO loss (arXiv:2505.07675) and the single-head baselines, as plain functions on logits."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from activekd_lab.errors import SettingError
from activekd_lab.student import StudentOutput


class DHOLoss(NamedTuple):
    """The loss and its parts, scalars. `total` is what to differentiate."""

    total: Tensor
    ce: Tensor
    kd_labeled: Tensor
    kd_unlabeled: Tensor


def distillation_loss(student_logits: Tensor, teacher_logits: Tensor, *, temperature: float) -> Tensor:
    """Return `T² · KL(softmax(teacher / T) ‖ softmax(student / T))`, the mean over the batch.

    Args:
        student_logits: (B, C).
        teacher_logits: (B, C); no gradient flows into them.
        temperature: T > 0, softens both sides; T² keeps the gradient's size (Hinton et al., arXiv:1503.02531).
    """
    target = F.log_softmax(teacher_logits.detach() / temperature, dim=1)
    log_p = F.log_softmax(student_logits / temperature, dim=1)
    return temperature**2 * F.kl_div(log_p, target, reduction="batchmean", log_target=True)


def dho_loss(
    labeled: StudentOutput,
    labels: Tensor,
    teacher_logits_labeled: Tensor,
    unlabeled: StudentOutput,
    teacher_logits_unlabeled: Tensor,
    *,
    temperature: float = 2.0,
    ce_share: float = 0.5,
) -> DHOLoss:
    """Return `λ·CE(ce_logits_l, y) + (1 − λ)·[KD(kd_logits_l, t_l) + KD(kd_logits_u, t_u)]`.

    With a `StudentOutput` whose two heads are one tensor, this is the single-head baseline (CE + KD on one head).

    Args:
        labeled: outputs on the labelled images, logits (B_l, C).
        labels: (B_l,) int64.
        teacher_logits_labeled: (B_l, C) teacher logits of the same views.
        unlabeled: outputs on the unlabelled images, logits (B_u, C).
        teacher_logits_unlabeled: (B_u, C) teacher logits of the same views.
        temperature: T of the distillation terms.
        ce_share: λ in [0, 1]; 1 trains on labels only, 0 on the teacher only.

    Raises:
        SettingError: `ce_share` outside [0, 1] or `temperature` not positive.
    """
    if not 0 <= ce_share <= 1:
        raise SettingError(f"ce_share must lie in [0, 1], but got {ce_share}.")
    if temperature <= 0:
        raise SettingError(f"temperature must be positive, but got {temperature}.")
    ce = F.cross_entropy(labeled.ce_logits, labels)
    kd_labeled = distillation_loss(labeled.kd_logits, teacher_logits_labeled, temperature=temperature)
    kd_unlabeled = distillation_loss(unlabeled.kd_logits, teacher_logits_unlabeled, temperature=temperature)
    total = ce_share * ce + (1 - ce_share) * (kd_labeled + kd_unlabeled)
    return DHOLoss(total, ce, kd_labeled, kd_unlabeled)


def label_loss(labeled: StudentOutput, labels: Tensor) -> DHOLoss:
    """Return the cross-entropy on labels alone (the baseline without distillation) in the shape of a `DHOLoss`."""
    ce = F.cross_entropy(labeled.ce_logits, labels)
    zero = torch.zeros_like(ce)
    return DHOLoss(ce, ce, zero, zero)
