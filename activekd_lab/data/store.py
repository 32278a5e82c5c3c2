"""Where cached files live, and tensors that are computed once."""

from __future__ import annotations

import hashlib
import os
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from activekd_lab.errors import DataError
from activekd_lab.io.files import disk, regular, shown, write_atomic

DISK = "make room, or set ACTIVEKD_LAB_CACHE to another folder"


def cache_dir() -> Path:
    """Return the cache folder, `$ACTIVEKD_LAB_CACHE` or `~/.cache/activekd_lab`, and make it if needed."""
    root = os.environ.get("ACTIVEKD_LAB_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(root).expanduser() if root else base / "activekd_lab"
    with disk(folder, "made", "set ACTIVEKD_LAB_CACHE", kind=DataError):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def cached_tensor(kind: str, key: object, compute: Callable[[], Tensor]) -> Tensor:
    """Return the tensor stored under `kind` and `key`, or compute and store it.

    Args:
        kind: folder inside the cache, for example "embeddings".
        key: everything that determines the tensor; its `repr` is hashed.
        compute: makes the tensor. A damaged file is computed again, with a warning that names it.

    Raises:
        DataError: a cache that cannot be written.
    """
    path = cache_dir() / kind / f"{hashlib.sha256(f'2 {key!r}'.encode()).hexdigest()[:20]}.safetensors"
    if path.exists():
        try:
            with safe_open(regular(path), framework="pt") as file:
                tensor: Tensor = file.get_tensor("tensor")
                check = (file.metadata() or {})["crc32"]
            if check == _check(tensor):
                return tensor
            reason = "its bytes do not match their sum"
        except (SafetensorError, KeyError, OSError, ValueError) as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
        warnings.warn(f"The cache file {shown(path)} is damaged ({shown(reason)}); computing it again.", stacklevel=2)
    tensor = compute().contiguous()
    write_atomic(path, save({"tensor": tensor}, metadata={"crc32": _check(tensor)}), DISK, kind=DataError, own=True)
    return tensor


def _check(tensor: Tensor) -> str:
    return str(zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else b""))
