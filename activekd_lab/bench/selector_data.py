"""Synthetic pools for the selector benchmarks: with clusters, without, saturated, and on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from activekd_lab.errors import UnknownNameError
from activekd_lab.selectors import PoolView

PROBABILITIES = "clustered", "uniform"
FEATURES = ("normal",)
KINDS = ("clustered", "uniform", "confident", "normal")
PIECE = 8192


def make_points(kind: str | tuple[str, ...], rows: int, width: int, *, seed: int) -> Tensor:
    """Return (rows, width) float32 points of one kind, the same for the same seed.

    "clustered": softmax of noisy logits around a class, as a student predicts; "uniform": Dirichlet(1) on the simplex;
    "confident": nearly one-hot; "normal": standard normal features, without structure.
    """
    kind = kind if isinstance(kind, str) else kind[0]
    if kind not in KINDS:
        raise UnknownNameError("kind of points", kind, KINDS)
    g = torch.Generator().manual_seed(seed)
    out = torch.empty(rows, width)
    for start in range(0, rows, PIECE):
        piece = out[start : start + PIECE]
        piece.copy_(_piece(kind, len(piece), width, g))
    return out


def write_map(path: Path, rows: int, width: int) -> None:
    """Write "clustered" points as float16 into a .npy file, a piece at a time."""
    target = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(rows, width))
    g = torch.Generator().manual_seed(0)
    for start in range(0, rows, PIECE):
        count = min(PIECE, rows - start)
        target[start : start + count] = _piece("clustered", count, width, g).half().numpy()
    target.flush()


def gradient_view(rows: int, classes: int, width: int, device: str) -> PoolView:
    """Return a view with "clustered" probabilities and normal features, nothing labelled."""
    p = make_points("clustered", rows, classes, seed=0).to(device)
    h = make_points("normal", rows, width, seed=1).to(device)
    none = torch.empty(0, dtype=torch.long, device=device)
    return PoolView(torch.arange(rows, device=device), p, h, none, none, p[:0], h[:0])


def _piece(kind: str, rows: int, width: int, g: torch.Generator) -> Tensor:
    z = torch.randn(rows, width, generator=g)
    if kind == "normal":
        return z
    if kind == "uniform":
        e = -torch.rand(rows, width, generator=g).clamp_min(1e-12).log()
        return e / e.sum(1, keepdim=True)
    strength = 4 + 4 * torch.rand(rows, generator=g) if kind == "clustered" else torch.full((rows,), 12.0)
    z[torch.arange(rows), torch.randint(width, (rows,), generator=g)] += strength
    return torch.softmax((1.5 if kind == "clustered" else 2.0) * z, dim=1)
