"""The student's predictions as a map: the pool by uncertainty, labelled images by round, the next picks in order."""

# ruff: noqa: C408  (Plotly settings read best as keyword arguments)

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import plotly.graph_objects as go

from activekd_lab.plots import theme
from activekd_lab.plots.groups import Array
from activekd_lab.plots.map_data import DRAWN, HOVERED, MapRound, ProbabilityMap, probability_map_data
from activekd_lab.plots.page import add_steps
from activekd_lab.plots.projection import Projection, ProjectionName, circles, with_gaps
from activekd_lab.runs.records import RunResult

_NUMBERED = 99  # three digits do not fit a marker
_MAX_NAMES, _UPRIGHT = 60, 12  # more names would overlap; more than 12 stand along the radius
_LETTERS, _PER_LETTER = 16, 5.8  # longest name written out on a map, and a letter's width in pixels
_TITLES = {
    "ternary": "exact ternary diagram: corners are certain predictions, the centre is undecided",
    "wheel": "class wheel: at a name = certain, between neighbours = torn, centre = torn between many",
    "pca": "principal components of the probabilities, {:.0%} of their variance",
    "umap": "UMAP of the probabilities: neighbours are alike, distances far apart mean little",
}


def probability_map(
    result: RunResult,
    *,
    rounds: Sequence[int] | None = None,
    projection: ProjectionName | None = None,
    layout: Array | None = None,
    labels: Array | None = None,
    max_points: int = DRAWN,
    hovered: int = HOVERED,
    lines: bool = False,
    balls: bool = False,
) -> go.Figure:
    """Draw the pool's predicted probabilities, with a slider over rounds.

    The projection is fitted once, on the last round shown, and every round is drawn in it.

    Args:
        result: a run that kept its predictions.
        rounds: which rounds; all by default.
        projection: "ternary", "wheel", "pca" or "umap"; None takes the exact ternary for 3 classes, else the wheel.
        layout: (N, 2) stored positions for "umap".
        labels: (N,) true classes for the hover text, or None to keep them hidden.
        max_points: how many pool points are drawn, at most 20,000; a larger pool is sampled.
        hovered: how many of them answer the mouse; the others are only seen.
        lines: join points (at most 2,000) with the labelled or picked image that is nearest in probability space.
        balls: draw the covering ball of each labelled or picked image; every point lies in one. Exact for three
            classes; with "pca", a ball's shadow. Not with the other projections.

    Raises:
        SettingError: no round to show, or a setting that does not fit.
        RunFolderError: the run kept no predictions.
    """
    data = probability_map_data(
        result,
        rounds=rounds,
        projection=projection,
        layout=layout,
        labels=labels,
        max_points=max_points,
        hovered=hovered,
        lines=lines,
        balls=balls,
    )
    fig = map_figure(data, data.rounds[0])
    if len(data.rounds) > 1:
        _animate(fig, data)
    return fig


def map_figure(data: ProbabilityMap, shown: MapRound) -> go.Figure:
    """Return the map of one round: traces are backdrop, pool, labelled, picks, in this order."""
    fig = theme.figure(f"Probability map: {data.name}", subtitle(data.projection), height=800, hovermode="closest")
    fig.update_xaxes(visible=False, constrain="domain")
    fig.update_yaxes(visible=False, scaleanchor="x")
    fig.add_traces(traces(data, shown))
    fig.update_layout(coloraxis=dict(cmin=0, cmax=1, colorbar=_COLORBAR), legend=_LEGEND)
    fig.update_layout(margin=dict(t=130, b=70))
    if len(data.projection.rim):
        _add_rim(fig, data)
    corner = dict(visible=False, range=[0, 1], fixedrange=True)  # for the caption; small, since it takes the mouse
    fig.update_layout(xaxis2=corner | dict(domain=[0, 0.001], anchor="y2"))
    fig.update_layout(yaxis2=corner | dict(domain=[0, 0.001], anchor="x2"))
    return fig


_LEGEND: dict[str, Any] = dict(yref="container", y=0.905, yanchor="top")
_HALO = dict(color="white", width=1)
_COLORBAR: dict[str, Any] = dict(
    title=dict(text="uncertainty (entropy / log C)", side="top", font_size=11), orientation="h", len=0.45,
    x=1, xanchor="right", y=-0.01, yanchor="top",
)  # fmt: skip


def subtitle(projection: Projection) -> str:
    """Say in one line how to read the map."""
    return _TITLES[projection.name].format(projection.explained)


