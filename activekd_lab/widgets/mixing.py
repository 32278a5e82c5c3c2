"""MixingExplorer: move the weight of the CE head and the temperature of the KD head, and read the accuracy."""

# ruff: noqa: C408  (Plotly and ipywidgets settings read best as keyword arguments)

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from activekd_lab.plots import theme
from activekd_lab.plots.mixing import mixing_surface
from activekd_lab.plots.page import figure_widget, row, stack
from activekd_lab.students.mixing import CE_WEIGHTS, KD_TEMPERATURES, mixed, mixing_data
from activekd_lab.widgets.base import Explorer
from activekd_lab.widgets.panels import words
from activekd_lab.widgets.runner import Array


class MixingExplorer(Explorer):
    """Two sliders on the surface of accuracies; both heads' logits are computed once, so a move costs nothing.

    Args:
        ce_logits: (N, C) of the CE head.
        kd_logits: (N, C) of the KD head.
        labels: (N,) true classes; use validation images, choosing on test images would cheat.

    Attributes:
        ce_weight: share of the CE head, 0 … 1; starts at 0.5, ActiveKD's on ten data sets.
        kd_temperature: of the KD head; starts at 1, likewise.
        surface: accuracy over the grid.

    Raises:
        SettingError: shapes that do not fit.
    """

    def __init__(self, ce_logits: Array, kd_logits: Array, labels: Array) -> None:
        self._ce, self._kd, self._labels = ce_logits, kd_logits, labels
        self.surface = mixing_data(ce_logits, kd_logits, labels)
        self.ce_weight, self.kd_temperature = 0.5, 1.0

    @property
    def accuracy(self) -> float:
        """Accuracy of the current mix, a fraction."""
        p = mixed(self._ce, self._kd, ce_weight=self.ce_weight, kd_temperature=self.kd_temperature)
        return float((p.argmax(axis=1) == self._labels).mean())

    def takeaway(self) -> str:
        """Say what the current mix is worth, and the best one."""
        weight, temperature, best = self.surface.best
        return (
            f"ce_weight {self.ce_weight:g}, kd_temperature {self.kd_temperature:g}: {100 * self.accuracy:.1f} %. Best "
            f"on these {len(self._labels)} images: {100 * best:.1f} % at {weight:g} and {temperature:g}."
        )

    def figure(self) -> go.Figure:
        """Return the surface with the current mix marked."""
        fig = mixing_surface(self.surface)
        cross = dict(symbol="cross-thin", size=22, line=dict(width=4, color=theme.VERMILLION))
        fig.add_trace(go.Scatter(x=[self.ce_weight], y=[self._height()], mode="markers", marker=cross, name="sliders"))
        return fig

    def _height(self) -> float:
        """Return where the temperature stands on the axis, on which those of the grid are 0, 1, 2, …."""
        return float(np.interp(self.kd_temperature, KD_TEMPERATURES, np.arange(len(KD_TEMPERATURES))))

    def _build(self) -> Any:
        import ipywidgets as w  # noqa: PLC0415  (slow import, only for a front end)

        surface, text = figure_widget(self.figure()), w.HTML(words(self.takeaway()))
        look = dict(continuous_update=False, style={"description_width": "110px"}, layout=w.Layout(width="380px"))
        weights, heats = sorted({*CE_WEIGHTS, self.ce_weight}), sorted({*KD_TEMPERATURES, self.kd_temperature})
        weight = w.SelectionSlider(options=weights, value=self.ce_weight, description="ce_weight", **look)
        heat = w.SelectionSlider(options=heats, value=self.kd_temperature, description="kd_temperature", **look)

        def move(_: Any) -> None:
            self.ce_weight, self.kd_temperature = weight.value, heat.value
            with surface.batch_update():
                surface.data[-1].x, surface.data[-1].y = [weight.value], [self._height()]
            text.value = words(self.takeaway())

        for slider in (weight, heat):
            slider.observe(move, names="value")
        return stack(row(weight, heat), text, surface)
