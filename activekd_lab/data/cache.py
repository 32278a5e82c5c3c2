"""Rows that are computed in chunks and cached: a kill costs one chunk, a damaged file is made again, all can be listed.

A finished tensor is `<kind>/<hash of the key>.safetensors`; while it is made, its chunks lie in a folder of the same
name that ends in `.parts`. Each file carries its key, so a file from other weights is never used.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from activekd_lab.data.store import atomic_path, cache_dir
from activekd_lab.errors import UnknownNameError

_STAMP = "activekd_lab"


def cached_rows(
    kind: str,
    key: Mapping[str, str],
    count: int,
    compute: Callable[[range], Tensor],
    *,
    chunk: int,
    about: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Return (count, …) rows from the cache, or compute them chunk by chunk and store each chunk at once.

    Args:
        kind: folder inside the cache, for example "embeddings".
        key: all that determines the rows.
        count: how many rows.
        compute: makes the rows of a range. It is called for the chunks that are not on disk yet.
        chunk: rows between two writes.
        about: what `activekd-lab cache` shows for the file.
        progress: called with (done, total) after each chunk.

    Warns:
        UserWarning: a file is damaged or belongs to another key; it is named and made again.
    """
    path = rows_path(kind, key)
    found = _read(path, key, count)
    if found is not None:
        return found
    parts = []
    for start in range(0, count, chunk):
        ids = range(start, min(start + chunk, count))
        parts.append(_chunk(parts_folder(path) / f"{start:09d}.safetensors", key, ids, compute, about))
        if progress is not None:
            progress(ids.stop, count)
    rows = torch.cat(parts) if parts else compute(range(0))
    _write(path, rows, key, about)
    shutil.rmtree(parts_folder(path), ignore_errors=True)
    return rows


def rows_path(kind: str, key: Mapping[str, str]) -> Path:
    """Return the file of a finished tensor."""
    return cache_dir() / kind / f"{hashlib.sha256(_canonical(key).encode()).hexdigest()[:20]}.safetensors"


def parts_folder(path: Path) -> Path:
    """Return the folder of the chunks of an unfinished tensor."""
    return path.with_suffix(".parts")


def _canonical(key: Mapping[str, str]) -> str:
    return json.dumps(dict(key), sort_keys=True)


def _chunk(path: Path, key: Mapping[str, str], ids: range, compute: Callable[[range], Tensor], about: str) -> Tensor:
    found = _read(path, key, len(ids))
    if found is None:
        found = compute(ids)
        _write(path, found, key, about)
    return found


def _write(path: Path, rows: Tensor, key: Mapping[str, str], about: str) -> None:
    stamp = json.dumps({"key": _canonical(key), "about": about})  # one entry: their order in the file is not fixed
    with atomic_path(path) as temporary:
        save_file({"tensor": rows.contiguous()}, temporary, metadata={_STAMP: stamp})


def _read(path: Path, key: Mapping[str, str], count: int) -> Tensor | None:
    """Return the rows of a whole file of this key, or None, with a warning if there is a file that cannot be used."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            stamp, rows = json.loads((file.metadata() or {})[_STAMP]), file.get_tensor("tensor")
    except (SafetensorError, KeyError, ValueError, OSError):
        warnings.warn(f"The cache file {path} is damaged; computing it again.", stacklevel=4)
        return None
    if stamp["key"] != _canonical(key) or len(rows) != count:
        warnings.warn(f"The cache file {path} belongs to other weights or images; computing it again.", stacklevel=4)
        return None
    found: Tensor = rows
    return found


class CacheEntry(NamedTuple):
    """One cached file or folder of chunks: its kind, what it holds, its size in bytes, and whether it is whole."""

    kind: str
    about: str
    size: int
    finished: bool
    path: Path


def list_cache(kind: str | None = None) -> list[CacheEntry]:
    """Return what the cache holds, the largest first.

    Raises:
        UnknownNameError: no such kind; the message lists those there are.
    """
    kinds = sorted(folder.name for folder in cache_dir().iterdir() if folder.is_dir())
    if kind is not None and kind not in kinds:
        raise UnknownNameError("kind of cache", kind, kinds)
    folders = [cache_dir() / name for name in kinds if kind in (None, name)]
    entries = [_entry(path) for folder in folders for path in folder.iterdir() if _ours(path)]
    return sorted(entries, key=lambda entry: (-entry.size, str(entry.path)))


def clear_cache(kind: str | None = None) -> tuple[int, int]:
    """Delete the cached files of a kind (None: of all kinds) and return how many, and their bytes.

    Only the package's own files go; anything else in the folder stays.
    """
    entries = list_cache(kind)
    for entry in entries:
        shutil.rmtree(entry.path) if entry.path.is_dir() else entry.path.unlink()
    return len(entries), sum(entry.size for entry in entries)


def _ours(path: Path) -> bool:
    return path.suffix == ".safetensors" or (path.is_dir() and path.suffix == ".parts")


def _entry(path: Path) -> CacheEntry:
    if path.is_dir():
        files = sorted(path.glob("*.safetensors"))
        about = _about(files[0]) if files else ""
        return CacheEntry(path.parent.name, about, sum(f.stat().st_size for f in files), False, path)
    return CacheEntry(path.parent.name, _about(path), path.stat().st_size, True, path)


def _about(path: Path) -> str:
    """Return what a file says it holds; older kinds of cache say nothing."""
    try:
        with safe_open(path, framework="pt") as file:
            text: str = json.loads((file.metadata() or {})[_STAMP])["about"]
            return text
    except (SafetensorError, KeyError, ValueError, OSError):
        return ""
