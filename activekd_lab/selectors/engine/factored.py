"""Gradient embeddings (p - onehot(argmax p)) ⊗ h in factored form: products without the (N, C D) matrix."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from activekd_lab.selectors.engine.products import squared_norms
from activekd_lab.selectors.engine.rows import rescaled, rescaling, unit_rows

PIECE_ROWS = 1024


class Gradients:
    """The last layer's cross-entropy gradient for each image's own predicted label (BADGE, eq. 1), as two factors.

    <g_i, g_j> = <a_i, a_j> <h_i, h_j> with a = p - onehot(argmax p) (C) and h the features (D). With `unit=True` every
    gradient is divided by its length (a zero one stays zero).
    """

    def __init__(self, probabilities: Tensor, features: Tensor, *, unit: bool = False) -> None:
        self.probabilities, self.features, self.unit = probabilities, features, unit
        self.factor = max(1.0, rescaling(features))  # of short features: their squares would vanish

    def __len__(self) -> int:
        return len(self.features)

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return the factors (k, C) and (k, D), float32, of images by position."""
        index = index.to(self.features.device)
        return self._factors(self.probabilities[index], self.features[index])

    def pieces(self) -> Iterator[tuple[int, tuple[Tensor, Tensor]]]:
        """Yield (start, factors) over all images in order."""
        for start in range(0, len(self), PIECE_ROWS):
            end = start + PIECE_ROWS
            yield start, self._factors(self.probabilities[start:end], self.features[start:end])

    def _factors(self, p: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        a, short = p.to(torch.float32, copy=True), h
        h = rescaled(h, self.factor)
        top = a.argmax(1, keepdim=True)
        a.scatter_add_(1, top, torch.full_like(top, -1, dtype=torch.float32))
        if self.unit:
            a, h = unit_rows(a), unit_rows(short)
        return a, h


def squared_lengths(factors: tuple[Tensor, Tensor]) -> Tensor:
    """Return squared gradient lengths (k,): |a|2 |h|2."""
    return squared_norms(factors[0]) * squared_norms(factors[1])


def squared_distances(x: tuple[Tensor, Tensor], y: tuple[Tensor, Tensor]) -> Tensor:
    """Return squared distances (k, q) between gradients x (k of them) and y (q): |x|2 + |y|2 - 2 <x, y>, at least 0."""
    inner = (x[0] @ y[0].T).mul_(x[1] @ y[1].T)
    return (squared_lengths(x)[:, None] + squared_lengths(y) - 2 * inner).clamp_(min=0)
