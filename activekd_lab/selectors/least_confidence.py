"""Uncertainty sampling by the probability of the likeliest class."""

from __future__ import annotations

import torch
from torch import Tensor

from activekd_lab.selectors.engine.scores import by_rows, top_scores
from activekd_lab.selectors.registry import register
from activekd_lab.selectors.view import PoolView


@register(
    "least_confidence",
    help="The smallest probability of the predicted class.",
    citation="Lewis & Gale 1994, arXiv:cmp-lg/9407020; Settles 2009, eq. 1",
    deterministic=True,
    features=False,
)
def least_confidence(view: PoolView, budget: int, *, generator: torch.Generator) -> Tensor:
    """Return the (B,) ids with the smallest max_c p_c, smallest first."""
    doubt = by_rows(lambda p: -p.amax(1), view.probabilities)
    return view.ids[top_scores(doubt, budget, generator)]
