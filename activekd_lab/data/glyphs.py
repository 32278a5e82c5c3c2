"""Draw digits by hand-like pen strokes: what the bundled teacher reads before it ever meets a scikit-learn digit.

A digit is a few polylines in a unit box, y down. Each image bends, turns and shears its strokes at random, varies the
pen and the colours, and half of the images are scanned at 8 × 8 and enlarged again, as old digit collections were.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

DIGIT_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_SEGMENTS = 44
_CHUNK = 256
# Per digit its ways of writing; per way its strokes; per stroke "x,y" points in hundredths of the box.
_STROKES: tuple[tuple[str, ...], ...] = (
    ("50,5 22,20 15,50 22,82 50,95 78,82 85,50 78,20 50,5", "55,5 30,15 28,50 32,85 52,95 70,82 72,48 68,15 55,5"),
    ("50,5 50,95", "30,25 52,5 52,95", "30,25 52,5 52,95|28,95 76,95", "60,5 42,95"),
    ("18,28 28,8 55,4 78,20 74,42 48,66 16,94|16,94 84,92", "20,22 45,5 72,18 68,45 30,80 22,94 40,84 60,92 82,88"),
    (
        "18,14 45,4 72,12 74,34 46,46|46,46 78,58 78,82 50,96 16,86",
        "18,6 76,6|76,6 46,42|46,42 80,56 76,84 46,96 16,86",
    ),
    ("62,5 14,66|14,66 88,66|64,36 64,96", "22,6 18,52|18,52 82,50|72,6 68,96", "66,96 66,5|66,5 14,68|14,68 90,68"),
    (
        "78,6 28,6|28,6 22,44|22,44 52,36 78,52 78,80 50,96 16,86",
        "30,8 24,46|24,46 56,40 76,58 70,86 42,95 18,86|30,8 80,5",
    ),
    ("68,6 36,24 20,58 28,88 52,96 76,82 74,60 50,52 24,68", "60,4 30,40 22,74 42,96 70,86 70,62 46,56 26,74"),
    ("16,8 84,8|84,8 60,46 42,96", "16,8 84,8|84,8 60,46 42,96|34,50 74,50", "18,18 20,8 82,10|82,10 44,96"),
    (
        "50,48 24,34 26,12 50,4 74,12 76,34 50,48 22,66 22,88 50,96 78,88 78,66 50,48",
        "76,16 50,4 26,16 34,40 66,56 76,80 50,96 24,82 34,58 66,42 76,16",
    ),
    ("76,30 50,46 26,34 28,12 52,4 76,16 76,30|76,30 72,66 56,96", "74,14 46,4 24,22 34,44 60,42 76,18|76,18 74,96"),
)


def render_digits(digit: Tensor, *, generator: torch.Generator, size: int = 32) -> Tensor:
    """Draw (B, 3, size, size) uint8 images of the digits in `digit`, (B,) int64 in 0 … 9."""
    return torch.cat([_render_chunk(d, generator, size) for d in digit.split(_CHUNK)])


def _render_chunk(digit: Tensor, g: torch.Generator, size: int) -> Tensor:
    B = len(digit)
    cover = _ink(_bend(_sample_strokes(digit, g), g), g, size)  # (B, size, size) in [0, 1]
    scanned = F.interpolate(F.avg_pool2d(cover[:, None], size // 8), size=(size, size), mode="bilinear")[:, 0]
    cover = torch.where(torch.rand(B, 1, 1, generator=g) < 0.5, scanned / scanned.amax((1, 2), True), cover)
    paper, ink = _paper_and_ink(B, g)
    image = paper + cover[:, None] * (ink - paper)
    image = image + torch.randn(image.shape, generator=g) * torch.rand(B, 1, 1, 1, generator=g) * 0.06
    return (image.clamp(0, 1) * 255).round().to(torch.uint8)


@cache
def _ways(digit: int) -> Tensor:
    """Return every way of writing a digit as line segments, (ways, _SEGMENTS, 2 ends, 2), in [-1, 1]."""
    return torch.stack([_segments(way) for way in _STROKES[digit]])


def _segments(way: str) -> Tensor:
    from scipy.interpolate import make_interp_spline  # noqa: PLC0415  (slow import)

    strokes = [np.array([[float(n) for n in point.split(",")] for point in s.split()]) for s in way.split("|")]
    lengths = [np.hypot(*np.diff(s, axis=0).T).sum() for s in strokes]
    counts = [max(2, int(_SEGMENTS * length / sum(lengths))) for length in lengths]
    counts[int(np.argmax(lengths))] += _SEGMENTS - sum(counts)
    pieces = []
    for stroke, count in zip(strokes, counts, strict=True):
        knots = np.linspace(0, 1, len(stroke))
        line = make_interp_spline(knots, stroke, k=min(3, len(stroke) - 1))(np.linspace(0, 1, count + 1))
        pieces.append(np.stack([line[:-1], line[1:]], axis=1))
    return torch.from_numpy(np.concatenate(pieces)).float() / 50 - 1


def _sample_strokes(digit: Tensor, g: torch.Generator) -> Tensor:
    """Pick one way of writing for each digit: (B, _SEGMENTS, 2, 2)."""
    pick = torch.rand(len(digit), generator=g)
    ways = [_ways(d) for d in digit.tolist()]
    return torch.stack([way[int(p * len(way))] for way, p in zip(ways, pick.tolist(), strict=True)])


def _bend(strokes: Tensor, g: torch.Generator) -> Tensor:
    """Apply a smooth random displacement, then a random turn, shear, stretch and shift."""
    B = len(strokes)
    wave = torch.randn(B, 3, 2, 2, generator=g) * 1.6
    phase = torch.rand(B, 3, 2, generator=g) * 2 * math.pi
    amplitude = torch.randn(B, 3, 2, generator=g) * 0.07
    angle = torch.einsum("bsec,bkcd->bsekd", strokes, wave) + phase[:, None, None]
    strokes = strokes + (angle.sin() * amplitude[:, None, None]).sum(3)

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(B, generator=g) * (high - low) + low

    turn, shear, height = uniform(-0.25, 0.25), uniform(-0.35, 0.25), uniform(0.72, 0.95)
    width = height * uniform(0.5, 0.95)
    rotate = torch.stack([turn.cos(), -turn.sin(), turn.sin(), turn.cos()], 1).view(B, 2, 2)
    stretch = torch.stack([width, shear * width, torch.zeros(B), height], 1).view(B, 2, 2)
    shift = torch.rand(B, 1, 1, 2, generator=g) * 0.16 - 0.08
    return torch.einsum("bij,bsej->bsei", rotate @ stretch, strokes) + shift


def _ink(strokes: Tensor, g: torch.Generator, size: int) -> Tensor:
    """Return how much of each pixel the pen covers, (B, size, size), from the distance to the nearest segment."""
    axis = (torch.arange(size) + 0.5) * 2 / size - 1
    points = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).view(1, -1, 1, 2)  # (1, P, 1, 2)
    start, end = strokes[:, None, :, 0], strokes[:, None, :, 1]  # (B, 1, S, 2)
    along = end - start
    t = (((points - start) * along).sum(-1) / along.square().sum(-1).clamp_min(1e-6)).clamp(0, 1)
    distance = (points - start - t[..., None] * along).square().sum(-1).amin(2).sqrt()  # (B, P)
    pen = torch.rand(len(strokes), 1, generator=g) * 0.13 + 0.07
    return ((pen - distance) * size / 3 + 0.5).clamp(0, 1).view(-1, size, size)


def _paper_and_ink(B: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw paper and ink colours, (B, 3, 1, 1): half of them white on black or black on white."""
    dark = torch.rand(B, 3, generator=g) * 0.4
    light = 1 - torch.rand(B, 3, generator=g) * 0.4
    plain = (torch.rand(B, 1, generator=g) < 0.5).float()
    dark, light = dark * (1 - plain), light * (1 - plain) + plain
    swap = torch.rand(B, 1, generator=g) < 0.6
    paper, ink = torch.where(swap, dark, light), torch.where(swap, light, dark)
    return paper[..., None, None], ink[..., None, None]
