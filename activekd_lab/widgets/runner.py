"""What runs behind a widget: selectors from arrays to ids, and whole runs; widgets hold no algorithm and no tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from activekd_lab.config import RunConfig
from activekd_lab.errors import SettingError
from activekd_lab.results import RoundRecord, RunResult

Array = np.ndarray[Any, Any]

_PROBABILITIES_ONLY = ("random", "entropy", "margin", "least_confidence", "pcoreset", "class_balanced")


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


Runner = Callable[[str, PoolArrays, int, int], Array]
"""`runner(selector, arrays, budget, seed) -> (B,) ids`."""


def run_selector(selector: str, arrays: PoolArrays, budget: int, seed: int) -> Array:
    """Ask a registered selector for `budget` ids; this is the runner that widgets use unless given another.

    Raises:
        UnknownNameError: no selector of that name.
        SettingError: the selector compares features, and there are none.
    """
    import torch  # noqa: PLC0415  (slow import)

    from activekd_lab.selectors import PoolView, resolve  # noqa: PLC0415  (imports torch)

    strategy = resolve(selector)
    if arrays.features is None and selector not in _PROBABILITIES_ONLY:
        raise SettingError(f"Selector {selector!r} may compare features, but none were given; pass features=(N, D).")
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

    return [s.name for s in list_selectors() if with_features or s.name in _PROBABILITIES_ONLY]


class Running(Protocol):
    """What SelectorRace needs of an `activekd_lab.loop.ActiveRun`."""

    records: list[RoundRecord]

    def __iter__(self) -> Iterator[RoundRecord]: ...
    def result(self) -> RunResult: ...  # noqa: D102


Starter = Callable[[RunConfig, str | Path | None, Callable[[], bool]], Running]
"""`starter(config, store, cancel)`; rounds are computed as the run is iterated over."""


def start_run(config: RunConfig, store: str | Path | None, cancel: Callable[[], bool]) -> Running:
    """Start an ActiveKD run; this is what widgets use unless given another."""
    from activekd_lab.loop import ActiveRun  # noqa: PLC0415  (imports torch)

    return ActiveRun(config, store=store, cancel=cancel)
