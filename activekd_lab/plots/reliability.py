"""Are predictions as often right as they claim? Confidence against accuracy."""

# ruff: noqa: C408  (Plotly settings read best as keyword arguments)

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from activekd_lab.errors import SettingError
from activekd_lab.plots import theme
from activekd_lab.plots.groups import Array


class Reliability(NamedTuple):
    """Predictions sorted into bins of equal width by confidence; K non-empty bins.

    Attributes:
        confidence: (K,) mean confidence.
        accuracy: (K,) share of right predictions.
        predictions: (K,) how many.
        error: expected calibration error, the count-weighted mean of |accuracy − confidence|.
    """

    confidence: Array
    accuracy: Array
    predictions: Array
    error: float


def reliability_data(probabilities: Array, labels: Array, *, bins: int = 10) -> Reliability:
    """Bin (N, C) probabilities with their (N,) true classes.

    Raises:
        SettingError: no bins, or labels that do not fit.
    """
    if bins < 1 or len(labels) != len(probabilities) or not len(labels):
        raise SettingError(
            f"expected at least one bin and one label a row, but got {bins} bins and {len(labels)} labels "
            f"for {len(probabilities)} rows."
        )
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    kept = count > 0
    means = [np.bincount(place, weights=values, minlength=bins)[kept] / count[kept] for values in (confidence, right)]
    error = float((np.abs(means[1] - means[0]) * count[kept]).sum() / len(labels))
    return Reliability(means[0], means[1], count[kept], error)


def reliability_diagram(probabilities: Array, labels: Array, *, bins: int = 10, name: str = "student") -> go.Figure:
    """Draw accuracy against confidence; below the diagonal predictions are too sure.

    Args:
        probabilities: (N, C), rows sum to 1.
        labels: (N,) true classes.
        bins: of equal width between 0 and 1.
        name: whose predictions.

    Raises:
        SettingError: no bins, or labels that do not fit.
    """
    data = reliability_data(probabilities, labels, bins=bins)
    fig = theme.figure(
        f"Reliability of the {name}",
        f"expected calibration error {100 * data.error:.1f} points; above the diagonal: more often right than it "
        "claims, below: too sure of itself",
        x="confidence", y="accuracy", height=480,
    )  # fmt: skip
    diagonal = dict(color=theme.GREY, width=1.5, dash="5px 4px")
    fig.add_trace(
        go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line=diagonal, name="as sure as right", hoverinfo="skip")
    )
    size = 8 + 26 * np.sqrt(data.predictions / data.predictions.max())
    trace = go.Scatter(
        x=data.confidence, y=data.accuracy, mode="lines+markers", cliponaxis=False, name=f"{name} (area: how many)",
        marker=dict(size=size, color=theme.VERMILLION, line=dict(color="white", width=1)), line_color=theme.VERMILLION,
        customdata=data.predictions,
        hovertemplate="confidence %{x:.2f}<br>accuracy %{y:.2f}<br>%{customdata} predictions",
    )  # fmt: skip
    fig.add_trace(trace)
    fig.update_xaxes(range=[-0.02, 1.02], constrain="domain", constraintoward="left")
    return fig.update_yaxes(range=[-0.02, 1.02], scaleanchor="x")
