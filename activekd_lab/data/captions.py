"""Captions as a web crawl would hold them: long-tailed, mostly silent about texture, sometimes wrong.

They make the bundled teacher imperfect in a structured way: what captions rarely name, it confuses.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from activekd_lab.data.glyphs import DIGIT_NAMES
from activekd_lab.data.render import SHAPES, TEXTURES

_SYNONYMS = {
    "circle": ("circle", "circle", "disc", "dot"), "triangle": ("triangle",), "square": ("square", "square", "box"),
    "star": ("star",), "cross": ("cross", "cross", "plus sign"), "ring": ("ring", "ring", "hoop"),
    "crescent": ("crescent", "crescent", "moon"), "heart": ("heart",), "arrow": ("arrow",), "pentagon": ("pentagon",),
    "drop": ("drop", "drop", "droplet"), "hexagon": ("hexagon", "hexagon", "polygon"),
}  # fmt: skip
_TEXTURE_WORDS = {
    "plain": ("plain", "plain", "solid"), "striped": ("striped", "striped", "lined"), "dotted": ("dotted", "spotted"),
    "checkered": ("checkered", "checkered", "chequered"), "shaded": ("shaded", "shaded", "gradient"),
    "outlined": ("outlined", "outlined", "hollow"), "speckled": ("speckled", "grainy"), "wavy": ("wavy",),
}  # fmt: skip
_PHRASES = ("a photo of a {}.", "a {}.", "{}", "a drawing of a {}", "an icon with a {}", "picture of one {}", "the {}")
_DIGIT_PHRASES = (
    "a handwritten digit {}.",
    "a handwritten {}",
    "the number {}",
    "{}",
    "digit {}",
    "a photo of the number {}.",
)
_HUES = ("red", "orange", "yellow", "green", "green", "cyan", "blue", "blue", "purple", "pink", "red")
WRONG_NOUN, WRONG_TEXTURE, TEXTURE_NAMED, COLOUR_NAMED, SIZE_NAMED = 0.08, 0.10, 0.30, 0.40, 0.20


def shape_caption(shape: int, texture: int, hue: float, value: float, scale: float, rng: np.random.Generator) -> str:
    """Return one noisy caption of a rendered shape."""
    if rng.random() < WRONG_NOUN:
        shape = int(rng.integers(len(SHAPES)))
    if rng.random() < WRONG_TEXTURE:
        texture = int(rng.integers(len(TEXTURES)))
    words = [_pick(_SYNONYMS[SHAPES[shape]], rng)]
    if rng.random() < COLOUR_NAMED:
        words.insert(0, ("dark " if value < 0.55 else "") + _HUES[round(hue * 10)])
    if rng.random() < TEXTURE_NAMED:
        words.insert(0, _pick(_TEXTURE_WORDS[TEXTURES[texture]], rng))
    if rng.random() < SIZE_NAMED:
        words.insert(0, "small" if scale < 0.62 else "large" if scale > 0.74 else "medium")
    return _pick(_PHRASES, rng).format(" ".join(words))


def digit_caption(digit: int, rng: np.random.Generator) -> str:
    """Return one noisy caption of a drawn digit, as a word or as a numeral."""
    if rng.random() < WRONG_NOUN:
        digit = int(rng.integers(10))
    return _pick(_DIGIT_PHRASES, rng).format(DIGIT_NAMES[digit] if rng.random() < 0.7 else str(digit))


def _pick(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