def caption(shown: MapRound) -> str:
    """Return the round's numbers, computed in probability space and not on the map."""
    lines = [f"round {shown.round}: {len(shown.labeled)} labelled, {len(shown.picks)} picks"]
    if len(shown.radii):
        lines.append(f"covering radius {shown.radii[0]:.3f} → {shown.radii[-1]:.3f}")
    return "<br>".join(lines)


_gl: Callable[..., dict[str, Any]] = partial(dict, type="scattergl")
_svg: Callable[..., dict[str, Any]] = partial(dict, type="scatter")


def traces(data: ProbabilityMap, shown: MapRound) -> list[dict[str, Any]]:
    """Return the map's traces for a round: backdrop, pool, labelled, picks, the corner's text, and options.

    They are dicts, which a frame takes in a third of the time of plotly's objects.
    """
    return [*pool_traces(data, shown), *pick_traces(data, shown), *cover_traces(data, shown)]


def pool_traces(data: ProbabilityMap, shown: MapRound) -> list[dict[str, Any]]:
    """Return the traces that change with the round: backdrop, pool and labelled."""
    pool = dict(size=4.5, opacity=0.75, color=shown.entropy[data.hovered], coloraxis="coloraxis")
    back = dict(size=3, opacity=0.4, color=shown.entropy[data.backdrop], coloraxis="coloraxis")
    label = dict(symbol="diamond", size=8, color=_round_colors(shown.labeled_round), line=_HALO)
    return [
        _gl(**_at(shown, data.backdrop), mode="markers", marker=back, hoverinfo="skip", showlegend=False),
        _gl(**_at(shown, data.hovered), **_hover(data, shown, data.hovered), mode="markers", marker=pool,
            name="pool", showlegend=False),
        _gl(**_at(shown, shown.labeled), **_hover(data, shown, shown.labeled), mode="markers", marker=label,
            name="labelled (light: early, dark: late)"),
    ]  # fmt: skip


def pick_traces(data: ProbabilityMap, shown: MapRound) -> list[dict[str, Any]]:
    """Return the traces that change with the selection: picks and the corner's text."""
    pick = dict(symbol="circle", size=15, color=theme.VERMILLION, line=_HALO)
    numbers = [str(i + 1) if i < _NUMBERED else "" for i in range(len(shown.picks))]
    text = dict(text=numbers, textfont=dict(color="white", size=9), textposition="middle center")
    return [
        _gl(**_at(shown, shown.picks), **_pick_hover(data, shown), mode="markers+text", marker=pick, **text,
            name="next picks, in order"),
        _svg(x=[0], y=[1], xaxis="x2", yaxis="y2", mode="text", text=["<br>" * _lines(data) + caption(shown)],
            hoverinfo="skip", cliponaxis=False, textposition="bottom right", showlegend=False,
             textfont=dict(size=12)),
    ]  # fmt: skip


def _lines(data: ProbabilityMap) -> int:
    """Return how many lines of the names around a wheel the caption stands below."""
    named = data.projection.name == "wheel" and len(data.class_names) <= _MAX_NAMES
    return 1 + _room(data.class_names) // 18 if named else 0


def _room(class_names: Sequence[str]) -> int:
    """Return the pixels that the longest name takes outside a wheel."""
    return 14 + int(_PER_LETTER * min(_LETTERS, max(map(len, class_names))))


def cover_traces(data: ProbabilityMap, shown: MapRound) -> list[dict[str, Any]]:
    """Return the covering balls and the lines to the nearest centres, where the round holds them."""
    found: list[dict[str, Any]] = []
    if shown.ball is not None and data.projection.scale is not None:
        centers = shown.positions[np.concatenate([shown.labeled, shown.picks])]
        x, y = circles(centers, data.projection.scale * shown.ball)
        look = dict(fill="toself", fillcolor=theme.rgba(theme.BLUE, 0.1), line=dict(color=theme.BLUE, width=0.7))
        found.append(_svg(x=x, y=y, mode="lines", **look, hoverinfo="skip", name="covering balls"))
    if shown.links is not None:
        x, y = with_gaps(shown.positions[shown.links])
        line = dict(color=theme.rgba(theme.GREY, 0.5), width=0.8)
        found.append(_svg(x=x, y=y, mode="lines", line=line, hoverinfo="skip", name="to the nearest of them"))
    return found


