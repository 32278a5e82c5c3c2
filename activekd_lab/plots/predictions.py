"""A few images with their true class, a model's answer, and how sure it was."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from activekd_lab.errors import SettingError
from activekd_lab.plots import theme
from activekd_lab.plots.distances import entropy_share
from activekd_lab.plots.gallery import Picks, gallery_captions, gallery_figure, gallery_images, gallery_rows
from activekd_lab.plots.groups import Array


def predictions_data(probabilities: Array, labels: Array, ids: Sequence[int]) -> Picks:
    """Describe the answers for `ids` under (N, C) probabilities, given (N,) true classes.

    No image counts as labelled, so the distance to the nearest label is infinite.

    Raises:
        SettingError: no ids, or one outside the probabilities.
    """
    chosen = np.asarray(ids, dtype=np.int64)
    if not len(chosen) or chosen.min() < 0 or chosen.max() >= len(probabilities):
        raise SettingError(f"ids must be some of 0 … {len(probabilities) - 1}, but got {list(ids)[:3]}.")
    p = np.asarray(probabilities)[chosen]
    nowhere = np.full(len(chosen), np.inf)
    return Picks(0, chosen, np.asarray(labels)[chosen], p.argmax(1), p.max(1), entropy_share(p), nowhere)


def prediction_gallery(
    images: Array,
    labels: Array,
    probabilities: Array,
    class_names: Sequence[str],
    ids: Sequence[int],
    *,
    title: str = "Predictions",
) -> go.Figure:
    """Draw images with the true class and the answer below each, and the confidence on hover.

    Args:
        images: (N, 3, H, W) uint8.
        labels: (N,) true classes, −1 where nobody knows.
        probabilities: (N, C) predicted probabilities.
        class_names: C names.
        ids: which images, at most 48 of them.
        title: whose answers these are.

    Raises:
        SettingError: no ids, or one outside the probabilities.
    """
    data = predictions_data(probabilities, labels, ids)
    right, known = int((data.true == data.predicted).sum()), int((data.true >= 0).sum())
    fig = gallery_figure(f"{title}: {right} of {known} right" if known else title, gallery_rows(len(data.ids)))
    text = "below each image: true class, the answer (✓ or ✗), its uncertainty from 0 to 1"
    fig.add_trace(gallery_captions(data, class_names).update(hovertext=_hover(data, class_names)))
    return fig.update_layout(images=gallery_images(data, np.asarray(images)), title_subtitle_text=theme.wrap(text))


def _hover(data: Picks, class_names: Sequence[str]) -> list[str]:
    names = [*map(theme.plain, class_names), "?"]  # −1, an unknown class, is the last
    rows = zip(data.ids, data.true, data.predicted, data.confidence, strict=True)
    return [f"image {i}<br>true: {names[t]}<br>answer: {names[a]}, {c:.0%}" for i, t, a, c in rows]
