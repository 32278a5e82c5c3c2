"""Exact greedy k-center (farthest first) that computes few distances.

Gonzalez 1985; CoreSet's greedy step (Sener & Savarese 2018, arXiv:1708.00489, Algorithm 1) and PCoreSet's
(arXiv:2506.00910). Distances to the nearest centre only fall, so an older value is an upper bound and a point whose
bound is below the best exact value needs no look. See `_Search` for the loop, `anchors.py` for the first bounds,
`dense.py` for pools of a modest size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from activekd_lab.errors import Cancelled, PoolError, SettingError
from activekd_lab.selectors.anchors import Anchors
from activekd_lab.selectors.centers import Centers, squared_norms
from activekd_lab.selectors.dense import DenseSearch, suits
from activekd_lab.selectors.exact import Block, nearest_squared
from activekd_lab.selectors.rows import Metric, Points, Rows, check_finite

FRONT = 4096  # points with the largest bounds among which picks happen; the rest is looked at when they run out
BATCH = 128  # points refreshed at a time while picks succeed, and most points in a block
LARGEST_BATCH = 1024  # doubling stops here when a refresh brings no pick
NEVER_STALE = np.iinfo(np.int32).max  # what a picked point has met: its value stays below all others
DENSE = 1 << 20  # entries of a pool that is small enough to keep all of it exact


@dataclass(frozen=True, slots=True)
class KCenterResult:
    """Picks of a farthest-first traversal.

    Attributes:
        indices: (B,) int64 positions in `points`, in the order picked.
        radii: (B + 1,) float64; `radii[i]` is the covering radius after i picks, the largest distance from a point to
            its nearest centre; `radii[0]` is before any pick (infinite without centres).
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

    Exact: a pick is the largest minimum of float64 squared differences, what brute force finds. Points that tie exactly
    are drawn from by `generator` (the lowest position without one). When every remaining point lies on a centre
    (radius 0), the rest is drawn from them the same way. Without centres the first pick is the point nearest to the
    mean.

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
    bounds = None
    if factors is None and suits(rows, centers_met):
        dense = DenseSearch(rows, centers_met, picked, lambda count: _draw(count, generator), cancel)
        while len(picked) < budget and dense.pick():
            report(len(picked), budget)
        squared += dense.radii()
        bounds = dense.bounds() if len(squared) <= budget else None
    if len(squared) <= budget:
        search = _Search(rows, centers_met, picked, factors, generator, cancel, bounds)
        while len(picked) < budget:
            squared.append(search.pick())
            report(len(picked), budget)
        squared.append(search.farthest()[1])
    return KCenterResult(torch.tensor(picked), torch.from_numpy(rows.distance(np.array(squared))))


