"""What few-shot teachers share: their protocol, the check of labels, and a training on batches of cached embeddings."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Tensor

from activekd_lab.errors import NonFiniteError, PoolError, SettingError
from activekd_lab.teachers.zero_shot import TeacherHead, ZeroShotHead


class FewShot(Protocol):
    """A way to adapt the zero-shot head to labels."""

    def fit(self, embeddings: Tensor, labels: Tensor, *, generator: torch.Generator | None = None) -> TeacherHead:
        """Return the head fitted on (L, D) unit embeddings and their (L,) int64 labels.

        Args:
            embeddings: (L, D) rows of length 1.
            labels: (L,) int64 in [0, C).
            generator: draws the order of the batches; needed when there are more labels than one batch takes.
        """
        ...


def check_labels(head: ZeroShotHead, embeddings: Tensor, labels: Tensor) -> None:
    """Refuse labels that do not fit the embeddings or the classes.

    Raises:
        PoolError: no labels, a wrong number, or labels out of range.
    """
    C = len(head.text)
    if labels.ndim != 1 or labels.dtype != torch.int64 or not 0 < len(labels) == len(embeddings):
        raise PoolError(
            f"labels must be (L,) int64, one an embedding ({len(embeddings)}), but got {labels.dtype} "
            f"{tuple(labels.shape)}."
        )
    strange = labels[(labels < 0) | (labels >= C)]
    if len(strange):
        raise PoolError(f"labels must lie in 0 … {C - 1}, but got {strange.unique()[:5].tolist()}.")


def trained_classes(labels: Tensor, num_classes: int) -> Tensor:
    """Return a (C,) mask of the classes with labels, and say once that the others stay at the text."""
    counts = labels.bincount(minlength=num_classes)
    without = (counts == 0).nonzero().flatten().tolist()
    if without:
        shown = ", ".join(map(str, without[:5])) + (", …" if len(without) > 5 else "")
        warnings.warn(
            f"{len(without)} of {num_classes} classes have no label ({shown}); they stay at the text prototype.",
            stacklevel=4,
        )
    return counts > 0


def batches_an_epoch(labels: Tensor, batch: int) -> int:
    """Return how many batches hold every label once."""
    return -(-len(labels) // batch)


def batches(labels: Tensor, batch: int, steps: int, generator: torch.Generator | None) -> Iterator[Tensor]:
    """Yield `steps` batches of rows: all of them if they fit one batch, else each epoch in a new random order."""
    L = len(labels)
    if batch < L and generator is None:
        raise SettingError(f"fit draws batches of {batch} from {L} labels; give it a torch.Generator.")
    per_epoch = batches_an_epoch(labels, batch)
    rows = torch.arange(L)
    for step in range(steps):
        if batch < L and step % per_epoch == 0:
            rows = torch.randperm(L, generator=generator)
        start = step % per_epoch * batch
        yield rows[start : start + batch].to(labels.device)


def train(
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    loss: Callable[[Tensor], Tensor],
    order: Iterator[Tensor],
) -> None:
    """Take one optimizer step a batch of rows, and refuse a loss that is not finite at the end."""
    with torch.enable_grad():
        for rows in order:
            value = loss(rows)
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            optimizer.step()
            schedule.step()
    if not bool(value.detach().isfinite()):
        raise NonFiniteError(f"The few-shot loss became {float(value.detach())}; lower its learning_rate.")
