"""Squared distances by products, |x|2 + |y|2 - 2xy, and what their rounding can be."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

FEW = 64  # centres up to which the points are the longer side of a product


def squared_norms(rows: Tensor) -> Tensor:
    """Return squared lengths (k,) of rows (k, D)."""
    norms: Tensor = torch.linalg.vecdot(rows, rows)
    return norms


def rounding(width: int, unit: float | None = None) -> float:
    """Bound the error of |x|2 + |y|2 - 2xy, relative to |x|2 + |y|2.

    A sum of D products errs by at most D rounding units, and by more than 8 sqrt(D) of them with probability below
    1e-13 (Higham & Mary 2019). The unit is float32's by default; larger where TF32 or bfloat16 products are on.
    """
    if unit is None:
        unit = 2.0**-24 if torch.get_float32_matmul_precision() == "highest" else 2.0**-8
    return unit * (4 + 2 * min(width, 8 * math.sqrt(width)))


def smallest_shifted(x: Tensor, centers: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """Return min over centres of |c|2 - 2 x·c, the squared distance to rows x (k, D) less |x|2: (k,).

    Centres come in parts: rows c (q, D) and their squared norms (q,).
    """
    found = []
    for c, c_norms in centers:
        if len(c) < FEW:  # the longer side last: both the product and the minimum are faster
            found.append(torch.addmm(c_norms[:, None], c, x.T, alpha=-2).amin(0))
        else:
            found.append(torch.addmm(c_norms, x, c.T, alpha=-2).amin(1))
    return found[0] if len(found) == 1 else torch.stack(found).amin(0)
