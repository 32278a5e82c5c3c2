"""Which selectors differ beyond chance: mean ranks over data sets and seeds, and Nemenyi's critical difference."""

# ruff: noqa: C408  (Plotly settings read best as keyword arguments)

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from activekd_lab.compare.comparison import ranks, scores
from activekd_lab.plots import theme
from activekd_lab.runs.records import RunResult
from activekd_lab.stats import Ranks


def rank_data(results: Sequence[RunResult], *, alpha: float = 0.05) -> Ranks:
    """Rank the selectors of finished runs by area under the learning curve, in blocks that all of them ran.

    Raises:
        SettingError: an unfinished run, fewer than two selectors, or fewer than two common blocks.
    """
    return ranks(scores(results), alpha=alpha)


def critical_difference(results: Sequence[RunResult], *, alpha: float = 0.05) -> go.Figure:
    """Draw mean ranks; a bar joins selectors whose difference could be chance by either rule of `stats.Ranks`.

    Args:
        results: finished runs of several selectors on the same tasks and seeds.
        alpha: level of Nemenyi's test.

    Raises:
        SettingError: an unfinished run, fewer than two selectors, or fewer than two common blocks.
    """
    data = rank_data(results, alpha=alpha)
    said = "" if math.isnan(data.p_value) else f"; Friedman\u00a0p\u00a0=\u00a0{data.p_value:.3g}"
    fig = theme.figure(
        "Mean ranks and critical difference",
        f"by area under the learning curve, {data.blocks} blocks (data set, seed); bars join those within "
        f"critical difference {data.critical:.2f} or alike by t tests (Holm){said}",
        x="mean rank (1 is best)", height=210 + 34 * (len(data.names) + len(data.cliques)), showlegend=False,
    )  # fmt: skip
    for i, (name, rank) in enumerate(zip(data.names, data.ranks, strict=True)):
        style = theme.selector_style(name)
        marker = dict(symbol=style.symbol, size=13, color=style.color)
        fig.add_trace(
            go.Scatter(x=[1, rank], y=[-i, -i], mode="lines", line=dict(color=theme.GREY, width=1), hoverinfo="skip")
        )
        fig.add_trace(
            go.Scatter(x=[rank], y=[-i], mode="markers+text", marker=marker, text=f"{theme.plain(name)} {rank:.2f}",
                       textposition="middle right", hoverinfo="skip")
        )  # fmt: skip
    for j, (first, last) in enumerate(data.cliques):
        bar = dict(color=theme.GREY, width=6)
        fig.add_trace(go.Scatter(x=data.ranks[[first, last]], y=[j + 1] * 2, mode="lines", line=bar, hoverinfo="skip"))
    fig.update_xaxes(range=[0.9, len(data.names) + 1.2], tickvals=list(range(1, len(data.names) + 1)))
    return fig.update_yaxes(visible=False)