def _at(shown: MapRound, ids: Array) -> dict[str, Any]:
    return dict(x=shown.positions[ids, 0], y=shown.positions[ids, 1])


def hover_rows(data: ProbabilityMap, shown: MapRound, ids: Array) -> list[str]:
    """Return a line of text for each id: predicted class, confidence, and the true class where it may be seen."""
    names = [*map(theme.plain, data.class_names)]
    rows = [f"{names[shown.predicted[i]]}, {shown.confidence[i]:.0%}" for i in ids]
    return (
        rows
        if data.labels is None
        else [f"{row}<br>true: {names[data.labels[i]]}" for i, row in zip(ids, rows, strict=True)]
    )


def _hover(data: ProbabilityMap, shown: MapRound, ids: Array) -> dict[str, Any]:
    template = "image %{customdata}<br>predicted %{hovertext}<extra></extra>"
    return dict(customdata=ids.astype(np.int32), hovertext=hover_rows(data, shown, ids), hovertemplate=template)


def _pick_hover(data: ProbabilityMap, shown: MapRound) -> dict[str, Any]:
    rows = [f"{row}<br>pick {i + 1}" for i, row in enumerate(hover_rows(data, shown, shown.picks))]
    return _hover(data, shown, shown.picks) | dict(hovertext=rows)


def _round_colors(rounds: Array) -> list[str]:
    """Give early rounds a light amber and late rounds a dark brown; lightness carries the order without hue."""
    share = rounds / max(1, rounds.max(initial=1))
    return [f"hsl({45 - 15 * s:.0f},{95 - 20 * s:.0f}%,{62 - 36 * s:.0f}%)" for s in share]


def _add_rim(fig: go.Figure, data: ProbabilityMap) -> None:
    """Draw the polygon of the classes' corners, and their names around it."""
    corners, rim = data.projection.corners, data.projection.rim
    fig.add_trace(go.Scatter(x=rim[:, 0], y=rim[:, 1], mode="lines", line=dict(color=theme.GREY, width=1),
            hoverinfo="skip", showlegend=False))  # fmt: skip
    ternary = data.projection.name == "ternary"
    fig.update_xaxes(range=[-1.03, 1.03])
    fig.update_yaxes(range=[-0.62, 1.12] if ternary else [-1.03, 1.03])
    if len(corners) <= _MAX_NAMES:
        room = _room(data.class_names)
        fig.update_layout(margin=dict(l=room, r=room, t=130 if ternary else 120 + room, b=80 if ternary else 75 + room))
        fig.update_layout(coloraxis_colorbar=dict(y=0, ypad=10 if ternary else room))
        placed = zip(data.class_names, corners.tolist(), strict=True)
        fig.layout.annotations = [_class_name(name, x, y, many=len(corners) > _UPRIGHT) for name, (x, y) in placed]


def shorten(name: str, letters: int = _LETTERS) -> str:
    """Cut a class name to `letters` characters, the last one an ellipsis, and make it plain text for Plotly."""
    return theme.plain(name if len(name) <= letters else f"{name[: letters - 1]}…")


def _class_name(name: str, x: float, y: float, *, many: bool) -> dict[str, Any]:
    """Place a class name outside its corner, in pixels: upright for few classes, along the radius for many."""
    text = shorten(name)
    half = 8 + _PER_LETTER / 2 * min(_LETTERS, len(name))
    if not many:
        side = "center" if abs(x) < 0.01 else "right" if x < 0 else "left"
        above = "bottom" if y > 0.01 else "top" if y < -0.01 else "middle"
        return dict(x=x, y=y, text=text, showarrow=False, xanchor=side, yanchor=above, xshift=6 * x, yshift=6 * y)
    left = x < -0.01
    turn = float(np.degrees(np.arctan2(y, x)))
    place = dict(x=x, y=y, xshift=half * x, yshift=half * y, xanchor="center", yanchor="middle")
    return dict(text=text, showarrow=False, textangle=180 - turn if left else -turn, font=dict(size=10), **place)


def _animate(fig: go.Figure, data: ProbabilityMap) -> None:
    """Give every round a frame and a stop on the slider."""
    moved = list(range(len(traces(data, data.rounds[0]))))
    fig.frames = [dict(name=str(r.round), data=traces(data, r), traces=moved) for r in data.rounds]
    below = fig.layout.margin.b
    add_steps(fig, [str(r.round) for r in data.rounds], prefix="round ")
    fig.update_layout(sliders=[dict(pad=dict(t=below - 20))], margin_b=below + 80)
