"""Are predictions as often right as they claim? Confidence against accuracy."""

# ruff: noqa: C408  (Plotly settings read best as keyword arguments)

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from activekd_lab.plots import theme
from activekd_lab.plots.groups import Array
from activekd_lab.stats import reliability


def reliability_diagram(probabilities: Array, labels: Array, *, bins: int = 15, name: str = "student") -> go.Figure:
    """Draw accuracy against confidence; below the diagonal predictions are too sure.

    Args:
        probabilities: (N, C), rows sum to 1.
        labels: (N,) true classes.
        bins: of equal width between 0 and 1.
        name: whose predictions.

    Raises:
        SettingError: no bins, or labels that do not fit.
    """
    data = reliability(probabilities, labels, bins=bins)
    fig = theme.figure(
        f"Reliability of the {name}",
        f"expected calibration error {100 * data.ece:.1f} points; above the diagonal: more often right than it "
        "claims, below: too sure of itself",
        x="confidence", y="accuracy", height=480,
    )  # fmt: skip
    diagonal = dict(color=theme.GREY, width=1.5, dash="5px 4px")
    fig.add_trace(
        go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line=diagonal, name="as sure as right", hoverinfo="skip")
    )
    kept = data.counts > 0
    size = 8 + 26 * np.sqrt(data.counts[kept] / data.counts.max())
    trace = go.Scatter(
        x=data.confidence[kept], y=data.accuracy[kept], mode="lines+markers", cliponaxis=False,
        name=f"{name} (area: how many)",
        marker=dict(size=size, color=theme.VERMILLION, line=dict(color="white", width=1)), line_color=theme.VERMILLION,
        customdata=data.counts[kept],
        hovertemplate="confidence %{x:.2f}<br>accuracy %{y:.2f}<br>%{customdata} predictions",
    )  # fmt: skip
    fig.add_trace(trace)
    fig.update_xaxes(range=[-0.02, 1.02], constrain="domain", constraintoward="left")
    return fig.update_yaxes(range=[-0.02, 1.02], scaleanchor="x")
