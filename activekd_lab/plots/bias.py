"""Structured prediction bias: the teacher's clusters in the simplex, and where the student puts the same images."""

# ruff: noqa: C408  (Plotly settings read best as keyword arguments)

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from activekd_lab.errors import SettingError
from activekd_lab.plots import theme
from activekd_lab.plots.clusters import colors, corner_traces, paired_maps, symbols
from activekd_lab.plots.groups import Array
from activekd_lab.plots.map_data import sample
from activekd_lab.plots.projection import Projection, ProjectionName, circles, fit_projection


class PredictionBias(NamedTuple):
    """Clusters of the teacher's probabilities and the same groups of images under the student; K clusters.

    Attributes:
        projection: one for both, fitted on the teacher.
        clusters: (N,) the teacher's cluster of each image.
        teacher, student: (N, 2) positions.
        teacher_radius, student_radius: (K,) mean distance to the group's centre, in probability space.
        overall_radius: the student's mean distance to the centre of all images: a group without structure has this.
    """

    projection: Projection
    clusters: Array
    teacher: Array
    student: Array
    teacher_radius: Array
    student_radius: Array
    overall_radius: float


def prediction_bias_data(
    teacher: Array, student: Array, clusters: Array, *, projection: ProjectionName | None = None
) -> PredictionBias:
    """Measure how tightly (N, C) student probabilities keep the teacher's clusters, (N,) in 0 … K − 1.

    Raises:
        SettingError: shapes that do not fit.
    """
    if teacher.shape != student.shape or clusters.shape != (len(teacher),):
        raise SettingError(
            f"teacher, student and clusters must belong to the same images, but got {teacher.shape}, {student.shape} "
            f"and {clusters.shape}."
        )
    fitted = fit_projection(teacher, projection)
    count = int(clusters.max()) + 1
    near, far = (np.array([_radius(p[clusters == k]) for k in range(count)]) for p in (teacher, student))
    here, there = fitted.positions(teacher), fitted.positions(student)
    return PredictionBias(fitted, clusters, here, there, near, far, _radius(student))


def _radius(points: Array) -> float:
    """Return the mean distance to the mean; 0 for an empty group."""
    return float(np.linalg.norm(points - points.mean(axis=0), axis=1).mean()) if len(points) else 0.0


def prediction_bias(
    teacher: Array,
    student: Array,
    clusters: Array,
    class_names: Sequence[str],
    *,
    projection: ProjectionName | None = None,
) -> go.Figure:
    """Draw teacher and student side by side; colour and marker are the teacher's cluster in both, crosses the centres.

    Args:
        teacher: (N, C) probabilities.
        student: (N, C) probabilities.
        clusters: (N,) the teacher's clusters, 0 … K − 1.
        class_names: C names, for the corners.
        projection: see `probability_map`.

    Raises:
        SettingError: shapes that do not fit.
    """
    data = prediction_bias_data(teacher, student, clusters, projection=projection)
    fig = paired_maps(
        f"mean radius of a cluster: teacher {data.teacher_radius.mean():.3f}, student "
        f"{data.student_radius.mean():.3f} (all student predictions: {data.overall_radius:.3f})",
        "student, same images and colours",
        height=560,
    )
    ids = np.sort(np.concatenate(sample(len(clusters), 10_000)))
    for k in range(len(data.teacher_radius)):
        _add_cluster(fig, data, k, ids[clusters[ids] == k])
    for col, places, radii in ((1, data.teacher, data.teacher_radius), (2, data.student, data.student_radius)):
        _add_centers(fig, data, places, radii, col)
        fig.add_traces(corner_traces(data.projection, class_names), rows=1, cols=col)
    return fig.update_layout(margin=dict(l=20, r=20, t=116, b=60), legend=dict(y=-0.02, itemsizing="constant"))


def _add_cluster(fig: go.Figure, data: PredictionBias, k: int, ids: Array) -> None:
    look = dict(color=str(colors(np.array(k))), symbol=str(symbols(np.array(k))), size=5, opacity=0.6)
    for col, places in ((1, data.teacher), (2, data.student)):
        trace = go.Scattergl(
            x=places[ids, 0], y=places[ids, 1], mode="markers", marker=look, name=f"cluster {k + 1}",
            legendgroup=str(k),
            showlegend=col == 1 and len(data.teacher_radius) <= 12, hoverinfo="name",
        )  # fmt: skip
        fig.add_trace(trace, row=1, col=col)


def _add_centers(fig: go.Figure, data: PredictionBias, places: Array, radii: Array, col: int) -> None:
    """Add a cross a cluster's centre, with its radius on hover, and as a circle where the map can show it."""
    filled = [k for k in range(len(radii)) if (data.clusters == k).any()]
    centers = np.array([places[data.clusters == k].mean(axis=0) for k in filled])
    scale = data.projection.scale
    if scale is not None:
        x, y = circles(centers, scale * radii[filled])
        line = dict(color=theme.GREY, width=1.5, dash="dot")
        fig.add_trace(go.Scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", showlegend=False), row=1, col=col)
    mark = dict(color=colors(np.array(filled)), size=13, symbol="x", line=dict(color="white", width=2))
    text = [f"centre of cluster {k + 1}: mean radius {radii[k]:.3f}" for k in filled]
    trace = go.Scattergl(x=centers[:, 0], y=centers[:, 1], mode="markers", marker=mark, hovertext=text,
                         hoverinfo="text", name="centres", showlegend=False)  # fmt: skip
    fig.add_trace(trace, row=1, col=col)
