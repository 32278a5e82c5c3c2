"""CLAP (arXiv:2312.12730): class prototypes that are trained on a few labels and held near their text."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from activekd_lab.io.arguments import checked
from activekd_lab.students.schedule import rate_at
from activekd_lab.teachers.fitting import batches, batches_an_epoch, check_labels, train, trained_classes
from activekd_lab.teachers.zero_shot import ZeroShotHead


@checked(epochs=">= 1", learning_rate=">= 0", momentum="0 … 1", warmup="0 … 1", batch=">= 1")
@dataclass(frozen=True)
class CLAP:
    """CLAP (arXiv:2312.12730): class prototypes that start at the text and are held there where zero-shot is right.

    SGD on `clap_loss` at the released ActiveKD code's rate (0.01, momentum 0.9) over as many epochs (300), with 10%
    linear warm-up, then linear decay. On cached embeddings of plain images, in batches of 256, so with fewer steps than
    there, where fresh crops are drawn: `released.ReleasedCLAP` does that. A class without labels keeps its text
    prototype; there it drifts.

    Args:
        zero_shot: where the prototypes start, its unnormalised text embeddings.
    """

    zero_shot: ZeroShotHead
    epochs: int = 300
    learning_rate: float = 0.01
    momentum: float = 0.9
    warmup: float = 0.1
    batch: int = 256

    @checked(embeddings="(L, D) finite")
    def fit(self, embeddings: Tensor, labels: Tensor, *, generator: torch.Generator | None = None) -> ZeroShotHead:
        """Return the head of the trained prototypes; see `FewShot.fit`."""
        check_labels(self.zero_shot, embeddings, labels)
        weights = self.constraint(embeddings, labels)
        start = prototypes_of(self.zero_shot).to(embeddings)
        trained = trained_classes(labels, len(start))
        prototypes = start.clone().requires_grad_()
        optimizer = torch.optim.SGD([prototypes], lr=self.learning_rate, momentum=self.momentum)

        def loss(rows: Tensor) -> Tensor:
            return clap_loss(
                prototypes, embeddings[rows], labels[rows], start, weights,
                scale=self.zero_shot.scale, bias=self.zero_shot.bias,
            )  # fmt: skip

        steps = self.epochs * batches_an_epoch(labels, self.batch)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_at(step, steps, self.warmup))
        mask = trained.to(embeddings)[:, None]
        prototypes.register_hook(lambda gradient: gradient * mask)
        train(optimizer, schedule, loss, batches(labels, self.batch, steps, generator))
        final = prototypes.detach()
        return ZeroShotHead(F.normalize(final, dim=1), self.zero_shot.scale, self.zero_shot.bias, final)

    @checked(embeddings="(L, D) finite")
    def constraint(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Return the (C,) weights of the pull to the text."""
        check_labels(self.zero_shot, embeddings, labels)
        return clap_weights(self.zero_shot.probabilities(embeddings), labels)


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


def prototypes_of(head: ZeroShotHead) -> Tensor:
    """Return (C, D) unnormalised text embeddings of a head, or its unit ones where it was not made from prompts."""
    return head.text if head.raw_text is None else head.raw_text
