"""Few-shot teachers: heads fitted on a few labelled embeddings, all with `fit(embeddings, labels) -> head`.

Every head starts from the zero-shot one and works on cached embeddings, so that a fit takes seconds. Each training step
takes a batch of at most `batch` embeddings; up to there a fit draws nothing at random.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from activekd_lab.errors import NonFiniteError, PoolError, SettingError, UnknownNameError
from activekd_lab.teacher import TeacherHead, ZeroShotHead


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


@dataclass(frozen=True)
class CLAP:
    """CLAP (arXiv:2312.12730): class prototypes that start at the text and are held there where zero-shot is right.

    SGD on `clap_loss`, with the constants of the released ActiveKD code: learning rate 0.01, momentum 0.9, 300 epochs,
    10% linear warm-up, then linear decay. A class without labels keeps its text prototype (there, its weight of zero
    lets it drift).

    Args:
        zero_shot: where the prototypes start, its unnormalised text embeddings.
    """

    zero_shot: ZeroShotHead
    epochs: int = 300
    learning_rate: float = 0.01
    momentum: float = 0.9
    warmup: float = 0.1
    batch: int = 256

    def fit(self, embeddings: Tensor, labels: Tensor, *, generator: torch.Generator | None = None) -> ZeroShotHead:
        """Return the head of the trained prototypes; see `FewShot.fit`."""
        check_labels(self.zero_shot, embeddings, labels)
        weights = self.constraint(embeddings, labels)
        start = prototypes_of(self.zero_shot).to(embeddings)
        trained = _trained_classes(labels, len(start))
        prototypes = start.clone().requires_grad_()
        optimizer = torch.optim.SGD([prototypes], lr=self.learning_rate, momentum=self.momentum)

        def loss(rows: Tensor) -> Tensor:
            return clap_loss(
                prototypes, embeddings[rows], labels[rows], start, weights,
                scale=self.zero_shot.scale, bias=self.zero_shot.bias,
            )  # fmt: skip

        steps = self.epochs * _batches_an_epoch(labels, self.batch)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_decay(step, steps, self.warmup))
        mask = trained.to(embeddings)[:, None]
        prototypes.register_hook(lambda gradient: gradient * mask)
        _train(optimizer, schedule, loss, _batches(labels, self.batch, steps, generator))
        final = prototypes.detach()
        return ZeroShotHead(F.normalize(final, dim=1), self.zero_shot.scale, self.zero_shot.bias, final)

    def constraint(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Return the (C,) weights of the pull to the text."""
        return clap_weights(self.zero_shot.probabilities(embeddings), labels)


