"""Rows that are computed in chunks and cached: a kill costs one chunk, a damaged file is made again, all can be listed.

A finished tensor is `<kind>/<hash of the key>.safetensors`. While it is made, it grows by chunks as `.partial`, the
beginning of that very file, so neither making nor reading it takes more memory than a chunk: it may be larger than the
memory of the machine. Each file carries its key, so a file from other weights is never used; a lock beside it lets a
second process wait for the first instead of doing the same work.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from torch import Tensor

from activekd_lab.data.store import cache_dir
from activekd_lab.errors import DataError, UnknownNameError

_STAMP, _LONGEST_HEADER = "activekd_lab", 100_000_000  # bytes, as safetensors itself allows
_DTYPES = {torch.uint8: "U8", torch.bool: "BOOL", torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32"}


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

    The rows are mapped from the file: they take memory only where they are read, and writing to them changes no file.

    Args:
        kind: folder inside the cache, for example "embeddings".
        key: all that determines the rows.
        count: how many rows.
        compute: makes the rows of a range. It is called for the chunks that are not on disk yet.
        chunk: rows between two writes.
        about: what `activekd-lab cache` shows for the file.
        progress: called with (done, total) after each chunk.

    Raises:
        DataError: the disk has too little room; nothing but the first chunk was computed.

    Warns:
        UserWarning: a file is damaged or belongs to another key; it is named and made again.
    """
    path = rows_path(kind, key)
    found = _read(path, key, count, warn=False)
    if found is not None:
        return found
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(_lock(path)):
        found = _read(path, key, count)  # another process may have made it meanwhile
        if found is None:
            _fill(path, key, count, compute, chunk, about, progress or (lambda done, total: None))
            found = _read(path, key, count)
    assert found is not None
    return found


def rows_path(kind: str, key: Mapping[str, str]) -> Path:
    """Return the file of a finished tensor."""
    return cache_dir() / kind / f"{hashlib.sha256(_canonical(key).encode()).hexdigest()[:20]}.safetensors"


def partial_path(path: Path) -> Path:
    """Return the file of an unfinished tensor."""
    return path.with_suffix(".partial")


def _lock(path: Path) -> Path:
    return path.with_suffix(".lock")


def _canonical(key: Mapping[str, str]) -> str:
    return json.dumps(dict(key), sort_keys=True)


def _fill(
    path: Path,
    key: Mapping[str, str],
    count: int,
    compute: Callable[[range], Tensor],
    chunk: int,
    about: str,
    progress: Callable[[int, int], None],
) -> None:
    """Append the missing chunks to the partial file and give it its final name."""
    with partial_path(path).open("a+b") as file:
        done = _continue_from(file, key, count, chunk)
        for start in range(done, max(count, 1), chunk):
            ids = range(start, min(start + chunk, count))
            rows = compute(ids).contiguous()
            if start == 0:
                _start(file, rows, key, count, about)
            file.write(rows.view(torch.uint8).numpy().data if rows.numel() else b"")
            file.flush()
            os.fsync(file.fileno())  # a power cut must not leave a hole that looks like rows
            progress(ids.stop, count)
    os.replace(partial_path(path), path)


def _start(file: BinaryIO, rows: Tensor, key: Mapping[str, str], count: int, about: str) -> None:
    """Write the safetensors header of all `count` rows, after a look at the free space."""
    size = count * (rows.nbytes // max(1, len(rows)))
    free = shutil.disk_usage(Path(file.name).parent).free
    if size > free:
        raise DataError(
            f"The cache needs {size / 1e9:.1f} GB for {about or file.name}, but {free / 1e9:.1f} GB are free in "
            f"{cache_dir()}; make room or set ACTIVEKD_LAB_CACHE to another disk."
        )
    stamp = json.dumps({"key": _canonical(key), "about": about})
    tensor = {"dtype": _DTYPES[rows.dtype], "shape": [count, *rows.shape[1:]], "data_offsets": [0, size]}
    text = json.dumps({"__metadata__": {_STAMP: stamp}, "tensor": tensor}).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)


def _continue_from(file: BinaryIO, key: Mapping[str, str], count: int, chunk: int) -> int:
    """Return how many rows of a partial file are whole, cut to whole chunks; what cannot be used is thrown away."""
    size, done = os.path.getsize(file.name), 0
    try:
        header, first = _header(file)
        tensor = header["tensor"]
        if json.loads(header["__metadata__"][_STAMP])["key"] != _canonical(key) or tensor["shape"][0] != count:
            raise ValueError("of other rows")
        row = tensor["data_offsets"][1] // max(1, count)
        done = (size - first) // max(1, row * chunk) * chunk
    except (ValueError, KeyError):
        if size:
            warnings.warn(f"The unfinished cache file {file.name} is damaged; starting it again.", stacklevel=5)
    file.truncate(first + done * row if done else 0)
    return done


def _header(file: BinaryIO) -> tuple[dict[str, Any], int]:
    """Return a safetensors file's header and where its rows begin; ValueError if it has none."""
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if length > _LONGEST_HEADER:
        raise ValueError("no safetensors header")
    return json.loads(file.read(length)), 8 + length


def _read(path: Path, key: Mapping[str, str], count: int, *, warn: bool = True) -> Tensor | None:
    """Return the rows of a whole file of this key, or None, with a warning if there is a file that cannot be used."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            stamp, rows = json.loads((file.metadata() or {})[_STAMP]), file.get_tensor("tensor")
        reason = "" if stamp["key"] == _canonical(key) and len(rows) == count else "belongs to other weights or images"
    except (SafetensorError, KeyError, ValueError, OSError):
        rows, reason = None, "is damaged"
    if reason and warn:
        warnings.warn(f"The cache file {path} {reason}; computing it again.", stacklevel=3)
    found: Tensor | None = None if reason else rows
    return found


class CacheEntry(NamedTuple):
    """One cached file: its kind, what it holds, its size in bytes, and whether it is whole."""

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
    files = (path for folder in folders for path in folder.iterdir() if path.suffix in (".safetensors", ".partial"))
    entries = [_entry(path) for path in files]
    return sorted(entries, key=lambda entry: (-entry.size, str(entry.path)))


def clear_cache(kind: str | None = None) -> tuple[int, int]:
    """Delete the cached files of a kind (None: of all kinds) and return how many, and their bytes.

    Only the package's own files go; anything else in the folder stays.
    """
    entries = list_cache(kind)
    for entry in entries:
        entry.path.unlink()
        _lock(entry.path).unlink(missing_ok=True)
    return len(entries), sum(entry.size for entry in entries)


def _entry(path: Path) -> CacheEntry:
    return CacheEntry(path.parent.name, _about(path), path.stat().st_size, path.suffix == ".safetensors", path)


def _about(path: Path) -> str:
    """Return what a file says it holds; older kinds of cache say nothing."""
    try:
        with path.open("rb") as file:
            text: str = json.loads(_header(file)[0]["__metadata__"][_STAMP])["about"]
            return text
    except (ValueError, KeyError, OSError):
        return ""
