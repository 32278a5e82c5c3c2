"""A race of selectors up to one round: their curves, and below them the pool as each one's student sees it."""

# ruff: noqa: C408  (Plotly settings read best as keyword arguments)

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from activekd_lab.plots import theme
from activekd_lab.plots.groups import Array
from activekd_lab.plots.projection import Projection

TRACES = 5
"""Traces a lane: curve, rim, pool, labelled, picks."""
_COLUMNS, _CURVES, _MAPS = 4, 250, 270  # maps a row; pixels of the curves and of a row of maps
_NONE = np.empty((0, 2), dtype=np.float32)


class Lane(NamedTuple):
    """One selector up to a round; positions are on the map, empty where no map is drawn.

    Attributes:
        name: legend text.
        selector: for the look.
        labels: (R,) labels spent.
        accuracy: (R,) fractions.
        covered: of how many classes a label is known in the last of these rounds.
        pool: (M, 2) images drawn.
        labeled: (L, 2) images that round trained on.
        picks: (B, 2) images bought after it.
    """

    name: str
    selector: str
    labels: Array
    accuracy: Array
    covered: int
    pool: Array = _NONE
    labeled: Array = _NONE
    picks: Array = _NONE


def race_lanes(lanes: Sequence[Lane], projection: Projection | None, *, maps: bool, most: int) -> go.Figure:
    """Draw a curve a lane and, with `maps`, a map a lane; `most` labels is the end of the axis.

    The first traces are those of `lane_traces`, lane by lane; without maps only the curve.
    """
    rows = -(-len(lanes) // _COLUMNS) if maps else 0
    columns = min(len(lanes), _COLUMNS) if maps else 1
    heights = [_CURVES, *[_MAPS] * rows]
    top = [{"colspan": columns}, *[None] * (columns - 1)]
    titles = ["", *map(lane_title, lanes)] if maps else None
    below = "; below, the pool: amber is labelled, red is bought next" if maps else ""
    about = f"test accuracy by labels spent, one seed{below}"
    fig = theme.figure("Selector race", about, height=sum(heights) + 150)
    make_subplots(
        1 + rows, columns, figure=fig, specs=[top, *[[{}] * columns] * rows], row_heights=heights,
        subplot_titles=titles,
        vertical_spacing=95 / (sum(heights) + 150), horizontal_spacing=0.02,
    )  # fmt: skip
    for i, lane in enumerate(lanes):
        cells = [(1, 1), *[(2 + i // _COLUMNS, 1 + i % _COLUMNS)] * (TRACES - 1)]
        for trace, (row, col) in zip(lane_traces(lane, projection, maps=maps), cells, strict=False):
            fig.add_trace(trace, row=row, col=col)
    for row in range(2, 2 + rows):
        fig.update_xaxes(visible=False, range=[-1.05, 1.05], constrain="domain", row=row)
        fig.update_yaxes(visible=False, range=[-1.05, 1.05], constrain="domain", row=row)
    for cell in list(fig.select_yaxes())[1:]:
        cell.scaleanchor = cell.anchor
    fig.update_xaxes(title="labels spent", range=[0, 1.03 * most], row=1)
    fig.update_yaxes(title="accuracy (%)", row=1)
    fig.update_annotations(font_size=12)
    legend = dict(y=1, yanchor="bottom", x=0)
    return fig.update_layout(legend=legend, margin=dict(l=56, r=16, t=112, b=20))


def lane_traces(lane: Lane, projection: Projection | None, *, maps: bool) -> list[Any]:
    """Return curve, rim, pool, labelled and picks of a lane; without maps the curve alone."""
    style = theme.selector_style(lane.selector)
    curve = go.Scatter(
        x=lane.labels, y=(100 * lane.accuracy).astype(np.float32), name=theme.plain(lane.name), mode="lines+markers",
        line=dict(color=style.color, dash=style.dash, width=2.4), marker=dict(symbol=style.symbol, size=7),
        hovertemplate="%{x} labels: %{y:.1f} %",
    )  # fmt: skip
    if not maps:
        return [curve]
    rim = _NONE if projection is None else projection.rim
    return [
        curve,
        go.Scattergl(x=rim[:, 0], y=rim[:, 1], mode="lines", line=dict(color=theme.GREY, width=1), **_QUIET),
        _dots(lane.pool, size=3, color=theme.GREY, opacity=0.45),
        _dots(lane.labeled, size=6, color=theme.ORANGE, symbol="diamond", line=_HALO),
        _dots(lane.picks, size=7, color=theme.VERMILLION, line=_HALO),
    ]


_QUIET: dict[str, Any] = dict(hoverinfo="skip", showlegend=False)
_HALO = dict(color="white", width=0.8)


def _dots(places: Array, **look: Any) -> go.Scattergl:
    return go.Scattergl(x=places[:, 0], y=places[:, 1], mode="markers", marker=look, **_QUIET)


def lane_title(lane: Lane) -> str:
    """Return a map's heading."""
    if not len(lane.labels):
        return theme.plain(lane.name)
    return f"{theme.plain(lane.name)}<br>{100 * lane.accuracy[-1]:.1f} %, {lane.covered} classes"
