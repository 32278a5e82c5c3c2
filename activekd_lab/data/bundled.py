"""The tasks that need no network: real handwritten digits, rendered shapes with textures, rendered land from above."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from activekd_lab.data.glyphs import DIGIT_NAMES
from activekd_lab.data.render import SHAPES, TEXTURES, render
from activekd_lab.data.store import cached_tensor
from activekd_lab.data.task import Split, Task, register_task
from activekd_lab.data.terrain import LANDS, render_land
from activekd_lab.errors import SettingError
from activekd_lab.rng import generator

_RENDER_VERSION = (
    "1"  # raise it when render.py or terrain.py draws anything differently, so that old cache files are left alone
)
_MAX_CLASSES = len(SHAPES) * len(TEXTURES)


@register_task("digits")
def digits(*, seed: int = 0) -> Task:
    """Real handwritten digits (scikit-learn's 1,797 scans of 8 × 8 pixels, enlarged to 32); 10 classes."""
    from sklearn.datasets import load_digits  # noqa: PLC0415  (slow import, only needed here)

    data = load_digits()
    small = torch.from_numpy(data.images).float()[:, None] / 16
    large = F.interpolate(small, size=(32, 32), mode="bilinear", align_corners=False)
    images = (large * 255).round().to(torch.uint8).expand(-1, 3, -1, -1).contiguous()
    labels = torch.from_numpy(data.target).long()
    order = torch.randperm(len(labels), generator=generator(seed, "digits", "split"))
    parts = {"train": order[:1097], "val": order[1097:1297], "test": order[1297:]}
    train, val, test = (Split(name, images[ids], labels[ids]) for name, ids in parts.items())
    template = "a handwritten digit {}."
    return Task("digits", DIGIT_NAMES, (template,), train=train, val=val, test=test, horizontal_flip=False)


@register_task("shapes")
def shapes(
    *,
    num_classes: int = 48,
    pool_size: int = 5000,
    long_tail: float = 0.8,
    nuisance: float = 0.25,
    test_per_class: int = 40,
    val_per_class: int = 10,
    seed: int = 0,
) -> Task:
    """Rendered shapes with textures (32 × 32 RGB, long-tailed pool, balanced test); 48 of at most 96 classes.

    Args:
        num_classes: C, 2 … 96; classes are pairs such as "striped star".
        pool_size: N, images in the training split.
        long_tail: exponent s of the pool's class frequencies, proportional to rank^-s; 0 gives a balanced pool.
        nuisance: 0 … 1, how much images turn, shift, shrink, and are cluttered, noisy and occluded; the teacher's crawl
            was drawn with 1.
        test_per_class: images a class in the balanced test split.
        val_per_class: images a class in the balanced validation split.
        seed: draws the pool, the splits and the order of the class frequencies.
    """
    if not 2 <= num_classes <= _MAX_CLASSES:
        raise SettingError(f"num_classes must lie in 2 … {_MAX_CLASSES} for the shapes task, but got {num_classes}.")
    _check_unit("nuisance", nuisance)
    pairs = class_pairs(num_classes)
    names = tuple(f"{TEXTURES[texture]} {SHAPES[shape]}" for shape, texture in pairs)

    def images(split: str, labels: Tensor) -> Tensor:
        shape, texture = torch.tensor(pairs)[labels].unbind(1)
        g = generator(seed, "shapes", "render", split)
        return render(shape, texture, generator=g, nuisance=nuisance).images

    labels = _labels("shapes", num_classes, pool_size, long_tail, test_per_class, val_per_class, seed)
    return _rendered("shapes", names, "a photo of a {}.", (pairs, nuisance, seed), labels, images)


@register_task("tiles")
def tiles(
    *,
    pool_size: int = 2400,
    long_tail: float = 0.8,
    haze: float = 0.25,
    test_per_class: int = 50,
    val_per_class: int = 20,
    seed: int = 0,
) -> Task:
    """Rendered land from above (64 × 64 RGB, long-tailed pool, balanced test), which the teacher never saw; 12 classes.

    Args:
        pool_size: N, images in the training split.
        long_tail: exponent s of the pool's class frequencies, proportional to rank^-s; 0 gives a balanced pool.
        haze: 0 … 1, how far a tile is from clean drawing; the default was chosen by the bundled teacher's zero-shot
            accuracy alone, see `assets/tiles.md`.
        test_per_class: images a class in the balanced test split.
        val_per_class: images a class in the balanced validation split.
        seed: draws the pool, the splits and the order of the class frequencies.
    """
    _check_unit("haze", haze)
    names = tuple(land.name for land in LANDS)

    def images(split: str, labels: Tensor) -> Tensor:
        return render_land(labels, generator=generator(seed, "tiles", "render", split), haze=haze)

    labels = _labels("tiles", len(names), pool_size, long_tail, test_per_class, val_per_class, seed)
    return _rendered("tiles", names, "a satellite photo of a {}.", (names, haze, seed), labels, images)


def class_pairs(num_classes: int) -> list[tuple[int, int]]:
    """Return the first `num_classes` (shape, texture) index pairs of a grid with about 3 textures to 4 shapes."""
    textures = min(len(TEXTURES), max(1, round(math.sqrt(0.75 * num_classes))))
    textures = max(textures, math.ceil(num_classes / len(SHAPES)))
    return [(i // textures, i % textures) for i in range(num_classes)]


def _check_unit(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise SettingError(f"{name} must lie in 0 … 1, but got {value}.")


def _labels(
    task: str, num_classes: int, pool_size: int, long_tail: float, test_per_class: int, val_per_class: int, seed: int
) -> dict[str, Tensor]:
    """Return each split's labels: a long-tailed pool, balanced validation and test."""
    if pool_size < num_classes:
        raise SettingError(f"pool_size must be at least num_classes ({num_classes}), but got {pool_size}.")
    if not 0 <= long_tail <= 3:
        raise SettingError(f"long_tail must lie in 0 … 3 (0 is balanced), but got {long_tail}.")
    if test_per_class < 1 or val_per_class < 1:
        raise SettingError(
            f"test_per_class and val_per_class must be 1 or more, but got {test_per_class}, {val_per_class}."
        )
    pool = _pool_labels(num_classes, pool_size, long_tail, generator(seed, task, "labels"))
    even = torch.arange(num_classes).repeat_interleave
    return {"train": pool, "val": even(val_per_class), "test": even(test_per_class)}


def _pool_labels(num_classes: int, pool_size: int, long_tail: float, g: torch.Generator) -> Tensor:
    """Draw the pool's labels, (N,) int64: at least one a class, frequencies proportional to rank^-long_tail."""
    ranks = torch.randperm(num_classes, generator=g) + 1
    weights = ranks.double() ** -long_tail
    counts = 1 + torch.floor(weights / weights.sum() * (pool_size - num_classes)).long()
    counts[torch.argsort(ranks)[: pool_size - int(counts.sum())]] += 1
    labels = torch.arange(num_classes).repeat_interleave(counts)
    return labels[torch.randperm(pool_size, generator=g)]


def _rendered(
    name: str,
    class_names: tuple[str, ...],
    template: str,
    settings: object,
    labels: dict[str, Tensor],
    images: Callable[[str, Tensor], Tensor],
) -> Task:
    """Return the task; the images of each split are rendered, or read back from the cache."""

    def split(part: str) -> Split:
        key = (_RENDER_VERSION, torch.__version__, settings, labels[part].tolist(), part)
        return Split(part, cached_tensor(name, key, lambda: images(part, labels[part])), labels[part])

    return Task(name, class_names, (template,), train=split("train"), val=split("val"), test=split("test"))
