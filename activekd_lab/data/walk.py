"""Which image files lie below a folder, and what is left out, counted by reason: one record, shown in one way."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from activekd_lab.errors import DataError, printable

SUFFIXES = frozenset([
    ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".png", ".apng", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff",
    ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".avif",
])  # fmt: skip
_HEIF = frozenset([".heic", ".heif", ".hif"])
_RAW = frozenset([".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw"])
_SYSTEM = re.compile(  # names of what a system, and no person, put there
    r"(?i)\.|(__macosx|@eadir|@recycle|@tmp|#recycle|#snapshot|\$recycle\.bin|system volume information|lost\+found)$"
)
_MOST_VISITS = 16  # of one folder through links: folders that link to each other have endlessly many paths


@dataclass
class LeftOut:
    """What a reader of files left out, and what else it has to say. Printed, it is one line; empty, it is false.

    Attributes:
        reasons: the names of the files (or folders, or lines of a table), by reason.
        notes: whole sentences about what was not left out, but should be known.

    Example:
        >>> left = LeftOut()
        >>> left.add("hidden", "._a.jpg")
        >>> print(left)
        Left out: 1 hidden (._a.jpg).
    """

    reasons: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, reason: str, *names: str | Path) -> None:
        """Count names under a reason."""
        if names:
            self.reasons.setdefault(reason, []).extend(map(show, names))

    def merge(self, other: LeftOut) -> None:
        """Take over what another reader left out."""
        for reason, names in other.reasons.items():
            self.add(reason, *names)
        self.notes += other.notes

    @property
    def counts(self) -> dict[str, int]:
        """How many are left out, by reason."""
        return {reason: len(names) for reason, names in self.reasons.items()}

    def __bool__(self) -> bool:
        return bool(self.reasons or self.notes)

    def __str__(self) -> str:
        parts = [f"{len(names):,} {reason} ({some(names)})" for reason, names in self.reasons.items()]
        return " ".join([f"Left out: {'; '.join(parts)}."] * bool(parts) + self.notes)


class Found(NamedTuple):
    """Image files, sorted; what was left out; and every folder that was looked into."""

    files: list[Path]
    left_out: LeftOut
    folders: list[Path]


def find_images(folder: Path) -> Found:
    """Return the image files below a folder by their suffix; links are followed, but never in a circle.

    Hidden files (a leading dot, or `__MACOSX`, `@eaDir` and the like) and other suffixes are left out and counted.
    """
    found, entered = Found([], LeftOut(), []), Counter[tuple[int, int]]()
    waiting: list[tuple[Path, tuple[tuple[int, int], ...], bool]] = [(folder, (_identity(folder),), False)]
    while waiting:
        place, above, hidden = waiting.pop()
        for entry in _entries(place, found.left_out, folder):
            path, secret = place / entry.name, hidden or bool(_SYSTEM.match(entry.name))
            if not _is_dir(entry):
                _sort_file(path, entry, secret, found, folder)
                continue
            me = _identity(path)
            entered[me] += 1
            if me in above or entered[me] > _MOST_VISITS:
                found.left_out.add("folders linked in a circle", path.relative_to(folder))
                continue
            if not secret:
                found.folders.append(path)
            waiting.append((path, (*above, me), secret))
    found.files.sort(key=lambda path: path.parts)
    found.folders.sort(key=lambda path: path.parts)
    return found


def _entries(place: Path, left_out: LeftOut, root: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(place) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        left_out.add(f"folders that cannot be opened ({error.strerror})", place.relative_to(root))
        return []


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links in a circle
        return False


def _identity(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return found.st_dev, found.st_ino


def _sort_file(path: Path, entry: os.DirEntry[str], hidden: bool, found: Found, root: Path) -> None:
    """Take a file for an image, or count why it is none."""
    suffix = path.suffix.lower()
    try:
        regular = entry.is_file()
    except OSError:
        regular = False
    if regular and not hidden and suffix in SUFFIXES:  # nearly every file, so before anything that costs time
        found.files.append(path)
        return
    name = path.relative_to(root)
    if hidden:
        if suffix in SUFFIXES | _HEIF | _RAW:
            found.left_out.add("hidden", name)
    elif not regular:
        found.left_out.add("links to nothing" if entry.is_symlink() else "no regular files", name)
    elif suffix in _HEIF and reads_heif():
        found.files.append(path)
    elif suffix in _HEIF:
        found.left_out.add("HEIC photos, which `pip install pillow-heif` lets be read", name)
    elif suffix in _RAW:
        found.left_out.add("raw photos, to be developed to JPEG first", name)
    else:
        found.left_out.add(f"{show(suffix)} files" if suffix else "files without a suffix", name)


def reads_heif() -> bool:
    """Return whether the package that reads HEIC is installed."""
    return find_spec("pillow_heif") is not None


def find_files(paths: Iterable[str | Path]) -> Found:
    """Return files as they are, and in place of each folder the image files below it, sorted.

    Raises:
        DataError: a path that does not exist, or a folder without images.
    """
    files, left_out, folders = Found([], LeftOut(), [])
    for path in map(Path, paths):
        try:
            if not path.is_dir():
                path.stat()
                files.append(path)
                continue
        except (OSError, ValueError) as error:
            raise DataError(f"{show(path)} cannot be read ({getattr(error, 'strerror', error)}).") from error
        inside = find_images(path)
        refuse_empty(path, inside)
        files += inside.files
        left_out.merge(inside.left_out)
    return Found(files, left_out, folders)


def refuse_empty(folder: Path, found: Found) -> None:
    """Refuse a folder without images; the message says what it holds instead.

    Raises:
        DataError: no images.
    """
    if not found.files:
        known = "known suffixes are those of JPEG, PNG, WebP, AVIF, GIF, BMP, TIFF, PNM and JPEG 2000"
        raise DataError(f"{show(folder)} holds no images; {known}.{f' {found.left_out}' * bool(found.left_out)}")


def inside(root: Path, relative: str) -> Path:
    """Return root / relative, refused if it leads out of the root; links below the root may lead anywhere.

    Raises:
        DataError: an absolute path outside of the root, or one with enough `..` to leave.
    """
    path = Path(os.path.normpath(root / relative))
    if "\0" in relative or not path.is_relative_to(os.path.normpath(root)):
        raise DataError(f"The path {relative!r} leads out of {root}; it is refused.")
    return path


def show(name: str | Path) -> str:
    """Return a name for a message: line ends and bytes that are no UTF-8 are written as escapes."""
    return printable(str(name))


def some(names: Sequence[str], most: int = 3) -> str:
    """Return the first few of the names, for a message."""
    return ", ".join(names[:most]) + " …" * (len(names) > most)
