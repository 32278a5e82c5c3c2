"""Checks of 00_quickstart: how good are predictions, and which answers come too often."""

from __future__ import annotations

from typing import TYPE_CHECKING

from activekd_lab.course.checks.base import Function, at_random, call, register
from activekd_lab.course.checks.values import Wrong, close, same, tensor_like

if TYPE_CHECKING:
    from torch import Generator, Tensor


@register("00.accuracy")
def accuracy(function: Function) -> str:
    """Check the share of images whose most probable class is the true one."""
    import torch  # noqa: PLC0415  (slow import)

    rows = torch.tensor([[0.6, 0.3, 0.1], [0.3, 0.4, 0.3], [0.5, 0.1, 0.4], [0.3, 0.25, 0.45], [0.2, 0.7, 0.1]])
    labels = torch.tensor([0, 1, 2, 2, 0])
    try:
        answer = call(function, rows, labels)
    except Wrong as wrong:
        if "output dtype" not in str(wrong):
            raise
        raise Wrong("True and False have no mean: turn them into numbers with `.float()` first.") from None
    found = tensor_like(answer, (), "one number")
    if close(found, 3):
        raise Wrong("This counts the right answers; accuracy is their share of all images.")
    if close(found, 60):
        raise Wrong("This is a percentage; inside the library an accuracy is a fraction between 0 and 1.")
    if close(found, 0.4):
        raise Wrong("This is the share of wrong answers; accuracy is the share of right ones.")
    if close(found, float(rows[torch.arange(5), labels].mean())):
        raise Wrong("This is the mean probability of the true class. Accuracy only asks which class is on top: argmax.")
    if close(found, float((rows[torch.arange(5), labels] >= 0.5).double().mean())):
        raise Wrong(
            "Of three classes the top one may have less than one half: look for the largest in each row, argmax."
        )
    same(found, 0.6, "the accuracy of five rows, three of them right,")
    at_random(function, lambda p, y: (p.argmax(1) == y).double().mean(), _draw, "the accuracy of drawn rows")
    return "Right: argmax gives the answer of each row, and the mean of right-or-wrong is a fraction."


@register("00.surplus")
def surplus(function: Function) -> str:
    """Check how often each class is answered beyond how often it is true."""
    import torch  # noqa: PLC0415  (slow import)

    rows = torch.tensor([[0.7, 0.2, 0.0, 0.1], [0.6, 0.1, 0.1, 0.2], [0.4, 0.3, 0.2, 0.1], [0.1, 0.1, 0.8, 0.0]])
    labels, expected = torch.tensor([0, 1, 1, 2]), torch.tensor([2.0, -2.0, 0.0, 0.0])
    try:
        answer = call(function, rows, labels)
    except Wrong as wrong:
        if "size of tensor" not in str(wrong) and "broadcast" not in str(wrong):
            raise
        raise Wrong(
            "The two counts have different lengths: a class that never occurs still counts. See bincount's minlength."
        ) from None
    if getattr(answer, "shape", None) == (3,):
        raise Wrong(
            "Three numbers for four classes: one that is never answered still counts. See bincount's minlength."
        )
    found = tensor_like(answer, (4,), "one number a class")
    if close(found, -expected):
        raise Wrong("The sign is turned: a class that is answered too often should have a positive surplus.")
    if close(found, torch.tensor([3.0, 0.0, 1.0, 0.0])):
        raise Wrong("This counts the answers; subtract how often each class is true.")
    if close(found, rows.sum(0) - torch.tensor([1.0, 2.0, 1.0, 0.0])):
        raise Wrong("This sums probabilities; count the answers: argmax gives one class a row, bincount counts them.")
    same(found, expected, "the surplus of four classes")
    at_random(function, _surplus, _draw, "the surplus of drawn rows")
    return "Right: a positive surplus marks a class that attracts images of other classes."


def _surplus(probabilities: Tensor, labels: Tensor) -> Tensor:
    classes = probabilities.shape[1]
    found: Tensor = probabilities.argmax(1).bincount(minlength=classes) - labels.bincount(minlength=classes)
    return found


def _draw(generator: Generator) -> tuple[Tensor, Tensor]:
    """Return the probabilities of 40 rows and six classes, of which the last never occurs, and true classes."""
    import torch  # noqa: PLC0415  (slow import)

    rows = (2 * torch.randn(40, 6, generator=generator) - torch.tensor([0, 0, 0, 0, 0, 99.0])).softmax(1)
    drawn = torch.randint(5, (40,), generator=generator)
    return rows, torch.where(torch.rand(40, generator=generator) < 0.5, rows.argmax(1), drawn)
