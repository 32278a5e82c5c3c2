"""A few points held close by: a pick lowers all their distances at the price of one matrix-vector product."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from activekd_lab.selectors.engine.products import smallest_shifted, squared_norms


class Block:
    """Rows of the points with the largest distances, in float64, and the current distances.

    `places` (m,) say where each stands in the front. `values` (m,) are squared distances to the nearest centre, times
    the points' `weights` (m,) if there are any, or minus infinity for picked points. They come from products, which err
    by at most `slack`, or with `exact` from differences.
    """

    def __init__(
        self,
        x: Tensor,
        places: NDArray[np.intp],
        values: NDArray[np.float64],
        weights: NDArray[np.float64] | None,
        *,
        slack: float = 0.0,
        exact: bool = False,
    ) -> None:
        self.x, self.places, self.values, self.weights = x, places, values, weights
        self.slack, self.exact = slack, exact
        self.rows: NDArray[np.float64] = x.numpy()  # the same memory; NumPy's product with one vector is quicker
        self.norms: NDArray[np.float64] = squared_norms(x).numpy()

    @classmethod
    def of_none(cls, width: int) -> Block:
        """Return a block without points."""
        return cls(torch.empty(0, width, dtype=torch.float64), np.arange(0), np.empty(0), None)

    def lower(self, row: int) -> None:
        """Make the point at `row` a centre: no value stays above the distance to it, its own leaves the contest."""
        squared = self.rows @ self.rows[row]
        squared *= -2
        squared += self.norms
        squared += self.norms[row]
        if self.weights is not None:
            squared *= self.weights
        if self.exact:
            self._lower_exactly(row, np.flatnonzero(squared - self.slack < self.values))
        else:
            np.minimum(self.values, squared, out=self.values)
        self.values[row] = -np.inf

    def _lower_exactly(self, row: int, near: NDArray[np.intp]) -> None:
        squared: NDArray[np.float64] = squared_norms(self.x[torch.from_numpy(near)] - self.x[row]).numpy()
        if self.weights is not None:
            squared *= self.weights[near]
        self.values[near] = np.minimum(self.values[near], squared)

    def meet(self, centers: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Lower the values by centres, in parts of float64 rows (q, D) and squared norms (q,), by products."""
        squared = np.maximum(smallest_shifted(self.x, centers).numpy() + self.norms, 0.0)
        if self.weights is not None:
            squared *= self.weights
        np.minimum(self.values, squared, out=self.values)

    def release(self) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return places and values, and hold no point any longer."""
        places, values = self.places, self.values
        self.places, self.values = places[:0], values[:0]
        return places, values

    def alike(self, rows: NDArray[np.intp]) -> bool:
        """Whether these are all the same point with the same weight, so that they tie by definition."""
        same = bool((self.rows[rows] == self.rows[rows[0]]).all())
        return same and (self.weights is None or bool((self.weights[rows] == self.weights[rows[0]]).all()))
