"""Even out the labels: more budget for classes with few of them."""

from __future__ import annotations

import torch
from torch import Tensor

from activekd_lab.selectors.engine.scores import fill
from activekd_lab.selectors.registry import Variant, register
from activekd_lab.selectors.view import PoolView


@register(
    "class_balanced",
    help="Budget by the inverse labelled count of the predicted class, random inside a class.",
    citation="ActiveKD 2025, arXiv:2506.00910, baseline; apportioned as Sainte-Lague 1910",
    released={"protocol": "released"},
    features=False,
)
def class_balanced(view: PoolView, budget: int, *, generator: torch.Generator, protocol: Variant = "paper") -> Tensor:
    """Return (B,) ids: seats go to predicted classes in proportion to 1 / (1 + labels), as far as the pool has them.

    Args:
        view: The pool; `probabilities` and `labeled_labels` are used.
        budget: B.
        generator: Draws the images inside a class.
        protocol: "paper" gives seats one by one to the class with the largest weight / (2 seats + 1) that still has
            images, equal claims drawn. "released", as ActiveKD's code runs: a class without labels weighs as one with a
            single label; the predicted classes get their share rounded down, then one more each by weight, the lower
            class first; what a class has no images for is drawn from the whole rest.
    """
    predicted = view.probabilities.argmax(1).cpu()  # (N,)
    available = torch.bincount(predicted, minlength=view.num_classes)  # (C,)
    labels = torch.bincount(view.labeled_labels.cpu(), minlength=view.num_classes)  # (C,)
    if protocol == "paper":
        seats = _apportion(1 / (1 + labels.double()), available, budget, generator)
    else:
        seats = _shares(labels.tolist(), available.tolist(), budget)
    order = torch.randperm(len(view), generator=generator)
    order = order[predicted[order].sort(stable=True).indices]  # by class, random inside
    rank = torch.arange(len(order)) - (available.cumsum(0) - available)[predicted[order]]
    chosen = order[rank < seats[predicted[order]]]
    if len(chosen) < budget:
        chosen = fill(chosen.tolist(), len(view), budget, generator)
    return view.ids[chosen.to(view.ids.device)]


def _apportion(weights: Tensor, available: Tensor, budget: int, generator: torch.Generator) -> Tensor:
    """Return seats (C,) that sum to `budget`, at most `available` (C,) each, in proportion to `weights` (C,)."""
    seats = torch.zeros_like(available)
    luck = torch.randperm(len(weights), generator=generator)  # settles equal claims
    for _ in range(budget):
        claims = torch.where(seats < available, weights / (2 * seats + 1), -1.0)
        seats[luck[claims[luck].argmax()]] += 1
    return seats


def _shares(labels: list[int], available: list[int], budget: int) -> Tensor:
    """Return seats (C,) as the released code gives them, more than a class has images for included."""
    total = sum(labels)
    weights = {c: total / (max(labels[c], 1) + 1) if total else 1.0 for c, n in enumerate(available) if n}
    whole = sum(weights.values())
    seats = [int(budget * (weights[c] / whole)) if c in weights else 0 for c in range(len(available))]
    for c in sorted(weights, key=lambda c: -weights[c])[: budget - sum(seats)]:
        seats[c] += 1
    return torch.tensor(seats)
