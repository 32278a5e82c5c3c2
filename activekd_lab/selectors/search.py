"""The lazy search behind `k_center_greedy`: bounds for all points, current distances for a few, exact picks.

Three levels. Every point has an upper bound. The points with the largest bounds form the front, so that the others need
no look for many picks. The largest of the front are made current and form a block, in which picks happen for as long
as its best value is not below the largest bound outside.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import torch
from numpy.typing import NDArray

from activekd_lab.errors import Cancelled
from activekd_lab.selectors.anchors import Anchors
from activekd_lab.selectors.block import Block
from activekd_lab.selectors.centers import Centers, longest, rounding
from activekd_lab.selectors.exact import nearest_by_product, nearest_squared
from activekd_lab.selectors.rows import Rows
from activekd_lab.selectors.threads import threads_set

FRONT = 4096  # points with the largest bounds; the rest is looked at when they run out
FEWEST, MOST = 128, 2048  # points made current at a time
ENTRIES = 1 << 17  # entries of a block, to stay in cache
SHORT = 32  # budget up to which a block may be larger, for fewer of them
FIRST = 1 << 20  # multiplications to make the first block current
FEW_PICKS = 8  # out of a block: the next one is larger
CHEAP = 1 << 22  # multiplications that cost less than looking for what can be left out
NARROW, DOUBLED = 128, 1 << 21  # width up to which the same holds of a float64 product, with so many entries of centres
MODEST = 1 << 19  # entries of a pool whose bounds are all renewed where that is cheap
HEAVY = 1 << 24  # multiplications that are worth more than one thread
CLOSE = 64  # points too close to tell that are settled at one pick; with more of them all becomes differences
ROUGH = 1e7  # and also where a squared radius is not this many times above the rounding of products


class Search:
    """State of one traversal.

    `upper` (N,) are squared distances times the squared `weights`; `met` (N,) says how many centres, in their order,
    the value accounts for; zero or negative means none, it is only a bound, last tightened when there were that many.
    On the front `scores` and `seen` are the current ones. Picks since the block was opened are no centres yet, but its
    values account for them. `slack` bounds the error of a current value; it is 0 once all are differences (`exact`).
    """

    def __init__(
        self,
        rows: Rows,
        centers: Centers,
        picked: list[int],
        budget: int,
        weights: NDArray[np.float64] | None,
        generator: torch.Generator | None,
        cancel: Callable[[], bool],
        threads: int,
    ) -> None:
        self.rows, self.centers, self.picked, self.weights = rows, centers, picked, weights
        self.generator, self.cancel, self.threads = generator, cancel, threads
        self.order: NDArray[np.int32] | None = None  # breaks ties
        self.anchors, self.exact = Anchors(rows, centers), False
        self.short, width = budget <= SHORT, max(1, rows.width)
        self.most = max(FEWEST, 2 * ENTRIES // width if self.short else min(MOST, ENTRIES // width))
        self.size = min(self.most, max(FEWEST, FIRST // (max(16, width) * len(centers))))
        self.opened = -FEW_PICKS  # how many picks there were when the block was opened
        self.met: NDArray[np.int32] = np.zeros(len(rows), dtype=np.int32)
        if self.size >= len(rows):
            self._start_with_all()
        else:
            self._start_with_bounds()

    def pick(self) -> float:
        """Add the farthest point to `picked` and return the squared radius it had, within the slack."""
        row = self._farthest()  # may open another block
        squared = float(self.block.values[row])
        self.picked.append(int(self.front[self.block.places[row]]))
        self.block.lower(row)
        return squared

    def radius(self) -> float:
        """Return the current squared radius, within the slack; 0 when every point is picked."""
        if len(self.picked) == len(self.rows):
            return 0.0
        row = self._farthest()
        return float(self.block.values[row])

    def _start_with_all(self) -> None:
        """Make every point current and hold them all as the block."""
        index = np.arange(len(self.rows))
        self.upper = np.full(len(index), np.inf)
        self.upper[self.picked] = -np.inf
        self.front, self.scores, self.seen, self.front_floor = index, self.upper, self.met, -np.inf
        self.renewed = len(self.centers)
        x = self.rows.double(self.rows.points.to(self.rows.device)).cpu()
        self.block, self.floor = Block(x, index, self.upper, self.weights), -np.inf
        self._set_slack(longest(torch.from_numpy(self.block.norms), 0, "points"))
        self.block.meet((c.cpu(), c_norms.cpu()) for _, c, c_norms in self.centers.double_since(0))

    def _start_with_bounds(self) -> None:
        """Bound every point, from one pass over them, and open the first block."""
        self.block = Block.of_none(self.rows.width)
        self.upper = self._bounds(0)
        self._set_slack(self.anchors.longest)
        self.upper[self.picked] = -np.inf
        self._open_front()
        self._open_block()

    def _bounds(self, start: int) -> NDArray[np.float64]:
        """Return bounds of all points by the centres from `start` on."""
        self.renewed = len(self.centers)
        with self._threads(len(self.rows), len(self.centers) - start):
            bounds = self.anchors.bounds(self.cancel, start)
        return bounds if self.weights is None else bounds * self.weights

    def _set_slack(self, longest_point: float) -> None:
        heaviest = 1.0 if self.weights is None else float(self.weights.max())
        squared = longest_point + max(longest_point, self.centers.longest)
        self.slack = self.rounding = 1.5 * heaviest * rounding(self.rows.width + 2, 2.0**-53) * squared

    def _farthest(self) -> int:
        """Return the row in the block of the farthest point; ties go to the first in the drawn order."""
        while True:
            self._stop_if_cancelled()
            values = self.block.values
            row = int(values.argmax())
            best = values[row]
            if not self._beats(best, self.floor):
                self._close_block()
                self._renew()
                self._open_block()
                continue
            if best < ROUGH * self.slack:
                self._be_exact()
                continue
            least = best - 2 * self.slack
            values[row] = -np.inf
            alone = values.max() < least
            values[row] = best
            if alone:
                return row
            close = np.flatnonzero(values >= least)
            if self.exact or self.block.alike(close):
                return self._first(close)
            if len(close) <= CLOSE:
                return self._settle(close)
            self._be_exact()

    def _beats(self, best: float, floor: float) -> bool:
        """Whether a current score wins against all others, of which `floor` is the largest or, if exact, ties first."""
        return best >= floor if self.exact else best - 2 * self.slack > floor

    def _stop_if_cancelled(self) -> None:
        if self.cancel():
            raise Cancelled(f"k_center_greedy was cancelled after {len(self.picked)} picks.")

    def _settle(self, close: NDArray[np.intp]) -> int:
        """Return the row of the truly farthest among a few."""
        self._add_centers()
        index = self.front[self.block.places[close]]
        raw = self.rows.raw(torch.from_numpy(index))
        exact = nearest_squared(self.rows, raw, self.centers, 0, None).cpu().numpy()
        if self.weights is not None:
            exact *= self.weights[index]
        return self._first(close[exact == exact.max()])

    def _first(self, ties: NDArray[np.intp]) -> int:
        """Return which of tied rows comes first."""
        return int(ties[self._rank(self.front[self.block.places[ties]]).argmin()])

    def _rank(self, points: NDArray[np.intp]) -> NDArray[np.integer]:
        """Return where points stand in the order that breaks ties: drawn once, or theirs without a generator."""
        if self.generator is None:
            return points
        if self.order is None:
            self.order = torch.randperm(len(self.rows), generator=self.generator, dtype=torch.int32).numpy()
        return self.order[points]

    def _be_exact(self) -> None:
        """From here on measure float64 differences: products no longer tell the values apart."""
        self._close_block()
        self._close_front()
        self.upper += self.slack
        self.exact, self.slack = True, 0.0
        self.met[:] = 0
        self._open_front()
        self._open_block()

    def _open_front(self) -> None:
        """Collect the points with the largest bounds; none of the others' is above `front_floor`."""
        size = max(FRONT, len(self.upper) // 64)
        if len(self.upper) <= (8 if self.short else 2) * FRONT:
            size = len(self.upper)
        self.front, self.front_floor = self._largest(self.upper, size)
        self.scores, self.seen = self.upper[self.front], self.met[self.front]

    def _close_front(self) -> None:
        self.upper[self.front], self.met[self.front] = self.scores, self.seen

    def _renew(self) -> None:
        """Lower all bounds by the latest picks, where that is cheaper than to find out which need it."""
        entries, new = len(self.rows) * self.rows.width, len(self.centers) - self.renewed
        if new > 0 and entries <= MODEST and entries * new <= CHEAP:
            self._close_front()
            np.minimum(self.upper, self._bounds(self.renewed), out=self.upper)
            self._open_front()

    def _largest(
        self, scores: NDArray[np.float64], size: int, points: NDArray[np.intp] | None = None
    ) -> tuple[NDArray[np.intp], float]:
        """Return places of the `size` largest, in order, and what no other score exceeds; the first of ties are in."""
        if size >= len(scores):
            return np.arange(len(scores)), -np.inf
        floor = float(np.partition(scores, -size)[-size])
        top = np.flatnonzero(scores >= floor)
        if len(top) > size:
            ties = top[scores[top] == floor]
            rank = self._rank(ties if points is None else points[ties])
            late = np.argpartition(rank, -(len(top) - size))[size - len(top) :]
            top = np.setdiff1d(top, ties[late], assume_unique=True)
        return top, floor

    def _add_centers(self) -> None:
        """Let the centres catch up with the picks."""
        if new := self.picked[len(self.centers) - self.centers.num_given :]:
            self.centers.add(self.rows.raw(torch.tensor(new)))

    def _close_block(self) -> None:
        """Return the block's values to the front."""
        self._add_centers()
        places, values = self.block.release()
        self.scores[places], self.seen[places] = values, len(self.centers)

    def _open_block(self) -> None:
        """Make the largest scores of the front current until the best of them beats all others, and hold them."""
        if len(self.picked) - self.opened < FEW_PICKS:
            self.size = min(2 * self.size, self.most)
        self.opened = len(self.picked)
        size = wide = self.size
        while True:
            self._stop_if_cancelled()
            if not self._beats(self.scores.max(), self.front_floor):
                self._close_front()
                self._open_front()
            top, self.floor = self._top(size)
            stale = self._stale(top)
            if len(self._loose(stale)):
                self._tighten(self._loose(self._stale(self._top(wide)[0])))
                wide = min(2 * wide, max(MOST, self.most))
                continue
            self._refresh(stale)
            if self._beats(self.scores[top].max(), self.floor):
                break
            if not len(stale) and size >= self.most:
                return self._be_exact()
            size = min(2 * size, self.most)
        self._hold(top[self.scores[top] >= self.floor])

    def _hold(self, places: NDArray[np.intp]) -> None:
        """Make points of the front the block."""
        index = self.front[places]
        x = self.rows.double(self.rows.raw(torch.from_numpy(index))).cpu()
        weights = None if self.weights is None else self.weights[index]
        self.block = Block(x, places, self.scores[places], weights, slack=self.rounding, exact=self.exact)

    def _top(self, size: int) -> tuple[NDArray[np.intp], float]:
        """Return places in the front of the largest scores, and what no other point's score exceeds."""
        top, floor = self._largest(self.scores, size, self.front)
        return top, max(floor, self.front_floor)

    def _stale(self, top: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return those not picked that have not met every centre."""
        return top[(self.seen[top] < len(self.centers)) & (self.scores[top] > -np.inf)]

    def _loose(self, part: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return those never measured and not tightened since the last pick, where tightening is worth it."""
        if self.anchors.whole:
            return part[:0]
        seen = self.seen[part]
        return part[(seen <= 0) & (-seen < len(self.centers))]

    def _tighten(self, part: NDArray[np.intp]) -> None:
        """Bound points that never met all centres at a fraction of the cost.

        The first time by the centres that seem nearest, later by those that came since.
        """
        seen = self.seen[part]
        with self._threads(len(part), len(self.centers)):
            for some in (part[seen == 0], part[seen < 0]):
                if len(some):
                    raw = self.rows.raw(torch.from_numpy(self.front[some]))
                    self._store(some, self.anchors.tighter(raw, int(-self.seen[some].max())), -len(self.centers))

    def _refresh(self, stale: NDArray[np.intp]) -> None:
        """Make scores current, those that never met a centre apart from the others."""
        new = self.seen[stale] <= 0
        for part in (stale[new], stale[~new]):
            if len(part):
                self._store(part, self._measure(part, max(0, int(self.seen[part].min()))), len(self.centers))

    def _measure(self, part: NDArray[np.intp], start: int) -> NDArray[np.float64]:
        """Return squared distances to the nearest centre from `start` on: one product."""
        index = self.front[part]
        raw = self.rows.raw(torch.from_numpy(index))
        entries = self.rows.width * (len(self.centers) - start)
        double = len(part) * entries <= CHEAP or (self.rows.width <= NARROW and entries <= DOUBLED)
        if double and not self.exact:
            with self._threads(len(part), len(self.centers) - start):
                return nearest_by_product(self.rows, raw, self.centers, start).cpu().numpy()
        known = None
        if start:
            scores = self.scores[part] if self.weights is None else self.scores[part] / self.weights[index]
            known = torch.from_numpy(scores).to(self.rows.device)
        with self._threads(len(part), len(self.centers) - start):
            return nearest_squared(self.rows, raw, self.centers, start, known, double=double).cpu().numpy()

    def _threads(self, points: int, centers: int) -> AbstractContextManager[None]:
        """Return a context with as many threads as a product of so many points and centres is worth."""
        return threads_set(self.threads if points * centers * max(16, self.rows.width) > HEAVY else 1)

    def _store(self, part: NDArray[np.intp], squared: NDArray[np.float64], seen: int) -> None:
        if self.weights is not None:
            squared = squared * self.weights[self.front[part]]
        self.scores[part] = np.minimum(self.scores[part], squared)
        self.seen[part] = seen
