"""Structured prediction bias (arXiv:2506.00910), made measurable: do probability vectors cluster, and who inherits it?

The claim: a teacher's probability vectors lie near K balls of the simplex, centres μ_k and radii r_k, and its student
inherits them. Here the balls are those of k-means; r_k is half the distance from μ_k to the nearest other centre, so
balls never overlap and "mass within r_k" says how far the vectors really are clustered. A number alone says little:
read each beside its controls, `shuffle_classes` (as sharp, but no class keeps company with another), `random_sentences`
(as sharp, from the same images, but without meaning) and clusters of the features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from activekd_lab.errors import NonFiniteError, SettingError
from activekd_lab.io.arguments import checked
from activekd_lab.rng import derive_seed
from activekd_lab.stats import Calibration, reliability

_SILHOUETTE_SAMPLE = 1500


@dataclass(frozen=True, eq=False)
class Clusters:
    """K clusters of N points in D dimensions (classes, for probabilities).

    Attributes:
        assignment: (N,) int64, which cluster.
        centers: (K, D) means μ_k.
        radii: (K,) r_k, half the distance to the nearest other centre.
        distances: (N,) Euclidean distance of each point to its centre.
    """

    assignment: Tensor
    centers: Tensor
    radii: Tensor
    distances: Tensor

    @property
    def masses(self) -> Tensor:
        """(K,) share of the points in each cluster."""
        return self.assignment.bincount(minlength=len(self.centers)).double() / len(self.assignment)

    @property
    def effective_number(self) -> float:
        """exp(entropy of the masses): K for equal clusters, 1 if one holds all."""
        masses = self.masses[self.masses > 0]
        return float((-(masses * masses.log()).sum()).exp())

    @property
    def mass_within_radius(self) -> float:
        """Share of the points inside their cluster's ball."""
        return float((self.distances <= self.radii[self.assignment]).double().mean())

    @checked(share="0 … 1")
    def classes_per_cluster(self, share: float = 0.1) -> Tensor:
        """(K,) how many classes have at least `share` of a centre's probability. Only for clusters of probabilities."""
        return (self.centers >= share).sum(1)


