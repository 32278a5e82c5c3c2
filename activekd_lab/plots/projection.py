"""From probability vectors to the plane, fitted once so that rounds can be compared: class wheel, PCA or UMAP."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np

from activekd_lab.errors import SettingError, UnknownNameError
from activekd_lab.plots.groups import Array

ProjectionName = Literal["wheel", "ternary", "pca", "umap"]
_NAMES = ("wheel", "ternary", "pca", "umap")


class Projection(NamedTuple):
    """A map of the simplex to the plane: `positions = (probabilities − mean) @ anchors`, or a stored layout.

    Attributes:
        name: "ternary", "wheel", "pca" or "umap".
        mean: (C,) subtracted first.
        anchors: (C, 2) where each class's corner of the simplex falls (relative to the mean).
        layout: (N, 2) fixed positions for "umap", else None.
        explained: share of the variance shown, for "pca"; NaN elsewhere.
    """

    name: str
    mean: Array
    anchors: Array
    layout: Array | None = None
    explained: float = math.nan

    def positions(self, probabilities: Array) -> Array:
        """Return (N, 2) float32 positions of (N, C) probabilities; a stored layout is the same for every round."""
        if self.layout is not None:
            return self.layout
        return np.asarray((probabilities - self.mean) @ self.anchors, dtype=np.float32)

    @property
    def scale(self) -> float | None:
        """Radius on the map of a ball's shadow, for radius 1 between probabilities.

        "ternary" keeps every distance in proportion; with "pca" a point inside the shadow may lie outside the ball, in
        a direction that the map leaves out. None elsewhere: a wheel's shadow is larger than the ball means.
        """
        return {"ternary": math.sqrt(1.5), "pca": 1.0}.get(self.name)

    @property
    def corners(self) -> Array:
        """(C, 2) positions of certain predictions of each class."""
        return np.asarray((np.eye(len(self.mean)) - self.mean) @ self.anchors, dtype=np.float32)

    @property
    def rim(self) -> Array:
        """(C + 1, 2) the polygon of the corners, closed; empty with "pca" and "umap", where they bound nothing."""
        if self.name not in ("wheel", "ternary"):
            return np.empty((0, 2), dtype=np.float32)
        corners = self.corners
        return np.asarray(corners[np.argsort(np.arctan2(corners[:, 1], corners[:, 0]))][[*range(len(corners)), 0]])


def fit_projection(
    probabilities: Array, name: ProjectionName | None = None, *, layout: Array | None = None, ring: Array | None = None
) -> Projection:
    """Fit a projection on (N, C) reference probabilities.

    Args:
        probabilities: (N, C), rows sum to 1; usually the last round's.
        name: "wheel" puts every class on a circle, confusable classes side by side, and a prediction at the weighted
            mean of its classes: exact for three classes, where it is the "ternary" diagram. "pca" shows most variance.
            "umap" keeps neighbours together and stays fixed over rounds. None takes the ternary or the wheel.
        layout: (N, 2) stored positions for "umap" (see `umap_layout`), instead of computing them.
        ring: (N, C) probabilities that say which classes stand side by side, by default the reference; a run's are
            those of round 0, so that all its maps, and those of other selectors from the same start, have one order.

    Raises:
        UnknownNameError: another name.
        SettingError: "ternary" without 3 classes, or a layout that does not fit.
    """
    classes = probabilities.shape[1]
    name = name or ("ternary" if classes == 3 else "wheel")
    if name not in _NAMES:
        raise UnknownNameError("projection", name, _NAMES)
    if name == "ternary" and classes != 3:
        raise SettingError(f"projection='ternary' needs 3 classes, but there are {classes}; use 'wheel' or 'pca'.")
    if layout is not None and (name != "umap" or layout.shape != (len(probabilities), 2)):
        raise SettingError(
            f"layout must have shape ({len(probabilities)}, 2) and goes with projection='umap', "
            f"but got {layout.shape} with {name!r}."
        )
    if name == "pca":
        return _pca(probabilities)
    wheel = Projection(name, np.zeros(classes), _wheel(probabilities if ring is None else ring))
    return wheel if name != "umap" else _umap(probabilities, wheel, layout)


def circles(centers: Array, radii: Array | float, corners: int = 48) -> tuple[Array, Array]:
    """Return x and y of circles around (Q, 2) centres as one float32 line, NaN after each; radii are (Q,) or one."""
    turn = np.linspace(0, 2 * np.pi, corners + 1)
    ring = np.stack([np.cos(turn), np.sin(turn)], axis=1)  # (corners + 1, 2)
    lines = centers[:, None] + np.broadcast_to(radii, len(centers))[:, None, None] * ring
    return with_gaps(lines)


def with_gaps(lines: Array) -> tuple[Array, Array]:
    """Return x and y of (K, P, 2) lines of P points as one float32 line, NaN after each."""
    gap = np.full((len(lines), 1, 2), np.nan)
    points = np.concatenate([lines, gap], axis=1).reshape(-1, 2).astype(np.float32)
    return points[:, 0], points[:, 1]


def _wheel(probabilities: Array) -> Array:
    """Return (C, 2) points on the unit circle, the first at the top, neighbours being often confused classes."""
    order = ring_order(probabilities)
    angles = np.empty(len(order))
    angles[order] = np.pi / 2 - 2 * np.pi * np.arange(len(order)) / len(order)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def ring_order(probabilities: Array) -> Array:
    """Order classes around a ring by the second and third eigenvectors of their normalised co-occurrence."""
    classes = probabilities.shape[1]
    if classes <= 3:
        return np.arange(classes)
    together = probabilities.T.astype(np.float64) @ probabilities
    scale = 1 / np.sqrt(together.sum(axis=1).clip(1e-12))
    _, vectors = np.linalg.eigh(together * scale[:, None] * scale)
    second, third = (_fixed_sign(vectors[:, -i]) for i in (2, 3))
    return np.argsort(np.arctan2(third, second), kind="stable")


def _pca(probabilities: Array) -> Projection:
    mean = probabilities.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh(np.cov(probabilities.T.astype(np.float64)))
    axes = np.stack([_fixed_sign(vectors[:, -i]) for i in (1, 2)], axis=1)
    return Projection("pca", mean, axes, explained=float(values[-2:].sum() / max(values.sum(), 1e-12)))


def _umap(probabilities: Array, wheel: Projection, layout: Array | None) -> Projection:
    if layout is None:
        layout = umap_layout(probabilities)
    return wheel._replace(layout=np.asarray(layout, dtype=np.float32))


def umap_layout(probabilities: Array, *, seed: int = 0) -> Array:
    """Return (N, 2) float32 positions of (N, C) probabilities by UMAP, for `layout`; it takes seconds, so store them.

    After `np.save(path, umap_layout(p))`, `probability_map(run, projection="umap", layout=np.load(path))` opens at
    once, and every later figure has the same map.
    """
    from umap import UMAP  # noqa: PLC0415  (slow import, only on request)

    neighbors = min(30, len(probabilities) - 1)
    layout = UMAP(n_neighbors=neighbors, min_dist=0.1, random_state=seed, n_jobs=1).fit_transform(probabilities)
    return np.asarray(layout, dtype=np.float32)


def _fixed_sign(vector: Array) -> Array:
    return np.asarray(vector * np.sign(vector[np.abs(vector).argmax()]))
