"""Upper bounds on each point's distance to its nearest centre, without measuring all of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from activekd_lab.errors import Cancelled
from activekd_lab.selectors.centers import Centers, rounding, squared_norms
from activekd_lab.selectors.rows import Rows, check_finite

SKETCH = 64  # width of the random projection that finds a near centre
HUBS = 64  # centres that are nearest to most points: every point is measured against them
VOTERS = 512  # points that elect the hubs
FIRST_TARGETS = 2048  # centres that the first pass sketches; later looks use all
PIECE = 512  # rows that a later look takes at a time: its scores are (PIECE, Q)


class Anchors:
    """Finds a near centre for a point: among the hubs, and by a random projection among all centres.

    Which centre is found changes the speed, never a pick: the bound is the point's true distance to it. Hubs serve
    data without structure, where few centres are nearest to most points; the projection (Johnson-Lindenstrauss) serves
    clusters, where a near centre is much nearer than the rest.
    """

    def __init__(self, rows: Rows, centers: Centers) -> None:
        self.rows, self.centers = rows, centers
        sketched = min(len(centers), FIRST_TARGETS)
        self.whole = len(centers) * rows.width <= 2 * (SKETCH * (rows.width + sketched) + HUBS * rows.width)
        if not self.whole:
            self._prepare()

    def _prepare(self) -> None:
        rows, centers = self.rows, self.centers
        fixed = torch.Generator().manual_seed(0)
        self.projection = (torch.randn(rows.width, SKETCH, generator=fixed) / SKETCH**0.5).to(rows.device)
        self.targets = torch.empty(0, SKETCH, device=rows.device)  # projected centres (Q, SKETCH)
        self.norms = torch.empty(0, device=rows.device)  # their true squared norms (Q,)
        self._catch_up()
        self.hubs = centers.single(self._elect_hubs())
        self.hub_norms = squared_norms(self.hubs)

    def no_bounds(self) -> NDArray[np.float64]:
        """Return infinite bounds (N,), for a pool so small that all of it becomes exact at once."""
        for start, x in self.rows.pieces():
            check_finite(squared_norms(x), start, "points")
        return np.full(len(self.rows), np.inf)

    def first_bounds(self, cancel: Callable[[], bool]) -> NDArray[np.float64]:
        """Return (N,) upper bounds of squared distances, from one pass over all points."""
        upper = np.empty(len(self.rows))
        step = -(-len(self.centers) // FIRST_TARGETS)
        for start, x in self.rows.pieces():
            if cancel():
                raise Cancelled(f"k_center_greedy was cancelled at point {start} of {len(upper)}, before any pick.")
            norms = squared_norms(x)
            check_finite(norms, start, "points")
            upper[start : start + len(x)] = self._bound(x, norms, step).cpu().numpy()
        return upper

    def _bound(self, x: Tensor, norms: Tensor, step: int) -> Tensor:
        if self.whole:
            bounds = [self._to_all(x, norms, c, c_norms) for _, c, c_norms in self.centers.since(0)]
            return torch.stack(bounds).amin(0)
        hubs = self._to_all(x, norms, self.hubs, self.hub_norms)
        return torch.minimum(hubs, self._to_found(x, norms, step, tries=1))

    def tighter(self, raw: Tensor, tries: int = 4) -> Tensor:
        """Return (k,) float64 bounds for raw rows, from the centre that seems nearest in each of `tries` parts."""
        self._catch_up()
        pieces = map(self.rows.single, raw.split(PIECE))
        return torch.cat([self._to_found(x, squared_norms(x), 1, tries) for x in pieces])

    def _to_found(self, x: Tensor, norms: Tensor, step: int, tries: int) -> Tensor:
        """Measure each row against the nearest, projected, in each of `tries` parts of every `step`-th centre."""
        targets = self.targets[::step]
        score = torch.addmm(self.norms[::step], x @ self.projection, targets.T, alpha=-2)  # (k, Q / step)
        parts = score.chunk(tries, dim=1)
        near = [part.argmin(1) + i * parts[0].shape[1] for i, part in enumerate(parts)]
        found = [squared_norms(self.centers.single(index * step).sub_(x)) for index in near]
        distance = torch.stack(found).amin(0).double().mul_(1 + rounding(x.shape[1])).sqrt_()
        return (distance + norms.double().sqrt_() * 2**-21).square_()  # the second term: rounding of x and c themselves

    def _to_all(self, x: Tensor, norms: Tensor, c: Tensor, c_norms: Tensor) -> Tensor:
        """Bound by the smallest product-form distance to centres c, rounding included."""
        slack = rounding(x.shape[1])
        shifted = torch.addmm(c_norms * (1 + slack), x, c.T, alpha=-2).amin(1)
        return (shifted + norms * (1 + 2 * slack)).clamp_(min=0).double()

    def _catch_up(self) -> None:
        """Project the centres that came since the last call."""
        for _, c, c_norms in list(self.centers.since(len(self.targets))):
            self.targets = torch.cat([self.targets, c @ self.projection])
            self.norms = torch.cat([self.norms, c_norms])

    def _elect_hubs(self) -> Tensor:
        """Return the centres that are nearest to most of a sample of points, evenly spaced."""
        spread = torch.linspace(0, len(self.rows) - 1, min(VOTERS, len(self.rows))).long()
        x = self.rows.single(self.rows.raw(spread))  # (k, D)
        nearest: list[tuple[Tensor, Tensor]] = []
        for first, c, c_norms in self.centers.since(0):
            value, index = torch.addmm(c_norms, x, c.T, alpha=-2).min(1)
            nearest.append((value, index + first))
        best = torch.stack([value for value, _ in nearest]).argmin(0, keepdim=True)
        hub = torch.stack([index for _, index in nearest]).gather(0, best)[0]
        votes = torch.bincount(hub, minlength=len(self.centers))
        return votes.topk(min(HUBS, len(votes))).indices
