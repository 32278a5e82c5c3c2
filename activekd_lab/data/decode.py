"""Decode many image files once into the cache; what could not be read never stays there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from PIL import ImageFile
from torch import Tensor

from activekd_lab.data.cache import cached_rows, rows_path
from activekd_lab.data.images import check_size, read_image, why_unreadable
from activekd_lab.data.walk import LeftOut, show
from activekd_lab.errors import DataError
from activekd_lab.progress import Count, watcher

Unreadable = Literal["raise", "skip"]
_CHUNK, _ATTEMPTS, _FEW_GREYS = 32, 3, 16
_READ, _UNREAD, _FLAT = 0, 1, 2  # verdicts on decoded rows


class Decoded(NamedTuple):
    """Decoded files.

    Attributes:
        images: (M, 3, size, size) uint8, mapped from the cache.
        kept: (M) positions of the files that they come from.
        stamp: names the pixels, for `Split`.
        left_out: files that could not be read, with the reason; and a note of those of (nearly) one colour.
    """

    images: Tensor
    kept: list[int]
    stamp: str
    left_out: LeftOut


def decode_files(
    files: Sequence[Path],
    size: int,
    *,
    about: str = "",
    unreadable: Unreadable = "raise",
    progress: Count | None = None,
) -> Decoded:
    """Decode image files once into the cache; a killed call continues, changed files are decoded again.

    Only what was read stays there: files that could not be read are tried again by every call.

    Args:
        files: N paths.
        size: side of the square that is kept, pixels.
        about: what `activekd-lab cache` shows.
        unreadable: "raise" refuses bad files, all named; "skip" leaves them out.
        progress: called with (done, total); without it, what `progress.watched` set.

    Raises:
        DataError: files that are missing or are no readable images, each with its reason.
    """
    check_size(size)
    every = _Rows(files, size, about, progress or watcher())
    for _ in range(_ATTEMPTS):
        suspects = (every.verdicts() == _UNREAD).nonzero().flatten().tolist()
        bad = {i: why for i in suspects if (why := why_unreadable(files[i], size))}
        if len(bad) == len(suspects):
            break
        every.forget()  # some can be read again
    else:
        raise DataError(f"{show(files[suspects[0]])} changes while it is read; try again.")
    kept = [i for i in range(len(files)) if i not in bad]
    good = every.without(bad) if bad else every
    left_out = LeftOut()
    left_out.add("unreadable", *(f"{files[i]}: {why}" for i, why in bad.items()))
    if bad and unreadable == "raise":
        text = ", ".join(f"{show(files[i])} ({why})" for i, why in bad.items())
        raise DataError(f"{len(bad)} of {len(files)} files are no readable images: {text}; mend or remove them.")
    flat = (good.verdicts() == _FLAT).nonzero().flatten().tolist()
    if flat:
        shown = ", ".join(show(good.files[i].name) for i in flat[:3]) + " …" * (len(flat) > 3)
        left_out.notes.append(f"{len(flat)} images show next to nothing, {_FEW_GREYS} shades or fewer: {shown}.")
    return Decoded(good.images(), kept, repr(good.key), left_out)


class _Rows:
    """The cached pixels of some files, and a verdict on each row, so that none is taken that was not read."""

    def __init__(self, files: Sequence[Path], size: int, about: str, progress: Count | None) -> None:
        self.files, self.size, self.about, self.progress = files, size, about, progress
        self.key = {"files": stamp_files(files), "size": str(size), "reader": "2"}
        if ImageFile.LOAD_TRUNCATED_IMAGES:  # somebody's wish in this process, which others need not have
            self.key["truncated"] = "read"

    def images(self, compute: Callable[[range], Tensor] | None = None) -> Tensor:
        """Return (N, 3, size, size) uint8, all zero where a file could not be read."""
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:

            def decode(ids: range) -> Tensor:
                rows = list(pool.map(lambda i: _row(self.files[i], self.size), ids))
                return torch.stack(rows) if rows else torch.empty(0, 3, self.size, self.size, dtype=torch.uint8)

            return cached_rows(
                "decoded", self.key, len(self.files), compute or decode, chunk=_CHUNK, about=self.about,
                progress=self.progress,
            )  # fmt: skip

    def verdicts(self) -> Tensor:
        """Return (N,) uint8: read, not read, or read and of one colour. A photograph of the night is read."""

        def judge(ids: range) -> Tensor:
            rows = self.images()[ids.start : ids.stop].flatten(1)
            found = torch.full((len(rows),), _READ, dtype=torch.uint8)
            if len(rows):
                high, low = rows.amax(1), rows.amin(1)
                found[high - low <= _FEW_GREYS] = _FLAT
                for i in (high == 0).nonzero().flatten().tolist():
                    if _row(self.files[ids[i]], self.size).any() or why_unreadable(self.files[ids[i]], self.size):
                        found[i] = _UNREAD
            return found

        return cached_rows("verdicts", self.key, len(self.files), judge, chunk=64 * _CHUNK, about=self.about)

    def without(self, bad: dict[int, str]) -> _Rows:
        """Return the rows of the other files, copied once; the rows that hold nothing leave the cache."""
        ids = torch.tensor([i for i in range(len(self.files)) if i not in bad], dtype=torch.int64)
        good = _Rows([self.files[i] for i in ids.tolist()], self.size, self.about, None)
        good.images(lambda part: self.images()[ids[part.start : part.stop]])
        rows_path("decoded", self.key).unlink(missing_ok=True)
        return good

    def forget(self) -> None:
        """Take the rows and the verdicts out of the cache."""
        for kind in ("decoded", "verdicts"):
            rows_path(kind, self.key).unlink(missing_ok=True)


def stamp_files(files: Sequence[Path]) -> str:
    """Return a hash of paths, sizes and times of change; two files that swap names change too (the system's time)."""
    digest = hashlib.sha256()
    for path, found in refuse_missing(files):
        digest.update(os.fsencode(path) + f"|{found.st_size}|{found.st_mtime_ns}|{found.st_ctime_ns};".encode())
    return digest.hexdigest()


def refuse_missing(files: Sequence[Path]) -> list[tuple[Path, os.stat_result]]:
    """Return the files with what the system says of them.

    Raises:
        DataError: some do not exist; how many, and the first three.
    """
    found, missing = [], []
    for path in files:
        try:
            found.append((path, path.stat()))
        except (OSError, ValueError):
            missing.append(path)
    if missing:
        shown = ", ".join(show(p) for p in missing[:3])
        raise DataError(f"{len(missing)} of {len(files)} image files do not exist: {shown}{' …' * (len(missing) > 3)}.")
    return found


def _row(path: Path, size: int) -> Tensor:
    """Return the image, all zero if it cannot be read."""
    try:
        return read_image(path, size)
    except DataError:
        return torch.zeros(3, size, size, dtype=torch.uint8)


SHADES = 16
"""Pixel values; an image that spans fewer is of one colour, as a photograph of the night: equal ones are no copies."""


def exact_copies(images: Tensor) -> list[list[int]]:
    """Return groups of positions whose pixels are equal, each group ascending; single images are left out."""
    groups: dict[bytes, list[int]] = {}
    for i, image in enumerate(images):
        groups.setdefault(hashlib.sha256(image.contiguous().numpy().data).digest(), []).append(i)
    return [group for group in groups.values() if len(group) > 1]
