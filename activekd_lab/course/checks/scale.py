"""Checks of 09_scale: the farthest point from few exact distances, and a gradient shared by processes."""

# ruff: noqa: PLC0415  (torch is a slow import)

from __future__ import annotations

from activekd_lab.course.checks.base import Function, at_random, call, drawing, register
from activekd_lab.course.checks.values import Wrong, close, same, tensor_like


@register("09.lazy_farthest", points=2)
def lazy_farthest(function: Function) -> str:
    """Check that the farthest point is found, and that only points whose bound could win are asked for."""
    import torch

    distances = torch.tensor([0.1, 0.7, 0.3, 0.9, 0.2, 0.4, 0.6, 0.05])
    bounds = torch.tensor([0.2, 1.5, 0.5, 1.1, 0.3, 0.8, 1.2, 0.6])
    asked: list[int] = []

    def exact(i: int) -> float:
        asked.append(int(i))
        return float(distances[int(i)])

    found = _position(call(function, bounds, exact))
    if found != 3:
        hints = {
            1: "This is the point with the largest bound; its true distance may be smaller, so ask for it, and go on.",
            7: "This is the nearest point; the farthest has the largest true distance.",
        }
        raise Wrong(hints.get(found, f"Point {found} is at {distances[found % 8]:.2g}, but another is at 0.9."))
    needed = int((bounds > 0.9).sum())
    if not asked:
        raise Wrong("The answer is right, but `exact` was never called; a bound alone proves nothing.")
    if len(set(asked)) < len(asked):
        raise Wrong("Right, but a point was asked for twice; keep what `exact` gave, it is expensive.")
    if len(asked) == len(bounds):
        raise Wrong("Right, but every point was asked for; stop when the next bound is below the best distance so far.")
    if len(asked) > needed:
        raise Wrong(
            f"Right, but {len(asked)} distances were asked for where {needed} do; begin with the largest bound, and "
            "compare each bound with the best distance *before* you ask."
        )
    tight = _position(call(function, distances, exact))
    if tight != 3 or len(asked) > needed + 1:
        raise Wrong("Where the bounds are the distances themselves, one look is enough.")
    generator = drawing()
    for _ in range(4):
        distances = torch.rand(12, generator=generator)
        loose = distances + torch.rand(12, generator=generator)
        asked.clear()
        if _position(call(function, loose, exact)) != int(distances.argmax()):
            raise Wrong("With other distances and bounds, another point is the farthest; go by what `exact` gives.")
        if len(asked) > int((loose > distances.max()).sum()):
            raise Wrong("With other bounds, more distances were asked for than needed.")
    return f"Right: {needed} of {len(bounds)} distances were enough, and one where the bounds are tight."


def _position(found: object) -> int:
    value = float(tensor_like(found, (), "one position"))
    if value != int(value):
        raise Wrong(f"A position is a whole number, but got {value:.2g}. Is that the distance? Return where it is.")
    return int(value)


@register("09.shared_gradient")
def shared_gradient(function: Function) -> str:
    """Check that the mean of the shares' gradients is the gradient of the whole batch."""
    import torch

    g = torch.Generator().manual_seed(0)
    x, y, w = torch.randn(8, 3, generator=g), torch.randn(8, generator=g), torch.randn(3, generator=g)
    whole = 2 * x.T @ (x @ w - y) / 8
    shares = [2 * x[r::4].T @ (x[r::4] @ w - y[r::4]) / 2 for r in range(4)]
    found = tensor_like(call(function, x, y, w, 4), (3,), "one number a weight")
    if close(found, 4 * whole):
        raise Wrong("This is the sum over the processes; the whole batch's gradient is their mean.")
    if close(found, 8 * whole) or close(found, 2 * whole):
        raise Wrong("Each process takes the mean over its own images, not the sum.")
    if any(close(found, share) for share in shares):
        raise Wrong("This is the gradient of one process's share; average over all of them.")
    if close(found, -whole) or close(found, whole / 2):
        raise Wrong("The derivative of (x · w − y)² is 2 x (x · w − y).")
    same(found, whole, "four processes with two images each")
    blocks = torch.stack([2 * a.T @ (a @ w - b) / len(a) for a, b in zip(x.chunk(3), y.chunk(3), strict=True)]).mean(0)
    uneven = torch.stack([2 * x[r::3].T @ (x[r::3] @ w - y[r::3]) / len(x[r::3]) for r in range(3)]).mean(0)
    found = tensor_like(call(function, x, y, w, 3), (3,), "one number a weight")
    if close(found, whole):
        raise Wrong(
            "Three processes get 3, 3 and 2 images, so the mean of their gradients is not that of the whole batch; "
            "take each share by itself, x[r::processes]."
        )
    if close(found, blocks):
        raise Wrong("These are blocks of neighbours, as by `chunk`; process r takes r, r + P, …: x[r::processes].")
    same(found, uneven, "three processes with 3, 3 and 2 images")
    at_random(
        function,
        lambda x, y, w, n: torch.stack([2 * x[r::n].T @ (x[r::n] @ w - y[r::n]) / len(x[r::n]) for r in range(n)]).mean(
            0
        ),
        lambda g: (torch.randn(9, 3, generator=g), torch.randn(9, generator=g), torch.randn(3, generator=g), 2),
        "the gradient of a drawn batch",
    )
    return "Right: equal shares average to the whole batch's gradient, so all processes take the same step."
