"""The lazy search behind `k_center_greedy`: bounds for all points, current distances for a few, exact picks.

Three levels. Every point has an upper bound. The points with the largest bounds form the front, so that the others need
no look for many picks. The largest of the front are made current and form a block, in which picks happen for as long
as its best value is not below the largest bound outside.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from activekd_lab.device import threads_set
from activekd_lab.errors import Cancelled, NonFiniteError
from activekd_lab.selectors.engine.block import Block
from activekd_lab.selectors.engine.candidates import Candidates, Ties
from activekd_lab.selectors.engine.centers import Centers, longest
from activekd_lab.selectors.engine.distances import Distances, Positions, Values
from activekd_lab.selectors.engine.products import squared_norms
from activekd_lab.selectors.engine.rows import LENGTHS, Rows, check_finite
from activekd_lab.selectors.engine.tuning import Tuning


def lazy_greedy(
    rows: Rows,
    given: Rows,
    budget: int,
    *,
    weights: Values | None,
    generator: torch.Generator | None,
    report: Callable[[int, int], None],
    cancel: Callable[[], bool],
    tuning: Tuning,
) -> tuple[list[int], Values]:
    """Return `budget` positions by farthest-first traversal and the squared radii (B + 1,) before each and after all.

    `weights` (N,) are squared; the radii are times them.
    """
    ties, centers = Ties(len(rows), generator), Centers(given, budget, tuning.center_slice)
    picked, squared, threads = [], [], torch.get_num_threads()
    if len(given) == 0:
        picked, squared = [_nearest_to_mean(rows, ties)], [np.inf]
        centers.add(rows.raw(torch.tensor(picked)))
    with threads_set(1):  # many small steps; where a second thread has to wait for a core they would take ages
        search = Search(Distances(rows, centers, weights, threads, tuning), ties, picked, budget, cancel)
        while len(picked) < budget:
            squared.append(search.pick())
            report(len(picked), budget)
        squared.append(search.radius())
    return picked, np.array(squared)


class Search:
    """State of one traversal: the `pool`, its `front` and the `block`, with what no point outside each exceeds.

    Picks since the block was opened are no centres yet, but its values account for them.
    """

    def __init__(
        self, distances: Distances, ties: Ties, picked: list[int], budget: int, cancel: Callable[[], bool]
    ) -> None:
        self.distances, self.ties, self.picked, self.cancel = distances, ties, picked, cancel
        self.tuning, self.centers, rows = distances.tuning, distances.centers, distances.rows
        self.short, width = budget <= self.tuning.short, max(1, rows.width)
        entries = self.tuning.entries // width
        self.most = max(self.tuning.fewest, 2 * entries if self.short else min(self.tuning.most, entries))
        few = self.tuning.first // (max(16, width) * len(self.centers))
        self.size = min(self.most, max(self.tuning.fewest, few))
        self.opened = -self.tuning.few_picks  # how many picks there were when the block was opened
        if self.size >= len(rows):
            self._start_with_all()
        else:
            self._start_with_bounds()

    def pick(self) -> float:
        """Add the farthest point to `picked` and return the squared radius it had, within the slack."""
        row = self._farthest()  # may open another block
        squared = float(self.block.values[row])
        self.picked.append(int(self.front.at(self.block.places[row])))
        self.block.lower(row)
        return squared

    def radius(self) -> float:
        """Return the current squared radius, within the slack; 0 when every point is picked."""
        if len(self.picked) == len(self.distances.rows):
            return 0.0
        row = self._farthest()
        return float(self.block.values[row])

    def _start_with_all(self) -> None:
        """Make every point current and hold them all as the block."""
        rows = self.distances.rows
        self.pool = self.front = Candidates(None, np.full(len(rows), np.inf))
        self.pool.scores[self.picked] = -np.inf
        self.floor = self.front_floor = -np.inf
        self.renewed = len(self.centers)
        x = rows.double(rows.points.to(rows.device)).cpu()
        self.block = Block(x, np.arange(len(rows)), self.pool.scores.copy(), self.distances.weights)
        self.distances.know_longest(longest(torch.from_numpy(self.block.norms), 0, "points"))
        self.block.meet((c.cpu(), c_norms.cpu()) for _, c, c_norms in self.centers.double_since(0))

    def _start_with_bounds(self) -> None:
        """Bound every point, from one pass over them, and open the first block."""
        self.block, self.renewed = Block.of_none(self.distances.rows.width), len(self.centers)
        self.pool = Candidates(None, self.distances.bounds(self.cancel, 0))
        self._refuse_vanishing(self.distances.anchors.longest)
        self.distances.know_longest(self.distances.anchors.longest)
        self.pool.scores[self.picked] = -np.inf
        self._open_front()
        self._open_block()

    def _refuse_vanishing(self, longest: float) -> None:
        """Refuse points whose squares (the largest norm is given) float32 takes for nothing."""
        if longest < LENGTHS[torch.float32][0] ** 2 and bool(self.distances.rows.points.any()):
            raise NonFiniteError("Expected points whose squares float32 can hold, but they vanish; rescale the points.")

    def _farthest(self) -> int:
        """Return the row in the block of the farthest point; ties go to the first in the drawn order."""
        while True:
            self._stop_if_cancelled()
            values = self.block.values
            row = int(values.argmax())
            best, slack = values[row], self.distances.slack
            if not self._beats(best, self.floor):
                self._close_block()
                self._renew()
                self._open_block()
                continue
            if best < self.tuning.rough * slack:
                self._be_exact()
                continue
            values[row] = -np.inf
            alone = values.max() < best - 2 * slack
            values[row] = best
            if alone:
                return row
            close = np.flatnonzero(values >= best - 2 * slack)
            if self.distances.exact or self.block.alike(close):
                return self._first(close)
            if len(close) <= self.tuning.close:
                return self._settle(close)
            self._be_exact()

    def _beats(self, best: float, floor: float) -> bool:
        """Whether a current score wins against all others, of which `floor` is the largest or, if exact, ties first."""
        return best >= floor if self.distances.exact else best - 2 * self.distances.slack > floor

    def _stop_if_cancelled(self) -> None:
        if self.cancel():
            raise Cancelled(f"k_center_greedy was cancelled after {len(self.picked)} picks.")

    def _settle(self, close: Positions) -> int:
        """Return the row of the truly farthest among a few."""
        self._add_centers()
        exact = self.distances.settled(self.front.at(self.block.places[close]))
        return self._first(close[exact == exact.max()])

    def _first(self, ties: Positions) -> int:
        """Return which of tied rows comes first."""
        return int(ties[self.ties.rank(self.front.at(self.block.places[ties])).argmin()])

    def _be_exact(self) -> None:
        """From here on measure float64 differences: products no longer tell the values apart."""
        self._close_block()
        self._close_front()
        self.pool.scores += self.distances.slack
        self.pool.measured[:], self.pool.seen[:] = False, 0
        self.distances.exact, self.distances.slack = True, 0.0
        self._open_front()
        self._open_block()

    def _open_front(self) -> None:
        """Collect the points with the largest bounds; none of the others' is above `front_floor`."""
        size = max(self.tuning.front, len(self.pool) // 64)
        if len(self.pool) <= (8 if self.short else 2) * self.tuning.front:
            size = len(self.pool)
        places, self.front_floor = self.pool.largest(size, self.ties)
        self.front = self.pool.part(places)

    def _close_front(self) -> None:
        if self.front is not self.pool:
            self.pool.put(self.front.at(np.arange(len(self.front))), self.front)

    def _renew(self) -> None:
        """Lower all bounds by the latest picks, where that is cheaper than to find out which need it."""
        entries, new = len(self.pool) * self.distances.rows.width, len(self.centers) - self.renewed
        if new > 0 and entries <= self.tuning.modest and entries * new <= self.tuning.cheap:
            self._close_front()
            np.minimum(self.pool.scores, self.distances.bounds(self.cancel, self.renewed), out=self.pool.scores)
            self.renewed = len(self.centers)
            self._open_front()

    def _add_centers(self) -> None:
        """Let the centres catch up with the picks."""
        if new := self.picked[len(self.centers) - self.centers.num_given :]:
            self.centers.add(self.distances.rows.raw(torch.tensor(new)))

    def _close_block(self) -> None:
        """Return the block's values to the front."""
        self._add_centers()
        places, values = self.block.release()
        self.front.scores[places] = values
        self.front.seen[places], self.front.measured[places] = len(self.centers), True

    def _open_block(self) -> None:
        """Make the largest scores of the front current until the best of them beats all others, and hold them."""
        if len(self.picked) - self.opened < self.tuning.few_picks:
            self.size = min(2 * self.size, self.most)
        self.opened, count = len(self.picked), len(self.centers)
        size = wide = self.size
        while True:
            self._stop_if_cancelled()
            if not self._beats(self.front.scores.max(), self.front_floor):
                self._close_front()
                self._open_front()
            top, floor = self.front.largest(size, self.ties)
            self.floor = max(floor, self.front_floor)
            stale = self.front.stale(top, count)
            if not self.distances.anchors.whole and len(self.front.loose(stale, count)):
                self._tighten(self.front.loose(self.front.stale(self.front.largest(wide, self.ties)[0], count), count))
                wide = min(2 * wide, max(self.tuning.most, self.most))
                continue
            self._refresh(stale)
            if self._beats(self.front.scores[top].max(), self.floor):
                break
            if not len(stale) and size >= self.most:
                return self._be_exact()
            size = min(2 * size, self.most)
        self._hold(top[self.front.scores[top] >= self.floor])

    def _hold(self, places: Positions) -> None:
        """Make points of the front the block."""
        rows, points, weights = self.distances.rows, self.front.at(places), self.distances.weights
        x = rows.double(rows.raw(torch.from_numpy(points))).cpu()
        self.block = Block(
            x,
            places,
            self.front.scores[places],
            None if weights is None else weights[points],
            slack=self.distances.rounding,
            exact=self.distances.exact,
        )

    def _tighten(self, part: Positions) -> None:
        """Bound points that never met all centres at a fraction of the cost.

        The first time by the centres that seem nearest, later by those that came since.
        """
        seen = self.front.seen[part]
        for some in (part[seen == 0], part[seen > 0]):
            if len(some):
                bounds = self.distances.tighter(self.front.at(some), int(self.front.seen[some].min()))
                self.front.lower(some, bounds, len(self.centers), measured=False)

    def _refresh(self, stale: Positions) -> None:
        """Make scores current, those that never met a centre apart from the others."""
        measured = self.front.measured[stale]
        for part, met in ((stale[~measured], False), (stale[measured], True)):
            if len(part):
                start = int(self.front.seen[part].min()) if met else 0
                known = self.front.scores[part] if start else None
                values = self.distances.current(self.front.at(part), start, known)
                self.front.lower(part, values, len(self.centers), measured=True)


def _nearest_to_mean(rows: Rows, ties: Ties) -> int:
    """Return the position of the point nearest to the mean of all: the first pick without centres."""
    mean = torch.zeros(rows.width, dtype=torch.float64, device=rows.device)
    for start, x in rows.pieces():
        check_finite(squared_norms(x), start, "points")
        mean += x.sum(0, dtype=torch.float64) / len(rows)
    squared = torch.cat([squared_norms(x - mean) for _, x in rows.pieces()])
    nearest = (squared == squared.min()).nonzero().flatten()
    return int(nearest[ties.draw(len(nearest))])
