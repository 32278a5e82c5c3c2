"""A few images with their true class, a model's answer, and how sure it was."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from activekd_lab.errors import SettingError
from activekd_lab.plots import theme
from activekd_lab.plots.distances import entropy_share
from activekd_lab.plots.gallery import Picks, gallery_captions, gallery_figure, gallery_images
from activekd_lab.plots.groups import Array
from activekd_lab.plots.maps import shorten

_COLUMNS, _LETTERS = 8, 20


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
        labels: (N,) true classes.
        probabilities: (N, C) predicted probabilities.
        class_names: C names.
        ids: which images, at most 48 of them.
        title: whose answers these are.

    Raises:
        SettingError: no ids, or one outside the probabilities.
    """
    data = predictions_data(probabilities, labels, ids)
    right = int((data.true == data.predicted).sum())
    fig = gallery_figure(f"{title}: {right} of {len(data.ids)} right", -(-len(data.ids) // _COLUMNS))
    text = "below each image: true class, the answer (✓ or ✗), its uncertainty from 0 to 1"
    captions = gallery_captions(data, class_names)
    fig.add_trace(captions.update(text=_texts(data, class_names), hovertext=_hover(data, class_names)))
    return fig.update_layout(images=gallery_images(data, np.asarray(images)), title_subtitle_text=text)


def _texts(data: Picks, class_names: Sequence[str]) -> list[str]:
    """Return the text below each image; longer than in a gallery of picks, since the names are the point here."""
    found = []
    for truth, answer, entropy in zip(data.true, data.predicted, data.entropy, strict=True):
        sign, color = ("✓", theme.GREEN) if truth == answer else ("✗", theme.VERMILLION)
        mark = f'<span style="color:{color}">{sign}</span>'
        names = [shorten(class_names[c], _LETTERS) for c in (truth, answer)]
        found.append(f"<b>{names[0]}</b><br>{mark} {names[1]}<br>{entropy:.2f}")
    return found


def _hover(data: Picks, class_names: Sequence[str]) -> list[str]:
    rows = zip(data.ids, data.true, data.predicted, data.confidence, strict=True)
    return [f"image {i}<br>true: {class_names[t]}<br>answer: {class_names[a]}, {c:.0%}" for i, t, a, c in rows]
