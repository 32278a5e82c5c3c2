"""Selection from a pool on disk, for the notebook on scale: what it reads, moves, holds and takes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from activekd_lab.bench.cost import measure
from activekd_lab.bench.selector_data import PIECE, make_points, write_map
from activekd_lab.errors import SettingError
from activekd_lab.selectors import k_center_greedy
from activekd_lab.selectors.engine.rows import Rows

PROFILES: Mapping[str, Mapping[str, Any]] = {
    "smoke": {"rows": 4000, "classes": 50, "labels": 50, "budget": 50},
    "quick": {},
    "paper": {"rows": 1_280_000, "classes": 1000, "labels": 1000, "budget": 1000},
}
"""Sizes of the pool by profile; "paper" is ImageNet's, and needs 2.6 GB of disk."""


class Selection(NamedTuple):
    """What one exact selection cost.

    Attributes:
        rows: N, points of the pool.
        indices: (B,) int64 picks.
        radii: (B + 1,) covering radii.
        seconds: wall-clock.
        reads: how often the pool was read, as a multiple of its size.
        moved: bytes read from the pool.
        plain: bytes that one pass over the pool a pick would read, and one for the labels.
        extra: peak of memory beyond what was held before, bytes.
    """

    rows: int
    indices: Tensor
    radii: Tensor
    seconds: float
    reads: float
    moved: int
    plain: int
    extra: int


def write_pool(folder: str | Path, rows: int, classes: int, labels: int) -> tuple[NDArray[np.float16], Tensor]:
    """Write a pool of synthetic student probabilities as float16 and map it.

    Args:
        folder: gets `pool.npy`.
        rows: N.
        classes: C.
        labels: L, labelled images.

    Returns:
        The pool (N, C), mapped read-only, and the labelled images' probabilities (L, C), both float16.
    """
    path = Path(folder) / "pool.npy"
    write_map(path, rows, classes)
    return np.load(path, mmap_mode="r"), make_points("clustered", labels, classes, seed=1).half()


def select_from(pool: NDArray[np.floating] | Tensor, centers: Tensor, budget: int) -> Selection:
    """Pick `budget` points by exact k-center and count what that cost."""
    source = Rows(pool)
    cost, found = measure(lambda: k_center_greedy(source, centers.to(source.points.dtype), budget))
    row = source.width * source.points.element_size()
    plain = (budget + 1) * len(source) * row
    reads = source.reads / len(source)
    return Selection(
        len(source), found.indices, found.radii, cost.seconds, reads, source.reads * row, plain, cost.extra_bytes
    )


def plain_picks(pool: NDArray[np.floating] | Tensor, centers: Tensor, picks: int) -> tuple[list[int], float]:
    """Pick as `select_from`, but read the whole pool for each pick; return the picks and seconds of one.

    The first pick is left out of the mean: it looks at all labels, the others at one new centre.
    """
    source, found, at = Rows(pool), list[int](), centers.float()
    nearest, seconds = torch.full((len(source),), torch.inf), list[float]()
    for _ in range(picks):
        begun = time.perf_counter()
        for start, rows in source.pieces():
            part = nearest[start : start + len(rows)]
            torch.minimum(part, torch.cdist(rows, at, compute_mode="donot_use_mm_for_euclid_dist").amin(1), out=part)
        found.append(int(nearest.argmax()))
        at = source.single(source.raw(torch.tensor(found[-1:])))
        seconds.append(time.perf_counter() - begun)
    return found, sum(seconds[1:]) / max(1, picks - 1)


class Looks:
    """True distances that are looked up one at a time, `looks(i)`, and counted."""

    def __init__(self, distances: Tensor) -> None:
        self.distances, self.count = distances, 0

    def __call__(self, place: int) -> float:
        """Return the distance at a place."""
        self.count += 1
        return float(self.distances[place])


def growth(pool: NDArray[np.floating], centers: Tensor, budget: int, parts: int = 4) -> list[Selection]:
    """Select from the first N / 2^(parts − 1), …, N / 2, N rows of a pool, whose order is random.

    Raises:
        SettingError: the smallest part has fewer rows than the budget.
    """
    if len(pool) >> (parts - 1) < budget:
        raise SettingError(f"parts must leave {budget} rows or more in the smallest, but got {parts} of {len(pool)}.")
    return [select_from(pool[: len(pool) >> halvings], centers, budget) for halvings in reversed(range(parts))]


class Rounding(NamedTuple):
    """Picks from float16 against picks from the float32 numbers that were rounded.

    Attributes:
        rows: points compared.
        largest_error: of a probability, by rounding.
        same: share of the picks that both have, in any order.
        radius_ratio: covering radius of the float16 picks over that of the float32 picks, both measured in float32.
    """

    rows: int
    largest_error: float
    same: float
    radius_ratio: float


def compare_rounding(pool: NDArray[np.float16], centers: Tensor, budget: int) -> Rounding:
    """Select from the first rows of `write_pool`'s pool and from the numbers before they were rounded."""
    rows = len(pool) if len(pool) < PIECE else min(2, len(pool) // PIECE) * PIECE
    exact, rounded = make_points("clustered", rows, pool.shape[1], seed=0), torch.from_numpy(np.array(pool[:rows]))
    known = make_points("clustered", len(centers), pool.shape[1], seed=1)
    ours, theirs = select_from(rounded, centers, budget), select_from(exact, known, budget)
    reached = k_center_greedy(exact, torch.cat([known, exact[ours.indices]]), 1).radii[0]
    both = len(set(ours.indices.tolist()) & set(theirs.indices.tolist())) / budget
    error = float((exact - rounded.float()).abs().max())
    return Rounding(rows, error, both, float(reached / theirs.radii[-1]))


def sizes(shapes: Sequence[tuple[str, int, int, int]]) -> list[tuple[str, str, str, str]]:
    """Return, for (name, N, C, image side), the size of float32 and float16 probabilities and of the decoded images."""
    return [(name, _size(4 * n * c), _size(2 * n * c), _size(3 * n * side**2)) for name, n, c, side in shapes]


def _size(count: int) -> str:
    """Return bytes in the largest unit of which there is one at least, to two decimals."""
    unit, name = next(((u, n) for u, n in ((1e9, "GB"), (1e6, "MB")) if count >= u), (1e3, "kB"))
    return f"{count / unit:.2f} {name}"
