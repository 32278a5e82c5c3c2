"""Tip-Adapter (arXiv:2207.09519): labelled embeddings vote beside the zero-shot logits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from activekd_lab.io.arguments import checked
from activekd_lab.teachers.fitting import batches, batches_an_epoch, check_labels, train, trained_classes
from activekd_lab.teachers.zero_shot import ZeroShotHead


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


@checked(cache_weight=">= 0", sharpness="> 0")
@dataclass(frozen=True)
class TipAdapter:
    """Tip-Adapter (arXiv:2207.09519): labelled embeddings vote beside the zero-shot logits; nothing is trained.

    The paper tunes α and β on validation labels, which ActiveKD does not have; these are its defaults, α = 1, β = 5.5.
    """

    zero_shot: ZeroShotHead
    cache_weight: float = 1.0
    sharpness: float = 5.5

    @checked(embeddings="(L, D) finite")
    def fit(self, embeddings: Tensor, labels: Tensor, *, generator: torch.Generator | None = None) -> CacheHead:
        """Return the head whose cache holds these labels; nothing is drawn. See `FewShot.fit`."""
        check_labels(self.zero_shot, embeddings, labels)
        C = len(self.zero_shot.text)
        trained_classes(labels, C)
        values = F.one_hot(labels, C).to(embeddings)
        return CacheHead(self.zero_shot, embeddings, values, self.cache_weight, self.sharpness)


@checked(cache_weight=">= 0", sharpness="> 0", epochs=">= 1", learning_rate=">= 0", batch=">= 1")
@dataclass(frozen=True)
class TipAdapterF(TipAdapter):
    """Tip-Adapter-F (arXiv:2207.09519): Tip-Adapter whose keys are trained.

    Cross-entropy on the labels, AdamW at 0.001 with ε = 1e-4, cosine decay, 20 epochs of batches of 256: the authors'
    optimizer, on cached embeddings of plain images instead of fresh crops (`released.ReleasedTipAdapterF`). The last
    keys are kept, and α and β stay; their code searches both and keeps the epoch that is best on a split.
    """

    epochs: int = 20
    learning_rate: float = 1e-3
    batch: int = 256

    @checked(embeddings="(L, D) finite")
    def fit(self, embeddings: Tensor, labels: Tensor, *, generator: torch.Generator | None = None) -> CacheHead:
        """Return the head with trained keys; see `FewShot.fit`."""
        start = super().fit(embeddings, labels)
        keys = start.keys.clone().requires_grad_()
        head = CacheHead(start.zero_shot, keys, start.values, start.cache_weight, start.sharpness)
        optimizer = torch.optim.AdamW([keys], lr=self.learning_rate, eps=1e-4)
        steps = self.epochs * batches_an_epoch(labels, self.batch)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

        def loss(rows: Tensor) -> Tensor:
            return F.cross_entropy(head.logits(embeddings[rows]), labels[rows])

        train(optimizer, schedule, loss, batches(labels, self.batch, steps, generator))
        return CacheHead(start.zero_shot, keys.detach(), start.values, start.cache_weight, start.sharpness)


def tip_logits(embeddings: Tensor, keys: Tensor, values: Tensor, *, cache_weight: float, sharpness: float) -> Tensor:
    """Return the cache's vote `α · exp(−β · (1 − e · keysᵀ)) · values`, (N, C), α = `cache_weight`, β = `sharpness`."""
    affinity = embeddings @ keys.T  # (N, L) cosines, as long as the keys have length 1
    return cache_weight * (-sharpness * (1 - affinity)).exp() @ values
