"""Uncertainty sampling by predictive entropy."""

from __future__ import annotations

import torch
from torch import Tensor

from activekd_lab.selectors.engine.scores import entropy_of, top_scores
from activekd_lab.selectors.registry import register
from activekd_lab.selectors.view import PoolView


@register(
    "entropy",
    help="The most uncertain predictions by Shannon entropy of the mixed probabilities.",
    citation="Shannon 1948; Settles 2009, Active learning literature survey, eq. 3",
    deterministic=True,
    features=False,
)
def entropy(view: PoolView, budget: int, *, generator: torch.Generator) -> Tensor:
    """Return the (B,) ids with the largest -sum p log p, largest first."""
    return view.ids[top_scores(entropy_of(view.probabilities), budget, generator)]
