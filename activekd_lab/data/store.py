"""Where cached files live, and how they are written: whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
