"""How well labelled images cover a space: distances to the nearest label, covering radius, coverage curves.

`points` are (N, D) tensors, probabilities or features, `centers` (L, D) those of the labelled images. Work goes a piece
at a time, so no (N, L) array is built. Metrics: "euclidean"; "cosine", 1 - cos; "hellinger", for probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from activekd_lab.errors import NonFiniteError, SettingError
from activekd_lab.io.arguments import checked

Metric = Literal["euclidean", "cosine", "hellinger"]
PIECE = 1 << 20  # distances and entries of a piece
NEAR = 1e-3  # of the rows' lengths: squared distances by products are off by 1e-15 of theirs, so by 1e-9 from there on


class CoverageCurve(NamedTuple):
    """Coverage after each number of labels: `counts` (K,) and, in the metric's distance, `radii` and `means` (K,)."""

    counts: list[int]
    radii: list[float]
    means: list[float]


@checked()
def nearest_distances(points: Tensor, centers: Tensor, *, metric: Metric = "euclidean") -> Tensor:
    """Return the distance of each point to its nearest centre, (N,) float64; infinite without centres.

    Raises:
        SettingError: An unknown metric, or shapes that do not fit.
        NonFiniteError: NaN or infinity in either, or negative values with "hellinger".
    """
    _check(points, centers, metric)
    c = _transformed(centers, metric, "centers")
    rows = max(1, PIECE // max(points.shape[1], len(centers), 1))
    return torch.cat([_nearest(_transformed(x, metric, "points"), c, metric) for x in points.split(rows)])


@checked()
def covering_radius(points: Tensor, centers: Tensor, *, metric: Metric = "euclidean") -> float:
    """Return the largest distance of a point to its nearest centre: what k-center makes small (arXiv:1708.00489)."""
    return float(nearest_distances(points, centers, metric=metric).max())


@checked()
def mean_nearest_distance(points: Tensor, centers: Tensor, *, metric: Metric = "euclidean") -> float:
    """Return the mean distance of a point to its nearest centre."""
    return float(nearest_distances(points, centers, metric=metric).mean())


@checked()
def share_within(points: Tensor, centers: Tensor, radius: float, *, metric: Metric = "euclidean") -> float:
    """Return the share of points, in [0, 1], within `radius` of a centre (ProbCover's coverage, arXiv:2205.11320)."""
    return float((nearest_distances(points, centers, metric=metric) <= radius).double().mean())


@checked()
def coverage_curve(
    points: Tensor, centers: Tensor, counts: Sequence[int], *, metric: Metric = "euclidean"
) -> CoverageCurve:
    """Return radius and mean distance when only the first `counts[k]` centres are labelled.

    Each centre is measured once, and the points are read once, however many counts there are. Centres stand in the
    order in which they were labelled.

    Args:
        points: (N, D).
        centers: (L, D).
        counts: Rising numbers of labels, each in [1, L]; the ends of the rounds, say.
        metric: See the module.

    Raises:
        SettingError: Counts that do not rise or leave [1, L].
    """
    ends = [int(k) for k in counts]
    if not ends or ends[0] < 1 or ends[-1] > len(centers) or any(a >= b for a, b in pairwise(ends)):
        raise SettingError(f"Expected rising `counts` in [1, {len(centers)}], but got {ends}; sort and trim them.")
    _check(points, centers, metric)
    c = _transformed(centers[: ends[-1]], metric, "centers")
    rows = max(1, PIECE // max(points.shape[1], len(c)))
    radii, totals = torch.zeros(2, len(ends), dtype=torch.float64, device=points.device)
    for piece in points.split(rows):
        nearest = _nearest_so_far(_transformed(piece, metric, "points"), c, ends, metric)  # (k, K)
        radii, totals = torch.maximum(radii, nearest.amax(0)), totals + nearest.sum(0)
    return CoverageCurve(ends, radii.tolist(), (totals / len(points)).tolist())


@checked(labels="(L,) integers", num_classes=">= 1")
def class_coverage(labels: Tensor, num_classes: int) -> float:
    """Return the share of the C classes, in [0, 1], that hold at least one of the labels (L,) int64."""
    if num_classes < 1 or (len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes):
        raise SettingError(
            f"Expected labels in [0, {num_classes}), the classes, but some lie outside; check num_classes."
        )
    return len(labels.unique()) / num_classes


def _nearest(x: Tensor, c: Tensor, metric: Metric) -> Tensor:
    if not len(c):
        return torch.full((len(x),), torch.inf, dtype=torch.float64, device=x.device)
    pieces = c.split(max(1, PIECE // len(x)))
    return _measured(torch.stack([_distances(x, piece).amin(1) for piece in pieces]).amin(0), metric)


def _distances(x: Tensor, c: Tensor) -> Tensor:
    """Return the Euclidean distances between rows x (k, D) and c (L, D), (k, L): by products where those tell them.

    Products lose what is small beside the rows' lengths, so these are taken from the middle of the centres, and rows
    with a centre nearby are measured by differences.
    """
    middle = c.mean(0)
    x_off, c_off = x - middle, c - middle
    apart = torch.cdist(x_off, c_off)
    lengths = torch.linalg.vector_norm(x_off, dim=1) + torch.linalg.vector_norm(c_off, dim=1).max()  # (k,)
    near = ~(apart.amin(1) > NEAR * lengths)
    if bool(near.any()):
        apart[near] = torch.cdist(x[near], c, compute_mode="donot_use_mm_for_euclid_dist")
    return apart


def _nearest_so_far(x: Tensor, c: Tensor, ends: list[int], metric: Metric) -> Tensor:
    """Return the distance of each row of x to the nearest of the first `ends[k]` rows of c, (len(x), K)."""
    apart = _distances(x, c)
    first = apart[:, : ends[0]].amin(1, keepdim=True)
    nearest = torch.cat([first, apart[:, ends[0] :]], dim=1).cummin(1).values
    return _measured(nearest[:, [end - ends[0] for end in ends]], metric)


def _measured(distance: Tensor, metric: Metric) -> Tensor:
    """Turn Euclidean distances between transformed rows into the metric's."""
    return {"euclidean": distance, "cosine": distance**2 / 2, "hellinger": distance / 2**0.5}[metric]


def _transformed(rows: Tensor, metric: Metric, name: str) -> Tensor:
    rows = rows.double()
    if metric == "cosine":
        rows = torch.nn.functional.normalize(rows, dim=1, eps=1e-30)
    elif metric == "hellinger":
        rows = rows.sqrt()
    if not bool(rows.isfinite().all()):
        raise NonFiniteError(f"Expected finite {name} within the metric's range, but some are not; look for NaN there.")
    return rows


def _check(points: Tensor, centers: Tensor, metric: Metric) -> None:
    if metric not in get_args(Metric):
        raise SettingError(f"Expected `metric` to be one of {', '.join(get_args(Metric))}, but got {metric!r}.")
    if points.ndim != 2 or centers.ndim != 2 or points.shape[1] != centers.shape[1] or not len(points):
        raise SettingError(
            f"Expected points (N, D), N at least 1, and centers (L, D), but got {tuple(points.shape)} and "
            f"{tuple(centers.shape)}."
        )
