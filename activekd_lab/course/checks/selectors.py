"""Checks of 03_selectors: entropy, covering radius, one step of greedy k-center, PCoreSet."""

# ruff: noqa: PLC0415  (torch is a slow import)

from __future__ import annotations

from typing import TYPE_CHECKING

from activekd_lab.course.checks.base import Function, at_random, call, drawing, register
from activekd_lab.course.checks.values import Wrong, close, distinct_positions, same, tensor_like

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from activekd_lab.selectors import PoolView


@register("03.entropy")
def entropy(function: Function) -> str:
    """Check -sum p log p of each row."""
    import torch

    rows = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.2, 0.3, 0.5], [1 / 3, 1 / 3, 1 / 3]])
    expected = torch.special.entr(rows).sum(1)
    answer = call(function, rows)
    if getattr(answer, "isnan", None) is not None and bool(answer.isnan().any()):
        raise Wrong(
            "A row with a zero gives NaN: 0 · log 0 counts as 0. See torch.special.entr, or clamp the p in log."
        )
    found = tensor_like(answer, (4,), "one number an image")
    hints = {
        "Every entropy has the wrong sign: log p is negative, so a minus belongs in front.": -expected,
        "These are bits, from log2; the library measures in nats, with the natural logarithm.": expected / 0.6931472,
        "These are bits with the wrong sign.": -expected / 0.6931472,
        "These are means over the classes; entropy is the sum.": expected / 3,
        "This is 1 minus the largest probability, least confidence: another good measure, but not entropy.": (
            1 - rows.max(1).values
        ),
    }
    for hint, value in hints.items():
        if close(found, value):
            raise Wrong(hint)
    same(found, expected, "four rows of three classes")
    at_random(
        function,
        lambda p: torch.special.entr(p).sum(1),
        lambda g: ((3 * torch.randn(6, 5, generator=g)).softmax(1),),
        "the entropies of drawn rows",
    )
    return "Right: a certain row has 0, and the undecided one log 3, the most that three classes allow."


@register("03.covering_radius")
def covering_radius(function: Function) -> str:
    """Check the largest distance from a point to its nearest centre."""
    import torch

    points = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0], [6.0, 0.0]])
    centers = torch.tensor([[0.0, 0.0], [6.0, 1.0]])
    table = torch.cdist(points, centers)
    found = tensor_like(call(function, points, centers), (), "one number")
    hints = {
        "This is the largest distance to the farthest centre; each point counts its nearest: min first, then max.": (
            table.max()
        ),
        "This is the mean distance to the nearest centre; the radius is the largest one.": table.min(1).values.mean(),
        "This is the smallest distance of all; the radius is the largest of the smallest ones.": table.min(),
        "Distances are squared here; take the square root.": table.min(1).values.max() ** 2,
        "The smallest over points was taken first; first each point's nearest centre (dim=1), then the largest.": (
            table.min(0).values.max()
        ),
    }
    for hint, value in hints.items():
        if close(found, value):
            raise Wrong(hint)
    same(found, 4.0, "four points and two centres")
    at_random(function, lambda p, c: torch.cdist(p, c).amin(1).max(), _cloud, "the radius of drawn points")
    return "Right: the point at (0, 4) is 4 away from its nearest centre, and no other is worse off."


@register("03.farthest")
def farthest(function: Function) -> str:
    """Check one step of greedy k-center."""
    import torch

    points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [9.0, 0.0], [5.0, 0.0], [5.0, 1.0], [13.0, 0.0]])
    centers = torch.tensor([[0.0, 0.0], [10.0, 0.0]])
    found = distinct_positions([call(function, points, centers)], 1, 6)[0]
    if found == 0:
        raise Wrong("This is the smallest distance instead of the largest: the point lies on a centre already.")
    if found == 5:
        raise Wrong(
            "Point 5 is far from the centres' mean, from the first of them, or on average, but only 3 from its nearest "
            "centre. Each point's *nearest* centre counts."
        )
    if found in (1, 2, 3):
        raise Wrong(f"Point {found} is covered better than point 4, which is √26 away from both centres.")
    at_random(function, lambda p, c: torch.cdist(p, c).amin(1).argmax(), _cloud, "the position among drawn points")
    return "Right: the image whose nearest label is farthest away; a label there helps the worst covered one."


@register("03.pcoreset", points=2)
def pcoreset(function: Function) -> str:
    """Check PCoreSet's picks against the library's on three small pools."""
    import torch

    from activekd_lab.selectors import select

    generator = drawing()
    for _ in range(3):
        view = _view(generator)
        expected = select("pcoreset", view, 4, generator=torch.Generator().manual_seed(0)).tolist()
        found = tensor_like(call(function, view, 4), (4,), "one id a pick").tolist()
        picks = [int(i) for i in found]
        if picks != expected:
            raise Wrong(_explain(picks, expected, view))
    return "Right on three pools: the same images, in the same order, as the library's PCoreSet."


def _cloud(generator: Generator) -> tuple[Tensor, Tensor]:
    import torch

    return torch.randn(30, 3, generator=generator), torch.randn(4, 3, generator=generator)


def _view(g: Generator) -> PoolView:
    """Return a made-up pool of 30 images, ids 100 … 129, and two labelled ones; the two spaces disagree."""
    import torch

    from activekd_lab.selectors import PoolView

    probabilities = (2 * torch.randn(32, 5, generator=g)).softmax(1)
    features = torch.randn(32, 8, generator=g)
    return PoolView(
        ids=torch.arange(100, 130),
        probabilities=probabilities[:30],
        features=features[:30],
        labeled_ids=torch.tensor([7, 8]),
        labeled_labels=torch.tensor([0, 1]),
        labeled_probabilities=probabilities[30:],
        labeled_features=features[30:],
    )


def _explain(picks: list[int], expected: list[int], view: PoolView) -> str:
    """Say in which way picks differ from PCoreSet's."""
    positions = [i - 100 for i in expected]
    if len(set(picks)) < len(picks):
        return f"An image is picked twice: {picks}. After each pick, its row has to join the centres."
    if picks == positions:
        return "These are positions in the pool; a selector returns ids: view.ids[positions]."
    if set(picks) == set(expected):
        return "The right images in another order: return them as they were picked."
    if not set(picks) <= set(view.ids.tolist()):
        return f"Some of {picks} are no ids of the pool; a selector may only return entries of view.ids."
    others = {
        "This compares features; PCoreSet compares probabilities (with features, it is CoreSet).": _greedy(
            view.features, view.labeled_features
        ),
        "The labelled images do not count as covered here; start with view.labeled_probabilities as centres.": _greedy(
            view.probabilities, view.probabilities[:0]
        ),
        "All picks were made at once: after each one, distances have to be measured to it too.": (
            _farthest(view.probabilities, view.labeled_probabilities)
        ),
    }
    for hint, other in others.items():
        if picks == [100 + i for i in other]:
            return hint
    right = next(i for i, (a, b) in enumerate(zip(picks, expected, strict=True)) if a != b)
    return f"Pick {right + 1} should be image {expected[right]}, the farthest from all centres, but was {picks[right]}."


def _greedy(points: Tensor, centers: Tensor) -> list[int]:
    from activekd_lab.selectors import k_center_greedy

    found: list[int] = k_center_greedy(points, centers, 4).indices.tolist()
    return found


def _farthest(points: Tensor, centers: Tensor) -> list[int]:
    import torch

    found: list[int] = torch.cdist(points, centers).min(1).values.topk(4).indices.tolist()
    return found
