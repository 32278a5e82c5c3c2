"""The student's predictions as a map: the pool by uncertainty, labelled images by round, the next picks in order."""

# ruff: noqa: C408  (Plotly settings read best as keyword arguments)

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from activekd_lab.plots import theme
from activekd_lab.plots.groups import Array
from activekd_lab.plots.map_data import DRAWN, HOVERED, MapRound, ProbabilityMap, probability_map_data
from activekd_lab.plots.projection import Projection, ProjectionName, circles, with_gaps
from activekd_lab.results import RunResult

_NUMBERED = 9  # two digits do not fit a marker
_MAX_NAMES, _UPRIGHT = 60, 12  # more names would overlap; more than 12 stand along the radius
_LETTERS, _PER_LETTER = 20, 0.022  # longest name written out, and a letter's width in units of the wheel's radius
_TITLES = {
    "ternary": "exact ternary diagram: corners are certain predictions, the centre is undecided",
    "wheel": "class wheel: rim = certain, centre = undecided, classes often confused sit side by side",
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
    if len(data.projection.rim):
        _add_rim(fig, data)
    fig.update_layout(coloraxis=dict(cmin=0, cmax=1, colorbar=_COLORBAR), legend=dict(y=1, yanchor="bottom"))
    fig.update_layout(margin=dict(l=20, r=20, t=112, b=20))
    corner = dict(visible=False, range=[0, 1], fixedrange=True)  # for the caption; small, since it takes the mouse
    fig.update_layout(xaxis2=corner | dict(domain=[0, 0.001], anchor="y2"))
    fig.update_layout(yaxis2=corner | dict(domain=[0.999, 1], anchor="x2"))
    return fig


_HALO = dict(color="white", width=1)
_COLORBAR: dict[str, Any] = dict(
    title=dict(text="uncertainty<br>(entropy / log C)", font_size=11),
    len=0.35, y=0, yanchor="bottom", x=1, tickvals=[0, 0.5, 1],
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


def traces(data: ProbabilityMap, shown: MapRound) -> list[Any]:
    """Return the map's traces for a round: backdrop, pool, labelled, picks, the corner's text, and options."""
    return [*pool_traces(data, shown), *pick_traces(data, shown), *cover_traces(data, shown)]


def pool_traces(data: ProbabilityMap, shown: MapRound) -> list[Any]:
    """Return the traces that change with the round: backdrop, pool and labelled."""
    pool = dict(size=4.5, opacity=0.75, color=shown.entropy[data.hovered], coloraxis="coloraxis")
    back = dict(size=3, opacity=0.4, color=shown.entropy[data.backdrop], coloraxis="coloraxis")
    label = dict(symbol="diamond", size=8, color=_round_colors(shown.labeled_round), line=_HALO)
    return [
        go.Scattergl(**_at(shown, data.backdrop), mode="markers", marker=back, hoverinfo="skip", showlegend=False),
        go.Scattergl(**_at(shown, data.hovered), **_hover(data, shown, data.hovered), mode="markers", marker=pool,
                     name="pool", showlegend=False),
        go.Scattergl(**_at(shown, shown.labeled), **_hover(data, shown, shown.labeled), mode="markers", marker=label,
                     name="labelled (light: early, dark: late)"),
    ]  # fmt: skip


def pick_traces(data: ProbabilityMap, shown: MapRound) -> list[Any]:
    """Return the traces that change with the selection: picks and the corner's text."""
    pick = dict(symbol="circle", size=13, color=theme.VERMILLION, line=_HALO)
    numbers = [str(i + 1) if i < _NUMBERED else "" for i in range(len(shown.picks))]
    text = dict(text=numbers, textfont=dict(color="white", size=10), textposition="middle center")
    return [
        go.Scattergl(**_at(shown, shown.picks), **_pick_hover(data, shown), mode="markers+text", marker=pick, **text,
                     name="next picks, in order"),
        go.Scatter(x=[0], y=[1], xaxis="x2", yaxis="y2", mode="text", text=[caption(shown)], hoverinfo="skip",
                   cliponaxis=False, textposition="bottom right", textfont_size=12, showlegend=False),
    ]  # fmt: skip


def cover_traces(data: ProbabilityMap, shown: MapRound) -> list[Any]:
    """Return the covering balls and the lines to the nearest centres, where the round holds them."""
    found = []
    if shown.ball is not None and data.projection.scale is not None:
        centers = shown.positions[np.concatenate([shown.labeled, shown.picks])]
        x, y = circles(centers, data.projection.scale * shown.ball)
        look = dict(fill="toself", fillcolor=theme.rgba(theme.BLUE, 0.1), line=dict(color=theme.BLUE, width=0.7))
        found.append(go.Scatter(x=x, y=y, mode="lines", **look, hoverinfo="skip", name="covering balls"))
    if shown.links is not None:
        x, y = with_gaps(shown.positions[shown.links])
        line = dict(color=theme.rgba(theme.GREY, 0.5), width=0.8)
        found.append(go.Scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", name="to the nearest of them"))
    return found


def _at(shown: MapRound, ids: Array) -> dict[str, Any]:
    return dict(x=shown.positions[ids, 0], y=shown.positions[ids, 1])


def hover_rows(data: ProbabilityMap, shown: MapRound, ids: Array) -> list[str]:
    """Return a line of text for each id: predicted class, confidence, and the true class where it may be seen."""
    names = data.class_names
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
    angles = np.arctan2(corners[:, 1], corners[:, 0])
    fig.add_trace(go.Scatter(x=rim[:, 0], y=rim[:, 1], mode="lines", line=dict(color=theme.GREY, width=1),
                             hoverinfo="skip", showlegend=False))  # fmt: skip
    many = len(corners) > _UPRIGHT
    reach = 1.08 + _PER_LETTER * max(len(shorten(name)) for name in data.class_names) if many else 1.2
    fig.update_xaxes(range=[-reach, reach])
    fig.update_yaxes(range=[-0.62, 1.12] if data.projection.name == "ternary" else [-reach, reach])
    if len(corners) <= _MAX_NAMES:
        placed = zip(data.class_names, corners.tolist(), np.degrees(angles).tolist(), strict=True)
        fig.layout.annotations = [_class_name(name, x, y, angle, many=many) for name, (x, y), angle in placed]


def shorten(name: str, letters: int = _LETTERS) -> str:
    """Cut a class name to `letters` characters, the last one an ellipsis."""
    return name if len(name) <= letters else f"{name[: letters - 1]}…"


def _class_name(name: str, x: float, y: float, degrees: float, *, many: bool) -> dict[str, Any]:
    """Place a class name outside its corner: upright for few classes, along the radius for many."""
    text = shorten(name)
    left = x < -0.01 or (abs(x) <= 0.01 and many)
    plain = dict(x=1.06 * x, y=1.06 * y, text=text, showarrow=False)
    if not many:
        side = "center" if abs(x) < 0.01 else "right" if left else "left"
        return plain | dict(xanchor=side, yanchor="bottom" if y > 0.01 else "top" if y < -0.01 else "middle")
    turn = -degrees if not left else 180 - degrees
    out = 1.04 + _PER_LETTER / 2 * len(text)
    return plain | dict(x=out * x, y=out * y, textangle=turn, font=dict(size=10))


def _animate(fig: go.Figure, data: ProbabilityMap) -> None:
    """Give every round a frame, a stop on the slider, and a play button."""
    moved = list(range(len(traces(data, data.rounds[0]))))
    fig.frames = [go.Frame(name=str(r.round), data=traces(data, r), traces=moved) for r in data.rounds]
    add_frame_controls(fig, [str(r.round) for r in data.rounds])


def add_frame_controls(fig: go.Figure, names: Sequence[str], *, prefix: str = "round ") -> None:
    """Add a slider over the named frames, and a play and a pause button."""
    jump = dict(mode="immediate", frame=dict(duration=0, redraw=True), transition=dict(duration=0))
    play = dict(frame=dict(duration=900, redraw=True), transition=dict(duration=0), fromcurrent=True)
    steps = [dict(method="animate", label=name, args=[[name], jump]) for name in names]
    current = dict(prefix=prefix, font=dict(size=13), xanchor="left")
    slider = dict(steps=steps, currentvalue=current, x=0.16, len=0.84, y=0, yanchor="top", pad=dict(t=8), ticklen=4)
    buttons = [
        dict(label="▶", method="animate", args=[None, play]),
        dict(label="❚❚", method="animate", args=[[None], jump]),
    ]
    menu = dict(
        type="buttons", direction="left", buttons=buttons, showactive=False, x=0, xanchor="left", y=0, yanchor="top"
    )
    look = dict(bgcolor=theme.rgba(theme.GREY, 0.15), bordercolor=theme.rgba(theme.GREY, 0.4))
    fig.update_layout(sliders=[slider | look], updatemenus=[menu | look | dict(pad=dict(t=34))])
    fig.layout.margin.b = 96
