"""Accuracy against labels spent: a line for each selector, a band over seeds, the teacher's own accuracy as a level."""

# ruff: noqa: C408  (Plotly settings read best as keyword arguments)

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from activekd_lab.plots import theme
from activekd_lab.plots.groups import Curve, curves, group_runs, seeds_text
from activekd_lab.results import RunResult


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


def learning_curve_data(results: Sequence[RunResult]) -> LearningCurves:
    """Collect mean and spread over seeds from runs of one task.

    Raises:
        SettingError: no finished round, or several tasks at once.
    """
    found = curves(results, lambda record: record.accuracy)
    teachers = {
        str(run.config["teacher"]): run.teacher_accuracy for runs in group_runs(results).values() for run in runs
    }
    return LearningCurves(str(results[0].config["task"]), found, teachers, seeds_text(results))


def learning_curves(results: Sequence[RunResult]) -> go.Figure:
    """Draw accuracy (percent, test split) against labels spent, with a band of ± 1 standard deviation over seeds.

    Args:
        results: runs of one task; those that differ only by seed share a line.

    Raises:
        SettingError: no finished round, or several tasks at once.
    """
    data = learning_curve_data(results)
    fig = theme.figure(
        "Accuracy along the labels",
        f"{data.task}: test accuracy, mean over {data.seeds}; bands are ± 1 standard deviation",
        x="labels spent",
        y="accuracy (%)",
        hovermode="x unified",
    )
    for curve, style in zip(data.curves, _styles(data.curves), strict=True):
        add_curve(fig, curve, scale=100, unit="%", style=style)
    for name, accuracy in data.teachers.items():
        _add_level(fig, data.curves, f"teacher {name}, zero-shot", 100 * accuracy)
    fig.update_yaxes(ticksuffix=" ")
    return fig


def _styles(found: Sequence[Curve]) -> list[theme.Style]:
    """Return each curve's look: its selector's own, or a spare one where selector and method look so already."""
    styles: list[theme.Style] = []
    seen: set[tuple[str, str]] = set()
    for curve in found:
        known = (curve.selector, curve.method) in seen
        styles.append(theme.SPARE[len(styles) % len(theme.SPARE)] if known else theme.selector_style(curve.selector))
        seen.add((curve.selector, curve.method))
    return styles


def add_curve(
    fig: go.Figure, curve: Curve, *, scale: float = 1, unit: str = "", legend: bool = True, col: int | None = None,
    style: theme.Style | None = None,
) -> None:  # fmt: skip
    """Add a group's band and line to a figure, `scale` times its values, in a style, else in the selector's own."""
    style, place = style or theme.selector_style(curve.selector), dict(row=1, col=col) if col else {}
    x, mean, sd = curve.labels, scale * curve.mean, scale * curve.sd
    common = dict(legendgroup=curve.name, hoverinfo="skip", showlegend=False, mode="lines", line_width=0)
    band = np.concatenate([mean + sd, (mean - sd)[::-1]])
    fill = dict(fill="toself", fillcolor=theme.rgba(style.color, 0.14))
    fig.add_trace(go.Scatter(x=np.concatenate([x, x[::-1]]), y=band, **common, **fill), **place)
    distilled = curve.method == "dho"
    line = go.Scatter(
        x=x, y=mean, name=curve.name, legendgroup=curve.name, showlegend=legend, mode="lines+markers",
        line=dict(color=style.color, dash=style.dash, width=2.6 if distilled else 1.4),
        marker=dict(symbol=style.symbol if distilled else f"{style.symbol.removesuffix('-open')}-open", size=7),
        customdata=np.stack([sd, curve.seeds], axis=1),
        hovertemplate=f"%{{y:.3~g}}{unit} ± %{{customdata[0]:.2~g}} (%{{customdata[1]}} seeds)",
    )  # fmt: skip
    fig.add_trace(line, **place)


def _add_level(fig: go.Figure, found: Sequence[Curve], name: str, level: float) -> None:
    ends = [min(c.labels[0] for c in found), max(c.labels[-1] for c in found)]
    line = dict(color=theme.GREY, width=1.5, dash="5px 4px")
    text = f"{name}: {level:.1f} %"
    fig.add_trace(go.Scatter(x=ends, y=[level, level], name=text, mode="lines", line=line, hoverinfo="skip"))
