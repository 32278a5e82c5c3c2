"""Exact squared distances: float32 products find the candidates, float64 differences decide among them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from activekd_lab.selectors.centers import Centers, rounding, squared_norms
from activekd_lab.selectors.rows import Rows

PAIRS = 512  # float64 differences taken at once


def nearest_squared(
    rows: Rows, raw: Tensor, centers: Centers, start: int, known: Tensor | None, until: Tensor | None = None
) -> Tensor:
    """Return exact (k,) float64 squared distances of `raw` rows to the nearest centre.

    Centres from `start` on are measured; `known` holds the exact values for those before, `until` (k,) the index
    before which each row stops, at least one. A float32 product finds the few centres that can be nearest, float64
    differences decide among them.
    """
    x = rows.single(raw)  # (k, D)
    norms = squared_norms(x)
    best = torch.full_like(norms, torch.inf, dtype=torch.float64) if known is None else known
    for first, c, c_norms in centers.since(start):
        shifted = torch.addmm(c_norms, x, c.T, alpha=-2)  # (k, q), a squared distance minus `norms`
        if until is not None:
            later = torch.arange(first, first + len(c), device=rows.device) >= until[:, None]
            shifted.masked_fill_(later, torch.inf)
        slack = (norms + c_norms.max()) * rounding(rows.width)
        limit = torch.minimum(shifted.amin(1) + slack, best - norms) + slack
        row, column = (shifted <= limit[:, None]).nonzero(as_tuple=True)
        for r, q in zip(row.split(PAIRS), column.split(PAIRS), strict=True):
            exact = squared_norms(rows.double(raw[r]) - centers.double(q + first))
            best.scatter_reduce_(0, r, exact, "amin")
    return best


class Block:
    """A few points held close by, so that a pick among them lowers the others at the price of one small product."""

    def __init__(self, rows: Rows, raw: Tensor, places: NDArray[np.intp]) -> None:
        self.places = places  # where each row stands in the front (m,), ascending
        self.single, self.double = rows.single(raw).cpu(), rows.double(raw).cpu()
        self.norms: NDArray[np.float32] = squared_norms(self.single).numpy()
        self.rounding = rounding(rows.width)

    def __contains__(self, place: int) -> bool:
        row = self.places.searchsorted(place)
        return bool(row < len(self.places) and self.places[row] == place)

    def lower(self, place: int, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return exact squared distances (m,) once the point at `place` is a centre, from the exact `values` before."""
        i = self.places.searchsorted(place)
        total = self.norms + self.norms[i]
        least = total * (1 - self.rounding) - 2 * torch.mv(self.single, self.single[i]).numpy()
        near = np.flatnonzero(least < values)
        exact = squared_norms(self.double[torch.from_numpy(near)] - self.double[i]).numpy()
        values[near] = np.minimum(values[near], exact)
        return values
