"""Do the two losses pull the backbone apart? Cosine between their gradients, along training (arXiv:2505.07675)."""

# ruff: noqa: C408  (Plotly settings read best as keyword arguments)

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from activekd_lab.errors import SettingError
from activekd_lab.plots import theme
from activekd_lab.plots.groups import Array

_CONFLICT = -0.2
_LOOKS = ((theme.VERMILLION, "solid"), (theme.BLUE, "dash"), (theme.GREEN, "dot"), (theme.PURPLE, "dashdot"))


class GradientConflict(NamedTuple):
    """Cosines between ∂CE/∂θ and ∂KD/∂θ of the shared backbone, by model.

    Attributes:
        steps: (S,) optimizer steps at which they were taken.
        cosines: (S,) by model, in −1 … 1.
        smooth: (S,) their running means.
        conflicting: share of measurements with a cosine below −0.2, by model: chance alone gives some below zero.
    """

    steps: Array
    cosines: dict[str, Array]
    smooth: dict[str, Array]
    conflicting: dict[str, float]


def gradient_conflict_data(steps: Array, cosines: Mapping[str, Array], *, window: int = 9) -> GradientConflict:
    """Smooth and summarise cosines, (S,) for each model.

    Raises:
        SettingError: lengths that differ from `steps`, or a cosine outside −1 … 1.
    """
    rows = {name: np.asarray(values, dtype=float) for name, values in cosines.items()}
    for name, values in rows.items():
        if len(values) != len(steps) or not (np.abs(values) <= 1 + 1e-6).all():
            raise SettingError(
                f"cosines[{name!r}] must hold {len(steps)} values in -1 … 1, but got {len(values)} values."
            )
    smooth = {name: _running_mean(values, window) for name, values in rows.items()}
    return GradientConflict(
        np.asarray(steps), rows, smooth, {n: float((v < _CONFLICT).mean()) for n, v in rows.items()}
    )


def gradient_conflict(steps: Array, cosines: Mapping[str, Array], *, window: int = 9) -> go.Figure:
    """Draw the cosine between the two losses' gradients along training, by model ("single head", "dual head").

    Args:
        steps: (S,) optimizer steps.
        cosines: (S,) cosines by model, in −1 … 1.
        window: measurements in the running mean.

    Raises:
        SettingError: lengths that differ from `steps`, or a cosine outside −1 … 1.
    """
    data = gradient_conflict_data(steps, cosines, window=window)
    said = "; ".join(f"{name} {share:.0%}" for name, share in data.conflicting.items())
    fig = theme.figure("Gradient conflict", f"cosine below −0.2: {said}", x="step", y="cosine")
    for (name, values), (color, dash) in zip(data.cosines.items(), _LOOKS * (1 + len(data.cosines) // 4), strict=False):
        dots = dict(size=6, color=color, opacity=0.6)
        fig.add_trace(
            go.Scattergl(x=data.steps, y=values, mode="markers", marker=dots, hoverinfo="skip", showlegend=False)
        )
        line = dict(color=color, dash=dash, width=2.4)
        fig.add_trace(go.Scatter(x=data.steps, y=data.smooth[name], name=name, mode="lines", line=line))
    fig.add_hline(y=0, line=dict(color=theme.GREY, width=1))
    return fig.update_yaxes(range=[-1.05, 1.05])


def _running_mean(values: Array, window: int) -> Array:
    """Return the centred mean over up to `window` neighbours; shorter at the ends."""
    kernel = np.ones(min(window, max(1, len(values))))
    return np.asarray(np.convolve(values, kernel, "same") / np.convolve(np.ones(len(values)), kernel, "same"))
