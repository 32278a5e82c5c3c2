"""Views: random crops and flips of a whole batch at once, on the batch's device."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def random_resized_crop(
    images: Tensor,
    size: int,
    *,
    generator: torch.Generator,
    scale: tuple[float, float] = (0.5, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    flip: bool = True,
) -> Tensor:
    """Cut one random crop from each image, resize it and mirror half of them.

    Args:
        images: (B, 3, H, W) uint8 or float in [0, 1].
        size: side of the views, pixels.
        generator: a CPU generator; B crops draw the same numbers on every device.
        scale: range of the crop's share of the area.
        ratio: range of the crop's width / height.
        flip: mirror half of the views left to right.

    Returns:
        (B, 3, size, size) float32 in [0, 1].
    """
    return cut_crops(images, size, draw_crops(len(images), generator), scale=scale, ratio=ratio, flip=flip)


def draw_crops(count: int, generator: torch.Generator) -> Tensor:
    """Return (5, count) uniform numbers, all that `cut_crops` needs to cut the same views again."""
    return torch.rand(5, count, generator=generator)


def cut_crops(
    images: Tensor,
    size: int,
    drawn: Tensor,
    *,
    scale: tuple[float, float] = (0.5, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    flip: bool = True,
) -> Tensor:
    """Cut the crops that `draw_crops` drew, (5, B), from (B, 3, H, W) images; see `random_resized_crop`."""
    images = images.float() / 255 if images.dtype == torch.uint8 else images
    B = len(images)
    area, shape, x, y, side = drawn.to(images.device)
    area = scale[0] + (scale[1] - scale[0]) * area
    shape = torch.exp(math.log(ratio[0]) + (math.log(ratio[1]) - math.log(ratio[0])) * shape)
    width, height = (area * shape).sqrt().clamp(max=1), (area / shape).sqrt().clamp(max=1)
    x, y = (2 * x - 1) * (1 - width), (2 * y - 1) * (1 - height)  # centres in [-1, 1]
    mirror = torch.where(side < 0.5, -1.0, 1.0) if flip else torch.ones_like(side)
    zero = torch.zeros_like(x)
    affine = torch.stack([torch.stack([mirror * width, zero, x], 1), torch.stack([zero, height, y], 1)], 1)  # (B, 2, 3)
    grid = F.affine_grid(affine, [B, 3, size, size], align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
