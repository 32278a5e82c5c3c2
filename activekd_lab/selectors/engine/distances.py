"""Squared distances of points to their nearest centre: bounds for all, current values for a few, exact close calls."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from activekd_lab.device import threads_set
from activekd_lab.selectors.engine.anchors import Anchors
from activekd_lab.selectors.engine.centers import Centers
from activekd_lab.selectors.engine.products import rounding, smallest_shifted, squared_norms
from activekd_lab.selectors.engine.rows import Rows
from activekd_lab.selectors.engine.tuning import Tuning

Values = NDArray[np.float64]
Positions = NDArray[np.intp]


class Distances:
    """Every value is a squared distance times the point's squared weight.

    `slack` bounds the error of a current value; it is 0 once all are differences (`exact`). `rounding` is that of
    products, whatever the values are.
    """

    def __init__(self, rows: Rows, centers: Centers, weights: Values | None, threads: int, tuning: Tuning) -> None:
        self.rows, self.centers, self.weights, self.threads, self.tuning = rows, centers, weights, threads, tuning
        self.anchors, self.exact = Anchors(rows, centers, tuning), False
        self.rounding = self.slack = 0.0

    def know_longest(self, squared: float) -> None:
        """Set the slack, from the largest squared norm of a point."""
        heaviest = 1.0 if self.weights is None else float(self.weights.max())
        both = squared + max(squared, self.centers.longest)
        self.slack = self.rounding = 1.5 * heaviest * rounding(self.rows.width + 2, 2.0**-53) * both

    def bounds(self, cancel: Callable[[], bool], start: int) -> Values:
        """Return upper bounds (N,) of all points by the centres from `start` on, from one pass over them."""
        with self._threads(len(self.rows), start):
            bounds = self.anchors.bounds(cancel, start)
        return bounds if self.weights is None else bounds * self.weights

    def tighter(self, points: Positions, start: int) -> Values:
        """Return closer bounds (k,) of some, from `start` on, or at 0 from the centres that seem nearest."""
        with self._threads(len(points), 0):
            return self._weighted(self.anchors.tighter(self._raw(points), start), points)

    def current(self, points: Positions, start: int, known: Values | None) -> Values:
        """Return current values (k,): by a float64 product where that is cheap, else exact.

        Centres from `start` on are measured; `known` (k,) are the current values by those before.
        """
        raw, few = self._raw(points), self.rows.width * (len(self.centers) - start)
        double = len(points) * few <= self.tuning.cheap
        double = double or (self.rows.width <= self.tuning.narrow and few <= self.tuning.doubled)
        if known is not None and self.weights is not None:
            known = known / self.weights[points]
        with self._threads(len(points), start):
            if double and not self.exact:
                squared = self._by_product(raw, start)
            else:
                best = None if known is None else torch.from_numpy(known).to(self.rows.device)
                squared = self._by_differences(raw, start, best, double=double)
        return self._weighted(squared.cpu().numpy(), points)

    def settled(self, points: Positions) -> Values:
        """Return exact values (k,) of a few points, from scratch."""
        squared = self._by_differences(self._raw(points), 0, None, double=False)
        return self._weighted(squared.cpu().numpy(), points)

    def _by_product(self, raw: Tensor, start: int) -> Tensor:
        x = self.rows.double(raw)  # (k, D)
        shifted = smallest_shifted(x, (part[1:] for part in self.centers.double_since(start)))
        return shifted.add_(squared_norms(x)).clamp_(min=0)

    def _by_differences(self, raw: Tensor, start: int, known: Tensor | None, *, double: bool) -> Tensor:
        """Find by a product the few centres that can be nearest; float64 differences decide among them: (k,)."""
        x = self.rows.double(raw) if double else self.rows.single(raw)  # (k, D)
        norms, error = squared_norms(x), rounding(self.rows.width, 2.0**-53 if double else None)
        best = torch.full_like(norms, torch.inf, dtype=torch.float64) if known is None else known
        for first, c, c_norms in self.centers.double_since(start) if double else self.centers.since(start):
            shifted = torch.addmm(c_norms, x, c.T, alpha=-2)  # (k, q), a squared distance minus `norms`
            slack = (norms + c_norms.max()) * error
            limit = torch.minimum(shifted.amin(1) + slack, best - norms) + slack
            row, column = (shifted <= limit[:, None]).nonzero(as_tuple=True)
            for r, q in zip(row.split(self.tuning.pairs), column.split(self.tuning.pairs), strict=True):
                exact = squared_norms(self.rows.double(raw[r]) - self.centers.double(q + first))
                best.scatter_reduce_(0, r, exact, "amin")
        return best

    def _raw(self, points: Positions) -> Tensor:
        return self.rows.raw(torch.from_numpy(points))

    def _weighted(self, squared: Values, points: Positions) -> Values:
        return squared if self.weights is None else squared * self.weights[points]

    def _threads(self, points: int, start: int) -> AbstractContextManager[None]:
        """Return a context with as many threads as a product of points and the centres from `start` on is worth."""
        work = points * (len(self.centers) - start) * max(16, self.rows.width)
        return threads_set(self.threads if work > self.tuning.heavy else 1)
