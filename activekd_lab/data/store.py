"""Where cached files live, how they are written (whole or not at all), and tensors that are computed once."""

from __future__ import annotations

import hashlib
import os
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from activekd_lab.errors import DataError


def cache_dir() -> Path:
    """Return the cache folder, `$ACTIVEKD_LAB_CACHE` or `~/.cache/activekd_lab`, and make it if needed."""
    root = os.environ.get("ACTIVEKD_LAB_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(root).expanduser() if root else base / "activekd_lab"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"The cache folder {folder} cannot be made ({error.strerror}); set ACTIVEKD_LAB_CACHE."
        ) from error
    return folder


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target` that replaces it on success, so that no reader ever sees half a file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def cached_tensor(kind: str, key: object, compute: Callable[[], Tensor]) -> Tensor:
    """Return the tensor stored under `kind` and `key`, or compute and store it.

    Args:
        kind: folder inside the cache, for example "embeddings".
        key: everything that determines the tensor; its `repr` is hashed.
        compute: makes the tensor. A damaged file is computed again, with a warning that names it.
    """
    path = cache_dir() / kind / f"{hashlib.sha256(repr(key).encode()).hexdigest()[:20]}.safetensors"
    if path.exists():
        try:
            return load_file(path)["tensor"]
        except (SafetensorError, KeyError):
            warnings.warn(f"The cache file {path} is damaged; computing it again.", stacklevel=2)
    tensor = compute().contiguous()
    with atomic_path(path) as temporary:
        save_file({"tensor": tensor}, temporary)
    return tensor
