"""Greedy k-center (farthest first): by its definition, and exactly the same picks at a fraction of the distances.

Gonzalez 1985; CoreSet's greedy step (Sener & Savarese 2018, arXiv:1708.00489, Algorithm 1) and PCoreSet's
(arXiv:2506.00910, Algorithm 2). `plain_k_center` is the specification; `engine/search.py` picks the same, lazily.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from activekd_lab.device import resolve_device
from activekd_lab.errors import PoolError, SettingError
from activekd_lab.io.arguments import checked
from activekd_lab.io.numbers import as_tensor, whole
from activekd_lab.selectors.engine.rows import Metric, Points, Rows
from activekd_lab.selectors.engine.search import lazy_greedy
from activekd_lab.selectors.engine.tuning import Tuning

TUNING = Tuning()


@dataclass(frozen=True, slots=True)
class KCenterResult:
    """Picks of a farthest-first traversal.

    Attributes:
        indices: (B,) int64 positions in `points`, in the order picked.
        radii: (B + 1,) float64; `radii[i]` is the covering radius after i picks, the largest distance from a point to
            its nearest centre; `radii[0]` is before any pick (infinite without centres). Relative error below 1e-7,
            commonly 1e-14.
    """

    indices: Tensor
    radii: Tensor


def plain_k_center(points: Tensor, centers: Tensor, budget: int) -> KCenterResult:
    """Pick argmax_i min_j ||x_i - c_j||, make it a centre, B times: what `k_center_greedy` is tested against."""
    x, c = points.double(), centers.double()  # (N, D), (L, D), L >= 1
    nearest = torch.stack([_squared(x, c_j) for c_j in c]).amin(0)  # (N,), min_j ||x_i - c_j||^2
    indices, radii = [], [nearest.max()]
    for _ in range(budget):
        pick = int(nearest.argmax())  # the first of ties
        indices.append(pick)
        nearest = torch.minimum(nearest, _squared(x, x[pick]))  # (N,)
        nearest[indices] = -1.0
        radii.append(nearest.max().clamp(min=0))
    return KCenterResult(torch.tensor(indices), torch.stack(radii).sqrt())


def _squared(x: Tensor, center: Tensor) -> Tensor:
    squared: Tensor = torch.linalg.vecdot(x - center, x - center)
    return squared


@checked()
@torch.no_grad()
def k_center_greedy(
    points: Points | Rows,
    centers: Points | None,
    budget: int,
    *,
    metric: Metric = "euclidean",
    weights: Points | None = None,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> KCenterResult:
    """Pick `budget` points, each the farthest from its nearest centre, given or picked: those of `plain_k_center`.

    Exact ties go by an order that `generator` draws at the first tie (by position without one), as does the rest when
    every point lies on a centre. Without centres the first pick is the point nearest to the mean.

    Args:
        points: (N, D) floating tensor (any dtype, any device) or NumPy array, memory maps included; or Rows, with
            their own metric and device, which count what is read.
        centers: (L, D) of the same kind, or None, or L = 0.
        budget: B, from 1 to N.
        metric: "euclidean"; "cosine", 1 - cos; "hellinger", for probabilities.
        weights: (N,) positive factors of the distances; not for "cosine", whose distance is squared.
        generator: CPU generator that settles ties.
        device: Where products run; by default where the points are.
        progress: Called with (picks, budget) after every pick.
        cancel: Asked before every step; True raises Cancelled.

    Raises:
        PoolError: `budget` outside [1, N], or `centers` of another width.
        NonFiniteError: NaN or infinity in the points or centres.
        SettingError: An unknown metric, arrays that are not 2-d and floating, or other arguments that do not fit.
        Cancelled: `cancel` returned True.

    Example:
        >>> k_center_greedy(torch.tensor([[0.0], [2.0], [5.0]]), torch.zeros(1, 1), 2).indices
        tensor([2, 1])
    """
    place = None if device is None else resolve_device(device)
    rows = points if isinstance(points, Rows) else Rows(points, metric, place)
    count = whole(budget)
    if count is None or not 1 <= count <= len(rows):
        raise PoolError(f"Expected a budget in [1, {len(rows)}], the number of points, but got {budget!r}; change it.")
    given = Rows(rows.points[:0] if centers is None else centers, rows.metric, rows.device)
    if given.width != rows.width:
        raise PoolError(f"Expected centers of width {rows.width} as the points, but got {given.width}.")
    picked, squared = lazy_greedy(
        rows,
        given,
        count,
        weights=None if weights is None else _squared_weights(weights, rows).cpu().numpy(),
        generator=generator,
        report=progress or (lambda picks, total: None),
        cancel=cancel or (lambda: False),
        tuning=TUNING,
    )
    return KCenterResult(torch.tensor(picked), torch.from_numpy(rows.distance(squared)))


def _squared_weights(weights: Points, rows: Rows) -> Tensor:
    if rows.metric == "cosine":
        raise SettingError("weights have no meaning for metric='cosine', a squared distance; use 'euclidean'.")
    factors: Tensor = as_tensor(weights, "weights")
    if factors.shape != (len(rows),) or factors.is_complex() or not bool(((factors > 0) & factors.isfinite()).all()):
        raise SettingError(f"Expected weights as ({len(rows)},) positive numbers, one a point; correct them.")
    return factors.double().square()
