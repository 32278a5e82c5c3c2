"""Small pictures for plots: many images in one sheet, as a data URI, so that a page needs no files beside it."""

from __future__ import annotations

import base64
import io
from typing import NamedTuple

import numpy as np
from PIL import Image

from activekd_lab.errors import DataError
from activekd_lab.plots.groups import Array


class Sheet(NamedTuple):
    """Images in a grid: image i stands in row i // columns, column i % columns, each `tile` pixels square."""

    uri: str
    tile: int
    columns: int
    size: int


def sheet(images: Array, *, columns: int, tile: int = 48, gap: int = 0, quality: int | None = None) -> Sheet:
    """Put images into one picture.

    Args:
        images: (B, 3, H, W) uint8.
        columns: images a row.
        tile: at most so many pixels a side; larger images are scaled down.
        gap: transparent pixels after each image, right and below.
        quality: WebP quality 1 … 100, or None for lossless PNG with a transparent gap.

    Raises:
        DataError: not uint8 images, or none.
    """
    check_images(images)
    tile = min(tile, max(images.shape[2:]))
    side, rows = tile + gap, -(-len(images) // columns)
    page = Image.new("RGB" if quality else "RGBA", (side * columns, side * rows))
    for i, image in enumerate(images):
        page.paste(_fit(image, tile), (side * (i % columns), side * (i // columns)))
    return Sheet(_data_uri(page, quality), side, columns, len(images))


def check_images(images: Array) -> None:
    """Refuse anything but a non-empty (B, 3, H, W) uint8 array."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != 3 or not len(images):
        raise DataError(f"images must be uint8 of shape (B, 3, H, W), but got {images.dtype} of shape {images.shape}.")


def _fit(image: Array, tile: int) -> Image.Image:
    """Return a (3, H, W) image scaled to fit a square, centred on a neutral ground if it is not square itself."""
    picture = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
    if picture.size == (tile, tile):
        return picture
    picture.thumbnail((tile, tile))
    ground = Image.new("RGB", (tile, tile), (128, 135, 144))
    ground.paste(picture, ((tile - picture.width) // 2, (tile - picture.height) // 2))
    return ground


def _data_uri(page: Image.Image, quality: int | None) -> str:
    buffer, kind = io.BytesIO(), "webp" if quality else "png"
    page.save(buffer, kind.upper(), **({"quality": quality} if quality else {}))
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
