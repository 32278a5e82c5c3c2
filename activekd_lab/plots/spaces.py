"""Two spaces, two coverings: the radius along the picks between probabilities, and between features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from activekd_lab.errors import SettingError
from activekd_lab.plots import theme
from activekd_lab.plots.groups import Array, Curve, group_runs, seeds_text
from activekd_lab.plots.learning import add_curve, spread_text, styles
from activekd_lab.runs.records import RunResult


class CoverageSpaces(NamedTuple):
    """Covering radius of the labels so far, label by label, in two spaces that all runs share.

    Attributes:
        probability: one Curve a selector and method; Euclidean between probability vectors, at most √2.
        feature: the same between features of length 1, at most 2.
    """

    probability: tuple[Curve, ...]
    feature: tuple[Curve, ...]


def coverage_spaces_data(results: Sequence[RunResult], probabilities: Array, features: Array) -> CoverageSpaces:
    """Measure both radii after each label; arguments as in `coverage_spaces`.

    Raises:
        SettingError: no finished round, several tasks at once, or arrays that do not belong to the runs' images.
    """
    groups = group_runs(results)
    needed = 1 + max(label.id for runs in groups.values() for run in runs for label in run.labels)
    if len(probabilities) != len(features) or len(features) < needed:
        raise SettingError(
            f"probabilities and features must hold a row for each of the pool's images (at least {needed}), but got "
            f"{len(probabilities)} and {len(features)} rows."
        )
    long = np.linalg.norm(features, axis=1, keepdims=True).clip(1e-12)
    spaces = (np.asarray(probabilities, dtype=np.float32), np.asarray(features / long, dtype=np.float32))
    found = [tuple(_curve(name, runs, points) for name, runs in groups.items()) for points in spaces]
    return CoverageSpaces(*found)


def _curve(name: str, runs: Sequence[RunResult], points: Array) -> Curve:
    orders = [run.labeled_ids(len(run.records) - 1) for run in runs]
    end = min(len(order) for order in orders)
    start = len(runs[0].labeled_ids(0))
    radii = np.array([_radii(points, order[:end], start) for order in orders])
    sd = radii.std(axis=0, ddof=1) if len(runs) > 1 else np.zeros(radii.shape[1])
    config, labels = runs[0].config, np.arange(start, end + 1)
    seeds = np.full(len(labels), len(runs))
    return Curve(name, str(config["selector"]), str(config["method"]), labels, radii.mean(axis=0), sd, seeds)


def _radii(points: Array, order: Sequence[int], start: int) -> Array:
    """Return the covering radius of (N, D) points after the first `start`, `start + 1`, … ids of `order`."""
    near, radii = np.full(len(points), np.inf, dtype=np.float32), []
    for count, center in enumerate(order, 1):
        near = np.minimum(near, ((points - points[center]) ** 2).sum(axis=1))
        if count >= start:
            radii.append(near.max())
    return np.asarray(np.sqrt(radii))


def coverage_spaces(results: Sequence[RunResult], probabilities: Array, features: Array) -> go.Figure:
    """Draw how far the pool's worst covered image lies from its nearest label, in both spaces, as labels are bought.

    The spaces stay fixed over rounds and runs, so the lines never rise; take the teacher's probabilities and
    embeddings, say. `coverage` shows each round's own student instead.

    Args:
        results: runs of one task; those that differ only by seed share a line.
        probabilities: (N, C) of the training split.
        features: (N, D) of the training split; scaled to length 1, as CoreSet's cosine distance does.

    Raises:
        SettingError: no finished round, several tasks at once, or arrays that do not belong to the runs' images.
    """
    data = coverage_spaces_data(results, probabilities, features)
    best = [min(curves, key=lambda curve: curve.mean[-1]) for curves in data]
    text = (
        f"covering radius, mean over {seeds_text(results)}{spread_text(data.probability)}; smallest at the end: "
        f"{best[0].name} {best[0].mean[-1]:.3f} in probability space, {best[1].name} {best[1].mean[-1]:.3f} in "
        "feature space"
    )
    fig = theme.figure("Which space do the picks cover?", text, height=480)
    make_subplots(1, 2, figure=fig, subplot_titles=("probability space", "feature space"), horizontal_spacing=0.08)
    for col, curves in enumerate(data, 1):
        for curve, style in zip(curves, styles(curves), strict=True):
            add_curve(fig, curve, style, legend=col == 1, col=col)
    fig.update_traces(mode="lines")
    fig.update_xaxes(title_text="labels spent", nticks=7)
    fig.update_yaxes(title_text="covering radius", col=1)
    fig.update_annotations(font_size=13)
    return fig.update_layout(margin_t=124)
