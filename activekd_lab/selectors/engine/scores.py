"""Scores computed a piece at a time, and choosing the largest with ties drawn by the generator."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

PIECE = 1 << 20  # entries looked at together, to keep temporary memory small beside any pool


def by_rows(score: Callable[..., Tensor], *matrices: Tensor) -> Tensor:
    """Apply `score` to float32 pieces of row-aligned matrices (N, C) and join its results (N,)."""
    rows = max(1, PIECE // max(1, matrices[0].shape[1]))
    pieces = zip(*(m.split(rows) for m in matrices), strict=True)
    return torch.cat([score(*(piece.float() for piece in group)) for group in pieces])


def top_scores(scores: Tensor, budget: int, generator: torch.Generator) -> Tensor:
    """Return positions (B,) of the largest `scores` (N,), largest first; equal ones in random order."""
    shuffled = torch.randperm(len(scores), generator=generator).to(scores.device)
    order = scores[shuffled].sort(descending=True, stable=True).indices[:budget]
    return shuffled[order]


def coarse(values: Tensor) -> Tensor:
    """Return values (N,) to 18 bits, about 4e-6 of each, so that what is equal but for rounding ties."""
    mantissa, exponent = torch.frexp(values)
    return torch.ldexp((mantissa * 2**18).round() / 2**18, exponent)


def row_entropy(p: Tensor) -> Tensor:
    """Return -sum p log p (k,) in nats of rows of probabilities (k, C); 0 log 0 is 0."""
    entropy: Tensor = torch.special.entr(p).sum(1)
    return entropy


def entropy_of(probabilities: Tensor) -> Tensor:
    """Return the Shannon entropy (N,) in nats, float32, of rows of probabilities (N, C)."""
    return by_rows(row_entropy, probabilities)


def fill(chosen: list[int], size: int, budget: int, generator: torch.Generator) -> Tensor:
    """Complete distinct positions to `budget` with random others out of `size`; return (B,)."""
    order = torch.randperm(size, generator=generator)
    taken = torch.tensor(chosen, dtype=torch.long)
    rest = order[~torch.isin(order, taken)]
    return torch.cat([taken, rest])[:budget]
