"""Which classes got the labels: counts by class and round."""

# ruff: noqa: C408  (Plotly settings read best as keyword arguments)

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from activekd_lab.plots import theme
from activekd_lab.plots.groups import Array
from activekd_lab.plots.maps import shorten
from activekd_lab.runs.records import RunResult


class ClassBalance(NamedTuple):
    """Labels so far, by round and class.

    Attributes:
        class_names: C names.
        counts: (R, C) labels that round r trained on.
        evenness: (R,) entropy of the class shares over log C: 1 is perfectly balanced.
    """

    class_names: tuple[str, ...]
    counts: Array
    evenness: Array


def class_balance_data(result: RunResult) -> ClassBalance:
    """Count a run's labels, validation left out."""
    classes = len(result.class_names)
    kinds = {label.id: label.label for label in result.labels}
    counts = np.array(
        [np.bincount([kinds[i] for i in result.labeled_ids(r.round)], minlength=classes) for r in result.records]
    )
    share = counts / counts.sum(axis=1, keepdims=True)
    evenness = -(share * np.log(share.clip(1e-12))).sum(axis=1) / np.log(max(2, classes))
    return ClassBalance(result.class_names, counts, evenness)


def class_balance(result: RunResult, pool: Sequence[int] | None = None) -> go.Figure:
    """Draw how many labels each class has after each round, classes with most labels at the top.

    Args:
        result: a run.
        pool: images of each class in the pool; then the largest class is at the top, its images beside its name.
    """
    data = class_balance_data(result)
    order = np.argsort(data.counts[-1] if pool is None else pool, kind="stable")
    fig = theme.figure(
        f"Labels by class: {result.config['selector']}, seed {result.config['seed']}",
        f"evenness (entropy of the class shares / log C): {data.evenness[0]:.2f} at first, {data.evenness[-1]:.2f} now",
        x="round",
        height=180 + 18 * len(order),
    )
    names = [shorten(data.class_names[i]) + ("" if pool is None else f" · {pool[i]}") for i in order]
    heat = go.Heatmap(
        z=data.counts[:, order].T, x=[r.round for r in result.records], y=np.arange(len(order)), coloraxis="coloraxis",
        hovertemplate="%{customdata}<br>round %{x}: %{z} labels<extra></extra>", xgap=2, ygap=1,
        customdata=[[theme.plain(data.class_names[i])] * len(data.counts) for i in order],
    )  # fmt: skip
    fig.add_trace(heat)
    fig.update_yaxes(tickvals=np.arange(len(order)), ticktext=names, showgrid=False, tickfont_size=11)
    fig.update_xaxes(dtick=1, showgrid=False)
    scale = dict(cmin=0, cmax=int(data.counts.max()), colorscale=theme.FROM_NOTHING, colorbar=dict(title="labels"))
    return fig.update_layout(coloraxis=scale)
