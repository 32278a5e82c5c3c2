"""Named random generators derived from one seed.

Every random step of the package takes a `torch.Generator`. One seed derives them all *by name*, so adding a new random
step never changes the numbers that an existing one draws, and resuming needs no generator state on disk.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch


def derive_seed(seed: int, *names: object) -> int:
    """Hash `seed` and a path of names into a 63-bit seed (SHA-256, so the same on every machine)."""
    text = "/".join([str(int(seed)), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *names: object) -> torch.Generator:
    """Return a CPU generator for one named step, for example `generator(seed, "select", round_index)`."""
    return torch.Generator().manual_seed(derive_seed(seed, *names))


def numpy_generator(seed: int, *names: object) -> np.random.Generator:
    """Return the NumPy counterpart of `generator`, for code that calls NumPy or scikit-learn."""
    return np.random.default_rng(derive_seed(seed, *names))
