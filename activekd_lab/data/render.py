"""Render shape × texture images from a seed: the engine behind the `shapes` task and the teacher's pre-training.

Everything is drawn in batches on a supersampled grid, so 5,000 images of 32 × 32 pixels take a few seconds. Colour,
background, rotation, size, aspect, position, noise and occlusion vary; none of them is part of the class.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

SHAPES = (
    "circle", "triangle", "square", "star", "cross", "ring",
    "crescent", "heart", "arrow", "pentagon", "drop", "hexagon",
)  # fmt: skip
TEXTURES = ("plain", "striped", "dotted", "checkered", "shaded", "outlined", "speckled", "wavy")
_OVERSAMPLE = 2  # 4 samples a pixel: smooth edges at a quarter of the cost of 4 × 4
_CHUNK = 256


class Render(NamedTuple):
    """Rendered images and the drawn attributes that a caption may mention."""

    images: Tensor  # (B, 3, size, size) uint8
    hue: Tensor  # (B,) in [0, 1): hue of the shape's main colour
    value: Tensor  # (B,) in [0, 1]: its brightness
    scale: Tensor  # (B,) half-extent of the shape, 1 = half the image


def render(
    shape: Tensor, texture: Tensor, *, generator: torch.Generator, size: int = 32, nuisance: float = 1.0
) -> Render:
    """Draw one image for each pair of shape and texture indices.

    Args:
        shape: (B,) int64 indices into `SHAPES`.
        texture: (B,) int64 indices into `TEXTURES`.
        generator: source of every nuisance variable.
        size: side of the square image, pixels.
        nuisance: 0 … 1 scales turn, shift, stretch, shrinking, clutter, noise and occlusion.
    """
    parts = [
        _render_chunk(s, t, generator, size, nuisance)
        for s, t in zip(shape.split(_CHUNK), texture.split(_CHUNK), strict=True)
    ]
    return Render(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _render_chunk(shape: Tensor, texture: Tensor, g: torch.Generator, size: int, nuisance: float) -> Render:
    B, S = len(shape), size * _OVERSAMPLE

    def uniform(low: float, high: float) -> Tensor:  # (B, 1, 1)
        return torch.rand(B, 1, 1, generator=g) * (high - low) + low

    scale = uniform(0.85 - 0.35 * nuisance, 0.85)
    u, v = _local_coordinates(S, scale, uniform, nuisance)
    mask = _inside(shape, u, v)  # (B, S, S) in {0, 1}
    outline = mask * (1 - _inside(shape, u / 0.72, v / 0.72))
    paint = _paint(texture, u, v, outline, g)
    hue, ink, second, paper = _colours(B, g)
    background = _background(B, S, paper, g, nuisance)  # (B, 3, S, S)
    # An outline shows the background inside; every other texture mixes the two inks.
    second_ink = torch.where((texture == TEXTURES.index("outlined"))[:, None, None, None], background, second)
    body = paint[:, None] * ink + (1 - paint[:, None]) * second_ink
    image = torch.where(mask[:, None].bool(), body, background)
    image = F.avg_pool2d(_occlude(image, g, nuisance), _OVERSAMPLE)
    noise = torch.randn(image.shape, generator=g) * torch.rand(B, 1, 1, 1, generator=g) * 0.11 * nuisance
    pixels = ((image + noise).clamp(0, 1) * 255).round().to(torch.uint8)
    return Render(pixels, hue.flatten(), ink.amax(1).flatten(), scale.flatten())


def _local_coordinates(
    S: int, scale: Tensor, uniform: Callable[[float, float], Tensor], nuisance: float
) -> tuple[Tensor, Tensor]:
    """Return pixel coordinates in the frame of each shape, (B, S, S) each, after shift, turn, stretch and shear."""
    axis = torch.linspace(-1, 1, S)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    angle, aspect = uniform(-math.pi, math.pi) * nuisance, torch.exp(uniform(-0.22, 0.22) * nuisance)
    x, y = x - uniform(-0.28, 0.28) * nuisance, y - uniform(-0.28, 0.28) * nuisance
    u = (angle.cos() * x + angle.sin() * y) / (scale * aspect)
    v = (-angle.sin() * x + angle.cos() * y) / (scale / aspect)
    return u + uniform(-0.2, 0.2) * nuisance * v, v


def _inside(shape: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Return the (B, S, S) mask of each shape; every shape's test runs once, on its own rows."""
    out = torch.zeros_like(u)
    for index in shape.unique().tolist():
        rows = shape == index
        out[rows] = _SHAPE_INSIDE[index](u[rows], v[rows]).to(out.dtype)
    return out


