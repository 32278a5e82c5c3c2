"""Rows that are computed in chunks and cached: a kill costs seconds, a damaged file is made again, all can be listed.

A finished tensor is `<kind>/<hash of the key>.safetensors`. While it is made, it grows by chunks as `.partial`, the
beginning of that very file, so neither making nor reading it takes more memory than a few chunks: it may be larger than
the memory of the machine. Chunks are written together every `SECONDS`, however long one of them takes. Each file
carries its key, so a file from other weights is never used; a lock beside it lets a second process wait for the first
instead of doing the same work.

Each file also carries a checksum a chunk. A chunk of an unfinished file is used if it fits its own; a finished file is
checked at each opening up to 64 MiB, a larger one (CRC-32: a second a GB) when anybody has written to it since it was
last found whole, which its time of change tells. So a bit that rots on the disk of a large file is not seen.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from filelock import Timeout
from safetensors import safe_open
from torch import Tensor

from activekd_lab.data.chunks import (
    STAMP,
    WRONG,
    Layout,
    canonical,
    continue_from,
    date_whole,
    fits,
    header_of,
    layout_of,
    read_header,
    store,
)
from activekd_lab.data.store import DISK, cache_dir
from activekd_lab.errors import DataError, UnknownNameError
from activekd_lab.io.files import disk, regular, shown
from activekd_lab.io.lock import FileLock

SECONDS = 5.0  # between two writes: what a kill costs, beside the chunk at hand
_HELD = 1 << 25  # bytes that wait for a write at most


def cached_rows(
    kind: str,
    key: Mapping[str, str],
    count: int,
    compute: Callable[[range], Tensor],
    *,
    chunk: int,
    paced: bool = False,
    about: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Return (count, …) rows from the cache, or compute them chunk by chunk and store what there is every `SECONDS`.

    The rows are mapped from the file: they take memory only where they are read, and writing to them changes no file.

    Args:
        kind: folder inside the cache, for example "embeddings".
        key: all that determines the rows.
        count: how many rows.
        compute: makes the rows of a range. It is called for the chunks that are not on disk yet.
        chunk: rows that are computed at once, and have a checksum.
        paced: compute fewer at once where a row is so slow that a chunk would take seconds; a row is tried for it.
        about: what `activekd-lab cache` shows for the file.
        progress: called with (done, total) after each chunk.

    Raises:
        DataError: the disk has too little room, then nothing but the first chunk was computed; or it cannot be written.

    Warns:
        UserWarning: a file is damaged or belongs to another key; it is named and made again.
    """
    path = rows_path(kind, key)
    found = _read(path, key, count, warn=False)
    if found is not None:
        return found
    with _locked(path):
        found = _read(path, key, count)  # another process may have made it meanwhile
        if found is None:
            _fill(path, key, count, compute, chunk, paced, about, progress or (lambda done, total: None))
            found = _read(path, key, count)
    assert found is not None
    return found


def rows_path(kind: str, key: Mapping[str, str]) -> Path:
    """Return the file of a finished tensor."""
    return cache_dir() / kind / f"{hashlib.sha256(f'2 {canonical(key)}'.encode()).hexdigest()[:20]}.safetensors"


def partial_path(path: Path) -> Path:
    """Return the file of an unfinished tensor."""
    return path.with_suffix(".partial")


def _lock(path: Path) -> Path:
    return path.with_suffix(".lock")


@contextmanager
def _locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    busy = False
    with ExitStack() as stack:
        with disk(path.parent, "written", DISK, kind=DataError):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                stack.enter_context(FileLock(_lock(path)) if wait else FileLock(_lock(path), wait=False))
            except Timeout:
                busy = True
        if busy:
            raise Timeout(str(_lock(path)))
        yield