class _Search:
    """State of one traversal: the picks, and per point an upper bound and what it rests on.

    `upper` (N,) are squared distances; `met` (N,) says how many centres, in their order, the value is exact for; zero
    or negative means none, it is only a bound, last tightened when there were that many. The points with the largest
    bounds form the front, on which `values`, `seen` and `scores` (weighted values) are the current ones.
    """

    def __init__(
        self,
        rows: Rows,
        centers: Centers,
        picked: list[int],
        weights: NDArray[np.float64] | None,
        generator: torch.Generator | None,
        cancel: Callable[[], bool],
        bounds: NDArray[np.float64] | None = None,
    ) -> None:
        self.rows, self.centers, self.picked = rows, centers, picked
        self.weights = np.broadcast_to(np.float64(1), len(rows)) if weights is None else weights
        self.generator, self.cancel = generator, cancel
        self.anchors = Anchors(rows, self.centers)
        small = len(rows) <= FRONT and len(rows) * rows.width <= DENSE
        self.batch = len(rows) if small else BATCH
        self.upper: NDArray[np.float64]
        if bounds is not None:
            self.upper = bounds
        else:
            self.upper = self.anchors.no_bounds() if small else self.anchors.first_bounds(cancel)
        self.block: Block | None = None
        self.met: NDArray[np.int32] = np.zeros(len(rows), dtype=np.int32)
        self.upper[self.picked], self.met[self.picked] = -1.0, NEVER_STALE
        self._open_front()

    def pick(self) -> float:
        """Add the farthest point as a centre and return the squared radius it had."""
        ties, squared = self.farthest()
        place = int(ties[_draw(len(ties), self.generator)])
        if squared > 0 and (self.block is None or place not in self.block):
            self._open_block()
        self.values[place] = self.scores[place] = -1.0
        self.picked.append(int(self.front[place]))
        self.centers.add(self.rows.raw(torch.tensor(self.picked[-1:])))
        if self.block is not None and squared > 0:
            part = self.block.places
            self._store(part, self.block.lower(place, self.values[part]), len(self.centers))
        return squared

    def farthest(self) -> tuple[NDArray[np.intp], float]:
        """Return the places in the front of the farthest points, all of them, and their squared distance."""
        batch = wide = self.batch
        while True:
            if self.cancel():
                raise Cancelled(f"k_center_greedy was cancelled after {len(self.picked)} picks.")
            best = self.scores.max()
            if best < self.floor:
                self.upper[self.front], self.met[self.front] = self.values, self.seen
                self._open_front()
                continue
            ties = np.flatnonzero(self.scores == best)
            if best <= 0 or (self.seen[ties] == len(self.centers)).all():
                return ties, max(0.0, float(best))
            if len(self._loose(self._stale_top(batch))):
                self._tighten(self._loose(self._stale_top(wide)))
                wide = min(2 * wide, LARGEST_BATCH)
            else:
                self._refresh_top(batch)
                batch = min(2 * batch, LARGEST_BATCH)
                wide = max(wide, batch)

    def _open_front(self) -> None:
        """Collect the points with the largest bounds; all others are below `floor`."""
        self.block = None
        scores = self.upper if self.weights.strides == (0,) else self.upper * self.weights
        size = min(max(FRONT, len(scores) // 64), len(scores))
        self.floor = np.partition(scores, -size)[-size]
        self.front = np.flatnonzero(scores >= self.floor)
        self.values, self.scores, self.seen = self.upper[self.front], scores[self.front], self.met[self.front]

    def _open_block(self) -> None:
        """Hold the largest exact values of the front close, to keep them exact from here on."""
        top = self._top(self.batch)
        top = np.sort(top[self.seen[top] == len(self.centers)])
        self.block = Block(self.rows, self.rows.raw(torch.from_numpy(self.front[top])), top)

    def _top(self, count: int) -> NDArray[np.intp]:
        """Return places in the front of the `count` largest scores."""
        size = min(count, len(self.scores))
        return np.argpartition(self.scores, -size)[-size:]

    def _stale_top(self, count: int) -> NDArray[np.intp]:
        """Return places in the front of those among the `count` largest that have not met every centre."""
        top = self._top(count)
        return top[self.seen[top] < len(self.centers)]

    def _loose(self, part: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return those never exact and not tightened since the last pick, where tightening is worth it."""
        if self.anchors.whole:
            return part[:0]
        seen = self.seen[part]
        return part[(seen <= 0) & (-seen < len(self.centers))]

    def _refresh_top(self, batch: int) -> None:
        """Make the `batch` largest bounds exact, those that never met a centre apart from the others."""
        top = self._stale_top(batch)
        new = self.seen[top] <= 0
        for part in (top[new], top[~new]):
            if len(part):
                self._refresh(part)

    def _tighten(self, part: NDArray[np.intp]) -> None:
        """Bound points that never met all centres by the few that seem nearest by now, at a fraction of the cost."""
        bound = self.anchors.tighter(self.rows.raw(torch.from_numpy(self.front[part])))
        self._store(part, np.minimum(self.values[part], bound.cpu().numpy()), -len(self.centers))

    def _refresh(self, part: NDArray[np.intp]) -> None:
        """Make values exact: one product against the centres they have not met."""
        start = max(0, int(self.seen[part].min()))
        known = torch.from_numpy(self.values[part]).to(self.rows.device) if start else None
        raw = self.rows.raw(torch.from_numpy(self.front[part]))
        self._store(part, nearest_squared(self.rows, raw, self.centers, start, known).cpu().numpy(), len(self.centers))

    def _store(self, part: NDArray[np.intp], values: NDArray[np.float64], seen: int) -> None:
        self.values[part], self.seen[part] = values, seen
        self.scores[part] = values * self.weights[self.front[part]]


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
