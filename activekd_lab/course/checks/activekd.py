"""Checks of 04_activekd: the area under a learning curve, how even labels are, and a selector of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from activekd_lab import stats
from activekd_lab.course.checks.base import Function, at_random, call, drawing, register
from activekd_lab.course.checks.values import Wrong, close, same, tensor_like

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from activekd_lab.selectors import PoolView


@register("04.area")
def area(function: Function) -> str:
    """Check the area under an unevenly spaced curve, divided by its width."""
    import numpy as np  # noqa: PLC0415  (slow import)

    labels, accuracy = np.array([10, 20, 60]), np.array([0.2, 0.4, 0.6])
    found = tensor_like(call(function, labels, accuracy), (), "one number")
    if close(found, 23):
        raise Wrong("This is the whole area; divide it by the width of the curve, so that a fraction remains.")
    if close(found, 0.4):
        raise Wrong("This is the plain mean of the accuracies; wide steps count more than narrow ones.")
    if close(found, 18 / 50):
        raise Wrong("Each piece takes the height of its left end; take the mean of both ends.")
    if close(found, 28 / 50):
        raise Wrong("Each piece takes the height of its right end; take the mean of both ends.")
    if close(found, 23 / 60):
        raise Wrong("The width goes from the first to the last label count, not from 0.")
    same(found, 0.46, "the mean height over 10, 20 and 60 labels")
    straight = call(function, np.array([10, 30]), np.array([0.4, 0.6]))
    same(straight, 0.5, "the mean height of a straight line from 40% to 60%")
    at_random(function, stats.area, _curve, "the mean height of a drawn curve")
    return "Right: a fraction, and the same whether a straight piece is measured once or ten times."


@register("04.evenness")
def evenness(function: Function) -> str:
    """Check the entropy of the class shares over log C: some classes, one, all alike, and one without labels."""
    import torch  # noqa: PLC0415  (slow import)

    counts = torch.tensor([6, 2, 0, 0])
    answer = call(function, counts)
    if bool(torch.as_tensor(answer).isnan().any()):
        raise Wrong("A class without labels gives NaN: 0 · log 0 counts as 0. See torch.special.entr.")
    found = tensor_like(answer, (), "one number")
    entropy = 0.5623351  # of the shares 3/4 and 1/4, in nats
    hints = {
        "The sign is turned: log p is negative, so a minus belongs in front.": -entropy / 1.3862944,
        "This is the entropy in nats; divide it by log C, so that 1 is the most.": entropy,
        "This divides by the log of the classes that have labels; the ones without count too: C is all of them.": (
            entropy / 0.6931472
        ),
        "This is a mean over the classes; entropy is the sum.": entropy / 1.3862944 / 4,
        "Entropy is in nats here but log C in bits, or the other way round: take one of them.": entropy / 2,
    }
    for hint, value in hints.items():
        if close(found, value):
            raise Wrong(hint)
    same(found, entropy / 1.3862944, "the evenness of 6, 2, 0 and 0 labels")
    for other, expected in (([5, 5, 5], 1.0), ([0, 7], 0.0), ([0, 20, 20, 0], 0.5)):
        found = tensor_like(call(function, torch.tensor(other)), (), "one number")
        same(found, expected, f"the evenness of {', '.join(map(str, other))} labels")
    at_random(
        function,
        lambda n: torch.special.entr(n / n.sum()).sum() / torch.tensor(float(len(n))).log(),
        lambda g: (torch.randint(9, (int(torch.randint(2, 8, (), generator=g)),), generator=g) + 1,),
        "the evenness of drawn counts",
    )
    return "Right: half of the classes in equal shares give one half of four classes' evenness, whichever two they are."


@register("04.disagreement", points=2)
def disagreement(function: Function) -> str:
    """Check a selector: ids instead of positions, largest first, none twice, as `select` wants them."""
    import torch  # noqa: PLC0415  (slow import)

    from activekd_lab.errors import PoolError  # noqa: PLC0415
    from activekd_lab.selectors import select  # noqa: PLC0415  (imports torch)

    view, expected, positions = _view()
    found = call(function, view, 3, generator=torch.Generator().manual_seed(0))
    picks = tensor_like(found, (3,), "one id a pick")
    if close(picks, positions[:3]):
        raise Wrong("These are positions among the rows; the ids of those rows are view.ids[positions].")
    if close(picks, expected.flip(0)[:3]):
        raise Wrong("These are the images on which both agree most: take the largest differences, not the smallest.")
    if close(picks, expected[[0, 2, 1]]):
        raise Wrong(
            "This takes the largest difference of one class, or squares; the sum of absolute ones is asked for."
        )
    if close(picks.sort().values, expected[:3].sort().values) and not close(picks, expected[:3]):
        raise Wrong("The right three images, but not in order: the largest difference comes first.")
    same(picks, expected[:3], "the id of the largest disagreement")
    try:
        select(function, view, 2, generator=torch.Generator().manual_seed(0))
    except PoolError as error:
        raise Wrong(f"akd.run would refuse it: {error}") from None
    drawn, gaps = _drawn_view()
    answer = tensor_like(call(function, drawn, 4, generator=torch.Generator().manual_seed(0)), (4,), "one id a pick")
    same(answer, drawn.ids[gaps.topk(4).indices], "the id of the largest disagreement in a drawn pool")
    return (
        "Right. Now give it to akd.run(config, selector=disagreement), and see whether disagreement is worth a label."
    )


def _curve(generator: Generator) -> tuple[Any, Any]:
    import torch  # noqa: PLC0415  (slow import)

    labels = torch.randint(1, 30, (6,), generator=generator).cumsum(0)
    return labels.numpy(), torch.rand(6, generator=generator).double().numpy()


def _view() -> tuple[PoolView, Tensor, Tensor]:
    """Return a small PoolView, its ids by falling disagreement, and the positions of those."""
    import torch  # noqa: PLC0415  (slow import)

    from activekd_lab.selectors import PoolView  # noqa: PLC0415  (imports torch)

    student = [[0.5, 0.5, 0, 0], [0.9, 0.1, 0, 0], [0.4, 0.4, 0.1, 0.1], [0.6, 0.1, 0.2, 0.1], [0.4, 0.3, 0.2, 0.1]]
    teacher = [[0.5, 0.4, 0.1, 0], [0.1, 0.9, 0, 0], [0.1, 0.1, 0.4, 0.4], [0.05, 0.65, 0.2, 0.1], [0.4, 0.3, 0.2, 0.1]]
    ids, order = torch.tensor([7, 2, 11, 4, 9]), torch.tensor([1, 2, 3, 0, 4])  # squared or largest gaps: 1, 3, 2, 0, 4
    view = PoolView(
        ids=ids,
        probabilities=torch.tensor(student),
        features=torch.eye(5),
        labeled_ids=torch.tensor([0]),
        labeled_labels=torch.tensor([1]),
        labeled_probabilities=torch.tensor([[0.1, 0.8, 0.1, 0.0]]),
        labeled_features=torch.ones(1, 5),
        teacher_probabilities=torch.tensor(teacher),
    )
    return view, ids[order], order


def _drawn_view() -> tuple[PoolView, Tensor]:
    import torch  # noqa: PLC0415  (slow import)

    from activekd_lab.selectors import PoolView  # noqa: PLC0415  (imports torch)

    generator = drawing()
    student, teacher = (2 * torch.randn(2, 14, 5, generator=generator)).softmax(2)
    view = PoolView(
        ids=torch.randperm(90, generator=generator)[:12],
        probabilities=student[:12],
        features=student[:12],
        labeled_ids=torch.tensor([95, 96]),
        labeled_labels=torch.tensor([1, 0]),
        labeled_probabilities=student[12:],
        labeled_features=student[12:],
        teacher_probabilities=teacher[:12],
    )
    return view, (student - teacher)[:12].abs().sum(1)
