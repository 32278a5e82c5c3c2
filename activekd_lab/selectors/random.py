"""Uniform random choice: the control of every active-learning experiment."""

from __future__ import annotations

import torch
from torch import Tensor

from activekd_lab.selectors.registry import register
from activekd_lab.selectors.view import PoolView


@register("random", help="Uniformly at random, without replacement; the control.", citation="control", features=False)
def random(view: PoolView, budget: int, *, generator: torch.Generator) -> Tensor:
    """Return `budget` ids drawn uniformly without replacement, (B,) int64."""
    order = torch.randperm(len(view), generator=generator)  # (N,)
    return view.ids[order[:budget].to(view.ids.device)]
