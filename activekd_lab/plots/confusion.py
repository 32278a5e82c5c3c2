"""Which classes are taken for which, ordered so that groups of confusable classes become blocks."""

# ruff: noqa: C408  (Plotly settings read best as keyword arguments)

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from activekd_lab.errors import SettingError
from activekd_lab.plots import theme
from activekd_lab.plots.groups import Array
from activekd_lab.plots.maps import shorten
from activekd_lab.plots.projection import ring_order


class Confusion(NamedTuple):
    """Predictions by true class, rows and columns in the same order.

    Attributes:
        names: C names, in that order.
        share: (C, C) share of true class i predicted as j; rows sum to 1, or to 0 where a class has no image.
        worst: up to five (true, predicted, share), the most frequent mistakes.
        accuracy: share of right predictions, over images.
    """

    names: tuple[str, ...]
    share: Array
    worst: tuple[tuple[str, str, float], ...]
    accuracy: float


def confusion_data(probabilities: Array, labels: Array, class_names: Sequence[str]) -> Confusion:
    """Count (N, C) probabilities' most probable classes against (N,) true classes.

    Raises:
        SettingError: shapes that do not fit, or labels that are no class.
    """
    probabilities, labels, classes = np.asarray(probabilities), np.asarray(labels), len(class_names)
    if probabilities.shape != (len(labels), classes):
        raise SettingError(f"probabilities must have shape ({len(labels)}, {classes}), but got {probabilities.shape}.")
    if not len(labels) or not 0 <= labels.min() <= labels.max() < classes:
        shown = f"{labels.min()} … {labels.max()}" if len(labels) else "none"
        raise SettingError(f"labels must be classes, 0 … {classes - 1}, one an image, but got {shown}.")
    predicted, order = probabilities.argmax(axis=1), ring_order(probabilities)
    counts = np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)
    share = counts / counts.sum(axis=1, keepdims=True).clip(1)
    mistakes = np.argsort(-(share - np.diag(np.diag(share))), axis=None, kind="stable")[:5]
    pairs = [(int(i), int(j)) for i, j in zip(*np.unravel_index(mistakes, share.shape), strict=True)]
    worst = tuple((class_names[i], class_names[j], float(share[i, j])) for i, j in pairs if i != j and share[i, j] > 0)
    names = tuple(class_names[i] for i in order)
    return Confusion(names, share[np.ix_(order, order)], worst, float((predicted == labels).mean()))


def confusion_groups(
    probabilities: Array, labels: Array, class_names: Sequence[str], *, name: str = "teacher"
) -> go.Figure:
    """Draw the confusion matrix with confusable classes side by side.

    Args:
        probabilities: (N, C), rows sum to 1.
        labels: (N,) true classes.
        class_names: C names.
        name: whose predictions.

    Raises:
        SettingError: shapes that do not fit.
    """
    data = confusion_data(probabilities, labels, class_names)
    said = ", ".join(f"{a} → {b} {share:.0%}" for a, b, share in data.worst[:2])
    fig = theme.figure(
        f"Who is taken for whom: {name}", f"accuracy {data.accuracy:.1%}; most frequent: {said or 'none'}"
    )
    short = [shorten(text, 18) for text in data.names]
    places, side = np.arange(len(short)), 220 + max(240, 13 * len(short))
    hover = "%{customdata[0]} taken for %{customdata[1]}: %{z:.0%}<extra></extra>"
    names = [*map(theme.plain, data.names)]
    pairs = np.array([[(a, b) for b in names] for a in names])
    fig.add_trace(
        go.Heatmap(z=data.share.astype(np.float32), customdata=pairs, coloraxis="coloraxis", hovertemplate=hover)
    )
    ticks = dict(tickvals=places, ticktext=short, showgrid=False, tickfont_size=10)
    fig.update_xaxes(**ticks, tickangle=-90, title_text="predicted", constrain="domain", constraintoward="left")
    square = dict(scaleanchor="x", constrain="domain", constraintoward="top")
    fig.update_yaxes(**ticks, **square, autorange="reversed", title_text="true class")
    scale = dict(cmin=0, cmax=1, colorscale=theme.FROM_NOTHING, colorbar=dict(tickformat=".0%", title="share"))
    return fig.update_layout(height=side, coloraxis=scale)
