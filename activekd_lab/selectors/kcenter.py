"""Exact greedy k-center (farthest first) that computes few distances.

Gonzalez 1985; CoreSet's greedy step (Sener & Savarese 2018, arXiv:1708.00489, Algorithm 1) and PCoreSet's
(arXiv:2506.00910). Distances to the nearest centre only fall, so an older value is an upper bound and a point whose
bound is below the best exact value needs no look. See `search.py` for the search, `anchors.py` for the first bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from activekd_lab.errors import PoolError, SettingError
from activekd_lab.selectors.centers import Centers, squared_norms
from activekd_lab.selectors.rows import Metric, Points, Rows, check_finite
from activekd_lab.selectors.search import Search
from activekd_lab.selectors.threads import threads_set


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


@torch.no_grad()
def k_center_greedy(
    points: Points | Rows,
    centers: Points | None,
    budget: int,
    *,
    metric: Metric = "euclidean",
    weights: Tensor | None = None,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> KCenterResult:
    """Pick `budget` points, each the farthest from all centres so far.

    Exact: a pick is the largest minimum of float64 squared differences, what brute force finds. Among points that tie
    exactly, those at hand go by an order that `generator` draws at the first tie (by position without one). When every
    remaining point lies on a centre (radius 0), the rest is drawn the same way. Without centres the first pick is the
    point nearest to the mean.

    Args:
        points: (N, D) floating tensor (any dtype, any device) or NumPy array, memory maps included; or Rows, with
            their own metric and device, which count what is read.
        centers: (L, D) of the same kind, or None, or L = 0.
        budget: B, from 1 to N.
        metric: "euclidean"; "cosine", 1 - cos; "hellinger", for probabilities.
        weights: (N,) positive factors; the farthest point is then that of the largest weight times distance, and the
            radii are weighted too. Not for metric="cosine", whose distance is squared.
        generator: CPU generator that settles ties.
        device: Where products run; by default where the points are.
        progress: Called with (picks, budget) after every pick.
        cancel: Asked before every step; True raises Cancelled.

    Returns:
        KCenterResult with `indices` and `radii` in the metric's distance.

    Raises:
        PoolError: `budget` outside [1, N], or `centers` of another width.
        NonFiniteError: NaN or infinity in the points or centres.
        SettingError: An unknown metric, arrays that are not 2-d and floating, or weights that do not fit.
        Cancelled: `cancel` returned True.
    """
    rows = points if isinstance(points, Rows) else Rows(points, metric, device)
    if not 1 <= budget <= len(rows):
        raise PoolError(f"Expected a budget in [1, {len(rows)}], the number of points, but got {budget}; change it.")
    given = Rows(rows.points[:0] if centers is None else centers, rows.metric, rows.device)
    if given.width != rows.width:
        raise PoolError(f"Expected centers of width {rows.width} as the points, but got {given.width}.")
    report, cancel = progress or (lambda picks, total: None), cancel or (lambda: False)
    factors = None if weights is None else _squared_weights(weights, rows)
    centers_met, picked, squared = Centers(given, budget), [], []
    if len(given) == 0:
        picked, squared = [_nearest_to_mean(rows, generator)], [np.inf]
        centers_met.add(rows.raw(torch.tensor(picked)))
    threads = torch.get_num_threads()
    with threads_set(1):  # many small steps; where a second thread has to wait for a core they would take ages
        search = Search(rows, centers_met, picked, budget, factors, generator, cancel, threads)
        while len(picked) < budget:
            squared.append(search.pick())
            report(len(picked), budget)
        squared.append(search.radius())
    return KCenterResult(torch.tensor(picked), torch.from_numpy(rows.distance(np.array(squared))))


def _squared_weights(weights: Tensor, rows: Rows) -> NDArray[np.float64]:
    """Return squared weights (N,), checked."""
    if rows.metric == "cosine":
        raise SettingError("weights have no meaning for metric='cosine', a squared distance; use 'euclidean'.")
    if weights.shape != (len(rows),) or not bool(((weights > 0) & weights.isfinite()).all()):
        raise SettingError(f"Expected weights as ({len(rows)},) positive numbers, one a point; correct them.")
    return weights.double().square().cpu().numpy()


def _nearest_to_mean(rows: Rows, generator: torch.Generator | None) -> int:
    """Return the position of the point nearest to the mean of all: the first pick without centres."""
    mean = torch.zeros(rows.width, dtype=torch.float64, device=rows.device)
    for start, x in rows.pieces():
        check_finite(squared_norms(x), start, "points")
        mean += x.sum(0, dtype=torch.float64) / len(rows)
    squared = torch.cat([squared_norms(x - mean) for _, x in rows.pieces()])
    ties = (squared == squared.min()).nonzero().flatten()
    return int(ties[_draw(len(ties), generator)])


def _draw(count: int, generator: torch.Generator | None) -> int:
    """Draw a position among `count` ties; the first without a generator, and nothing is drawn for a single one."""
    return 0 if count == 1 or generator is None else int(torch.randint(count, (), generator=generator))
