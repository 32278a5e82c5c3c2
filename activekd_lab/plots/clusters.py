"""Teacher's and student's own clusters side by side, with centres and radii."""

# ruff: noqa: C408  (Plotly settings read best as keyword arguments)

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from activekd_lab.plots import theme
from activekd_lab.plots.groups import Array
from activekd_lab.plots.projection import Projection, circles

_COLORS = (theme.VERMILLION, theme.BLUE, theme.GREEN, theme.ORANGE, theme.PURPLE, theme.SKY)
_SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up")
_INK = "#1d2530"
TRACES = len(_SYMBOLS) + 2
"""Traces a side: images by marker, circles, numbered centres."""


class ClusterMap(NamedTuple):
    """One side of the picture, all on the map.

    Attributes:
        positions: (N, 2) float32.
        groups: (N,) the teacher's cluster of each image, for colour and marker.
        numbers: (J,) which clusters have images.
        centers: (J, 2) means.
        radii: (J,) mean distance to the centre.
    """

    positions: Array
    groups: Array
    numbers: Array
    centers: Array
    radii: Array


def cluster_map(projection: Projection, probabilities: Array, clusters: Array, groups: Array) -> ClusterMap:
    """Project (N, C) probabilities; circles are those of `clusters`, colours those of `groups`, both (N,)."""
    positions, numbers = projection.positions(probabilities), np.unique(clusters)
    members = [positions[clusters == k] for k in numbers]
    centers = np.array([m.mean(axis=0) for m in members])
    radii = np.array([np.linalg.norm(m - c, axis=1).mean() for m, c in zip(members, centers, strict=True)])
    return ClusterMap(positions, groups, numbers, centers, radii)


def cluster_figure(
    teacher: ClusterMap, student: ClusterMap, projection: Projection, class_names: Sequence[str]
) -> go.Figure:
    """Draw both sides; the first traces are `cluster_traces` of the teacher, then of the student."""
    about = "numbers are each model's own centres, circles the mean distance to them"
    fig = paired_maps(about, "student, in the teacher's colours", height=520)
    for col, side in ((1, teacher), (2, student)):
        fig.add_traces(cluster_traces(side), rows=1, cols=col)
    for col in (1, 2):
        fig.add_traces(corner_traces(projection, class_names), rows=1, cols=col)
    return fig.update_layout(showlegend=False, hovermode="closest", margin=dict(l=10, r=10, t=112, b=10))


def paired_maps(about: str, student: str, *, height: int) -> go.Figure:
    """Return two empty maps side by side, the teacher's and, under its own heading, the student's."""
    fig = theme.figure("Does the student inherit the teacher's clusters?", about, height=height)
    make_subplots(1, 2, figure=fig, subplot_titles=("teacher", student), horizontal_spacing=0.03)
    fig.update_xaxes(visible=False, constrain="domain")
    fig.update_yaxes(visible=False, scaleanchor="x", scaleratio=1)
    fig.update_yaxes(scaleanchor="x2", col=2)
    return fig.update_annotations(font_size=13)


def cluster_traces(side: ClusterMap) -> list[dict[str, Any]]:
    """Return images (a trace a marker), circles and numbered centres; all WebGL, which alone is drawn above WebGL.

    They are plain dicts: a figure checks what it is given, and half of a slider's move would go into checking it twice.
    """
    center = dict(size=17, color="white", line=dict(color=_INK, width=1.5))
    x, y = circles(side.centers, side.radii)
    return [
        *(_images(side, number) for number in range(len(_SYMBOLS))),
        dict(type="scattergl", x=x, y=y, mode="lines", line=dict(color=theme.GREY, width=2), hoverinfo="skip"),
        dict(type="scattergl", x=side.centers[:, 0], y=side.centers[:, 1], mode="markers+text", marker=center,
             text=[str(k + 1) for k in side.numbers], textfont=dict(size=10, color=_INK), hoverinfo="skip"),
    ]  # fmt: skip


def _images(side: ClusterMap, number: int) -> dict[str, Any]:
    """Return the images of one marker, coloured by number: Plotly takes half a second to check a text a point."""
    ids = np.flatnonzero(_symbol_numbers(side.groups) == number)
    ends = np.repeat(np.arange(len(_COLORS) + 1) / len(_COLORS), 2)[1:-1]
    scale = list(zip(ends.tolist(), np.repeat(_COLORS, 2).tolist(), strict=True))  # flat steps, one a colour
    look = dict(
        size=4.5, opacity=0.6, symbol=_SYMBOLS[number], color=(side.groups[ids] % len(_COLORS)).astype(np.int8),
        colorscale=scale, cmin=-0.5, cmax=len(_COLORS) - 0.5,
    )  # fmt: skip
    return dict(
        type="scattergl", x=side.positions[ids, 0], y=side.positions[ids, 1], mode="markers", marker=look,
        customdata=side.groups[ids] + 1, hovertemplate="teacher's cluster %{customdata}<extra></extra>",
    )  # fmt: skip


def _symbol_numbers(groups: Array) -> Array:
    """Return positions in `_SYMBOLS`, so that clusters of one colour differ in shape."""
    return np.asarray((groups // len(_COLORS) + groups) % len(_SYMBOLS))


def colors(groups: Array) -> Array:
    """Return a colour a point; six, told apart again by the marker."""
    return np.take(_COLORS, groups % len(_COLORS))


def symbols(groups: Array) -> Array:
    """Return a marker a point, so that clusters of one colour differ in shape."""
    return np.take(_SYMBOLS, _symbol_numbers(groups))


def corner_traces(projection: Projection, class_names: Sequence[str]) -> list[Any]:
    """Return the rim, where the map has one, and the classes' corners with their names on hover."""
    corners, rim = projection.corners, projection.rim
    line = dict(color=theme.GREY, width=1)
    edge = go.Scatter(x=rim[:, 0], y=rim[:, 1], mode="lines", line=line, hoverinfo="skip", showlegend=False)
    names = go.Scatter(x=corners[:, 0], y=corners[:, 1], mode="markers", marker=dict(size=4, color=theme.GREY),
                       hovertext=[*map(theme.plain, class_names)], hoverinfo="text", showlegend=False)  # fmt: skip
    return [edge, names] if len(rim) else [names]
