"""CLAP and Tip-Adapter-F as the papers' released code fits them: on fresh crops, which the teacher sees at every step.

Ours (`clap`, `tip_adapter`) work on cached embeddings of the plain images and take seconds; these ask the teacher.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from activekd_lab.errors import SettingError, UnknownNameError
from activekd_lab.students.schedule import rate_at
from activekd_lab.teachers.clap import clap_loss, clap_weights, prototypes_of
from activekd_lab.teachers.fitting import FewShot, batches, batches_an_epoch, check_labels, train
from activekd_lab.teachers.tip_adapter import CacheHead
from activekd_lab.teachers.zero_shot import ZeroShotHead

Area = tuple[float, float]


class Crops(Protocol):
    """Embeddings of fresh random crops."""

    def __call__(self, rows: Tensor, generator: torch.Generator, area: Area) -> Tensor:
        """Return (B, D) unit embeddings of a new crop of each labelled image, whose share of it lies in `area`."""
        ...


@dataclass(frozen=True)
class ReleasedCLAP:
    """CLAP (arXiv:2312.12730) as ActiveKD's code runs it.

    On the ten data sets ⌊300 L / 64⌋ steps of 64 crops, drawn with replacement, of .08 to all of an image; on ImageNet
    (`IMAGENET_CLAP`) 300 passes in ever new order, ⌈300 L / 64⌉ steps, crops of half to all of an image. SGD .01,
    momentum .9; the rate rises from 0 over a tenth and falls linearly (the code's flags say cosine and 10 warm-up
    epochs, but its optimizer reads neither; `schedule="cosine", warmup=10 / 300` is what they say). Prototypes start
    at the unnormalised text; one without labels drifts, since nothing holds it.
    """

    zero_shot: ZeroShotHead
    crops: Crops
    epochs: int = 300
    batch: int = 64
    learning_rate: float = 0.01
    momentum: float = 0.9
    schedule: str = "linear-from-0"
    warmup: float = 0.1
    area: Area = (0.08, 1.0)
    passes: bool = False

    def steps(self, labels: int) -> int:
        """Return how many steps a fit on so many labels takes."""
        return -(-self.epochs * labels // self.batch) if self.passes else max(1, self.epochs * labels // self.batch)

    def _drawn(self, L: int, generator: torch.Generator) -> Iterator[Tensor]:
        """Yield the (B,) labelled rows of each step: drawn with replacement, or of one pass after the other."""
        if self.passes:
            yield from torch.cat([torch.randperm(L, generator=generator) for _ in range(self.epochs)]).split(self.batch)
        else:
            yield from (torch.randint(L, (self.batch,), generator=generator) for _ in range(self.steps(L)))

    def fit(self, embeddings: Tensor, labels: Tensor, *, generator: torch.Generator | None = None) -> ZeroShotHead:
        """Return the head of the trained prototypes; `embeddings` of the plain images weigh the pull. See `FewShot`."""
        check_labels(self.zero_shot, embeddings, labels)
        generator, head = _given(generator), self.zero_shot
        weights = clap_weights(head.probabilities(embeddings), labels)  # (C,)
        start = prototypes_of(head).to(embeddings)  # (C, D)
        prototypes = start.clone().requires_grad_()
        steps = self.steps(len(labels))
        rounded = {"warmup_steps": int(self.warmup * steps)} if self.passes else {}
        optimizer = torch.optim.SGD([prototypes], lr=self.learning_rate, momentum=self.momentum)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: rate_at(step, steps, self.warmup, schedule=self.schedule, **rounded)
        )

        def loss(rows: Tensor) -> Tensor:
            seen = self.crops(rows, generator, self.area)  # (64, D)
            return clap_loss(prototypes, seen, labels[rows], start, weights, scale=head.scale, bias=head.bias)

        train(optimizer, schedule, loss, (rows.to(labels.device) for rows in self._drawn(len(labels), generator)))
        final = prototypes.detach()
        return ZeroShotHead(F.normalize(final, dim=1), head.scale, head.bias, final)


IMAGENET_CLAP: Mapping[str, Any] = {"area": (0.5, 1.0), "passes": True}
"""What CLAP has otherwise on ImageNet (PCoreSet's clap_imgnet.py)."""
TIP_STARTS: dict[str, tuple[float, tuple[float, float]]] = {
    "caltech101": (3, (12, 5)), "dtd": (2, (13, 13)), "eurosat": (2, (12, 10)), "fgvc_aircraft": (5, (30, 30)),
    "food101": (1.17, (10, 10)), "oxford_flowers": (10, (50, 50)), "oxford_pets": (1.17, (7, 3)),
    "stanford_cars": (3, (20, 10)), "sun397": (1.17, (12, 10)), "ucf101": (3, (7, 3)), "imagenet": (1.17, (7, 3)),
}  # fmt: skip
"""α to train with (β is 1 everywhere), and the largest β and α to search, by data set, as in DHO's configs."""


@dataclass(frozen=True)
class ReleasedTipAdapterF:
    """Tip-Adapter-F (arXiv:2207.09519) with the settings of DHO's configs.

    Keys are the unit means of ten crops' embeddings; trained by cross-entropy on fresh crops (half to all of an image)
    in batches of 256, AdamW at .001 with ε = 1e-4, cosine decay, 200 epochs (20 on ImageNet); then α and β are searched
    on the validation split: β over 200 values, α over 20.

    Args:
        zero_shot: whose logits the cache's votes are added to.
        crops: embeds fresh crops.
        validation: (V, D) embeddings and (V,) labels of the validation split.
        task: whose starting values are taken, see `TIP_STARTS`; others take ImageNet's.
    """

    zero_shot: ZeroShotHead
    crops: Crops
    validation: tuple[Tensor, Tensor]
    task: str = "imagenet"
    augment: int = 10
    learning_rate: float = 1e-3
    batch: int = 256

    def fit(self, embeddings: Tensor, labels: Tensor, *, generator: torch.Generator | None = None) -> CacheHead:
        """Return the head with trained keys and the best α and β. See `FewShot`."""
        check_labels(self.zero_shot, embeddings, labels)
        generator, area = _given(generator), (0.5, 1.0)
        alpha, largest = TIP_STARTS.get(self.task, TIP_STARTS["imagenet"])
        rows = torch.arange(len(labels), device=labels.device)
        seen = [
            torch.cat([self.crops(r, generator, area) for r in rows.split(self.batch)]) for _ in range(self.augment)
        ]
        keys = F.normalize(torch.stack(seen).mean(0), dim=1).requires_grad_()  # (L, D)
        values = F.one_hot(labels, len(self.zero_shot.text)).to(keys)  # (L, C)
        head = CacheHead(self.zero_shot, keys, values, alpha, 1.0)
        steps = _tip_epochs(self.task) * batches_an_epoch(labels, self.batch)
        optimizer = torch.optim.AdamW([keys], lr=self.learning_rate, eps=1e-4)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

        def loss(rows: Tensor) -> Tensor:
            return F.cross_entropy(head.logits(self.crops(rows, generator, area)), labels[rows])

        train(optimizer, schedule, loss, batches(labels, self.batch, steps, generator))
        trained = CacheHead(self.zero_shot, keys.detach(), values, alpha, 1.0)
        alpha, beta = searched(trained, *self.validation, largest=largest)
        return CacheHead(self.zero_shot, trained.keys, values, alpha, beta)


def searched(
    head: CacheHead, embeddings: Tensor, labels: Tensor, *, largest: tuple[float, float]
) -> tuple[float, float]:
    """Return the α and β of the best accuracy on (V, D) embeddings and their (V,) labels; the first found in a tie.

    Args:
        head: a cache; its own α and β do not matter.
        embeddings: (V, D) unit rows.
        labels: (V,) int64.
        largest: β runs over 200 values from .1 to below the first, α over 20 from .1 to below the second.
    """
    keys, values = head.keys.to(embeddings), head.values.to(embeddings)
    plain, affinity = head.zero_shot.logits(embeddings), embeddings @ keys.T  # (V, C), (V, L)
    best = (-1, 1.0, 1.0)
    betas, alphas = ([0.1 + i * (top - 0.1) / n for i in range(n)] for top, n in zip(largest, (200, 20), strict=True))
    for beta in betas:
        votes = (-beta * (1 - affinity)).exp() @ values  # (V, C)
        for alpha in alphas:
            right = int(((plain + alpha * votes).argmax(1) == labels.to(plain.device)).sum())
            best = max(best, (right, alpha, beta), key=lambda found: found[0])  # the first stays in a tie
    return best[1], best[2]


def released(
    name: str, zero_shot: ZeroShotHead, crops: Crops, validation: Callable[[], tuple[Tensor, Tensor]], task: str
) -> FewShot:
    """Return the few-shot method of a name as the released code fits it.

    Raises:
        UnknownNameError: the released code has no such teacher.
    """
    if name == "clap":
        return ReleasedCLAP(zero_shot, crops, **(IMAGENET_CLAP if task == "imagenet" else {}))
    if name == "tip_adapter_f":
        return ReleasedTipAdapterF(zero_shot, crops, validation(), task)
    raise UnknownNameError("few_shot on crops", name, ("clap", "tip_adapter_f"))


def crops_a_label(name: str, task: str) -> int:
    """Return how many crops of each label a fit looks at, with which a study's cost is counted."""
    if name == "clap":
        return ReleasedCLAP.epochs
    return ReleasedTipAdapterF.augment + _tip_epochs(task)


def _tip_epochs(task: str) -> int:
    return 20 if task == "imagenet" else 200


def _given(generator: torch.Generator | None) -> torch.Generator:
    if generator is None:
        raise SettingError("fit draws crops; give it a torch.Generator.")
    return generator