def _fill(
    path: Path,
    key: Mapping[str, str],
    count: int,
    compute: Callable[[range], Tensor],
    chunk: int,
    paced: bool,
    about: str,
    progress: Callable[[int, int], None],
) -> None:
    """Write the missing chunks into the partial file and give it its final name."""
    partial = partial_path(path)
    with ExitStack() as stack:
        with disk(partial, "written", DISK, kind=DataError):
            regular(partial)
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
            file = stack.enter_context(os.fdopen(os.open(partial, flags, 0o666), "r+b"))
            done, layout, chunk = continue_from(file, partial, key, count, chunk)
        if layout is None and paced and count:
            chunk = _pace(chunk, compute)
        held: list[Tensor] = []

        def write() -> None:
            nonlocal done, layout
            with disk(partial, "written", DISK, kind=DataError):
                while held:
                    if layout is None:
                        layout = _start(file, path, header_of(held[0], key, count, chunk, about))
                    store(file, layout, held[0], done, done // chunk)
                    done += len(held.pop(0))
                file.flush()
                os.fsync(file.fileno())

        stack.callback(write)  # what is done when the user stops, or a row fails, is kept too
        written = time.monotonic()
        for start in range(done, max(count, 1), chunk):
            ids = range(start, min(start + chunk, count))
            held.append(compute(ids).contiguous())
            waits = time.monotonic() - written
            if layout is None or waits >= SECONDS or sum(rows.nbytes for rows in held) >= _HELD:
                write()
                written = time.monotonic()
            progress(ids.stop, count)
    with disk(path, "written", DISK, kind=DataError):
        date_whole(partial)
        os.replace(partial, path)


def _pace(chunk: int, compute: Callable[[range], Tensor]) -> int:
    """Return how many rows at once take about a second: a whole chunk, or of a slow teacher's 4 or 1.

    In few steps, and after a second look at a slow first row, which may have waited for a device: the same machine is
    to find the same again, as the last bit of a row depends on how many were computed with it.
    """
    for _ in range(2):
        begun = time.monotonic()
        compute(range(1))
        if (took := time.monotonic() - begun) <= 0.1:
            return chunk
    return min(chunk, 4 if took <= 0.4 else 1)


def _start(file: BinaryIO, path: Path, header: bytes) -> Layout:
    """Write the header and no checksums yet, after a look at the free space."""
    layout, tensor = layout_of(header), json.loads(header[8:])["tensor"]
    size, free = tensor["data_offsets"][1], shutil.disk_usage(path.parent).free
    if size > free:
        about = json.loads(json.loads(header[8:])["__metadata__"][STAMP])["about"]
        raise DataError(
            f"The cache needs {size / 1e9:.1f} GB for {about or path}, but {free / 1e9:.1f} GB are free in "
            f"{cache_dir()}; make room or set ACTIVEKD_LAB_CACHE to another disk."
        )
    file.seek(0)
    file.write(header + bytes(layout.data - layout.checks))
    return layout


def _read(path: Path, key: Mapping[str, str], count: int, *, warn: bool = True) -> Tensor | None:
    """Return the rows of a whole file of this key, or None, with a warning if there is a file that cannot be used."""
    if not path.exists():
        return None
    rows: Tensor | None = None
    try:
        with safe_open(regular(path), framework="pt") as file:
            stamp = json.loads((file.metadata() or {})[STAMP])
            rows, checks = file.get_tensor("tensor"), file.get_tensor("checks")
        reason = "" if stamp["key"] == canonical(key) and len(rows) == count else "belongs to other weights or images"
        if not reason and not fits(path, rows, checks, stamp["chunk"]):
            reason = "is damaged"
    except (*WRONG, OSError):
        reason = "is damaged"
    if reason and warn:
        warnings.warn(f"The cache file {path} {reason}; computing it again.", stacklevel=3)
    return None if reason else rows


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
        DataError: a folder that cannot be read.
    """
    with disk(cache_dir(), "read", DISK, kind=DataError):
        kinds = sorted(folder.name for folder in cache_dir().iterdir() if folder.is_dir())
        if kind is not None and kind not in kinds:
            raise UnknownNameError("kind of cache", kind, kinds)
        folders = [cache_dir() / name for name in kinds if kind in (None, name)]
        files = [path for folder in folders for path in folder.iterdir() if path.suffix in (".safetensors", ".partial")]
    entries = [entry for path in files if (entry := _entry(path)) is not None]
    return sorted(entries, key=lambda entry: (-entry.size, str(entry.path)))


def clear_cache(kind: str | None = None) -> tuple[int, int]:
    """Delete the cached files of a kind (None: of all kinds) and return how many, and their bytes.

    Only the package's own files go; anything else in the folder stays, and so does what is being made right now.

    Warns:
        UserWarning: how many files are being made, and were left.

    Raises:
        DataError: a file that cannot be deleted.
    """
    gone, busy = [], 0
    for entry in list_cache(kind):
        try:
            with _locked(entry.path, wait=False), disk(entry.path, "deleted", "delete it by hand", kind=DataError):
                entry.path.unlink(missing_ok=True)
                gone.append(entry.size)
        except Timeout:
            busy += 1
            continue
        with suppress(OSError):
            _lock(entry.path).unlink()
    if busy:
        warnings.warn(f"{busy} cache files are being made right now, so they were left.", stacklevel=2)
    return len(gone), sum(gone)


def _entry(path: Path) -> CacheEntry | None:
    """Return what is known of a file, None if it has gone meanwhile."""
    try:
        return CacheEntry(path.parent.name, _about(path), path.stat().st_size, path.suffix == ".safetensors", path)
    except FileNotFoundError:
        return None


def _about(path: Path) -> str:
    """Return what a file says it holds; older kinds of cache say nothing."""
    try:
        with regular(path).open("rb") as file:
            return shown(json.loads(json.loads(read_header(file)[8:])["__metadata__"][STAMP])["about"])
    except (*WRONG, OSError):
        return ""