@dataclass(frozen=True)
class LinearProbe(CLAP):
    """The control: CLAP without its pull to the text ("ZS-LP" in arXiv:2312.12730), all else alike."""

    def constraint(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Return (C,) zeros."""
        return torch.zeros(len(self.zero_shot.text), device=embeddings.device)


@dataclass(frozen=True, eq=False)
class CacheHead:
    """A key-value cache beside the zero-shot head; `tip_logits` is its formula.

    Attributes:
        keys: (L, D), embeddings of the labelled images or what was trained from them.
        values: (L, C) one-hot labels.
        cache_weight: α of the paper, what the cache's vote weighs.
        sharpness: β of the paper, how fast a vote fades with distance.
    """

    zero_shot: ZeroShotHead
    keys: Tensor
    values: Tensor
    cache_weight: float
    sharpness: float

    def logits(self, embeddings: Tensor) -> Tensor:
        """Return (N, C) logits of (N, D) unit embeddings."""
        keys, values = self.keys.to(embeddings), self.values.to(embeddings)
        votes = tip_logits(embeddings, keys, values, cache_weight=self.cache_weight, sharpness=self.sharpness)
        return self.zero_shot.logits(embeddings) + votes

    def probabilities(self, embeddings: Tensor) -> Tensor:
        """Return (N, C) probabilities of (N, D) unit embeddings."""
        return self.logits(embeddings).softmax(1)


@dataclass(frozen=True)
class TipAdapter:
    """Tip-Adapter (arXiv:2207.09519): labelled embeddings vote beside the zero-shot logits; nothing is trained.

    The paper tunes α and β on validation labels, which ActiveKD does not have; these are its defaults, α = 1, β = 5.5.
    """

    zero_shot: ZeroShotHead
    cache_weight: float = 1.0
    sharpness: float = 5.5

    def __post_init__(self) -> None:
        if self.cache_weight < 0 or self.sharpness <= 0:
            raise SettingError(
                f"cache_weight must be 0 or more and sharpness positive, but got {self.cache_weight} and "
                f"{self.sharpness}."
            )

    def fit(self, embeddings: Tensor, labels: Tensor, *, generator: torch.Generator | None = None) -> CacheHead:
        """Return the head whose cache holds these labels; nothing is drawn. See `FewShot.fit`."""
        check_labels(self.zero_shot, embeddings, labels)
        C = len(self.zero_shot.text)
        _trained_classes(labels, C)
        values = F.one_hot(labels, C).to(embeddings)
        return CacheHead(self.zero_shot, embeddings, values, self.cache_weight, self.sharpness)


@dataclass(frozen=True)
class TipAdapterF(TipAdapter):
    """Tip-Adapter-F (arXiv:2207.09519): Tip-Adapter whose keys are trained.

    Cross-entropy on the labels, AdamW at 0.001 with ε = 1e-4, cosine decay, 20 epochs of batches of 256, as in the
    authors' code. The last keys are kept; their code keeps the epoch that is best on the test set.
    """

    epochs: int = 20
    learning_rate: float = 1e-3
    batch: int = 256

    def fit(self, embeddings: Tensor, labels: Tensor, *, generator: torch.Generator | None = None) -> CacheHead:
        """Return the head with trained keys; see `FewShot.fit`."""
        start = super().fit(embeddings, labels)
        keys = start.keys.clone().requires_grad_()
        head = CacheHead(start.zero_shot, keys, start.values, start.cache_weight, start.sharpness)
        optimizer = torch.optim.AdamW([keys], lr=self.learning_rate, eps=1e-4)
        steps = self.epochs * _batches_an_epoch(labels, self.batch)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

        def loss(rows: Tensor) -> Tensor:
            return F.cross_entropy(head.logits(embeddings[rows]), labels[rows])

        _train(optimizer, schedule, loss, _batches(labels, self.batch, steps, generator))
        return CacheHead(start.zero_shot, keys.detach(), start.values, start.cache_weight, start.sharpness)


FEW_SHOT: dict[str, Callable[[ZeroShotHead], FewShot]] = {
    "clap": CLAP,
    "tip_adapter": TipAdapter,
    "tip_adapter_f": TipAdapterF,
    "linear_probe": LinearProbe,
}


def few_shot(name: str, zero_shot: ZeroShotHead) -> FewShot:
    """Return the few-shot method of a name, with the papers' constants.

    Raises:
        UnknownNameError: the message lists the known ones, nearest first.
    """
    if name not in FEW_SHOT:
        raise UnknownNameError("few_shot", name, FEW_SHOT)
    return FEW_SHOT[name](zero_shot)


def clap_loss(
    prototypes: Tensor, embeddings: Tensor, labels: Tensor, start: Tensor, weights: Tensor, *, scale: float,
    bias: float = 0.0,
) -> Tensor:  # fmt: skip
    """Return `CE(scale · e · w/‖w‖ + bias, y) + mean_c weights_c · ‖w_c − start_c‖²` (arXiv:2312.12730, eq. 7 with λ*).

    Args:
        prototypes: (C, D) w, of any length.
        embeddings: (L, D) unit rows e.
        labels: (L,) int64 y.
        start: (C, D) unnormalised text embeddings.
        weights: (C,) of `clap_weights`.
        scale: the model's logit scale.
        bias: the model's logit bias.
    """
    logits = scale * embeddings @ F.normalize(prototypes, dim=1).T + bias
    pull = (weights * (prototypes - start).square().sum(1)).mean()
    return F.cross_entropy(logits, labels) + pull


def clap_weights(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return CLAP's (C,) constraint weights: the mean zero-shot probability of the right class over its labels.

    Args:
        probabilities: (L, C) zero-shot probabilities of the labelled images.
        labels: (L,) int64; a class without labels has weight 0.
    """
    C = probabilities.shape[1]
    right = probabilities.gather(1, labels[:, None]).flatten()
    return torch.zeros(C).to(right).index_add(0, labels, right) / labels.bincount(minlength=C).clamp_min(1)


def tip_logits(embeddings: Tensor, keys: Tensor, values: Tensor, *, cache_weight: float, sharpness: float) -> Tensor:
    """Return the cache's vote `α · exp(−β · (1 − e · keysᵀ)) · values`, (N, C), α = `cache_weight`, β = `sharpness`."""
    affinity = embeddings @ keys.T  # (N, L) cosines, as long as the keys have length 1
    return cache_weight * (-sharpness * (1 - affinity)).exp() @ values


def prototypes_of(head: ZeroShotHead) -> Tensor:
    """Return (C, D) unnormalised text embeddings of a head, or its unit ones where it was not made from prompts."""
    return head.text if head.raw_text is None else head.raw_text


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


def _trained_classes(labels: Tensor, num_classes: int) -> Tensor:
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


def warmup_decay(step: int, steps: int, warmup: float) -> float:
    """Return the share of the peak learning rate at a step: linear warm-up, then linear decay to zero."""
    warm = round(warmup * steps)
    return (step + 1) / warm if step < warm else (steps - step) / max(1, steps - warm)


def _batches_an_epoch(labels: Tensor, batch: int) -> int:
    return -(-len(labels) // batch)


def _batches(labels: Tensor, batch: int, steps: int, generator: torch.Generator | None) -> Iterator[Tensor]:
    """Yield `steps` batches of rows: all of them if they fit one batch, else each epoch in a new random order."""
    L = len(labels)
    if batch < L and generator is None:
        raise SettingError(f"fit draws batches of {batch} from {L} labels; give it a torch.Generator.")
    per_epoch = _batches_an_epoch(labels, batch)
    rows = torch.arange(L)
    for step in range(steps):
        if batch < L and step % per_epoch == 0:
            rows = torch.randperm(L, generator=generator)
        start = step % per_epoch * batch
        yield rows[start : start + batch].to(labels.device)


def _train(
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    loss: Callable[[Tensor], Tensor],
    batches: Iterator[Tensor],
) -> None:
    with torch.enable_grad():
        for rows in batches:
            value = loss(rows)
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            optimizer.step()
            schedule.step()
    if not bool(value.detach().isfinite()):
        raise NonFiniteError(f"The few-shot loss became {float(value.detach())}; lower its learning_rate.")
