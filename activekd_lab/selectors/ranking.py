"""Choosing the largest scores, with ties drawn by the generator."""

from __future__ import annotations

import torch
from torch import Tensor

PIECE = 1 << 20  # probabilities looked at together, to keep temporary memory small beside any pool


def top_scores(scores: Tensor, budget: int, generator: torch.Generator) -> Tensor:
    """Return positions (B,) of the largest `scores` (N,), largest first; equal ones in random order."""
    shuffled = torch.randperm(len(scores), generator=generator).to(scores.device)
    order = scores[shuffled].sort(descending=True, stable=True).indices[:budget]
    return shuffled[order]


def entropy_of(probabilities: Tensor) -> Tensor:
    """Return the Shannon entropy (N,) in nats, float32, of rows of probabilities (N, C); 0 log 0 is 0."""
    rows = max(1, PIECE // max(1, probabilities.shape[1]))
    return torch.cat([torch.special.entr(piece.float()).sum(1) for piece in probabilities.split(rows)])
