"""What runs behind a widget: selectors from arrays to ids, and whole runs; widgets hold no algorithm and no tensors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from activekd_lab.config import RunConfig
from activekd_lab.errors import SettingError

if TYPE_CHECKING:
    from activekd_lab.active.loop import ActiveRun
    from activekd_lab.selectors import Selector

Array = np.ndarray[Any, Any]


class PoolArrays(NamedTuple):
    """What a selector may see, as arrays over the whole training split.

    Attributes:
        probabilities: (N, C) float32, the student's, rows sum to 1.
        features: (N, D) float32 student features, or None where they were not kept.
        labeled_ids: (L,) int64, the labels to start from.
        labeled_labels: (L,) int64 classes of those.
        round: which round this is.
    """

    probabilities: Array
    features: Array | None
    labeled_ids: Array
    labeled_labels: Array
    round: int

    @property
    def unlabeled_ids(self) -> Array:
        """(N − L,) ids that can still be picked."""
        free = np.ones(len(self.probabilities), dtype=bool)
        free[self.labeled_ids] = False
        return np.flatnonzero(free)


def run_selector(selector: str | Selector, arrays: PoolArrays, budget: int, seed: int) -> Array:
    """Ask a selector for `budget` ids.

    Raises:
        UnknownNameError: no selector of that name.
        SettingError: the selector compares features, and there are none.
    """
    import torch  # noqa: PLC0415  (slow import)

    from activekd_lab.selectors import PoolView, resolve  # noqa: PLC0415  (imports torch)

    strategy = resolve(selector)
    if arrays.features is None and strategy.features:
        raise SettingError(
            f"Selector {strategy.name!r} may compare features, but none were given; pass features=(N, D)."
        )
    probabilities, labeled, free = (
        torch.from_numpy(np.ascontiguousarray(a))
        for a in (arrays.probabilities, arrays.labeled_ids, arrays.unlabeled_ids)
    )
    features = torch.zeros(len(probabilities), 1) if arrays.features is None else torch.from_numpy(arrays.features)
    view = PoolView(
        ids=free,
        probabilities=probabilities[free],
        features=features[free],
        labeled_ids=labeled,
        labeled_labels=torch.from_numpy(np.ascontiguousarray(arrays.labeled_labels)),
        labeled_probabilities=probabilities[labeled],
        labeled_features=features[labeled],
        round=arrays.round,
    )
    picks = strategy(view, budget, generator=torch.Generator().manual_seed(seed))
    return np.asarray(picks.numpy())


def selector_names(*, with_features: bool) -> list[str]:
    """Return the registered selectors that can work with what a widget was given."""
    from activekd_lab.selectors import list_selectors  # noqa: PLC0415  (imports torch)

    return [s.name for s in list_selectors() if with_features or not s.features]


def start_run(config: RunConfig, store: str | Path | None, cancel: Callable[[], bool]) -> ActiveRun:
    """Start an ActiveKD run, whose rounds are computed as it is iterated over."""
    from activekd_lab.active.begin import start  # noqa: PLC0415  (imports torch)

    return start(config, store=store, cancel=cancel).open()


def seen(active: ActiveRun) -> tuple[PoolArrays, Array]:
    """Return the pool as the run's selector last saw it, and the ids that it could ask for.

    Raises:
        SettingError: the run has trained no round here.
    """
    if (view := active.view) is None:
        raise SettingError(
            "active must have trained a round in this process; iterate over it once: next(iter(active))."
        )
    everyone = np.full((len(active.pool), view.probabilities.shape[1]), 1 / view.probabilities.shape[1], np.float32)
    everyone[view.ids], everyone[view.labeled_ids] = view.probabilities, view.labeled_probabilities
    known = view.labeled_ids.numpy()
    return PoolArrays(everyone, None, known, view.labeled_labels.numpy(), active.records[-1].round), view.ids.numpy()


def choose(active: ActiveRun, selector: str, budget: int, seed: int, draw: int = 0) -> Array:
    """Return the (B,) ids that a selector asks for, given what the run's own last saw."""
    from activekd_lab.rng import generator  # noqa: PLC0415  (imports torch)
    from activekd_lab.selectors import select  # noqa: PLC0415

    assert active.view is not None  # `seen` refused it
    return np.asarray(select(selector, active.view, budget, generator=generator(seed, "play", selector, draw)))


def train_on(active: ActiveRun, picks: Array, cancel: Callable[[], bool]) -> float:
    """Return the test accuracy of a student trained on the labels that the run's selector last saw, and on `picks`.

    Whoever picked, it starts from the same weights.

    Raises:
        Cancelled: `cancel` said so.
    """
    from activekd_lab.active.rounds import accuracy, train_student  # noqa: PLC0415  (imports torch)

    number = active.records[-1].round
    pool = active.pool.until(number)
    pool.buy(picks.tolist(), round_index=number + 1, source="selector")
    student, _ = train_student(active.prepared, pool, seed=active.config.seed, key=number + 1, cancel=cancel)
    test = active.prepared.predict(student)[1].probabilities(**active.mixing)
    return accuracy(test, active.prepared.task.test.labels)