def polygon(sides: int, depth: float = 1.0) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the inside test of a regular polygon or, with `depth` < 1, of a star with that inner radius."""

    def inside(u: Tensor, v: Tensor) -> Tensor:
        radius, wedge = torch.hypot(u, v), math.pi / sides
        angle = (torch.remainder(torch.atan2(u, -v) + wedge, 2 * wedge) - wedge).abs()  # 0 at a corner
        corner = depth if depth < 1 else math.cos(wedge)
        ax, bx, by = 1.0, corner * math.cos(wedge), corner * math.sin(wedge)
        px, py = radius * angle.cos(), radius * angle.sin()
        return (bx - ax) * py - by * (px - ax) >= 0

    return inside


def _ring(u: Tensor, v: Tensor) -> Tensor:
    radius = torch.hypot(u, v)
    return (radius < 0.95) & (radius > 0.52)


def _cross(u: Tensor, v: Tensor) -> Tensor:
    u, v = u.abs(), v.abs()
    return (torch.minimum(u, v) < 0.3) & (torch.maximum(u, v) < 0.95)


def _heart(u: Tensor, v: Tensor) -> Tensor:
    x, y = u * 1.2, 0.15 - v * 1.2
    return (x**2 + y**2 - 1) ** 3 - x**2 * y**3 < 0


def _arrow(u: Tensor, v: Tensor) -> Tensor:
    head = (v < 0) & (v > -1) & (u.abs() < (1 + v) * 0.85)
    return head | ((v >= 0) & (v < 0.95) & (u.abs() < 0.28))


def _drop(u: Tensor, v: Tensor) -> Tensor:
    bowl = torch.hypot(u, v - 0.35) < 0.6
    return bowl | ((v <= 0.2) & (v > -1) & (u.abs() < (v + 1) * 0.49))


_SHAPE_INSIDE: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
    lambda u, v: torch.hypot(u, v) < 0.9,
    polygon(3),
    polygon(4),
    polygon(5, depth=0.42),
    _cross,
    _ring,
    lambda u, v: (torch.hypot(u, v) < 0.95) & (torch.hypot(u - 0.42, v) > 0.75),
    _heart,
    _arrow,
    polygon(5),
    _drop,
    polygon(6),
)


def _paint(texture: Tensor, u: Tensor, v: Tensor, outline: Tensor, g: torch.Generator) -> Tensor:
    """Return the share of the main ink in [0, 1], (B, S, S), of each image's texture."""
    B = len(texture)
    turn, frequency, phase = (
        torch.rand(3, B, 1, 1, generator=g) * torch.tensor([math.pi, 3.5, 2 * math.pi])[:, None, None, None]
    )
    along = turn.cos() * u + turn.sin() * v
    across = turn.cos() * v - turn.sin() * u
    a, b = along * (4.5 + frequency) + phase, across * (4.5 + frequency) + phase
    grain = F.interpolate(torch.rand(B, 1, 24, 24, generator=g), size=u.shape[1:], mode="nearest")[:, 0]
    choices = (
        torch.ones_like(u),  # plain
        a.sin() > 0,  # striped
        (a * 0.9).sin() * (b * 0.9).sin() < 0.35,  # dotted
        (a * 0.6).sin() * (b * 0.6).sin() > 0,  # checkered
        (along * 0.6 + 0.5).clamp(0, 1),  # shaded
        outline,
        grain > 0.35,  # speckled
        (a + 1.4 * (b * 0.8).sin()).sin() > 0,  # wavy
    )
    return torch.stack([choice.to(u.dtype) for choice in choices])[texture, torch.arange(B)]


def _colours(B: int, g: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw hue (B,) and main ink, second ink and paper (B, 3, 1, 1); the three differ in mean brightness."""
    hue = torch.rand(B, generator=g)
    ink = hsv_to_rgb(hue, 0.3 + 0.7 * torch.rand(B, generator=g), 0.45 + 0.55 * torch.rand(B, generator=g))
    paper = _away_from(torch.rand(B, 3, generator=g), ink)
    second = _away_from(torch.rand(B, 3, generator=g), ink, paper)
    return hue, ink[..., None, None], second[..., None, None], paper[..., None, None]


def _away_from(colour: Tensor, *others: Tensor, gap: float = 0.25) -> Tensor:
    """Pull each (B, 3) colour towards black, grey or white, whichever is furthest, if it is within `gap` of another."""
    means = torch.stack([other.mean(1) for other in others])  # (M, B)
    levels = torch.tensor([0.05, 0.5, 0.95])
    best = levels[(levels[:, None, None] - means).abs().amin(1).argmax(0)]  # (B,)
    close = (colour.mean(1) - means).abs().amin(0) < gap
    return torch.where(close[:, None], 0.3 * colour + 0.7 * best[:, None], colour)


def _background(B: int, S: int, paper: Tensor, g: torch.Generator, nuisance: float) -> Tensor:
    """Return paper with low-frequency clutter of a random strength, (B, 3, S, S)."""
    clutter = F.interpolate(torch.randn(B, 3, 5, 5, generator=g), size=(S, S), mode="bilinear", align_corners=False)
    strength = torch.rand(B, 1, 1, 1, generator=g) * 0.22 * nuisance
    return (paper + clutter * strength).clamp(0, 1)


def _occlude(image: Tensor, g: torch.Generator, nuisance: float) -> Tensor:
    """Lay one bar of a random colour over a quarter of the images, fewer with less nuisance."""
    B, _, S, _ = image.shape
    axis = torch.linspace(-1, 1, S)
    angle = torch.rand(B, 1, 1, generator=g) * math.pi
    offset = torch.rand(B, 1, 1, generator=g) * 1.6 - 0.8
    distance = (angle.cos() * axis[None, None, :] + angle.sin() * axis[None, :, None] - offset).abs()
    width = torch.where(torch.rand(B, 1, 1, generator=g) < 0.25 * nuisance, 0.1, -1.0)
    colour = torch.rand(B, 3, 1, 1, generator=g)
    return torch.where((distance < width)[:, None], colour, image)


def hsv_to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Convert (B,) hue, saturation and value in [0, 1] to (B, 3) RGB in [0, 1]."""
    k = (torch.tensor([5.0, 3.0, 1.0]) + hue[:, None] * 6) % 6
    return value[:, None] * (1 - saturation[:, None] * torch.clamp(torch.minimum(k, 4 - k), 0, 1))
