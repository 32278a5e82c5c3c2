"""Read image files of any kind as upright RGB squares, and decode many of them once into the cache."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from activekd_lab.data.cache import cached_rows
from activekd_lab.errors import DataError
from activekd_lab.progress import watcher

SUFFIXES = frozenset(
    [".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".jp2", ".avif"]
)
Unreadable = Literal["raise", "skip"]
_CHUNK = 256
BAD_FILE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning)
"""What `read_image` raises for damaged, foreign and huge files."""


def read_image(path: str | Path, size: int) -> Tensor:
    """Return (3, size, size) uint8: upright (EXIF), RGB, the shorter side resized, the centre kept.

    Transparent parts become white, 16-bit greys are scaled to 8, an animation gives its first frame.

    Raises:
        one of BAD_FILE: a damaged, huge or foreign file.
    """
    with warnings.catch_warnings(), Image.open(path) as file:
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        if file.format == "JPEG" and file.mode == "RGB":
            file.draft("RGB", (2 * size, 2 * size))  # decode at a coarser scale where that is enough
        image = _as_rgb(ImageOps.exif_transpose(file))
        fitted = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    pixels: Tensor = pil_to_tensor(fitted)
    return pixels


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        grey = np.asarray(image, dtype=np.float64)
        scale = 255 / 65535 if grey.max() > 255 else 1.0
        return Image.fromarray((grey * scale).clip(0, 255).astype(np.uint8)).convert("RGB")
    if "A" in image.getbands() or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def find_images(folder: Path) -> list[Path]:
    """Return the image files below a folder by their suffix, sorted, hidden ones left out."""
    found = (p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    return sorted(p for p in found if not any(part.startswith(".") for part in p.relative_to(folder).parts))


def is_image(path: Path) -> bool:
    """Return whether a file can be read as an image to its end."""
    try:
        read_image(path, 8)
    except BAD_FILE:
        return False
    return True


class Decoded(NamedTuple):
    """Decoded files.

    Attributes:
        images: (M, 3, size, size) uint8, mapped from the cache; with files left out, a copy in memory.
        kept: (M) positions of the files that they come from.
        stamp: names the pixels, for `Split`.
    """

    images: Tensor
    kept: list[int]
    stamp: str


def decode_files(
    files: Sequence[Path],
    size: int,
    *,
    about: str = "",
    unreadable: Unreadable = "raise",
    progress: Callable[[int, int], None] | None = None,
) -> Decoded:
    """Decode image files once into the cache; a killed call continues, changed files are decoded again.

    Args:
        files: N paths.
        size: side of the square that is kept, pixels.
        about: what `activekd-lab cache` shows.
        unreadable: "raise" refuses bad files, all named; "skip" leaves them out and warns with the same text.
        progress: called with (done, total); without it, what `progress.watched` set.

    Raises:
        DataError: files that are missing or are no readable images, each with its reason.
    """
    key = {"files": _stamps(files), "size": str(size), "reader": "1"}
    with ThreadPoolExecutor() as pool:

        def compute(ids: range) -> Tensor:
            rows = list(pool.map(lambda i: _row(files[i], size), ids))
            return torch.stack(rows) if rows else torch.empty(0, 3, size, size, dtype=torch.uint8)

        count = progress or watcher()
        rows = cached_rows("decoded", key, len(files), compute, chunk=_CHUNK, about=about, progress=count)

    def is_black(ids: range) -> Tensor:
        return rows[ids.start : ids.stop].flatten(1).amax(1) == 0

    black = cached_rows("decoded-black", key, len(files), is_black, chunk=8 * _CHUNK, about=about)
    bad, stamp = _reasons(files, black, size), repr(key)
    if not bad:
        return Decoded(rows, list(range(len(files))), stamp)
    text = ", ".join(f"{files[i]} ({reason})" for i, reason in bad.items())
    if unreadable == "raise":
        raise DataError(f"{len(bad)} of {len(files)} files are no readable images: {text}; mend or remove them.")
    warnings.warn(f"{len(bad)} of {len(files)} files are no readable images and are left out: {text}.", stacklevel=2)
    good = [i for i in range(len(files)) if i not in bad]
    return Decoded(rows[good], good, stamp)


def _stamps(files: Sequence[Path]) -> str:
    """Return a hash of paths, sizes and times of change."""
    digest = hashlib.sha256()
    for path, found in refuse_missing(files):
        digest.update(f"{path}|{found.st_size}|{found.st_mtime_ns};".encode())
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
        except OSError:
            missing.append(path)
    if missing:
        shown = ", ".join(str(p) for p in missing[:3])
        raise DataError(f"{len(missing)} of {len(files)} image files do not exist: {shown}{' …' * (len(missing) > 3)}.")
    return found


def _row(path: Path, size: int) -> Tensor:
    """Return the image, all black if it cannot be read."""
    try:
        return read_image(path, size)
    except BAD_FILE:
        return torch.zeros(3, size, size, dtype=torch.uint8)


def _reasons(files: Sequence[Path], black: Tensor, size: int) -> dict[int, str]:
    """Return why rows are black: those that are no images, by position; a photograph of the night is none of them."""
    bad = {}
    for i in black.nonzero().flatten().tolist():
        try:
            read_image(files[i], size)
        except BAD_FILE as error:
            bad[i] = type(error).__name__ if not str(error) else str(error).split(" <")[0].split(",")[0]
    return bad


def exact_copies(images: Tensor) -> list[list[int]]:
    """Return groups of positions whose pixels are equal, each group ascending; single images are left out."""
    groups: dict[bytes, list[int]] = {}
    for i, image in enumerate(images):
        groups.setdefault(hashlib.sha256(image.contiguous().numpy().data).digest(), []).append(i)
    return [group for group in groups.values() if len(group) > 1]
