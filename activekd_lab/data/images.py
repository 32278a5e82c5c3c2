"""The one reader of image files.

Every picture takes the same way to a square of `size` pixels, wherever it is read: turned upright (EXIF's orientation
and nothing else of it), made RGB, its centred square cut out, that square resized (bicubic, as Pillow does it).
`students.export` writes the last two steps into its graph.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

import numpy as np
import torch
from PIL import Image, JpegImagePlugin, TiffImagePlugin
from torch import Tensor

from activekd_lab.data.walk import reads_heif, show
from activekd_lab.errors import DataError, SettingError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "DIB", "PPM", "JPEG2000", "AVIF")
"""Pillow's names of what is read; a file of any other kind is refused whatever its name (EPS would start a program)."""
MOST_MEMORY = 512 * 2**20  # bytes that decoding one file may take
LARGEST = 4096  # pixels a side of the squares that are kept
_LARGE = 128 * 2**20  # bytes; files that take more are decoded one at a time
_DRAFT = 32_000_000  # pixels; JPEGs above are decoded at a half, a quarter or an eighth
_BYTES_A_PIXEL = {"JPEG2000": 16, "AVIF": 12, "WEBP": 8}  # of decoders that hold more than the picture
_STRIP = 1 << 22  # pixels that are converted at a time
_one_large_file = Lock()


def read_image(path: str | Path, size: int) -> Tensor:
    """Return a file as (3, size, size) uint8: upright, RGB, its centred square, resized.

    Transparent parts become white, an animation gives its first frame. Greys are scaled by their kind: 16 bits by 257;
    floats from [0, 1] and 32-bit integers from [0, 255], widened to the file's own range where that is larger.

    Raises:
        DataError: a missing, damaged, foreign or huge file, with the reason.
    """
    with _opened(path) as file:
        return _read(file, size)


def upright_size(path: str | Path) -> tuple[int, int]:
    """Return width and height of the picture in a file, turned upright, from its header.

    Raises:
        DataError: as `read_image`, but for what only decoding shows.
    """
    with _opened(path) as file:
        image = _open(file)
        width, height = image.size
        if isinstance(image, TiffImagePlugin.TiffImageFile):  # whose size some versions of Pillow turn, others not
            width, height = int(image.tag_v2[256]), int(image.tag_v2[257])
        return (height, width) if _orientation(image) >= 5 else (width, height)


def read_whole(path: str | Path, most: int) -> Image.Image:
    """Return the whole picture in a file, upright and RGB, its longer side at most `most` pixels, for people.

    Raises:
        DataError: as `read_image`.
    """
    with _opened(path) as file:
        image = _open(file)
        with _room_for(image):
            whole = upright(image)
    whole.thumbnail((most, most), Image.Resampling.BICUBIC)
    return whole


