"""The clusters behind BiasExplorer: from arrays to a comparison, so that the widget holds no algorithm."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from activekd_lab.errors import SettingError
from activekd_lab.plots.distances import distances
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


class Clusterer:
    """Clusters teacher and student by k-means, and compares; settings that were asked for before cost nothing.

    A slider should move in 150 ms, so each k-means runs once, from given starts, where `teachers.bias.find_clusters`
    takes the best of five. The starts are the same images at every setting, in k-means++ order (each far from those
    before it): clusters keep their numbers while the temperature moves, and one more cluster is one more image.

    Args:
        reference: (N, C) probabilities that the starts are drawn from.
        student: (N, C) probabilities.
        most: clusters that may be asked for, at most N.
        seed: of the draw, and of the control's shuffle.
    """

    def __init__(self, reference: Array, student: Array, *, most: int, seed: int) -> None:
        from sklearn.cluster import kmeans_plusplus  # noqa: PLC0415  (slow import)

        rng = np.random.default_rng(seed)
        self._student = student
        self._starts = kmeans_plusplus(reference, most, random_state=rng.integers(2**31))[1]
        self._shuffle = np.argsort(rng.random(reference.shape), axis=1)
        self._own = cache(lambda count: self._find(self._student, count))

    def compare(self, teacher: Array, count: int) -> Comparison:
        """Compare (N, C) probabilities of a teacher with the student's; the control shuffles each row's classes.

        Raises:
            SettingError: count outside 2 … the most.
        """
        if not 2 <= count <= len(self._starts):
            raise SettingError(f"count must lie in 2 … {len(self._starts)}, but got {count}.")
        from sklearn.metrics import adjusted_rand_score  # noqa: PLC0415  (slow import)

        mine, within = self._find(teacher, count)
        yours, inherited = self._own(count)
        _, control = self._find(np.take_along_axis(teacher, self._shuffle, axis=1), count)
        agreement = float(adjusted_rand_score(mine, yours))
        return Comparison(mine, _renumbered(yours, mine, count), within, inherited, control, agreement)

    def _find(self, points: Array, count: int) -> tuple[Array, float]:
        """Return (N,) clusters, and the share of the points within half the distance to the nearest other centre."""
        from sklearn.cluster import KMeans  # noqa: PLC0415  (slow import)

        fitted = KMeans(count, init=points[self._starts[:count]], n_init=1, max_iter=60).fit(points)
        clusters, centers = fitted.labels_.astype(np.int64), fitted.cluster_centers_
        gaps = distances(centers, centers) + np.diag(np.full(count, np.inf))
        away = np.linalg.norm(points - centers[clusters], axis=1)
        return clusters, float((away <= gaps.min(axis=1)[clusters] / 2).mean())


def _renumbered(clusters: Array, like: Array, count: int) -> Array:
    """Return (N,) clusters with the numbers that let most images keep the number they have in `like`."""
    shared = np.zeros((count, count), dtype=np.int64)
    np.add.at(shared, (clusters, like), 1)
    return np.asarray(linear_sum_assignment(shared, maximize=True)[1][clusters])
