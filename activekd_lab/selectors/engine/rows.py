"""Rows of a point set under a metric: any dtype, device or memory map, read in pieces, never copied whole."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from activekd_lab.errors import NonFiniteError, SettingError
from activekd_lab.io.numbers import as_tensor

Metric = Literal["euclidean", "cosine", "hellinger"]
Points = Tensor | NDArray[np.floating]
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

PIECE_BYTES = {"cpu": 2 << 20, "other": 64 << 20}
PIECE_ROWS = {"cpu": 1024, "other": 16384}
"""Most float32 bytes and rows of a piece: on a CPU it stays in cache, elsewhere it fills the device."""

LENGTHS = {torch.float32: (1e-15, 1e15), torch.float64: (1e-30, 1e150)}
"""Between these lengths a row's squares neither vanish nor overflow."""


class Rows:
    """Points as float32 (for products) and float64 (for settled differences), after the metric's own transform.

    In the transformed space every metric is a function of the squared Euclidean distance: `euclidean` d = sqrt(d2);
    `cosine` 1 - cos = d2 / 2 on unit rows (a zero row stays zero); `hellinger` d = sqrt(d2 / 2) on square roots.
    With `among` (k,), positions in `points`, the rows are those k, in that order. All are taken times `factor`.
    """

    def __init__(
        self,
        points: Points,
        metric: Metric = "euclidean",
        device: torch.device | str | None = None,
        among: Tensor | None = None,
        factor: float = 1.0,
    ) -> None:
        if metric not in get_args(Metric):
            raise SettingError(f"Expected `metric` to be one of {', '.join(get_args(Metric))}, but got {metric!r}.")
        self.points: Tensor = as_tensor(points, "points")
        if self.points.ndim != 2 or self.points.dtype not in FLOATS:
            got = f"{self.points.dtype} {tuple(self.points.shape)}"
            raise SettingError(f"Expected points as a 2-d floating array (rows, D), but got {got}.")
        self.metric, self.factor = metric, factor
        self.device = torch.device(device) if device is not None else self.points.device
        self.among = None if among is None else among.to(self.points.device)
        self.count, self.width = self.points.shape  # N, D
        self.count = self.count if among is None else len(among)
        self.reads = 0  # rows taken so far, to count the traffic of a memory map

    def __len__(self) -> int:
        return self.count

    def raw(self, index: Tensor) -> Tensor:
        """Return rows (k, D) by position, in their own dtype, on the computing device."""
        self.reads += len(index)
        index = index.to(self.points.device)
        return self.points.index_select(0, index if self.among is None else self.among[index]).to(self.device)

    def pieces(self, at_least: int = 0) -> Iterator[tuple[int, Tensor]]:
        """Yield (start, float32 rows) over all points in order, in pieces that stay in cache.

        `at_least` asks for more rows than that rule gives where they are short.
        """
        kind = "cpu" if self.device.type == "cpu" else "other"
        step = max(16, min(max(PIECE_ROWS[kind], at_least), PIECE_BYTES[kind] // (4 * max(1, self.width))))
        for start in range(0, len(self), step):
            piece = self.points[slice(start, start + step) if self.among is None else self.among[start : start + step]]
            self.reads += len(piece)
            yield start, self.single(piece.to(self.device))

    def single(self, raw: Tensor) -> Tensor:
        """Transform raw rows for products: (k, D) float32."""
        return self._transform(raw, torch.float32)

    def double(self, raw: Tensor) -> Tensor:
        """Transform raw rows for exact differences: (k, D) float64."""
        return self._transform(raw, torch.float64)

    def distance(self, squared: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn squared Euclidean distances of transformed rows into the metric's distance."""
        if self.metric == "cosine":
            return squared / 2
        return np.sqrt(squared / 2 if self.metric == "hellinger" else squared)

    def _transform(self, raw: Tensor, dtype: torch.dtype) -> Tensor:
        if self.metric == "cosine":
            return unit_rows(raw, dtype)
        if self.factor != 1.0:
            raw = raw.double() * self.factor
        return raw.to(dtype).sqrt() if self.metric == "hellinger" else raw.to(dtype)


def unit_rows(raw: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return rows (k, D) divided by their lengths, whatever those are; a zero row stays zero."""
    rows = raw.to(dtype)
    lengths = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    unit: Tensor = rows / lengths.clamp_min(1e-30)
    shortest, longest = LENGTHS[dtype]
    odd = ~((lengths >= shortest) & (lengths <= longest)).flatten()
    if rows.shape[1] and bool(odd.any()):  # squares that vanish, or overflow
        far = raw[odd].double()
        far = far / far.abs().amax(1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
        unit[odd] = (far / torch.linalg.vector_norm(far, dim=1, keepdim=True).clamp_min(1e-30)).to(dtype)
    return unit


def rescaling(points: Tensor) -> float:
    """Return the power of two that brings (N, D) numbers to about 1, or 1 where float32 holds their squares well."""
    rows = max(1, PIECE_BYTES["cpu"] // max(1, points.shape[1]))
    largest = max((float(piece.abs().max()) for piece in points.split(rows) if piece.numel()), default=0.0)
    if not 0 < largest < math.inf or 2.0**-10 <= largest <= 2.0**40:
        return 1.0
    return 2.0 ** max(-1000, min(1000, -math.frexp(largest)[1]))


def rescaled(raw: Tensor, factor: float) -> Tensor:
    """Return float32 rows times `rescaling` of all."""
    return raw.float() if factor == 1.0 else (raw.double() * factor).float()


def check_finite(values: Tensor, start: int, name: str) -> None:
    """Raise NonFiniteError naming the first positions in `name` whose value (one a row) is NaN or infinite."""
    bad = (~values.isfinite()).nonzero().flatten()
    if len(bad):
        where = ", ".join(str(start + int(i)) for i in bad[:5])
        raise NonFiniteError(
            f"Expected finite {name} within the metric's range, but rows {where} hold NaN or fall outside it."
        )
