"""The state of a selection: who picks, how many, from where; and what the picks cover. No front end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from activekd_lab.errors import SettingError
from activekd_lab.plots.distances import distances, nearest
from activekd_lab.widgets.runner import Array, PoolArrays, run_selector

if TYPE_CHECKING:
    from activekd_lab.selectors import Selector


class Selection(NamedTuple):
    """What one choice of settings leads to; distances are Euclidean, between probability vectors.

    Attributes:
        picks: (B,) ids, in the selector's order.
        radii: (B + 1,) covering radius of the pool after 0 … B picks.
        means: (B + 1,) mean distance of the pool to the nearest label or pick.
        distance: (N,) to the nearest label or pick, after all picks.
        classes_before: classes with a label before the picks.
        classes_after: classes with a label once the picks are labelled.
    """

    picks: Array
    radii: Array
    means: Array
    distance: Array
    classes_before: int
    classes_after: int


class SelectionState:
    """Settings and their outcome. Change settings with `update`; nothing is drawn here.

    Args:
        source: gives a round's arrays.
        labels: (N,) true classes, read only for ids that are picked, as an annotator would.
        rounds: the rounds that `source` knows.
        round: where to start; None is the last one.
        selector: a registered name, or a Selector.
        budget: B, how many to pick.
        seed: of the selector's random draws.

    Attributes:
        arrays: the current round's PoolArrays.
        selection: the current outcome.
    """

    def __init__(
        self,
        source: Callable[[int], PoolArrays],
        labels: Array,
        rounds: Sequence[int],
        *,
        round: int | None = None,
        selector: str | Selector = "pcoreset",
        budget: int = 10,
        seed: int = 0,
    ) -> None:
        self._source, self._labels = source, labels
        self.rounds = tuple(rounds)
        self.selector, self.budget, self.seed = selector, budget, seed
        self.round: int
        self.arrays: PoolArrays
        self._near: Array
        self._load(self.rounds[-1] if round is None else round)
        self.selection = self._select()

    def update(
        self,
        *,
        selector: str | Selector | None = None,
        budget: int | None = None,
        seed: int | None = None,
        round: int | None = None,
    ) -> Selection:
        """Change some settings and pick again; on an error the state stays as it was.

        Raises:
            SettingError: a round that is not there.
            PoolError: a budget beyond the pool.
            UnknownNameError: no such selector.
        """
        before = self.selector, self.budget, self.seed, self.round, self.arrays, self._near
        self.selector, self.budget = selector or self.selector, self.budget if budget is None else budget
        self.seed = self.seed if seed is None else seed
        try:
            if round is not None and round != self.round:
                self._load(round)
            self.selection = self._select()
        except Exception:
            self.selector, self.budget, self.seed, self.round, self.arrays, self._near = before
            raise
        return self.selection

    @property
    def name(self) -> str:
        """The selector's name."""
        return self.selector if isinstance(self.selector, str) else self.selector.name

    def _load(self, number: int) -> None:
        if number not in self.rounds:
            raise SettingError(f"round must be one of {', '.join(map(str, self.rounds))}, but got {number}.")
        self.round, self.arrays = number, self._source(number)
        p = self.arrays.probabilities
        self._near, _ = nearest(p, p[self.arrays.labeled_ids])

    def _select(self) -> Selection:
        arrays = self.arrays
        picks = run_selector(self.selector, arrays, self.budget, self.seed)
        p, free = arrays.probabilities, arrays.unlabeled_ids
        steps = np.minimum.accumulate(np.column_stack([self._near, distances(p, p[picks])]), axis=1)
        known = set(arrays.labeled_labels.tolist())
        found = known | set(self._labels[picks].tolist())
        pool = steps[free]
        return Selection(picks, pool.max(axis=0), pool.mean(axis=0), steps[:, -1], len(known), len(found))

    def takeaway(self) -> str:
        """Say in words what the picks changed."""
        s, classes = self.selection, self.arrays.probabilities.shape[1]
        start = f"Round {self.round}, {len(self.arrays.labeled_ids)} labels: {self.name} picks {len(s.picks)}. "
        return (
            start
            + f"The covering radius goes from {s.radii[0]:.3f} to {s.radii[-1]:.3f}, the mean distance to the nearest "
            f"label from {s.means[0]:.3f} to {s.means[-1]:.3f}; classes with a label: {s.classes_before} to "
            f"{s.classes_after} of {classes}."
        )
