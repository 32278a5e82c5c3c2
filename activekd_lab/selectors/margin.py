"""Uncertainty sampling by the margin between the two likeliest classes."""

from __future__ import annotations

import torch
from torch import Tensor

from activekd_lab.selectors.engine.scores import by_rows, top_scores
from activekd_lab.selectors.registry import register
from activekd_lab.selectors.view import PoolView


@register(
    "margin",
    help="The smallest gap between the two likeliest classes.",
    citation="Scheffer et al. 2001, Active hidden Markov models; Settles 2009, eq. 2",
    deterministic=True,
    features=False,
)
def margin(view: PoolView, budget: int, *, generator: torch.Generator) -> Tensor:
    """Return the (B,) ids with the smallest p(first) - p(second), smallest first; with one class all tie."""
    close = by_rows(closeness, view.probabilities)
    return view.ids[top_scores(close, budget, generator)]


def closeness(p: Tensor) -> Tensor:
    """Return p(second) - p(first) of rows of probabilities (k, C), at most 0: (k,); 0 where there is one class."""
    if p.shape[1] < 2:
        return torch.zeros(len(p), device=p.device)
    best = p.topk(2).values  # (k, 2)
    return best[:, 1] - best[:, 0]
