"""Make a pool harder on purpose, for experiments with any task: long-tailed class counts, wrong labels."""

from __future__ import annotations

from copy import copy
from dataclasses import replace

import torch
from torch import Tensor

from activekd_lab.data.task import Task
from activekd_lab.errors import SettingError
from activekd_lab.rng import generator


def stress(task: Task, *, imbalance: float = 0.0, label_noise: float = 0.0, stress_seed: int = 0) -> Task:
    """Return the task with a harder pool; validation and test splits stay as they are.

    Args:
        task: any task whose pool has labels.
        imbalance: exponent s of the pool's class counts, proportional to rank^-s in a random order of the classes;
            images are left out until they fit. 0 keeps all.
        label_noise: share of the pool's labels, 0 … 1, replaced by another class, each as likely. It is what a person
            who errs would answer: a wrong label is bought like a right one.
        stress_seed: draws the order, the images left out, and the errors.

    Raises:
        SettingError: values outside their range, or a pool without labels.
    """
    if not 0 <= imbalance <= 3:
        raise SettingError(f"imbalance must lie in 0 … 3 (0 keeps the pool), but got {imbalance}.")
    if not 0 <= label_noise <= 1:
        raise SettingError(f"label_noise must lie in 0 … 1, but got {label_noise}.")
    train = task.train
    if (imbalance or label_noise) and bool((train.labels < 0).any()):
        raise SettingError("imbalance and label_noise need a pool whose labels are known.")
    if imbalance:
        ids = _long_tail(train.labels, task.num_classes, imbalance, generator(stress_seed, "stress", "imbalance"))
        train = train.rows(train.name, ids)
    if label_noise:
        g = generator(stress_seed, "stress", "noise")
        train = replace(train, labels=_wrong_labels(train.labels, task.num_classes, label_noise, g))
    if train is task.train:
        return task
    harder = copy(task)  # a subclass has other arguments, and its root stays
    harder.__dict__.pop("fingerprint", None)
    object.__setattr__(harder, "train", train)
    return harder


def _long_tail(labels: Tensor, num_classes: int, exponent: float, g: torch.Generator) -> Tensor:
    """Return ids to keep, ascending: as many as the class counts allow, at least one of each class that is there."""
    counts = labels.bincount(minlength=num_classes)
    weights = (torch.randperm(num_classes, generator=g) + 1).double() ** -exponent
    there = counts > 0
    scale = (counts[there] / weights[there]).min()
    wanted = (scale * weights).floor().long().clamp_min(1)
    order = torch.randperm(len(labels), generator=g)
    kept = [order[labels[order] == c][: int(wanted[c])] for c in range(num_classes)]
    return torch.cat(kept).sort().values


def _wrong_labels(labels: Tensor, num_classes: int, share: float, g: torch.Generator) -> Tensor:
    count = round(share * len(labels))
    ids = torch.randperm(len(labels), generator=g)[:count]
    shift = torch.randint(1, num_classes, (count,), generator=g)
    noisy = labels.clone()
    noisy[ids] = (labels[ids] + shift) % num_classes
    return noisy
