"""What a training may switch on: bfloat16, averaged weights, determinism, several processes. `training.fit` uses them.

**Several GPUs** go through Hugging Face `accelerate` (extra `multi-gpu`). The same script runs on one process or many:

    accelerate launch --multi_gpu --num_processes 2 --module activekd_lab.cli run --task shapes --store runs/
    accelerate.notebook_launcher(train, num_processes=2)    # train() calls akd.run(config, store="runs/")

Every process draws the same batch and takes its share of it, gradients are averaged, so the weights stay equal; only
the first process writes the run folder. Batch normalisation sees a process's share, as is usual; its running statistics
are averaged at the end, so that all processes have one student and pick the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from activekd_lab.errors import MissingExtraError, PoolError, SettingError
from activekd_lab.io.numbers import named

if TYPE_CHECKING:
    from accelerate import Accelerator

    from activekd_lab.students.training import Inputs, TrainingPlan

PATIENCE = timedelta(days=2)  # processes wait for the first one's caches, and ImageNet's embeddings take hours


@contextmanager
def deterministic_algorithms(wanted: bool) -> Iterator[None]:
    """Allow only deterministic kernels inside the block, and restore what was allowed before.

    CUDA's matrix products are deterministic only with the workspace setting that is made here if there is none; it
    has an effect when nothing ran on the GPU before.
    """
    if not wanted:
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before, warned = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warned)


class WeightAverage:
    """An exponential moving average of some tensors: `average ← d · average + (1 − d) · weights` at step n = 1, 2, ….

    d is `min(decay, (1 + n) / (10 + n))`: short at first, so that the random start is soon forgotten.
    """

    def __init__(self, weights: Iterable[Tensor], decay: float) -> None:
        self.weights, self.decay, self.steps = list(weights), decay, 0
        self.average = [w.detach().clone() for w in self.weights]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the present weights."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for mean, w in zip(self.average, self.weights, strict=True):
            mean.lerp_(w, 1 - decay)

    @torch.no_grad()
    def apply(self) -> None:
        """Put the average in the place of the weights."""
        for mean, w in zip(self.average, self.weights, strict=True):
            w.copy_(mean)


def launched_processes() -> int:
    """Return how many processes `accelerate launch` or `notebook_launcher` started; 1 outside of them."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def make_accelerator() -> Accelerator | None:
    """Return accelerate's `Accelerator` where several processes were launched, else None.

    Raises:
        MissingExtraError: several processes without accelerate installed.
    """
    if launched_processes() == 1:
        return None
    try:
        from accelerate import Accelerator, InitProcessGroupKwargs  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise MissingExtraError("accelerate", "multi-gpu") from error
    return Accelerator(kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)])


def main_process_first(accelerator: Accelerator | None) -> AbstractContextManager[None]:
    """Let the first process do the block alone, and fill the caches, before the others follow."""
    return nullcontext() if accelerator is None else accelerator.main_process_first()


_MOST_IDS = 10**8


def check_shares(plan: TrainingPlan, accelerator: Accelerator | None) -> None:
    """Refuse batches that the processes cannot share evenly: their gradients would not average to the whole one's.

    Raises:
        SettingError: a batch that is no multiple of the processes, or whose last one is smaller.
    """
    if accelerator is None:
        return
    if not hasattr(accelerator, "num_processes"):
        raise SettingError(f"accelerator must be accelerate's, but got {named(accelerator)}; leave it out.")
    for name in ("batch_labeled", "batch_unlabeled") if plan.method.distills else ("batch_labeled",):
        if (batch := getattr(plan, name)) % accelerator.num_processes:
            raise SettingError(
                f"{name} must be a multiple of the {accelerator.num_processes} processes, but got {batch}; change it."
            )
    if plan.labeled_draw == "loader":
        raise SettingError("labeled_draw='loader' has a smaller last batch, which processes cannot share; use one.")


def own_share(ids: Tensor, accelerator: Accelerator | None) -> Tensor:
    """Return this process's ids of a batch: every `num_processes`-th."""
    return ids if accelerator is None else ids[accelerator.process_index :: accelerator.num_processes]


@torch.no_grad()
def average_over_processes(tensors: Sequence[Tensor], accelerator: Accelerator | None) -> None:
    """Replace floating tensors by their mean over the processes, in one message."""
    if accelerator is None or not tensors:
        return
    flat = accelerator.reduce(torch.cat([t.flatten() for t in tensors]), "mean")
    for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))


def label_table(ids: Tensor, labels: Tensor) -> Tensor:
    """Return the label of every id up to the largest of `ids`, -1 where there is none.

    Raises:
        PoolError: an id below 0, or beyond any pool.
    """
    if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < _MOST_IDS:
        raise PoolError(f"ids must be those of a pool, but reach from {int(ids.min())} to {int(ids.max())}.")
    return torch.full((int(ids.max()) + 1,), -1).scatter(0, ids, labels)


def drawn_batch(inputs: Inputs, ids: Tensor, labels: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the input and the teacher's logits of a batch, the first `labels` of whose ids are labelled.

    Raises:
        PoolError: no label, more labels than ids, or ids that no pool has.
    """
    if not 0 < labels <= len(ids):
        raise PoolError(f"A step needs labels for the first of its {len(ids)} ids, but got {labels}.")
    try:
        return inputs.batch(ids, generator)
    except IndexError as error:
        raise PoolError(f"ids must lie in the pool ({error}).") from error
