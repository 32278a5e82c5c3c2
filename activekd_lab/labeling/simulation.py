"""A known truth plays the person: what a session would have found, without one."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from activekd_lab.errors import PoolError
from activekd_lab.io.arguments import checked
from activekd_lab.labeling.journal import Trained
from activekd_lab.labeling.session import LabelSession


@checked(truth="(N,) integers", labels=">= 0")
def simulate(session: LabelSession, truth: Tensor, labels: int) -> Iterator[Trained]:
    """Let a known truth play the person: answer batch after batch, train after each, until there are `labels` labels.

    Args:
        session: is answered and trained.
        truth: (N,) int64 classes of the pool.
        labels: labels to stop at; the last batch may be cut short.

    Yields:
        What each training found.
    """
    if len(truth) != len(session.task.train):
        raise PoolError(f"truth must hold {len(session.task.train)} classes, one an image, but got {len(truth)}.")
    while len(session.labels) < labels and session.current is not None:
        for _ in range(min(session.batch, labels - len(session.labels))):
            if (current := session.current) is not None:
                session.answer(int(truth[current]))
        yield session.train()
