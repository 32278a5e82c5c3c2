"""Picks one by one in the probabilities of three classes, where the plane shows distances as they are."""

# ruff: noqa: C408  (Plotly settings read best as keyword arguments)

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from activekd_lab.errors import SettingError
from activekd_lab.plots import theme
from activekd_lab.plots.distances import distances, nearest
from activekd_lab.plots.groups import Array
from activekd_lab.plots.page import add_steps
from activekd_lab.plots.projection import circles, fit_projection

_MOVED = [1, 2, 3, 4, 5]  # traces that change along the picks; 0 is the triangle


class SelectionSteps(NamedTuple):
    """Coverage after 0 … B picks; distances are Euclidean, between probability vectors.

    Attributes:
        positions: (N, 2) in the plane, every image of the training split.
        corners: (3, 2) where a certain prediction of each class lies.
        labeled: (L,) ids.
        picks: (B,) ids in the order picked.
        distance: (B + 1, N) to the nearest label or pick.
        radii: (B + 1,) covering radius: the largest distance.
        scale: units of the plane for a distance of 1, the same in every direction.
    """

    positions: Array
    corners: Array
    labeled: Array
    picks: Array
    distance: Array
    radii: Array
    scale: float


def selection_steps_data(probabilities: Array, labeled: Array, picks: Array) -> SelectionSteps:
    """Measure the coverage along the picks; arguments as in `selection_steps`.

    Raises:
        SettingError: not three classes, or no label to start from.
    """
    p, labeled, picks = np.asarray(probabilities), np.asarray(labeled), np.asarray(picks)
    if p.ndim != 2 or p.shape[1] != 3 or not len(labeled):
        raise SettingError(
            f"probabilities must be (N, 3), three classes, with at least one label, but got {p.shape} and "
            f"{len(labeled)} labels; take plots.probability_map for more classes."
        )
    start, _ = nearest(p, p[labeled])
    distance = np.minimum.accumulate(np.column_stack([start, distances(p, p[picks])]), axis=1).T
    projection = fit_projection(p, "ternary")
    corners = projection.corners
    scale = float(np.linalg.norm(corners[0] - corners[1]) / np.sqrt(2))
    return SelectionSteps(projection.positions(p), corners, labeled, picks, distance, distance.max(axis=1), scale)


def selection_steps(
    probabilities: Array, labeled: Array, picks: Array, class_names: Sequence[str], *, name: str = "k-center"
) -> go.Figure:
    """Draw picks one by one on the exact ternary diagram, with a slider, and a disc of the covering radius each.

    A disc around every label and pick, its radius the largest distance left, covers the whole pool.

    Args:
        probabilities: (N, 3), rows sum to 1.
        labeled: (L,) ids that have a label at the start, L at least 1.
        picks: (B,) ids in the order picked.
        class_names: the three.
        name: who picks, for the title.

    Raises:
        SettingError: not three classes, or no label to start from.
    """
    data = selection_steps_data(probabilities, labeled, picks)
    fig = theme.figure(
        f"Picks of {name}, one by one",
        "exact ternary diagram; a disc reaches as far as the worst covered image is from its nearest label",
        height=720,
        hovermode="closest",
    )
    fig.add_traces([_triangle(data), *_traces(data, 0)])
    fig.update_layout(
        coloraxis=dict(cmin=0, cmax=float(data.radii[0]), colorbar=_COLORBAR), legend=dict(y=1, yanchor="bottom"),
        xaxis=dict(visible=False, range=[-1.35, 1.35], constrain="domain"),
        yaxis=dict(visible=False, range=[-0.75, 1.25], scaleanchor="x"), margin=dict(l=20, r=20, t=112),
        annotations=[_corner(*named) for named in zip(class_names, data.corners, strict=True)],
    )  # fmt: skip
    names = [str(k) for k in range(len(data.radii))]
    fig.frames = [dict(name=text, data=_traces(data, k), traces=_MOVED) for k, text in enumerate(names)]
    add_steps(fig, names, prefix="picks: ")
    return fig


_COLORBAR: dict[str, Any] = dict(
    title=dict(text="distance to the<br>nearest label", font_size=11), len=0.4, y=0, yanchor="bottom", x=1
)


def _triangle(data: SelectionSteps) -> go.Scatter:
    ring = data.corners[[0, 1, 2, 0]]
    line = dict(color=theme.GREY, width=1)
    return go.Scatter(x=ring[:, 0], y=ring[:, 1], mode="lines", line=line, hoverinfo="skip", showlegend=False)


def _corner(name: str, at: Array) -> dict[str, Any]:
    x, y = at.tolist()
    return dict(x=1.05 * x, y=1.05 * y, text=theme.plain(name), showarrow=False, yanchor="bottom" if y > 0 else "top")


def _traces(data: SelectionSteps, k: int) -> list[Any]:
    """Return discs, pool, labels, picks so far and the pick that comes next, after k picks."""
    at, done = data.positions, data.picks[:k]
    halo = dict(color="white", width=1)
    pool = dict(size=6, opacity=0.85, color=data.distance[k], coloraxis="coloraxis")
    template = "image %{customdata}<br>distance %{marker.color:.3f}<extra></extra>"
    return [
        _discs(at[np.concatenate([data.labeled, done])], float(data.radii[k]), data.scale),
        go.Scatter(x=at[:, 0], y=at[:, 1], mode="markers", marker=pool, customdata=np.arange(len(at)),
                   hovertemplate=template, showlegend=False),
        go.Scatter(x=at[data.labeled, 0], y=at[data.labeled, 1], mode="markers", name="labelled", hoverinfo="skip",
                   marker=dict(symbol="diamond", size=12, color=theme.ORANGE, line=halo)),
        go.Scatter(x=at[done, 0], y=at[done, 1], mode="markers+text", name="picked, in order", hoverinfo="skip",
                   text=[str(i + 1) for i in range(k)], textfont=dict(color="white", size=10),
                   marker=dict(size=16, color=theme.VERMILLION, line=halo)),
        go.Scatter(x=at[data.picks[k : k + 1], 0], y=at[data.picks[k : k + 1], 1], mode="markers", hoverinfo="skip",
                   name="picked next",
                   marker=dict(symbol="circle-open", size=18, color=theme.VERMILLION, line=dict(width=2.5))),
    ]  # fmt: skip


def _discs(centers: Array, radius: float, scale: float) -> go.Scatter:
    x, y = circles(centers, radius * scale)
    return go.Scatter(
        x=x, y=y, mode="lines", fill="toself", fillcolor=theme.rgba(theme.SKY, 0.12),
        line=dict(color=theme.rgba(theme.SKY, 0.5), width=1), hoverinfo="skip", name=f"covering radius {radius:.3f}",
    )  # fmt: skip
