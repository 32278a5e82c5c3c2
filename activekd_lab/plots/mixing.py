"""What the mix of the two heads is worth: accuracy over `ce_weight` and `kd_temperature` (arXiv:2505.07675)."""

# ruff: noqa: C408  (Plotly settings read best as keyword arguments)

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from activekd_lab.plots import theme
from activekd_lab.students.mixing import MixingSurface


def mixing_surface(data: MixingSurface) -> go.Figure:
    """Draw accuracy over the grid, with the choice of ActiveKD's ten data sets (0.5, 1) and the best point here."""
    w, t, top = data.best
    fig = theme.figure(
        "Mixing the two heads",
        f"best here: ce_weight {w:g}, kd_temperature {t:g}, {100 * top:.1f} %; choosing it costs labels",
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
    marks += [("ActiveKD's choice, ten data sets", 0.5, at[1.0], "circle-open", theme.ORANGE)] if 1.0 in at else []
    for name, x, y, symbol, color in marks:
        marker = dict(symbol=symbol, size=15, color=color, line=dict(width=3 if "open" in symbol else 1, color=color))
        fig.add_trace(go.Scatter(x=[x], y=[y], mode="markers", name=name, marker=marker, hoverinfo="skip"))
    fig.update_yaxes(tickvals=rows, ticktext=[f"{value:g}" for value in data.kd_temperatures], showgrid=False)
    return fig.update_layout(coloraxis_colorbar=dict(title="accuracy (%)"), xaxis_showgrid=False)
