"""Accuracy against labels spent: a line for each selector, a band over seeds, the teacher's own accuracy as a level."""

# ruff: noqa: C408  (Plotly settings read best as keyword arguments)

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from activekd_lab.plots import theme
from activekd_lab.plots.groups import Curve, Runs, curves, group_runs, seeds_text, task_of, teachers_of


class LearningCurves(NamedTuple):
    """What the figure shows; accuracies are fractions.

    Attributes:
        task: the task's name.
        curves: one a selector and method.
        teachers: zero-shot accuracy by teacher.
        seeds: over how many seeds, in words.
    """

    task: str
    curves: tuple[Curve, ...]
    teachers: dict[str, float]
    seeds: str


def learning_curve_data(results: Runs) -> LearningCurves:
    """Collect mean and spread over seeds from runs of one task.

    Raises:
        SettingError: no finished round, or several tasks at once.
    """
    found = curves(results, lambda record: record.accuracy)
    teachers = teachers_of([run for runs in group_runs(results).values() for run in runs])
    return LearningCurves(task_of(results), found, teachers, seeds_text(results))


def learning_curves(results: Runs) -> go.Figure:
    """Draw accuracy (percent, test split) against labels spent, with a band of ± 1 standard deviation over seeds.

    Args:
        results: one run, or several of one task; those that differ only by seed share a line. In a dictionary, those
            under a name do, and the legend shows that name.

    Raises:
        SettingError: no finished round, or several tasks at once.
    """
    data = learning_curve_data(results)
    fig = theme.figure(
        "Accuracy along the labels",
        f"{data.task}: test accuracy, mean over {data.seeds}{spread_text(data.curves)}",
        x="labels spent",
        y="accuracy (%)",
        hovermode="x unified",
    )
    for curve, style in zip(data.curves, styles(data.curves), strict=True):
        add_curve(fig, curve, style, scale=100, unit="%")
    for name, accuracy in data.teachers.items():
        _add_level(fig, data.curves, f"teacher {theme.plain(name)}, zero-shot", 100 * accuracy)
    fig.update_yaxes(ticksuffix=" ")
    return fig


def styles(found: Sequence[Curve]) -> list[theme.Style]:
    """Return each curve's look."""
    return theme.looks([(curve.selector, curve.method) for curve in found])


def add_curve(
    fig: go.Figure, curve: Curve, style: theme.Style, *, scale: float = 1, unit: str = "", legend: bool = True,
    col: int | None = None,
) -> None:  # fmt: skip
    """Add a group's band and line to a figure, `scale` times its values."""
    place = dict(row=1, col=col) if col else {}
    x, mean, sd, name = curve.labels, scale * curve.mean, scale * curve.sd, theme.plain(curve.name)
    several = curve.seeds > 1  # one seed has no spread
    if several.any():
        common = dict(legendgroup=name, hoverinfo="skip", showlegend=False, mode="lines", line_width=0)
        low, high, at = (mean - sd)[several], (mean + sd)[several], x[several]
        fill = dict(fill="toself", fillcolor=theme.rgba(style.color, 0.14))
        outline = dict(x=np.concatenate([at, at[::-1]]), y=np.concatenate([high, low[::-1]]))
        fig.add_trace(go.Scatter(**outline, **common, **fill), **place)
    said = [f" ± {d:.2g} ({n} seeds)" if n > 1 else " (1 seed)" for d, n in zip(sd, curve.seeds, strict=True)]
    line = go.Scatter(
        x=x, y=mean, name=name, legendgroup=name, showlegend=legend, mode="lines+markers",
        line=dict(color=style.color, dash=style.dash, width=2.2),
        marker=dict(symbol=style.symbol, size=7), customdata=said,
        hovertemplate=f"%{{y:.3~g}}{unit}%{{customdata}}",
    )  # fmt: skip
    fig.add_trace(line, **place)


def spread_text(found: Sequence[Curve]) -> str:
    """Say what the bands are, where there are any: a curve of one seed has none."""
    return "; bands are ± 1 standard deviation" if any((curve.seeds > 1).any() for curve in found) else ""


def _add_level(fig: go.Figure, found: Sequence[Curve], name: str, level: float) -> None:
    ends = [min(c.labels[0] for c in found), max(c.labels[-1] for c in found)]
    line = dict(color=theme.GREY, width=1.5, dash="5px 4px")
    text = f"{name}: {level:.1f} %"
    fig.add_trace(go.Scatter(x=ends, y=[level, level], name=text, mode="lines", line=line, hoverinfo="skip"))
