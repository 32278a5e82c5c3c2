"""The pool of active learning: what is labelled, since when, at what price. Hidden labels stay hidden here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from activekd_lab.data.task import Split
from activekd_lab.errors import PoolError
from activekd_lab.io.arguments import checked
from activekd_lab.runs.records import Label


@checked()
class Pool:
    """The training split seen through what has been bought so far.

    Args:
        split: the training split; its labels are read only for ids that are bought.
        labels: what is known already, in the order of buying.
        left_out: ids that are neither labelled nor asked for, such as images that a person rejected.
    """

    def __init__(self, split: Split, labels: Iterable[Label] = (), left_out: Iterable[int] = ()) -> None:
        self._oracle, self.ledger = split.labels, list(labels)
        self._open = torch.ones(len(split), dtype=torch.bool)
        known, left = [label.id for label in self.ledger], list(left_out)
        self._refuse_unknown(known + left)
        self._open[known + left] = False

    def __len__(self) -> int:
        return len(self._open)

    @property
    def labeled_ids(self) -> Tensor:
        """(L,) int64 ids to train on, in the order of buying."""
        return self._column("id", validation=False)

    @property
    def labeled_labels(self) -> Tensor:
        """(L,) int64 labels of `labeled_ids`."""
        return self._column("label", validation=False)

    @property
    def validation(self) -> tuple[Tensor, Tensor]:
        """(V,) ids and labels bought to tune settings; nothing trains on them."""
        return self._column("id", validation=True), self._column("label", validation=True)

    def _column(self, name: str, *, validation: bool) -> Tensor:
        rows = [label for label in self.ledger if (label.source == "validation") == validation]
        return torch.tensor([getattr(label, name) for label in rows], dtype=torch.int64)

    @property
    def unlabeled_ids(self) -> Tensor:
        """(N − L,) int64 ids that may still be asked for, ascending."""
        return self._open.nonzero().flatten()

    def until(self, round_index: int) -> Pool:
        """Return the pool as it stood when round `round_index` was trained."""
        known = Pool.__new__(Pool)
        known._oracle, known.ledger = self._oracle, [label for label in self.ledger if label.round <= round_index]
        later = [label.id for label in self.ledger if label.round > round_index]
        known._open = self._open.clone()
        known._open[later] = True
        return known

    @checked(ids="(B,) integers")
    def buy(self, ids: Sequence[int] | Tensor, *, round_index: int, source: str) -> list[Label]:
        """Ask the oracle for the labels of `ids` and write them into the ledger.

        Raises:
            PoolError: an id outside the pool, asked for twice, or labelled already; nothing is bought then.
        """
        wanted = list(map(int, ids))
        self._refuse_unknown(wanted)
        already = [i for i in wanted if not self._open[i]]
        if already:
            raise PoolError(f"ids must be unlabelled, but {already[:3]} have a label already.")
        bought = [Label(i, int(self._oracle[i]), round_index, source) for i in wanted]
        self.ledger += bought
        self._open[wanted] = False
        return bought

    def _refuse_unknown(self, ids: list[int]) -> None:
        outside = [i for i in ids if not 0 <= i < len(self)]
        if outside:
            raise PoolError(f"ids must lie in 0 … {len(self) - 1}, but got {outside[:3]}.")
        if len(set(ids)) != len(ids):
            raise PoolError(f"ids must differ, but {len(ids) - len(set(ids))} of {len(ids)} are repeated.")


def beyond(pool: Pool, limit: int, generator: torch.Generator) -> list[int]:
    """Return the ids that take no part if only `limit` of those that were unlabelled at the start do, drawn once."""
    ids = pool.until(0).unlabeled_ids
    return ids[torch.randperm(len(ids), generator=generator)[limit:]].tolist()


@checked(num_classes="1 … 1000000", per_class=">= 1")
def initial_ids(split: Split, num_classes: int, per_class: int, generator: torch.Generator) -> Tensor:
    """Draw the starting labels: `per_class` random ids of each class, (C · per_class,), as the papers start.

    Raises:
        PoolError: a class with fewer images than `per_class`.
    """
    order = torch.randperm(len(split), generator=generator)
    labels = split.labels[order]
    chosen = [order[labels == c][:per_class] for c in range(num_classes)]
    short = [c for c, ids in enumerate(chosen) if len(ids) < per_class]
    if short:
        raise PoolError(
            f"initial_per_class={per_class} needs that many images of each class, but class {short[0]} has "
            f"{len(chosen[short[0]])}."
        )
    return torch.cat(chosen)
