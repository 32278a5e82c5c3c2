"""The images that a selector asked for, with the true label, what the student thought, and how sure it was."""

# ruff: noqa: C408  (Plotly settings read best as keyword arguments)

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from activekd_lab.errors import SettingError
from activekd_lab.plots import theme
from activekd_lab.plots.distances import entropy_share, nearest
from activekd_lab.plots.groups import Array
from activekd_lab.plots.images import check_images, sheet
from activekd_lab.plots.maps import shorten
from activekd_lab.plots.page import add_steps
from activekd_lab.runs.records import RunResult

_COLUMNS, _SHOWN, _NAME, _ROW = 6, 48, 12, 176


class Picks(NamedTuple):
    """The picks of one round, in the selector's order; B of them.

    Attributes:
        round: the round that picked them.
        ids: (B,) ids.
        true, predicted: (B,) classes; a true one of −1 is unknown.
        confidence: (B,) probability of the predicted class.
        entropy: (B,) in [0, 1], a share of log C.
        distance: (B,) to the nearest labelled image, between probability vectors, before this round's picks.
    """

    round: int
    ids: Array
    true: Array
    predicted: Array
    confidence: Array
    entropy: Array
    distance: Array


def pick_gallery_data(result: RunResult, labels: Array, rounds: Sequence[int] | None = None) -> tuple[Picks, ...]:
    """Return the picks of each round that made any; arguments as in `pick_gallery`.

    Raises:
        SettingError: a round without picks was asked for, or there is none.
        RunFolderError: the run kept no predictions.
    """
    picking = [record.round for record in result.records if record.picks]
    shown = picking if rounds is None else list(rounds)
    if not shown or not set(shown) <= set(picking):
        raise SettingError(f"rounds must be some of those that picked images ({picking}), but got {shown}.")
    return tuple(_picks(result, labels, number) for number in shown)


def _picks(result: RunResult, labels: Array, number: int) -> Picks:
    probabilities, ids = result.probabilities(number), np.array(result.records[number].picks)
    return picks_of(probabilities, labels, ids, np.array(result.labeled_ids(number)), number)


def picks_of(probabilities: Array, labels: Array, ids: Array, labeled: Array, number: int = 0) -> Picks:
    """Describe picks `ids` under (N, C) probabilities, given the ids `labeled` before them."""
    p = probabilities[ids]
    away, _ = nearest(p, probabilities[labeled])
    return Picks(number, ids, labels[ids], p.argmax(axis=1), p.max(axis=1), entropy_share(p), away)


def pick_gallery(result: RunResult, images: Array, labels: Array, *, rounds: Sequence[int] | None = None) -> go.Figure:
    """Draw the picked images, with a slider over rounds.

    Args:
        result: a run that kept its predictions.
        images: (N, 3, H, W) uint8, the training split.
        labels: (N,) true classes.
        rounds: rounds to show; by default all that picked images. At most 48 picks a round are drawn.

    Raises:
        SettingError: a round without picks was asked for, or there is none.
        DataError: images are not uint8.
        RunFolderError: the run kept no predictions.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    check_images(images)
    data = pick_gallery_data(result, labels, rounds)
    rows = gallery_rows(max(len(picks.ids) for picks in data))
    fig = gallery_figure(f"Picked images: {result.config['selector']}, seed {result.config['seed']}", rows)
    looks = [(gallery_captions(picks, result.class_names), gallery_images(picks, images)) for picks in data]
    fig.add_trace(looks[0][0])
    fig.update_layout(images=looks[0][1])
    if len(data) > 1:
        names = [str(picks.round) for picks in data]
        fig.frames = [
            dict(name=name, data=[text], layout=dict(images=pictures))
            for name, (text, pictures) in zip(names, looks, strict=True)
        ]
        add_steps(fig, names, prefix="picked after round ")
    return fig


def gallery_figure(title: str, rows: int) -> go.Figure:
    """Return the empty grid for `rows` rows of picks."""
    text = "in the order of picking; below: true class, the student's answer (✓ or ✗), its uncertainty from 0 to 1"
    fig = theme.figure(title, text, height=130 + _ROW * rows, hovermode="closest")
    fig.update_xaxes(visible=False, range=[0, _COLUMNS], fixedrange=True)
    fig.update_yaxes(visible=False, range=[rows, 0], fixedrange=True)
    return fig.update_layout(margin=dict(l=8, r=8, t=76, b=54))


def gallery_rows(count: int) -> int:
    """Return how many rows `count` images take; at most 48 are drawn."""
    return -(-min(_SHOWN, count) // _COLUMNS)


def gallery_captions(picks: Picks, class_names: Sequence[str]) -> go.Scatter:
    """Return the text below the images of a round, with more of it on hover."""
    place = np.arange(len(picks.ids))[:_SHOWN]
    names = [*class_names, "?"]  # −1, an unknown class, is the last
    truth, guess = ([names[c] for c in classes[:_SHOWN]] for classes in (picks.true, picks.predicted))
    text = [_caption(t, g, h) for t, g, h in zip(truth, guess, picks.entropy, strict=False)]
    hover = [
        f"pick {i + 1}: image {picks.ids[i]}<br>true: {theme.plain(truth[i])}<br>"
        f"predicted: {theme.plain(guess[i])}, {picks.confidence[i]:.0%}"
        f"<br>uncertainty {picks.entropy[i]:.2f}<br>distance to the nearest label {picks.distance[i]:.3f}"
        for i in place
    ]
    return go.Scatter(
        x=place % _COLUMNS + 0.5, y=place // _COLUMNS + 0.56, mode="text", text=text, hovertext=hover, hoverinfo="text",
        textposition="bottom center", textfont=dict(size=11), customdata=picks.ids[:_SHOWN],
    )  # fmt: skip


def _caption(truth: str, guess: str, uncertainty: float) -> str:
    """Return the lines below an image; names are broken, so that they stay within its column on a narrow page."""
    answer = "✓" if guess == truth else f"{'✗ ' if truth != '?' else ''}{_broken(guess)}<br>"
    return f"<b>{_broken(truth)}</b><br>{answer} {uncertainty:.2f}"


def _broken(name: str) -> str:
    """Return a name in at most two lines."""
    first, *more = textwrap.wrap(name, _NAME) or [""]
    return shorten(first, _NAME) + (f"<br>{shorten(' '.join(more), _NAME)}" if more else "")


def gallery_images(picks: Picks, images: Array) -> list[dict[str, Any]]:
    """Return a round's pictures as layout images, one a cell of the grid."""
    fixed = dict(xref="x", yref="y", sizex=0.94, sizey=0.52, xanchor="center", yanchor="top", sizing="contain")
    uris = [sheet(images[i][None], columns=1, tile=96, quality=85).uri for i in picks.ids[:_SHOWN]]
    return [fixed | dict(source=uri, x=i % _COLUMNS + 0.5, y=i // _COLUMNS + 0.02) for i, uri in enumerate(uris)]
