"""A race of selectors: one bar each, moving along the labels spent."""

# ruff: noqa: C408  (Plotly settings read best as keyword arguments)

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from activekd_lab.plots import theme
from activekd_lab.plots.groups import Array, Curve, curves, seeds_text
from activekd_lab.plots.learning import spread_text
from activekd_lab.plots.page import add_steps
from activekd_lab.runs.records import RunResult


class SelectorRace(NamedTuple):
    """Mean accuracies at the label counts that all groups reached.

    Attributes:
        curves: one a selector and method, lowest final accuracy first (it is drawn at the bottom).
        labels: (R,) common label counts.
        accuracy: (groups, R) fractions.
        sd: (groups, R) over seeds.
    """

    curves: tuple[Curve, ...]
    labels: Array
    accuracy: Array
    sd: Array


def selector_race_data(results: Sequence[RunResult]) -> SelectorRace:
    """Collect the race from runs of one task.

    Raises:
        SettingError: no finished round, or several tasks at once.
    """
    found = curves(results, lambda record: record.accuracy)
    labels = np.array(sorted(set.intersection(*(set(curve.labels.tolist()) for curve in found))))
    found = tuple(sorted(found, key=lambda curve: curve.mean[-1]))
    rows = [np.searchsorted(curve.labels, labels) for curve in found]
    accuracy, sd = (
        np.array([values[row] for values, row in zip(table, rows, strict=True)])
        for table in ([c.mean for c in found], [c.sd for c in found])
    )
    return SelectorRace(found, labels, accuracy, sd)


def selector_race(results: Sequence[RunResult]) -> go.Figure:
    """Draw a bar for each selector, with a slider along the labels spent.

    Args:
        results: runs of one task; those that differ only by seed share a bar.

    Raises:
        SettingError: no finished round, or several tasks at once.
    """
    data = selector_race_data(results)
    fig = theme.figure(
        "Selector race", f"test accuracy, mean over {seeds_text(results)}{_whiskers(data)}", x="accuracy (%)",
        height=250 + 46 * len(data.curves), showlegend=False,
    )  # fmt: skip
    fig.add_traces(_bars(data, 0))
    fig.frames = [dict(name=str(count), data=_bars(data, i)) for i, count in enumerate(data.labels)]
    fig.update_xaxes(range=[0, 100 * float((data.accuracy + data.sd).max()) * 1.15])
    add_steps(fig, [str(count) for count in data.labels], prefix="labels spent: ")
    fig.update_layout(sliders=[dict(pad=dict(t=64))], margin_b=150)
    return fig


def _whiskers(data: SelectorRace) -> str:
    return spread_text(data.curves).replace("bands", "whiskers")


def _bars(data: SelectorRace, at: int) -> list[go.Bar | go.Scatter]:
    """Return the bars, and the numbers beyond their whiskers."""
    value, sd, names = 100 * data.accuracy[:, at], 100 * data.sd[:, at], [theme.plain(c.name) for c in data.curves]
    color = [theme.selector_style(c.selector).color for c in data.curves]
    hatch = dict(shape=[theme.method_style(c.method).hatch for c in data.curves], fillmode="overlay", fgcolor="white")
    bars = go.Bar(
        x=value, y=names, orientation="h",
        marker=dict(color=color, pattern=hatch | dict(fgopacity=0.35, size=6)),
        error_x=dict(array=sd, color=theme.GREY, visible=bool(sd.any())),
        hovertemplate="%{y}: %{x:.1f} %<extra></extra>",
    )  # fmt: skip
    text = [f" {v:.1f}" for v in value]
    return [
        bars,
        go.Scatter(x=value + sd, y=names, mode="text", text=text, textposition="middle right", hoverinfo="skip"),
    ]
