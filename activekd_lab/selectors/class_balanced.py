"""Even out the labels: more budget for classes with few of them."""

from __future__ import annotations

import torch
from torch import Tensor

from activekd_lab.selectors.base import PoolView, register


@register(
    "class_balanced",
    help="Budget by the inverse labelled count of the predicted class, random inside a class.",
    citation="ActiveKD 2025, arXiv:2506.00910, baseline; apportioned as Sainte-Lague 1910",
)
def class_balanced(view: PoolView, budget: int, *, generator: torch.Generator) -> Tensor:
    """Return (B,) ids: seats go to predicted classes in proportion to 1 / (1 + labels), as far as the pool has them.

    Seats are given one by one to the class with the largest weight / (2 seats + 1) that still has images; equal claims
    and the images inside a class are drawn by `generator`.
    """
    predicted = view.probabilities.argmax(1).cpu()  # (N,)
    available = torch.bincount(predicted, minlength=view.num_classes)  # (C,)
    labels = torch.bincount(view.labeled_labels.cpu(), minlength=view.num_classes)
    seats = _apportion(1 / (1 + labels.double()), available, budget, generator)
    order = torch.randperm(len(view), generator=generator)
    order = order[predicted[order].sort(stable=True).indices]  # by class, random inside
    rank = torch.arange(len(order)) - (available.cumsum(0) - available)[predicted[order]]
    return view.ids[order[rank < seats[predicted[order]]].to(view.ids.device)]


def _apportion(weights: Tensor, available: Tensor, budget: int, generator: torch.Generator) -> Tensor:
    """Return seats (C,) that sum to `budget`, at most `available` (C,) each, in proportion to `weights` (C,)."""
    seats = torch.zeros_like(available)
    luck = torch.randperm(len(weights), generator=generator)  # settles equal claims
    for _ in range(budget):
        claims = torch.where(seats < available, weights / (2 * seats + 1), -1.0)
        seats[luck[claims[luck].argmax()]] += 1
    return seats
