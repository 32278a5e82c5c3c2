"""Some points with what is known of each: the whole pool, or the part of it that is at hand."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

Positions = NDArray[np.intp]


class Candidates:
    """Points (m,) by position in the pool and, of each, what is known about its distance to the nearest centre.

    `scores` (m,) are upper bounds, minus infinity for picks. Where `measured` (m,) they are current values by the first
    `seen` (m,) centres; elsewhere mere bounds, last tightened when there were that many, never at 0.
    """

    def __init__(
        self,
        points: Positions | None,
        scores: NDArray[np.float64],
        seen: NDArray[np.int32] | None = None,
        measured: NDArray[np.bool_] | None = None,
    ) -> None:
        self.points, self.scores = points, scores  # None: all, in order
        self.seen: NDArray[np.int32] = np.zeros(len(scores), dtype=np.int32) if seen is None else seen
        self.measured: NDArray[np.bool_] = np.zeros(len(scores), dtype=np.bool_) if measured is None else measured

    def __len__(self) -> int:
        return len(self.scores)

    def at(self, places: Positions) -> Positions:
        """Return positions in the pool."""
        return places if self.points is None else self.points[places]

    def part(self, places: Positions) -> Candidates:
        """Return a copy of some."""
        return Candidates(self.at(places), self.scores[places], self.seen[places], self.measured[places])

    def put(self, places: Positions, part: Candidates) -> None:
        """Take back what became known of some."""
        self.scores[places], self.seen[places], self.measured[places] = part.scores, part.seen, part.measured

    def lower(self, places: Positions, values: NDArray[np.float64], seen: int, *, measured: bool) -> None:
        """Note values by the first `seen` centres."""
        self.scores[places] = np.minimum(self.scores[places], values)
        self.seen[places], self.measured[places] = seen, measured

    def stale(self, places: Positions, centers: int) -> Positions:
        """Return which of these are not picked and have no current value by so many centres."""
        old = ~self.measured[places] | (self.seen[places] < centers)
        return places[old & (self.scores[places] > -np.inf)]

    def loose(self, places: Positions, centers: int) -> Positions:
        """Return which of these are bounds that were not tightened since there are so many centres."""
        return places[~self.measured[places] & (self.seen[places] < centers)]

    def largest(self, size: int, ties: Ties) -> tuple[Positions, float]:
        """Return places of the `size` largest scores, in order, and what no other exceeds; the first of ties are in."""
        if size >= len(self):
            return np.arange(len(self)), -np.inf
        floor = float(np.partition(self.scores, -size)[-size])
        top = np.flatnonzero(self.scores >= floor)
        if len(top) > size:
            equal = top[self.scores[top] == floor]
            late = np.argpartition(ties.rank(self.at(equal)), -(len(top) - size))[size - len(top) :]
            top = np.setdiff1d(top, equal[late], assume_unique=True)
        return top, floor


class Ties:
    """The order in which equal points come: drawn once, when first asked for, or theirs without a generator."""

    def __init__(self, size: int, generator: torch.Generator | None) -> None:
        self.size, self.generator = size, generator
        self.order: NDArray[np.int32] | None = None

    def rank(self, points: Positions) -> NDArray[np.integer]:
        """Return where points stand in that order."""
        if self.generator is None:
            return points
        if self.order is None:
            self.order = torch.randperm(self.size, generator=self.generator, dtype=torch.int32).numpy()
        return self.order[points]

    def draw(self, count: int) -> int:
        """Draw one of `count` ties; the first without a generator, and nothing is drawn for a single one."""
        return 0 if count == 1 or self.generator is None else int(torch.randint(count, (), generator=self.generator))
