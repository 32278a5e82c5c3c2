"""Uncertainty sampling by the margin between the two likeliest classes."""

from __future__ import annotations

import torch
from torch import Tensor

from activekd_lab.selectors.base import PoolView, register
from activekd_lab.selectors.ranking import by_rows, top_scores


@register(
    "margin",
    help="The smallest gap between the two likeliest classes.",
    citation="Scheffer et al. 2001, Active hidden Markov models; Settles 2009, eq. 2",
    deterministic=True,
)
def margin(view: PoolView, budget: int, *, generator: torch.Generator) -> Tensor:
    """Return the (B,) ids with the smallest p(first) - p(second), smallest first; with one class all tie."""
    closeness = by_rows(_negative_margin, view.probabilities)
    return view.ids[top_scores(closeness, budget, generator)]


def _negative_margin(p: Tensor) -> Tensor:
    if p.shape[1] < 2:
        return torch.zeros(len(p), device=p.device)
    best = p.topk(2).values  # (k, 2)
    return best[:, 1] - best[:, 0]
