"""Contrast as WCAG measures it: a text against what most of its box shows, a mark against the page."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

_SCRIPT = (Path(__file__).parent / "looks.js").read_text("utf-8")
TEXT, MARK = 4.5, 3.0


def contrast(one: Any, two: Any) -> float:
    """Return the contrast of two colours, (r, g, b) in 0 … 255: 1 … 21."""
    low, high = sorted(map(_luminance, (one, two)))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: Any) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in color[:3])]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def problems(page: Any, ground: tuple[int, int, int]) -> list[str]:
    """Say which texts and marks of the page have too little contrast, and which controls no focus or no name."""
    found, picture = page.evaluate(_SCRIPT), Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    said = list(found["controls"])
    for text, color, (x, y, width, height) in found["texts"]:
        box = picture.crop((int(x), int(y), int(x + width) + 1, int(y + height) + 1))
        if x < 0 or y < 0 or x + width > picture.width or y + height > picture.height:
            continue  # out of the window
        pixels = map(tuple, np.asarray(box).reshape(-1, 3).tolist())
        others = Counter(c for c in pixels if sum(abs(a - b) for a, b in zip(c, color, strict=False)) > 40)
        behind = others.most_common(1)[0][0] if others else color
        if (found_ := contrast(color, behind)) < TEXT:
            said.append(f"{text[:40]!r} has contrast {found_:.1f}: {color[:3]} on {behind}")
    said += [
        f"a mark {m[:3]} has contrast {contrast(m, ground):.1f}" for m in found["marks"] if contrast(m, ground) < MARK
    ]
    return sorted(set(said))
