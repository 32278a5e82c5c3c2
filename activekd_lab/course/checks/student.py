"""Checks of 02_student: the distillation loss, the cosine between two gradients, the mix of two heads."""

# ruff: noqa: PLC0415  (torch is a slow import)

from __future__ import annotations

from typing import TYPE_CHECKING

from activekd_lab.course.checks.base import Function, at_random, call, register
from activekd_lab.course.checks.values import Wrong, close, rows_sum_to_one, same, tensor_like

if TYPE_CHECKING:
    from torch import Tensor


@register("02.distillation_loss")
def distillation_loss(function: Function) -> str:
    """Check T² · KL(teacher ‖ student), both softened."""
    import torch

    from activekd_lab.students import losses

    student, teacher = (
        torch.tensor([[0.0, 1.0, -1.0], [2.0, 0.0, 0.5]]),
        torch.tensor([[2.0, 0.0, 0.0], [1.0, 1.0, 0.0]]),
    )
    expected = losses.distillation_loss(student, teacher, temperature=2.0)
    found = tensor_like(call(function, student, teacher, 2.0), (), "one number for the batch")
    entropy = (teacher / 2).softmax(1).mul((teacher / 2).log_softmax(1)).sum(1).mean()
    hints = {
        "This is the cross-entropy with the teacher; KL subtracts the teacher's own entropy, and can be 0.": (
            expected - 4 * entropy
        ),
        "This is the cross-entropy with the teacher, without T²; KL subtracts the teacher's own entropy.": (
            expected / 4 - entropy
        ),
        "The factor T² is missing; it keeps the gradient's size when T grows.": expected / 4,
        "KL is turned around: it is measured from the teacher's probabilities to the student's.": (
            losses.distillation_loss(teacher, student, temperature=2.0)
        ),
        "Divide both logits by T before the softmax.": 4 * losses.distillation_loss(student, teacher, temperature=1.0),
        "This is the sum over the images; the loss is their mean.": 2 * expected,
        "This is the mean over classes too; sum over classes, then take the mean over images.": expected / 3,
    }
    for hint, value in hints.items():
        if close(found, value):
            raise Wrong(hint)
    same(found, expected, "two images, three classes and T = 2")
    expected = losses.distillation_loss(student, teacher, temperature=3.0)
    warmer = tensor_like(call(function, student, teacher, 3.0), (), "one number for the batch")
    if close(warmer, 6 / 9 * expected):
        raise Wrong("Right at T = 2, where 2T and T² are the same; the factor is the square, `temperature**2`.")
    same(warmer, expected, "the same images at T = 3")
    shifted = tensor_like(call(function, teacher + 5, teacher, 2.0), (), "one number for the batch")
    same(shifted, 0.0, "a student whose logits are the teacher's plus 5")
    at_random(
        function,
        lambda s, t, temperature: losses.distillation_loss(s, t, temperature=temperature),
        lambda g: (*3 * torch.randn(2, 6, 4, generator=g), 0.5 + 4 * float(torch.rand((), generator=g))),
        "the loss of drawn logits",
    )
    return "Right, and a student whose logits are the teacher's plus 5 has no loss: softmax ignores a shift."


@register("02.cosine")
def cosine(function: Function) -> str:
    """Check the cosine between two gradients in pieces."""
    import torch

    first = [torch.tensor([[3.0, 0.0], [0.0, 0.0]]), torch.tensor([4.0])]
    second = [torch.tensor([[0.0, 0.0], [1.0, 0.0]]), torch.tensor([-1.0])]
    found = tensor_like(call(function, first, second), (), "one number")
    if close(found, -4):
        raise Wrong("This is the dot product; divide it by both lengths, or its size depends on the losses'.")
    if close(found, -0.5):
        raise Wrong("This is the mean of a cosine a layer; join all layers to one vector first.")
    same(found, -4 / (5 * 2**0.5), "the cosine of two gradients")
    scaled = tensor_like(call(function, [10 * part for part in first], second), (), "one number")
    same(scaled, found, "a gradient ten times as long")
    at_random(
        function,
        _cosine,
        lambda g: tuple([torch.randn(3, 2, generator=g), torch.randn(4, generator=g)] for _ in range(2)),
        "the cosine of drawn gradients",
    )
    return "Right: the size of the losses drops out, only the directions count."


@register("02.mix")
def mix(function: Function) -> str:
    """Check ce_weight · softmax(ce) + (1 − ce_weight) · softmax(kd / kd_temperature)."""
    import torch

    from activekd_lab.students.student import StudentOutput

    ce, kd = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.5]]), torch.tensor([[0.0, 3.0, 0.0], [1.0, 0.0, 4.0]])
    expected = StudentOutput(ce, kd, ce).probabilities(ce_weight=0.3, kd_temperature=2.0)
    found = tensor_like(call(function, ce, kd, 0.3, 2.0), (2, 3), "a row an image, a number a class")
    hints = {
        "This mixes logits; softmax each head first, so that each has one vote of its weight.": (
            (0.3 * ce + 0.7 * kd / 2).softmax(1)
        ),
        "The weights are swapped: ce_weight belongs to the CE head.": 0.7 * ce.softmax(1) + 0.3 * (kd / 2).softmax(1),
        "The temperature has no effect here; divide the KD head's logits by it.": (
            0.3 * ce.softmax(1) + 0.7 * kd.softmax(1)
        ),
        "Only the KD head's logits are divided by the temperature.": (
            0.3 * (ce / 2).softmax(1) + 0.7 * (kd / 2).softmax(1)
        ),
        "The temperature multiplies the logits here; divide by it.": 0.3 * ce.softmax(1) + 0.7 * (kd * 2).softmax(1),
    }
    for hint, value in hints.items():
        if close(found, value):
            raise Wrong(hint)
    rows_sum_to_one(found)
    same(found, expected, "two images, three classes, weight 0.3 and temperature 2")
    at_random(
        function,
        lambda c, k, w, t: StudentOutput(c, k, c).probabilities(ce_weight=w, kd_temperature=t),
        lambda g: (*3 * torch.randn(2, 5, 4, generator=g), *(0.1 + 0.8 * torch.rand(2, generator=g)).tolist()),
        "the mix of drawn logits",
    )
    return "Right: each row still sums to one, since it is a weighted mean of two that do."


def _cosine(first: list[Tensor], second: list[Tensor]) -> Tensor:
    import torch

    a, b = (torch.cat([part.flatten() for part in parts]) for parts in (first, second))
    return torch.cosine_similarity(a, b, dim=0)
