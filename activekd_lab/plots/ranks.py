"""Which selectors differ beyond chance: mean ranks over tasks and seeds, and Nemenyi's critical difference."""

# ruff: noqa: C408  (Plotly settings read best as keyword arguments)

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from scipy import stats

from activekd_lab.errors import SettingError
from activekd_lab.plots import theme
from activekd_lab.plots.groups import Array
from activekd_lab.results import RunResult


class Ranks(NamedTuple):
    """Mean ranks of k selectors over n blocks (task, method and seed), rank 1 the most accurate.

    Attributes:
        names: selectors, best first.
        ranks: (k,) mean ranks.
        blocks: n, blocks in which every selector ran.
        critical: difference of mean ranks beyond which two selectors differ (Nemenyi, Demšar 2006, eq. 4).
        p_value: Friedman's test that all are alike; NaN for two selectors.
        cliques: pairs of positions (first, last) of maximal groups that do not differ.
    """

    names: tuple[str, ...]
    ranks: Array
    blocks: int
    critical: float
    p_value: float
    cliques: tuple[tuple[int, int], ...]


def rank_data(results: Sequence[RunResult], *, alpha: float = 0.05) -> Ranks:
    """Rank the selectors of `results` by mean accuracy over the rounds, in blocks that all of them ran.

    Raises:
        SettingError: fewer than two selectors, or fewer than two common blocks.
    """
    scores: dict[tuple[object, ...], dict[str, float]] = {}
    for run in results:
        block = tuple(run.config[key] for key in ("task", "method", "seed"))
        scores.setdefault(block, {})[str(run.config["selector"])] = run.mean_accuracy
    names = sorted({name for block in scores.values() for name in block})
    complete = [[block[name] for name in names] for block in scores.values() if len(block) == len(names)]
    if len(names) < 2 or len(complete) < 2:
        raise SettingError(
            f"results must hold at least 2 selectors and 2 common combinations of task, method and seed, but got "
            f"{len(names)} and {len(complete)}."
        )
    table = np.array(complete)
    ranks = stats.rankdata(-table, axis=1).mean(axis=0)
    k, n = len(names), len(table)
    critical = (
        float(stats.studentized_range.ppf(1 - alpha, k, np.inf)) / math.sqrt(2) * math.sqrt(k * (k + 1) / (6 * n))
    )
    p_value = float(stats.friedmanchisquare(*table.T).pvalue) if k > 2 else math.nan
    order = np.argsort(ranks, kind="stable")
    found = _cliques(ranks[order], critical)
    return Ranks(tuple(names[i] for i in order), ranks[order], n, critical, p_value, found)


def _cliques(ranks: Array, critical: float) -> tuple[tuple[int, int], ...]:
    """Return maximal runs of sorted ranks within the critical difference, of at least two."""
    ends = [int(np.searchsorted(ranks, rank + critical, side="right")) - 1 for rank in ranks]
    return tuple((i, end) for i, end in enumerate(ends) if end > i and (i == 0 or ends[i - 1] < end))


def critical_difference(results: Sequence[RunResult], *, alpha: float = 0.05) -> go.Figure:
    """Draw mean ranks; a bar joins selectors whose difference could be chance.

    Args:
        results: runs of several selectors on the same tasks and seeds.
        alpha: level of Nemenyi's test.

    Raises:
        SettingError: fewer than two selectors, or fewer than two common blocks.
    """
    data = rank_data(results, alpha=alpha)
    said = "" if math.isnan(data.p_value) else f"; Friedman p = {data.p_value:.3g}"
    fig = theme.figure(
        "Mean ranks and critical difference",
        f"{data.blocks} combinations of task, method and seed; bars join what could be chance "
        f"(critical difference {data.critical:.2f}){said}",
        x="mean rank (1 is best)", height=210 + 34 * (len(data.names) + len(data.cliques)), showlegend=False,
    )  # fmt: skip
    for i, (name, rank) in enumerate(zip(data.names, data.ranks, strict=True)):
        style = theme.selector_style(name)
        marker = dict(symbol=style.symbol, size=13, color=style.color)
        fig.add_trace(
            go.Scatter(x=[1, rank], y=[-i, -i], mode="lines", line=dict(color=theme.GREY, width=1), hoverinfo="skip")
        )
        fig.add_trace(
            go.Scatter(x=[rank], y=[-i], mode="markers+text", marker=marker, text=f"{name} {rank:.2f}",
                       textposition="middle right", hoverinfo="skip")
        )  # fmt: skip
    for j, (first, last) in enumerate(data.cliques):
        bar = dict(color=theme.GREY, width=6)
        fig.add_trace(go.Scatter(x=data.ranks[[first, last]], y=[j + 1] * 2, mode="lines", line=bar, hoverinfo="skip"))
    fig.update_xaxes(range=[0.9, len(data.names) + 1.2], dtick=1)
    return fig.update_yaxes(visible=False)
