"""Draw land as seen from above, from a seed: the engine behind the `tiles` task.

The bundled teacher has seen shapes on paper, never land; it knows a word of each class name from there. `haze` leads
further away: it dulls colours, lays cloud shadows, grain and a strip of other land over the tile.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from activekd_lab.data.render import hsv_to_rgb, polygon

_CHUNK = 256
_AIR = torch.tensor([0.62, 0.65, 0.66])[:, None, None]  # what thick haze looks like, RGB
Mask = Callable[[Tensor, Tensor, torch.Generator], Tensor]
Ink = tuple[float, float, float]  # hue, saturation, value in 0 … 1; each image varies them


class Land(NamedTuple):
    """How one class is drawn."""

    name: str
    mask: Mask  # where its own colour lies, (B, S, S) in 0 … 1, from (B, S, S) coordinates
    ink: Ink
    ground: Ink


def render_land(land: Tensor, *, generator: torch.Generator, size: int = 64, haze: float = 0.0) -> Tensor:
    """Draw (B, 3, size, size) uint8 tiles.

    Args:
        land: (B,) int64 indices into `LANDS`.
        generator: source of everything that varies: turn, size, place, colours, season, weather.
        size: side of a tile, pixels.
        haze: 0 … 1, how far a tile is from clean drawing.
    """
    return torch.cat([_render_chunk(part, generator, size, haze) for part in land.split(_CHUNK)])


def _render_chunk(land: Tensor, g: torch.Generator, size: int, haze: float) -> Tensor:
    tile, other = _draw(land, g, size), _draw(torch.randint(len(LANDS), land.shape, generator=g), g, size)
    across = _coordinates(len(land), size, g, shift=0.0, zoom=(1.0, 1.0))[0]
    strip = (across > 1 - 0.6 * haze * torch.rand(len(land), 1, 1, generator=g)).float()  # turned: it cuts off a corner
    image = tile + strip[:, None] * (other - tile)
    shadow = _noise(len(land), 4, size, g)[:, None] * 0.5 * haze
    air = 0.75 * haze * torch.rand(len(land), 1, 1, 1, generator=g)
    image = (image * (1 - shadow)) * (1 - air) + _AIR * air
    image = image + torch.randn(image.shape, generator=g) * 0.08 * haze
    return (image.clamp(0, 1) * 255).round().to(torch.uint8)


def _draw(land: Tensor, g: torch.Generator, size: int) -> Tensor:
    """Return clean tiles, (B, 3, size, size) in 0 … 1; each class's mask is drawn once, for its own rows."""
    x, y = _coordinates(len(land), size, g, shift=0.25, zoom=(0.8, 1.25))
    mask = torch.empty_like(x)
    for index in range(len(LANDS)):
        rows = land == index
        mask[rows] = LANDS[index].mask(x[rows], y[rows], g).float()
    mask = F.avg_pool2d(F.pad(mask[:, None], (1, 1, 1, 1), mode="replicate"), 3, 1)  # soft edges
    ink, ground = (_colours(land, [getattr(kind, part) for kind in LANDS], g) for part in ("ink", "ground"))
    grain = 1 + 0.25 * (_noise(len(land), size // 3, size, g) - 0.5)[:, None]
    return (ground + mask * (ink - ground)) * grain


def _coordinates(
    B: int, size: int, g: torch.Generator, *, shift: float, zoom: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """Return coordinates in about -1 … 1, (B, size, size) each, turned, moved and zoomed at random."""
    axis = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    turn, far, dx, dy = torch.rand(4, B, 1, 1, generator=g)
    x, y, angle = x - shift * (2 * dx - 1), y - shift * (2 * dy - 1), 2 * math.pi * turn
    far = zoom[0] + (zoom[1] - zoom[0]) * far
    return (angle.cos() * x + angle.sin() * y) * far, (angle.cos() * y - angle.sin() * x) * far


def _colours(land: Tensor, inks: list[Ink], g: torch.Generator) -> Tensor:
    """Return each tile's colour, (B, 3, 1, 1): its class's hue, saturation and value, varied."""
    spread = torch.tensor([0.03, 0.15, 0.12])
    hsv = torch.tensor(inks)[land] + spread * (2 * torch.rand(len(land), 3, generator=g) - 1)
    return hsv_to_rgb(hsv[:, 0] % 1, *hsv[:, 1:].clamp(0, 1).unbind(1))[..., None, None]


def _noise(B: int, cells: int, size: int, g: torch.Generator) -> Tensor:
    """Return smooth noise of so many cells a side, (B, size, size) in 0 … 1."""
    coarse = torch.rand(B, 1, cells, cells, generator=g)
    return F.interpolate(coarse, size=(size, size), mode="bilinear", align_corners=False)[:, 0]


def _blobs(cells: int, level: float) -> Mask:
    return lambda x, y, g: _noise(len(x), cells, x.shape[-1], g) > level


def _waves(x: Tensor, y: Tensor, g: torch.Generator, *, rate: float, bend: float) -> Tensor:
    phase = 2 * math.pi * torch.rand(2, len(x), 1, 1, generator=g)
    return torch.sin(rate * y + bend * torch.sin(3 * x + phase[0]) + phase[1])


def _lake(x: Tensor, y: Tensor, g: torch.Generator) -> Tensor:
    return torch.hypot(x, 1.2 * y) + 0.5 * _noise(len(x), 5, x.shape[-1], g) < 1.0


def _river(x: Tensor, y: Tensor, g: torch.Generator) -> Tensor:
    drawn = torch.rand(2, len(x), 1, 1, generator=g)
    bed = 0.3 * torch.sin(4 * x + 2 * math.pi * drawn[0])
    return torch.abs(y - bed) < 0.12 + 0.1 * drawn[1]


def _bay(x: Tensor, y: Tensor, g: torch.Generator) -> Tensor:
    return (torch.hypot(x, y) < 0.85) & (torch.hypot(x - 0.45, y) > 0.7)


def _orchard(x: Tensor, y: Tensor, g: torch.Generator) -> Tensor:
    return (9 * x).sin() * (9 * y).sin() > 0.4


def _crop(x: Tensor, y: Tensor, g: torch.Generator) -> Tensor:
    return torch.hypot(x, y) < 0.7


def _ring(x: Tensor, y: Tensor, g: torch.Generator) -> Tensor:
    return (torch.hypot(x, y) - 0.62).abs() < 0.13


def _crossing(x: Tensor, y: Tensor, g: torch.Generator) -> Tensor:
    return torch.minimum(x.abs(), y.abs()) < 0.13


def _square(x: Tensor, y: Tensor, g: torch.Generator) -> Tensor:
    return torch.maximum(x.abs(), y.abs()) < 0.6


_STAR = polygon(5, depth=0.45)
LANDS = (
    Land("green forest", _blobs(16, 0.5), (0.36, 0.6, 0.2), (0.34, 0.6, 0.35)),
    Land("blue lake", _lake, (0.6, 0.7, 0.6), (0.28, 0.45, 0.5)),
    Land("wavy river", _river, (0.55, 0.5, 0.5), (0.26, 0.45, 0.5)),
    Land("crescent bay", _bay, (0.57, 0.6, 0.6), (0.2, 0.4, 0.6)),
    Land("crop circle", _crop, (0.29, 0.5, 0.45), (0.12, 0.4, 0.65)),
    Land("striped vineyard", lambda x, y, g: _waves(x, y, g, rate=14, bend=0.3) > 0, (0.3, 0.5, 0.4), (0.1, 0.4, 0.6)),
    Land("dotted orchard", _orchard, (0.32, 0.55, 0.35), (0.15, 0.4, 0.65)),
    Land("star fort", lambda x, y, g: _STAR(x, y), (0.1, 0.2, 0.7), (0.3, 0.4, 0.4)),
    Land("orange desert", lambda x, y, g: _waves(x, y, g, rate=5, bend=1.2) > 0, (0.08, 0.6, 0.85), (0.07, 0.65, 0.7)),
    Land("ring road", _ring, (0.1, 0.1, 0.6), (0.27, 0.4, 0.45)),
    Land("cross roads", _crossing, (0.1, 0.1, 0.6), (0.25, 0.4, 0.45)),
    Land("town square", _square, (0.1, 0.15, 0.8), (0.03, 0.4, 0.5)),
)
