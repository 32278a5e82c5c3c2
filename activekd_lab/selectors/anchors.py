"""First upper bounds on each point's distance to its nearest centre, without measuring all of them."""

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


def first_bounds(rows: Rows, centers: Centers, cancel: Callable[[], bool]) -> NDArray[np.float64]:
    """Return (N,) upper bounds of squared distances to the nearest centre, from one pass over the points.

    A point is sent to the centre that is nearest in a random projection (Johnson-Lindenstrauss); its true distance to
    that one is the bound. With few centres, or narrow points, all are measured instead.
    """
    upper = np.empty(len(rows))
    near = _nearest if len(centers) <= SKETCH or rows.width <= SKETCH else _Sketch(centers)
    for start, x in rows.pieces():
        if cancel():
            raise Cancelled(f"k_center_greedy was cancelled at point {start} of {len(rows)}, before the first pick.")
        norms = squared_norms(x)
        check_finite(norms, start, "points")
        upper[start : start + len(x)] = (near(x, norms, centers)).double().cpu().numpy()
    return upper


def _nearest(x: Tensor, norms: Tensor, centers: Centers) -> Tensor:
    """Bound by the smallest product-form distance to all centres plus its rounding."""
    best = torch.full_like(norms, torch.inf)
    slack = rounding(x.shape[1])
    for _, c, c_norms in centers.since(0):
        shifted = torch.addmm(c_norms * (1 + slack), x, c.T, alpha=-2)  # (k, q)
        torch.minimum(best, shifted.amin(1), out=best)
    return best + norms * (1 + 2 * slack)


class _Sketch:
    def __init__(self, centers: Centers) -> None:
        rows = torch.cat([c for _, c, _ in centers.since(0)])
        width = rows.shape[1]
        fixed = torch.Generator().manual_seed(0)  # where a point is sent changes the speed, never a pick
        self.projection = torch.randn(width, SKETCH, generator=fixed).to(rows.device)
        self.targets = rows @ self.projection
        self.target_norms = squared_norms(self.targets)
        self.rows = rows

    def __call__(self, x: Tensor, norms: Tensor, centers: Centers) -> Tensor:
        step = max(64, (4 << 20) // (4 * len(self.rows)))
        return torch.cat([self._bound(piece) for piece in x.split(step)]) + norms * rounding(x.shape[1])

    def _bound(self, x: Tensor) -> Tensor:
        score = torch.addmm(self.target_norms, x @ self.projection, self.targets.T, alpha=-2)
        difference = x - self.rows[score.argmin(1)]
        return squared_norms(difference) * (1 + rounding(x.shape[1]))
