"""What the mix of the two heads is worth: accuracy over `ce_weight` and `kd_temperature` (arXiv:2505.07675)."""

# ruff: noqa: C408  (Plotly settings read best as keyword arguments)

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from activekd_lab.errors import SettingError
from activekd_lab.plots import theme
from activekd_lab.plots.groups import Array

CE_WEIGHTS = tuple(round(0.05 * i, 2) for i in range(21))
KD_TEMPERATURES = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 4.0)
"""The DHO paper's grid; ActiveKD, without validation labels, stays at ce_weight 0.5 and kd_temperature 1."""


class MixingSurface(NamedTuple):
    """Accuracy of the mixed prediction.

    Attributes:
        ce_weights: (W,) share of the CE head, 0 … 1.
        kd_temperatures: (T,) temperatures of the KD head.
        accuracy: (T, W) fractions.
    """

    ce_weights: Array
    kd_temperatures: Array
    accuracy: Array

    @property
    def best(self) -> tuple[float, float, float]:
        """The (ce_weight, kd_temperature, accuracy) of the highest accuracy; the first one of several."""
        t, w = np.unravel_index(self.accuracy.argmax(), self.accuracy.shape)
        return float(self.ce_weights[w]), float(self.kd_temperatures[t]), float(self.accuracy[t, w])


def softmax(logits: Array) -> Array:
    """Return the rows' softmax, (N, C) logits to probabilities."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def mixed(ce_logits: Array, kd_logits: Array, *, ce_weight: float, kd_temperature: float) -> Array:
    """Return ce_weight·softmax(ce_logits) + (1 − ce_weight)·softmax(kd_logits / kd_temperature), (N, C)."""
    return np.asarray(ce_weight * softmax(ce_logits) + (1 - ce_weight) * softmax(kd_logits / kd_temperature))


def mixing_data(
    ce_logits: Array,
    kd_logits: Array,
    labels: Array,
    *,
    ce_weights: Sequence[float] = CE_WEIGHTS,
    kd_temperatures: Sequence[float] = KD_TEMPERATURES,
) -> MixingSurface:
    """Measure the mixed prediction of two heads' (N, C) logits against (N,) labels, over a grid.

    Raises:
        SettingError: shapes that do not fit, or a value outside its range.
    """
    if ce_logits.shape != kd_logits.shape or len(labels) != len(ce_logits):
        raise SettingError(
            f"ce_logits, kd_logits and labels must belong to the same images, but got {ce_logits.shape}, "
            f"{kd_logits.shape} and {len(labels)}."
        )
    if min(kd_temperatures) <= 0 or not 0 <= min(ce_weights) <= max(ce_weights) <= 1:
        raise SettingError("ce_weights must lie in 0 … 1 and kd_temperatures above 0.")
    ce, rows = softmax(ce_logits), []
    for temperature in kd_temperatures:
        kd = softmax(kd_logits / temperature)
        rows.append([float(((w * ce + (1 - w) * kd).argmax(axis=1) == labels).mean()) for w in ce_weights])
    return MixingSurface(np.array(ce_weights), np.array(kd_temperatures), np.array(rows))


def mixing_surface(data: MixingSurface) -> go.Figure:
    """Draw accuracy over the grid, with ActiveKD's fixed choice (0.5, 1) and the best point on these images."""
    w, t, top = data.best
    fig = theme.figure(
        "Mixing the two heads",
        f"best here: ce_weight {w:g}, kd_temperature {t:g}, {100 * top:.1f} %; choosing it costs validation labels",
        x="ce_weight: left only the KD head, right only the CE head", y="kd_temperature",
    )  # fmt: skip
    rows = np.arange(len(data.kd_temperatures))
    heat = dict(
        coloraxis="coloraxis",
        hovertemplate="ce_weight %{x}<br>kd_temperature %{customdata}<br>%{z:.1f} %<extra></extra>",
    )
    text = np.repeat(data.kd_temperatures[:, None], len(data.ce_weights), axis=1)
    fig.add_trace(go.Heatmap(x=data.ce_weights, y=rows, z=100 * data.accuracy, customdata=text, **heat))
    at = {float(value): float(row) for value, row in zip(data.kd_temperatures, rows, strict=True)}
    marks = [("best on these images", w, at[t], "star", theme.VERMILLION)]
    marks += [("ActiveKD's fixed choice", 0.5, at[1.0], "circle-open", theme.ORANGE)] if 1.0 in at else []
    for name, x, y, symbol, color in marks:
        marker = dict(symbol=symbol, size=15, color=color, line=dict(width=3 if "open" in symbol else 1, color=color))
        fig.add_trace(go.Scatter(x=[x], y=[y], mode="markers", name=name, marker=marker, hoverinfo="skip"))
    fig.update_yaxes(tickvals=rows, ticktext=[f"{value:g}" for value in data.kd_temperatures], showgrid=False)
    return fig.update_layout(coloraxis_colorbar=dict(title="accuracy (%)"), xaxis_showgrid=False)
