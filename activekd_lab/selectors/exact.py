"""Squared distances to the nearest centre: by float64 products, or exact, where differences decide among a few."""

from __future__ import annotations

import torch
from torch import Tensor

from activekd_lab.selectors.centers import Centers, rounding, smallest_shifted, squared_norms
from activekd_lab.selectors.rows import Rows

PAIRS = 512  # float64 differences taken at once


def nearest_squared(
    rows: Rows, raw: Tensor, centers: Centers, start: int, known: Tensor | None, *, double: bool = False
) -> Tensor:
    """Return exact (k,) float64 squared distances of `raw` rows to the nearest centre.

    Centres from `start` on are measured; `known` holds the exact values for those before. A product, in float32 or
    `double`, finds the few centres that can be nearest, float64 differences decide among them.
    """
    x = rows.double(raw) if double else rows.single(raw)  # (k, D)
    norms = squared_norms(x)
    error = rounding(rows.width, 2.0**-53 if double else None)
    best = torch.full_like(norms, torch.inf, dtype=torch.float64) if known is None else known
    for first, c, c_norms in centers.double_since(start) if double else centers.since(start):
        shifted = torch.addmm(c_norms, x, c.T, alpha=-2)  # (k, q), a squared distance minus `norms`
        slack = (norms + c_norms.max()) * error
        limit = torch.minimum(shifted.amin(1) + slack, best - norms) + slack
        row, column = (shifted <= limit[:, None]).nonzero(as_tuple=True)
        for r, q in zip(row.split(PAIRS), column.split(PAIRS), strict=True):
            exact = squared_norms(rows.double(raw[r]) - centers.double(q + first))
            best.scatter_reduce_(0, r, exact, "amin")
    return best


def nearest_by_product(rows: Rows, raw: Tensor, centers: Centers, start: int) -> Tensor:
    """Return (k,) squared distances of `raw` rows to the nearest centre from `start` on, by float64 products."""
    x = rows.double(raw)
    shifted = smallest_shifted(x, (part[1:] for part in centers.double_since(start)))
    return shifted.add_(squared_norms(x)).clamp_(min=0)
