"""Which images a training step sees: a batch of labelled ids and one of the others, in the papers' ways of drawing."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

LABELED_DRAWS = ("cycle", "padded", "loader", "repeated")


def repeated(ids: Tensor, length: int) -> Tensor:
    """Return `length` ids: all of them, again and again from the beginning, (length,)."""
    return ids[torch.arange(length) % len(ids)]


def padded(ids: Tensor, batch: int) -> Tensor:
    """Return the ids, repeated from the beginning up to whole batches: ⌈n / batch⌉ · batch of them."""
    return repeated(ids, -(-len(ids) // batch) * batch)


def pairs(
    labeled: Tensor, pool: Tensor, batches: tuple[int, int], generator: torch.Generator, draw: str = "cycle"
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the labelled and the other ids of each step, without end.

    Args:
        labeled: (L,) ids with labels.
        pool: (U,) ids without.
        batches: how many of each a step takes, b and u.
        generator: draws the order.
        draw: "cycle": every id once before any twice, of both. "padded": labels with replacement from the list that is
            repeated to whole batches; the pool, repeated likewise, in a new order each pass. "loader": a pass over the
            labels is a new order of both, its last batch of labels smaller. "repeated": each pass is an order of the
            labels repeated to the pool's length.
    """
    b, u = batches
    if draw == "loader":
        while True:
            others = _cycle(pool, u, generator)
            for known in labeled[torch.randperm(len(labeled), generator=generator)].split(b):
                yield known, next(others)
    if draw == "padded":
        choices, others = padded(labeled, b), _cycle(padded(pool, u) if u else pool, u, generator)
        while True:
            yield choices[torch.randint(len(choices), (b,), generator=generator)], next(others)
    known = _cycle(repeated(labeled, max(len(labeled), len(pool))) if draw == "repeated" else labeled, b, generator)
    others = _cycle(pool, u, generator)
    while True:
        yield next(known), next(others)


def _cycle(ids: Tensor, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield endless batches: every id once before any twice."""
    queue = ids[:0]
    while True:
        while len(queue) < batch:
            queue = torch.cat([queue, ids[torch.randperm(len(ids), generator=generator)]])
        yield queue[:batch]
        queue = queue[batch:]
