"""Rows of a point set under a metric: any dtype, device or memory map, read in pieces, never copied whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from activekd_lab.errors import NonFiniteError, SettingError
from activekd_lab.io.numbers import as_tensor

Metric = Literal["euclidean", "cosine", "hellinger"]
Points = Tensor | NDArray[np.floating]
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

PIECE_BYTES = {"cpu": 2 << 20, "other": 64 << 20}
PIECE_ROWS = {"cpu": 1024, "other": 16384}
"""Most float32 bytes and rows of a piece: on a CPU it stays in cache, elsewhere it fills the device."""


class Rows:
    """Points as float32 (for products) and float64 (for settled differences), after the metric's own transform.

    In the transformed space every metric is a function of the squared Euclidean distance: `euclidean` d = sqrt(d2);
    `cosine` 1 - cos = d2 / 2 on unit rows (a zero row stays zero); `hellinger` d = sqrt(d2 / 2) on square roots.
    With `among` (k,), positions in `points`, the rows are those k, in that order.
    """

    def __init__(
        self,
        points: Points,
        metric: Metric = "euclidean",
        device: torch.device | str | None = None,
        among: Tensor | None = None,
    ) -> None:
        if metric not in get_args(Metric):
            raise SettingError(f"Expected `metric` to be one of {', '.join(get_args(Metric))}, but got {metric!r}.")
        self.points: Tensor = as_tensor(points, "points")
        if self.points.ndim != 2 or self.points.dtype not in FLOATS:
            got = f"{self.points.dtype} {tuple(self.points.shape)}"
            raise SettingError(f"Expected points as a 2-d floating array (rows, D), but got {got}.")
        self.metric = metric
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
        return self._transform(raw.float())

    def double(self, raw: Tensor) -> Tensor:
        """Transform raw rows for exact differences: (k, D) float64."""
        return self._transform(raw.double())

    def distance(self, squared: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn squared Euclidean distances of transformed rows into the metric's distance."""
        if self.metric == "cosine":
            return squared / 2
        return np.sqrt(squared / 2 if self.metric == "hellinger" else squared)

    def _transform(self, rows: Tensor) -> Tensor:
        if self.metric == "cosine":
            return F.normalize(rows, dim=1, eps=1e-30)
        return rows.sqrt() if self.metric == "hellinger" else rows


def check_finite(values: Tensor, start: int, name: str) -> None:
    """Raise NonFiniteError naming the first positions in `name` whose value (one a row) is NaN or infinite."""
    bad = (~values.isfinite()).nonzero().flatten()
    if len(bad):
        where = ", ".join(str(start + int(i)) for i in bad[:5])
        raise NonFiniteError(
            f"Expected finite {name} within the metric's range, but rows {where} hold NaN or fall outside it."
        )
