"""Small numpy facts about probability vectors that several figures print: entropy, nearest labels, radii."""

from __future__ import annotations

import numpy as np

from activekd_lab.plots.groups import Array


def entropy_share(probabilities: Array) -> Array:
    """Return (N,) entropies of (N, C) probabilities as a share of log C: 0 is certain, 1 is uniform."""
    p = probabilities.astype(np.float64)
    nats = -(p * np.log(p.clip(1e-12))).sum(axis=1)
    return np.asarray(nats / np.log(max(2, p.shape[1])), dtype=np.float32)


def distances(points: Array, centers: Array) -> Array:
    """Return (N, Q) Euclidean distances between rows of (N, C) and (Q, C), computed in float64."""
    x, y = points.astype(np.float64), centers.astype(np.float64)
    squared = (x * x).sum(axis=1)[:, None] + (y * y).sum(axis=1) - 2 * x @ y.T
    return np.asarray(np.sqrt(squared.clip(0)))


def nearest(points: Array, centers: Array) -> tuple[Array, Array]:
    """Return (N,) distances to the nearest of (Q, C) centres, and (N,) which one; infinite and -1 without centres."""
    if not len(centers):
        return np.full(len(points), np.inf), np.full(len(points), -1)
    table = distances(points, centers)
    which = table.argmin(axis=1)
    return table[np.arange(len(points)), which], which
