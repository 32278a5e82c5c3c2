"""BudgetPlanner: what a plan costs in labels and minutes, and what stored runs reached with as many."""

# ruff: noqa: C408  (Plotly and ipywidgets settings read best as keyword arguments)

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from activekd_lab.errors import SettingError
from activekd_lab.plots import theme
from activekd_lab.plots.groups import curves
from activekd_lab.plots.learning import learning_curves
from activekd_lab.plots.page import figure_widget, row, stack
from activekd_lab.runs.records import RunResult
from activekd_lab.widgets.base import Explorer
from activekd_lab.widgets.panels import words


class Plan(NamedTuple):
    """A plan and its price.

    Attributes:
        labels: all labels bought.
        minutes: of labelling.
        accuracy: by selector, a fraction interpolated between stored runs; None beyond what they measured.
    """

    labels: int
    minutes: float
    accuracy: dict[str, float | None]


class BudgetPlanner(Explorer):
    """Sliders for initial labels, budget and rounds; the price and the expected accuracy follow.

    Args:
        results: stored runs of one task.
        seconds_per_label: how long an annotator takes for one image.

    Attributes:
        initial_per_class, budget, rounds, seconds_per_label: the plan.

    Raises:
        SettingError: no finished round, several tasks, or a time that is not above 0.
    """

    def __init__(self, results: Sequence[RunResult], *, seconds_per_label: float = 4.0) -> None:
        if not seconds_per_label > 0:
            raise SettingError(f"seconds_per_label must be above 0, but got {seconds_per_label}.")
        self._curves, self._results = curves(results, lambda record: record.accuracy), results
        self.classes = len(results[0].class_names)
        self.initial_per_class, self.budget, self.rounds = 1, self.classes, 4
        self.seconds_per_label = seconds_per_label

    def plan(self) -> Plan:
        """Return the price of the current settings and what stored runs reached with as many labels."""
        labels = self.initial_per_class * self.classes + self.budget * self.rounds
        found = {}
        for curve in self._curves:
            measured = curve.labels[0] <= labels <= curve.labels[-1]
            found[curve.name] = float(np.interp(labels, curve.labels, curve.mean)) if measured else None
        return Plan(labels, labels * self.seconds_per_label / 60, found)

    def takeaway(self) -> str:
        """Say what the plan costs and what to expect; nothing is extrapolated."""
        plan = self.plan()
        known = {name: value for name, value in plan.accuracy.items() if value is not None}
        text = f"{plan.labels} labels, about {plan.minutes:.0f} min. "
        if not known:
            top = max(int(curve.labels[-1]) for curve in self._curves)
            low = min(int(curve.labels[0]) for curve in self._curves)
            return text + f"No stored run has that many labels (they have {low} to {top}), so no accuracy is promised."
        best = ", ".join(f"{name} {100 * value:.1f} %" for name, value in sorted(known.items(), key=lambda i: -i[1]))
        return text + f"Stored runs had then: {best}. They bought their labels in steps of their own."

    def figure(self) -> go.Figure:
        """Return the stored learning curves with the plan's label count marked."""
        fig = learning_curves(self._results)
        labels = self.plan().labels
        line = dict(color=theme.ORANGE, width=3)
        fig.add_trace(go.Scatter(x=[labels] * 2, y=[0, 100], mode="lines", line=line, name="your plan"))
        return fig.update_yaxes(range=[0, 100])

    def _build(self) -> Any:
        import ipywidgets as w  # noqa: PLC0415  (slow import, only for a front end)

        picture, text = figure_widget(self.figure()), w.HTML(words(self.takeaway()))
        wide = dict(continuous_update=False, style={"description_width": "130px"})
        first, budget, rounds, seconds = self.initial_per_class, self.budget, self.rounds, self.seconds_per_label
        most = max(200, 4 * self.classes, budget)
        shortest, longest = min(0.5, seconds), max(60, seconds)
        sliders = {  # each reaches as far as the plan does, or it would change it
            "initial_per_class": w.IntSlider(first, 1, max(20, first), description="initial a class", **wide),
            "budget": w.IntSlider(budget, 1, most, description="budget a round", **wide),
            "rounds": w.IntSlider(rounds, 0, max(30, rounds), description="rounds", **wide),
            "seconds_per_label": w.FloatSlider(
                seconds, min=shortest, max=longest, description="seconds a label", **wide
            ),
        }

        def move(_: Any) -> None:
            for name, slider in sliders.items():
                setattr(self, name, slider.value)
            with picture.batch_update():
                picture.data[-1].x = [self.plan().labels] * 2
            text.value = words(self.takeaway())

        for slider in sliders.values():
            slider.observe(move, names="value")
        return stack(row(*sliders.values()), text, picture)
