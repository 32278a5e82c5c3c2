"""The clusters behind BiasExplorer: one function from arrays to a comparison, so that the widget holds no algorithm."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from activekd_lab.widgets.runner import Array


class Comparison(NamedTuple):
    """Teacher's and student's own K clusters of the same N images.

    Attributes:
        teacher: (N,) cluster of each image, 0 … K − 1.
        student: (N,) the same for the student, numbered like the teacher's cluster that shares most images with it.
        teacher_within, student_within: share of the images within r_k, half the distance to the nearest other centre.
        control_within: that share for the teacher's rows with their classes shuffled, each row on its own.
        agreement: adjusted Rand index of both, 1 for the same groups, 0 by chance.
    """

    teacher: Array
    student: Array
    teacher_within: float
    student_within: float
    control_within: float
    agreement: float


Clusterer = Callable[[Array, Array, int, int], Comparison]
"""`clusterer(teacher, student, count, seed)`, both (N, C) probabilities."""


def compare_clusters(teacher: Array, student: Array, count: int, seed: int) -> Comparison:
    """Cluster both by k-means and compare; see `activekd_lab.bias`.

    Raises:
        SettingError: count outside 2 … N.
    """
    import torch  # noqa: PLC0415  (slow import)

    from activekd_lab.bias import agreement, find_clusters, shuffle_classes  # noqa: PLC0415  (imports torch)

    rows = torch.from_numpy(teacher)
    shuffled = shuffle_classes(rows, generator=torch.Generator().manual_seed(seed))
    mine, yours, control = (find_clusters(p, count, seed=seed) for p in (rows, torch.from_numpy(student), shuffled))
    ours, theirs = mine.assignment.numpy(), yours.assignment.numpy()
    return Comparison(
        ours,
        _renumbered(theirs, ours, count),
        mine.mass_within_radius,
        yours.mass_within_radius,
        control.mass_within_radius,
        agreement(mine.assignment, yours.assignment)[0],
    )


def _renumbered(clusters: Array, like: Array, count: int) -> Array:
    """Return (N,) clusters with the numbers that let most images keep the number they have in `like`."""
    shared = np.zeros((count, count), dtype=np.int64)
    np.add.at(shared, (clusters, like), 1)
    return np.asarray(linear_sum_assignment(shared, maximize=True)[1][clusters])