@contextmanager
def _opened(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file; whatever goes wrong inside is said in one sentence."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ValueError("no regular file")
        with open(path, "rb") as file:
            yield file
    except Exception as error:  # decoders raise what they like
        raise DataError(f"{show(path)} cannot be read as an image ({_reason(error)}).") from error


def why_unreadable(path: Path, size: int = 8) -> str:
    """Return why a file is no readable image, "" if it is one."""
    try:
        read_image(path, size)
    except DataError as error:
        return _reason(error.__cause__ or error)
    return ""


def check_size(size: object) -> None:
    """Refuse anything but a whole number of pixels that a square can have.

    Raises:
        SettingError: another type, or outside of 1 … 4096.
    """
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= LARGEST:
        raise SettingError(f"image_size must be a whole number of pixels, 1 … {LARGEST}, but got {size!r}.")


def _read(file: BinaryIO, size: int) -> Tensor:
    image = _open(file)
    with _room_for(image):
        return fitted_pixels(image, size)


def fitted_pixels(image: Image.Image, size: int) -> Tensor:
    """Return the (3, size, size) uint8 tensor of `fitted`; without torchvision, whose import takes seconds."""
    return torch.from_numpy(np.array(fitted(image, size))).permute(2, 0, 1).contiguous()  # (H, W, 3) -> (3, H, W)


def fitted(image: Image.Image, size: int) -> Image.Image:
    """Return the (size, size) RGB square of any Pillow image: the rule of this module, for a picture in memory."""
    return _upright(image, _centre).resize((size, size), Image.Resampling.BICUBIC)


def upright(image: Image.Image) -> Image.Image:
    """Return the whole of any Pillow image upright and RGB: what an exported graph takes."""
    return _upright(image, lambda image, orientation: image)


def _upright(image: Image.Image, cut: Callable[[Image.Image, int], Image.Image]) -> Image.Image:
    image.load()  # before the orientation is asked for: Pillow turns a TIFF as it loads, and takes the tag away
    orientation = _orientation(image)
    rgb = _rgb(cut(_unsigned(image), orientation), image.format, _is_negative(image), _tag(image, 258))
    return rgb.transpose(_TURNS[orientation]) if orientation in _TURNS else rgb


@lru_cache(maxsize=1)
def _openers() -> list[tuple[Callable[..., Any], Callable[[bytes], Any]]]:
    """Return Pillow's readers of FORMATS, each with its look at a file's first bytes."""
    Image.init()
    formats = [*FORMATS]
    if reads_heif():
        import_module("pillow_heif").register_heif_opener()
        formats.append("HEIF")
    table = {name: Image.OPEN[name] for name in formats if name in Image.OPEN}
    table["JPEG"] = (JpegImagePlugin.JpegImageFile, table["JPEG"][1])  # the first picture of an MPO too
    return [(factory, accept) for factory, accept in table.values() if accept is not None]


def _open(file: BinaryIO) -> Image.Image:
    """Open an image of a known format. Not `Image.open`: its limit and its warnings are the whole process's.

    Raises:
        ValueError: an unknown format. Anything: what a decoder raises.
    """
    prefix = file.read(16)
    if not prefix:
        raise ValueError("an empty file")
    for factory, accept in _openers():
        accepted = accept(prefix)
        if isinstance(accepted, str):  # it knows the format and lacks the library
            raise ValueError(accepted)
        if accepted:
            file.seek(0)
            image: Image.Image = factory(file, "")
            return image
    raise ValueError("no known image format")


def _room_for(image: Image.Image) -> AbstractContextManager[object]:
    """Return a lock for a large image, of which one is decoded at a time.

    Raises:
        ValueError: decoding it would take more than MOST_MEMORY.
    """
    pixels, extra = image.width * image.height, 0.0
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        if "progressive" in image.info:  # all its coefficients are held, two bytes each
            areas = [layer[1] * layer[2] for layer in image.layer]
            extra = 2 * pixels * sum(areas) / max(areas)
        scale = next((s for s in (1, 2, 4) if pixels <= s * s * _DRAFT), 8)
        if scale > 1:
            image.draft(None, (max(1, image.width // scale), max(1, image.height // scale)))
    needed = image.width * image.height * _BYTES_A_PIXEL.get(image.format or "", 4) + extra
    if needed > MOST_MEMORY:
        raise ValueError(
            f"{pixels / 1e6:,.0f} megapixels take {needed / 2**20:,.0f} MB to decode, more than the limit of "
            f"{MOST_MEMORY / 2**20:,.0f}; make it smaller"
        )
    return _one_large_file if needed > _LARGE else nullcontext()


_TURN = Image.Transpose
_TURNS = {
    2: _TURN.FLIP_LEFT_RIGHT, 3: _TURN.ROTATE_180, 4: _TURN.FLIP_TOP_BOTTOM, 5: _TURN.TRANSPOSE,
    6: _TURN.ROTATE_270, 7: _TURN.TRANSVERSE, 8: _TURN.ROTATE_90,
}  # fmt: skip
"""What turns an image upright, by EXIF's orientation."""
_WHOLE = {3: "H", 4: "I", 8: "h", 9: "i"}
"""TIFF's types of whole numbers; cameras write the orientation as the first."""


def _orientation(image: Image.Image) -> int:
    """Return EXIF's orientation, 1 if there is none; nothing else of EXIF is looked at, so nothing else can be odd."""
    try:
        raw = image.info.get("exif")
        found = _orientation_tag(raw) if isinstance(raw, bytes) else image.getexif().get(0x0112)
    except Exception:  # a damaged block says nothing
        return 1
    return found if isinstance(found, int) and found in _TURNS else 1


def _orientation_tag(exif: bytes) -> int:
    """Return tag 0x0112 of the first directory of an EXIF block, 1 if it is not there."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = "<" if tiff[:2] == b"II" else ">"
    (start,) = struct.unpack_from(order + "I", tiff, 4)
    (count,) = struct.unpack_from(order + "H", tiff, start)
    for i in range(count):
        tag, kind = struct.unpack_from(order + "HH", tiff, start + 2 + 12 * i)
        if tag == 0x0112 and kind in _WHOLE:
            return int(struct.unpack_from(order + _WHOLE[kind], tiff, start + 10 + 12 * i)[0])
    return 1


def _centre(image: Image.Image, orientation: int) -> Image.Image:
    """Cut the square that is central once the image is upright; of an odd rest, the smaller half comes first."""
    width, height = image.size
    side, turned_round = min(width, height), {2, 3, 7, 8} if width > height else {3, 4, 6, 7}
    start = (abs(width - height) + (orientation in turned_round)) // 2
    left, top = (start, 0) if width > height else (0, start)
    return image if width == height else image.crop((left, top, left + side, top + side))


def _tag(image: Image.Image, tag: int) -> object:
    grey = isinstance(image, TiffImagePlugin.TiffImageFile) and image.mode[0] in "IFL"
    found = image.tag_v2.get(tag) if grey else None  # type: ignore[attr-defined]
    return found[0] if isinstance(found, tuple) else found


def _is_negative(image: Image.Image) -> bool:
    """Return whether white is zero in a grey TIFF of more than 8 bits: of 8 bits, Pillow has seen to it."""
    return image.mode != "L" and _tag(image, 262) == 0


def _unsigned(image: Image.Image) -> Image.Image:
    """Return a TIFF of unsigned 32-bit or signed 8-bit greys as numbers that hold them, where Pillow's do not."""
    if image.mode == "L" and _tag(image, 339) == 2:
        return Image.fromarray(np.asarray(image) ^ 128)  # -128 is black, 127 white
    if image.mode != "I" or _tag(image, 258) != 32 or _tag(image, 339) == 2:
        return image
    grey = np.asarray(image)
    return image if grey.min() >= 0 else Image.fromarray(grey.view(np.uint32).astype(np.float32))


def _rgb(image: Image.Image, format: str | None, negative: bool = False, bits: object = 16) -> Image.Image:
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    low, high = _grey_range(image, format, bits)[:: -1 if negative else 1]
    out = Image.new("RGB", image.size)
    for top, strip in _strips(image):
        out.paste(_rgb_strip(strip, low, high), (0, top))
    return out


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    rows = max(1, _STRIP // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _grey_range(image: Image.Image, format: str | None, bits: object) -> tuple[float, float]:
    """Return what is black and what is white in a grey image of more than 8 bits.

    Files of 32-bit integers and floats do not say it: they have the range of 8 bits, or [0, 1], or their own if larger.
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and format in ("PNG", "PPM")):
        return 0.0, 2.0 ** (bits if isinstance(bits, int) and 8 < bits < 16 else 16) - 1  # 12 of a microscope's TIFF
    low, high = 0.0, 1.0 if image.mode == "F" else 255.0
    if image.mode in ("I", "F"):
        for _, strip in _strips(image):
            grey = np.asarray(strip)
            if len(grey := grey[np.isfinite(grey)]):
                low, high = min(low, float(grey.min())), max(high, float(grey.max()))
    return low, high


def _rgb_strip(image: Image.Image, low: float, high: float) -> Image.Image:
    if image.mode[0] in "IF":
        grey = np.nan_to_num(np.asarray(image, dtype=np.float64), nan=low, posinf=max(low, high), neginf=min(low, high))
        clear = grey == image.info.get("transparency")  # the one grey that a PNG may call transparent
        grey = np.where(clear, 255, (grey - low) * (255 / (high - low)))
        return Image.fromarray(grey.clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _reason(error: BaseException) -> str:
    """Return a decoder's reason in a few words, without the addresses and tails that some append."""
    text = getattr(error, "strerror", None) or str(error)
    return show(text.splitlines()[0].split(" <")[0]) if text else type(error).__name__
