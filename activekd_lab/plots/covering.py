"""How well the labels cover the pool: covering radius and mean distance by round, and the radius along the picks."""

# ruff: noqa: C408  (Plotly settings read best as keyword arguments)

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from activekd_lab.plots import theme
from activekd_lab.plots.groups import Array, Curve, Runs, curves, group_runs, task_of
from activekd_lab.plots.learning import add_curve, styles
from activekd_lab.runs.records import RunResult


class Coverage(NamedTuple):
    """Distances between probability vectors of each round's own student (Euclidean, at most √2).

    Attributes:
        task: the task's name.
        radius: covering radius before picking, one Curve a selector and method.
        mean_distance: mean distance to the nearest labelled image.
        paths: by group, the first seed's (labels, radius) along the picks of every round; NaN between rounds.
    """

    task: str
    radius: tuple[Curve, ...]
    mean_distance: tuple[Curve, ...]
    paths: dict[str, tuple[Array, Array]]


def coverage_data(results: Runs) -> Coverage:
    """Collect coverage from runs of one task.

    Raises:
        SettingError: no finished round, or several tasks at once.
    """
    return Coverage(
        task_of(results),
        curves(results, lambda record: record.covering_radius),
        curves(results, lambda record: record.mean_distance),
        {name: _path(runs[0]) for name, runs in group_runs(results).items()},
    )


def coverage(results: Runs) -> go.Figure:
    """Draw the mean distance to the nearest label by round (left) and the covering radius along the picks (right).

    Args:
        results: one run, or several of one task; those that differ only by seed share a line; on the right, the first.

    Raises:
        SettingError: no finished round, or several tasks at once.
    """
    data = coverage_data(results)
    about = (
        "distance from a pool image to its nearest label, between the student's probabilities (0 to 1.41); a round's "
    )
    about += "fresh student moves the points, so the radius can rise though labels were added"
    fig = theme.figure("How well the labels cover the pool", about)
    make_subplots(1, 3, figure=fig, subplot_titles=("mean distance", "covering radius", "along the picks, first seed"))
    for near, far, style in zip(data.mean_distance, data.radius, styles(data.radius), strict=True):
        add_curve(fig, near, style, col=1)
        add_curve(fig, far, style, col=2, legend=False)
        _add_path(fig, near.name, style, *data.paths[near.name])
    fig.update_xaxes(title_text="labels spent", nticks=6)
    fig.update_yaxes(nticks=6)
    fig.update_annotations(font_size=13)
    fig.update_layout(margin_t=116, legend_y=-0.24)
    return fig


def _path(run: RunResult) -> tuple[Array, Array]:
    labels, radii = [], []
    for record in run.records:
        if record.pick_radii:
            labels += [*range(record.labels, record.labels + len(record.pick_radii)), record.labels]
            radii += [*record.pick_radii, np.nan]
    return np.array(labels, np.float32), np.array(radii, np.float32)


def _add_path(fig: go.Figure, name: str, style: theme.Style, labels: Array, radii: Array) -> None:
    name, line = theme.plain(name), dict(color=style.color, dash=style.dash, width=1.8)
    trace = go.Scatter(
        x=labels, y=radii, name=name, legendgroup=name, showlegend=False, mode="lines", line=line,
        hovertemplate="%{x} labels: radius %{y:.3f}",
    )  # fmt: skip
    fig.add_trace(trace, row=1, col=3)