@checked(points="(N, D) floats")
def find_clusters(points: Tensor, count: int, *, seed: int = 0) -> Clusters:
    """Cluster points by k-means (5 k-means++ starts, the best kept).

    Args:
        points: (N, D) probabilities or features.
        count: K, at least 2 and at most N.
        seed: draws the starts.

    Raises:
        SettingError: K outside 2 … N.
        NonFiniteError: a point is NaN or infinite.
    """
    from sklearn.cluster import KMeans  # noqa: PLC0415  (slow import)

    data = _points(points)
    if not 2 <= count <= len(data):
        raise SettingError(f"count must lie in 2 … {len(data)} (the points), but got {count}.")
    fitted = KMeans(count, n_init=5, random_state=_state(seed)).fit(data)
    assignment = torch.from_numpy(fitted.labels_).long()
    centers = torch.from_numpy(fitted.cluster_centers_)
    gaps = torch.cdist(centers, centers, compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(float("inf"))
    distances = (torch.from_numpy(data) - centers[assignment]).norm(dim=1)
    return Clusters(assignment, centers, gaps.amin(1) / 2, distances)


@checked(points="(N, D) floats")
def choose_count(points: Tensor, counts: Sequence[int], *, seed: int = 0) -> int:
    """Return the K of `counts` with the highest mean silhouette (Rousseeuw 1987), on at most 1,500 points."""
    from sklearn.metrics import silhouette_score  # noqa: PLC0415  (slow import)

    data = _points(points)
    keep = np.random.default_rng(_state(seed)).permutation(len(data))[:_SILHOUETTE_SAMPLE]
    sample = torch.from_numpy(data[keep])

    if not counts or not 2 <= min(counts) <= max(counts) < len(sample):
        raise SettingError(f"counts must lie in 2 … {len(sample) - 1}, fewer than the points, but got {list(counts)}.")

    if bool((sample == sample[0]).all()):
        raise SettingError("points must differ from one another for any number of clusters to fit, but are all equal.")

    def score(count: int) -> float:
        assignment = find_clusters(sample, count, seed=seed).assignment.numpy()
        return float(silhouette_score(sample.numpy(), assignment))

    return max(counts, key=score)


@checked(probabilities="(N, C) finite")
def shuffle_classes(probabilities: Tensor, *, generator: torch.Generator) -> Tensor:
    """Return (N, C) rows whose entries are permuted, each row on its own: as sharp, but without shared confusions."""
    order = torch.rand(probabilities.shape, generator=generator).argsort(1)
    return probabilities.gather(1, order)


@checked(images="(N, D) finite", like="(N, C) finite")
def random_sentences(images: Tensor, like: Tensor, *, generator: torch.Generator) -> Tensor:
    """Return (N, C) answers to (N, D) unit embeddings by C random directions, on average as sure as `like`."""
    drawn = torch.randn(like.shape[1], images.shape[1], generator=generator)
    cosines = images @ (drawn / drawn.norm(dim=1, keepdim=True)).T
    low, high, sure = 0.0, 1e4, float(like.amax(1).mean())
    for _ in range(40):
        scale = (low + high) / 2
        answers: Tensor = (scale * cosines).softmax(1)
        low, high = (low, scale) if float(answers.amax(1).mean()) > sure else (scale, high)
    return answers


@checked(a="(N,) integers", b="(M,) integers")
def agreement(a: Tensor, b: Tensor) -> tuple[float, float]:
    """Return (adjusted Rand index, normalised mutual information) of two (N,) assignments; chance is 0 for the first.

    Raises:
        SettingError: different lengths.
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score  # noqa: PLC0415  (slow import)

    if len(a) != len(b):
        raise SettingError(f"Two assignments of the same points are needed, but got {len(a)} and {len(b)}.")
    x, y = a.numpy(), b.numpy()
    return float(adjusted_rand_score(x, y)), float(normalized_mutual_info_score(x, y))


@checked(points="(N, D) floats")
def stability(points: Tensor, count: int, seeds: Sequence[int]) -> float:
    """Return the mean adjusted Rand index between clusterings with different seeds: 1 is the same clusters each time.

    Raises:
        SettingError: fewer than two seeds.
    """
    if len(set(seeds)) < 2:
        raise SettingError(f"stability compares seeds, so it needs two or more, but got {list(seeds)}.")
    found = [find_clusters(points, count, seed=seed).assignment for seed in seeds]
    return float(np.mean([agreement(a, b)[0] for a, b in combinations(found, 2)]))


@dataclass(frozen=True)
class ConfusionGroup:
    """Classes that share a cluster, by name, with their probability at its centre; and its share of the points."""

    classes: tuple[tuple[str, float], ...]
    mass: float


@checked(share="0 … 1")
def confusion_groups(clusters: Clusters, class_names: Sequence[str], *, share: float = 0.1) -> list[ConfusionGroup]:
    """Return each cluster's classes with at least `share` of its centre, heaviest cluster first.

    Raises:
        SettingError: the number of names is not the number of classes.
    """
    if clusters.centers.shape[1] != len(class_names):
        raise SettingError(
            f"class_names must name {clusters.centers.shape[1]} classes, but got {len(class_names)}; "
            "cluster probabilities, not features."
        )
    groups = []
    for center, mass in zip(clusters.centers, clusters.masses.tolist(), strict=True):
        order = center.argsort(descending=True).tolist()
        shown = tuple((class_names[c], float(center[c])) for c in order if center[c] >= share)
        groups.append(ConfusionGroup(shown, mass))
    return sorted(groups, key=lambda group: -group.mass)


@checked(probabilities="(N, C) floats", labels="(N,) integers")
def calibration(probabilities: Tensor, labels: Tensor, *, bins: int = 15) -> Calibration:
    """Measure how far the top-1 confidence of (N, C) probabilities is from accuracy on (N,) labels.

    Raises:
        SettingError: no bins, or labels that do not fit.
        NonFiniteError: a probability is NaN or infinite.
    """
    return reliability(_points(probabilities), labels.cpu().numpy(), bins=bins)


def _points(points: Tensor) -> np.ndarray[Any, np.dtype[np.float64]]:
    if not points.numel():
        raise SettingError(f"points must hold numbers, but are {tuple(points.shape)}.")
    bad = (~points.isfinite().all(1)).nonzero().flatten().tolist()
    if bad:
        raise NonFiniteError(f"The points {bad[:5]} are not finite.")
    data: np.ndarray[Any, np.dtype[np.float64]] = points.detach().cpu().double().numpy()
    return data


def _state(seed: int) -> int:
    return derive_seed(seed, "bias") % 2**32
