"""What a probability map shows, round by round, without a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from activekd_lab.errors import SettingError
from activekd_lab.plots.distances import entropy_share, nearest
from activekd_lab.plots.groups import Array
from activekd_lab.plots.projection import Projection, ProjectionName, fit_projection
from activekd_lab.runs.records import RoundRecord, RunResult

DRAWN, HOVERED, LINKED = 20_000, 5_000, 2_000
"""At most so many pool points are drawn, so many of those answer the mouse, and so many have a line to their centre."""


class MapRound(NamedTuple):
    """One round of the map.

    Attributes:
        round: its number.
        positions: (N, 2) float32, every id of the training split.
        predicted: (N,) most probable class.
        confidence: (N,) its probability.
        entropy: (N,) in [0, 1], a share of log C.
        labeled: (L,) ids trained on; labeled_round: (L,) the round that bought each.
        picks: (B,) ids, in the selector's order.
        radii: (B + 1,) covering radius after 0 … B picks, or empty.
        links: (P, 2) ids of points and of the labelled or picked image nearest to each, or None.
        ball: covering radius with the picks, where balls are drawn, or None.
    """

    round: int
    positions: Array
    predicted: Array
    confidence: Array
    entropy: Array
    labeled: Array
    labeled_round: Array
    picks: Array
    radii: Array
    links: Array | None = None
    ball: float | None = None


class ProbabilityMap(NamedTuple):
    """The map's fixed part and its rounds.

    Attributes:
        name: whose predictions: "pcoreset, seed 0".
        class_names: C names.
        projection: fitted once, on the last round shown.
        hovered, backdrop: ids drawn with and without hover; together a seeded sample when the pool is large.
        rounds: one MapRound a round shown.
        labels: (N,) true classes, or None where they stay hidden.
    """

    name: str
    class_names: tuple[str, ...]
    projection: Projection
    hovered: Array
    backdrop: Array
    rounds: tuple[MapRound, ...]
    labels: Array | None


def probability_map_data(
    result: RunResult,
    *,
    rounds: Sequence[int] | None = None,
    projection: ProjectionName | None = None,
    layout: Array | None = None,
    labels: Array | None = None,
    max_points: int = DRAWN,
    hovered: int = HOVERED,
    lines: bool = False,
    balls: bool = False,
) -> ProbabilityMap:
    """Project a run's stored pool probabilities; arguments as in `probability_map`.

    Raises:
        SettingError: no round to show, or a setting that does not fit.
        RunFolderError: the run kept no predictions.
    """
    shown = list(range(len(result.records)) if rounds is None else rounds)
    if not shown or not all(0 <= r < len(result.records) for r in shown):
        raise SettingError(f"rounds must be a non-empty part of 0 … {len(result.records) - 1}, but got {shown}.")
    reference = result.probabilities(shown[-1])
    if labels is not None and len(labels) != len(reference):
        raise SettingError(f"labels must hold one class an image ({len(reference)}), but got {len(labels)}.")
    fitted = fit_projection(reference, projection, layout=layout, ring=result.probabilities(0))
    if balls and fitted.scale is None:
        raise SettingError(
            f"balls=True needs projection='ternary' or 'pca', but got {fitted.name!r}, where a ball has no true size; "
            "lines=True shows what each label covers."
        )
    alive, backdrop = sample(len(reference), max_points, hovered)
    name = f"{result.config['selector']}, seed {result.config['seed']}"
    found = tuple(_map_round(result, fitted, r) for r in shown)
    if lines:
        ids = alive[:: -(-max(1, len(alive)) // LINKED)]
        found = tuple(r._replace(links=_links(result.probabilities(r.round), ids, r)) for r in found)
    if balls:
        found = tuple(r._replace(ball=_ball(result.records[r.round])) for r in found)
    return ProbabilityMap(name, result.class_names, fitted, alive, backdrop, found, labels)


def map_round(
    projection: Projection, probabilities: Array, labeled: Array, bought: Array, picks: Array, radii: Array, number: int
) -> MapRound:
    """Return what the map shows of one round; arguments as the fields of MapRound."""
    predicted = probabilities.argmax(axis=1)
    confidence = probabilities[np.arange(len(predicted)), predicted].astype(np.float32)
    at, entropy = projection.positions(probabilities), entropy_share(probabilities)
    return MapRound(number, at, predicted, confidence, entropy, labeled, bought, picks, radii)


def _links(probabilities: Array, ids: Array, shown: MapRound) -> Array:
    """Return (P, 2) ids: each of (P,) `ids`, and the labelled or picked image whose probabilities are nearest."""
    centers = np.concatenate([shown.labeled, shown.picks])
    _, which = nearest(probabilities[ids], probabilities[centers])
    return np.stack([ids, centers[which]], axis=1)


def _ball(record: RoundRecord) -> float:
    return record.pick_radii[-1] if record.pick_radii else record.covering_radius


def sample(size: int, max_points: int = DRAWN, hovered: int = HOVERED) -> tuple[Array, Array]:
    """Return (hovered, backdrop) ids of a pool of `size`: together all of it, or a seeded sample of `max_points`."""
    if not 1 <= max_points <= DRAWN or hovered < 0:
        raise SettingError(
            f"max_points must lie in 1 … {DRAWN} and hovered be 0 or more, but got {max_points} and {hovered}."
        )
    ids = np.random.default_rng(0).permutation(size)[:max_points]
    return np.sort(ids[:hovered]), np.sort(ids[hovered:])


def _map_round(result: RunResult, projection: Projection, number: int) -> MapRound:
    bought = [label for label in result.labels if label.source != "validation" and label.round <= number]
    record = result.records[number]
    return map_round(
        projection,
        result.probabilities(number),
        np.array([label.id for label in bought], dtype=np.int64),
        np.array([label.round for label in bought], dtype=np.int64),
        np.array(record.picks, dtype=np.int64),
        np.array(record.pick_radii),
        number,
    )
