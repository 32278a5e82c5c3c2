"""The centres of a k-center search: given ones and picks, in float32 for products and in float64 on demand."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from activekd_lab.selectors.engine.products import FEW, squared_norms
from activekd_lab.selectors.engine.rows import Rows, check_finite


class Centers:
    """L given centres (repeats once), then up to `room` picks; the position in that order is a centre's index."""

    def __init__(self, given: Rows, room: int, slice_: int) -> None:
        self.slice = slice_  # centres per product
        first = given.single(given.points.to(given.device))  # (L, D)
        norms = squared_norms(first)
        self.longest = longest(norms, 0, "centers")  # squared, of the given ones
        keep = _distinct(first, norms)
        self.given = given if keep is None else Rows(given.points[keep], given.metric, given.device)
        self.num_given = len(first) if keep is None else len(keep)
        picks = torch.empty(room, given.width, device=given.device)
        self.parts = [
            (first, norms) if keep is None else (first[keep], norms[keep]),
            (picks, torch.empty(room, device=given.device)),
        ]
        self.raw_picks, self.num_picked = picks[:0], 0

    def __len__(self) -> int:
        return self.num_given + self.num_picked

    def add(self, raw: Tensor) -> None:
        """Append points (k, D), in their own dtype, as centres."""
        new = slice(self.num_picked, self.num_picked + len(raw))
        rows, norms = self.parts[1]
        if not len(self.raw_picks):
            self.raw_picks = raw.new_empty(rows.shape)
        self.raw_picks[new] = raw
        rows[new] = self.given.single(raw)
        norms[new] = squared_norms(rows[new])
        self.num_picked += len(raw)

    def since(self, start: int) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Yield (index of the first, float32 rows (q, D), squared norms (q,)) of the centres from `start` on."""
        for offset, count, (rows, norms) in (
            (0, self.num_given, self.parts[0]),
            (self.num_given, self.num_picked, self.parts[1]),
        ):
            for low in range(max(0, start - offset), count, self.slice):
                high = min(low + self.slice, count)
                yield offset + low, rows[low:high], norms[low:high]

    def double_since(self, start: int) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Yield the same in float64; for few centres."""
        given, picks = self.given.points[start:], self.raw_picks[max(0, start - self.num_given) : self.num_picked]
        for first, raw in ((start, given), (max(start, self.num_given), picks)):
            if len(raw):
                rows = self.given.double(raw.to(self.given.device))
                yield first, rows, squared_norms(rows)

    def single(self, index: Tensor) -> Tensor:
        """Return centres (k, D) float32 by index."""
        given, picks = self.parts[0][0], self.parts[1][0]
        rows = given.index_select(0, index.clamp(max=max(0, self.num_given - 1))) if self.num_given else picks[index]
        late = (index >= self.num_given).nonzero().flatten()
        if self.num_given and len(late):
            rows[late] = picks[index[late] - self.num_given]
        return rows

    def double(self, index: Tensor) -> Tensor:
        """Return centres (k, D) float64 by index; all on one side of the given/picked border."""
        if len(index) and int(index[0]) >= self.num_given:
            return self.given.double(self.raw_picks[index - self.num_given])
        return self.given.double(self.given.raw(index))


def longest(norms: Tensor, start: int, name: str) -> float:
    """Return the largest of squared norms (k,), 0 without any; NaN and infinity are refused as `check_finite` says."""
    largest = float(norms.max()) if len(norms) else 0.0
    if not math.isfinite(largest):
        check_finite(norms, start, name)
    return largest


def _distinct(rows: Tensor, norms: Tensor) -> Tensor | None:
    """Return positions that leave out exact repeats of earlier rows, or None when there are none or few rows.

    Rows are compared only with the first of equal norm.
    """
    if len(rows) < FEW:
        return None
    ascending = norms.sort().values
    if not bool((ascending[1:] == ascending[:-1]).any()):
        return None
    _, group = norms.unique(return_inverse=True)  # (L,)
    position = torch.arange(len(rows), device=rows.device)
    first = torch.full_like(position, len(rows)).scatter_reduce(0, group, position, "amin")[group]  # (L,)
    candidates = (first < position).nonzero().flatten()
    repeats = candidates[(rows[candidates] == rows[first[candidates]]).all(1)]
    if not len(repeats):
        return None
    keep = torch.ones(len(rows), dtype=torch.bool, device=rows.device)
    keep[repeats] = False
    return keep.nonzero().flatten()
