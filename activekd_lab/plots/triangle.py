"""Three classes on the probability simplex, exactly: a triangle, its corners being certain predictions."""

# ruff: noqa: C408  (Plotly settings read best as keyword arguments)

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from scipy.special import softmax

from activekd_lab.errors import SettingError
from activekd_lab.plots import theme
from activekd_lab.plots.groups import Array
from activekd_lab.plots.page import add_steps
from activekd_lab.plots.projection import fit_projection

TEMPERATURES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_COLORS, _SYMBOLS = (theme.VERMILLION, theme.BLUE, theme.GREEN), ("circle", "square", "diamond")


class Simplex(NamedTuple):
    """Images of three classes in the triangle, at T temperatures.

    Attributes:
        temperatures: (T,) what the logits are divided by.
        positions: (T, N, 2), a prediction at the weighted mean of the corners.
        corners: (3, 2), where a class has probability 1.
        labels: (N,) true classes, 0 … 2.
        confidence: (T,) mean of the largest probability.
        accuracy: share of images whose largest probability is the true class's; no temperature changes it.
    """

    temperatures: Array
    positions: Array
    corners: Array
    labels: Array
    confidence: Array
    accuracy: float


def simplex_data(logits: Array, labels: Array, temperatures: Sequence[float] = TEMPERATURES) -> Simplex:
    """Place (N, 3) logits, softened by each temperature, in the triangle.

    Raises:
        SettingError: not three classes, labels that do not fit, or a temperature that is not above 0.
    """
    if logits.ndim != 2 or logits.shape[1] != 3 or labels.shape != logits.shape[:1] or not len(labels):
        raise SettingError(
            f"The triangle shows (N, 3) logits with their (N,) labels, but got {logits.shape} and {labels.shape}; "
            "choose three classes."
        )
    if not set(labels.tolist()) <= {0, 1, 2}:
        raise SettingError(f"labels must be 0, 1 or 2, columns of the logits, but got {sorted(set(labels.tolist()))}.")
    if not len(temperatures) or min(temperatures) <= 0:
        raise SettingError(f"temperatures must be above 0, but got {list(temperatures)}.")
    probabilities = [softmax(logits / t, axis=1) for t in temperatures]
    triangle = fit_projection(probabilities[0], "ternary")
    return Simplex(
        np.array(temperatures, dtype=float),
        np.stack([triangle.positions(p) for p in probabilities]),
        triangle.corners,
        labels,
        np.array([p.max(axis=1).mean() for p in probabilities]),
        float((logits.argmax(axis=1) == labels).mean()),
    )


def simplex(
    logits: Array, labels: Array, class_names: Sequence[str], *, temperatures: Sequence[float] = TEMPERATURES
) -> go.Figure:
    """Draw predictions over three classes in a triangle, with a slider over temperatures that starts next to 1.

    Args:
        logits: (N, 3).
        labels: (N,) true classes, 0 … 2; colour and marker.
        class_names: three names, for the corners.
        temperatures: what the logits are divided by before the softmax.

    Raises:
        SettingError: not three classes, labels that do not fit, or a temperature that is not above 0.
    """
    data = simplex_data(logits, labels, temperatures)
    start = int(np.abs(np.log(data.temperatures)).argmin())
    fig = theme.figure(
        "Predictions over three classes",
        f"corner: certain, centre: undecided; right at every temperature: {data.accuracy:.0%}", height=600,
    )  # fmt: skip
    fig.add_traces(_traces(data, class_names, start))
    ring = data.corners[[0, 1, 2, 0]]
    edge = dict(color=theme.GREY, width=1)
    fig.add_trace(go.Scatter(x=ring[:, 0], y=ring[:, 1], mode="lines", line=edge, hoverinfo="skip", showlegend=False))
    for name, (x, y) in zip(class_names, data.corners.tolist(), strict=True):
        above = dict(yanchor="bottom" if y > 0 else "top", showarrow=False, text=theme.plain(name))
        fig.add_annotation(x=x, y=y, **above)
    names = [f"{t:g}" for t in data.temperatures]
    fig.frames = [
        dict(name=name, data=_traces(data, class_names, i), traces=[0, 1, 2, 3]) for i, name in enumerate(names)
    ]
    add_steps(fig, names, prefix="temperature ", active=start)
    fig.update_layout(legend=dict(y=1.02, yanchor="bottom"), margin_t=116)
    fig.update_xaxes(visible=False, range=[-1.15, 1.15], constrain="domain")
    return fig.update_yaxes(visible=False, range=[-0.68, 1.12], scaleanchor="x")


def _traces(data: Simplex, class_names: Sequence[str], at: int) -> list[go.Scatter]:
    """Return the points of each class, and the sentence beside them, at one temperature."""
    found = []
    for c, name in enumerate(class_names):
        x, y = data.positions[at][data.labels == c].T
        mark = dict(color=_COLORS[c], symbol=_SYMBOLS[c], size=8, opacity=0.65, line=dict(color="white", width=0.5))
        found.append(
            go.Scatter(x=x, y=y, mode="markers", marker=mark, name=f"true class: {theme.plain(name)}", hoverinfo="name")
        )
    said = f"mean confidence {data.confidence[at]:.2f}"
    text = dict(text=[said], textposition="bottom right", hoverinfo="skip", showlegend=False)
    return [*found, go.Scatter(x=[-1.15], y=[1.1], mode="text", **text)]
