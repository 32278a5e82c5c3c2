"""`activekd-lab bench images`: from JPEGs to batches, decoded once into a store or again at every step.

Written photographs, so that any number can be tried. Both ways give the same pixels. Memory is private memory beyond
what was held before: the store is mapped, and its pages are the system's, which drops them at need.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from activekd_lab.active.begin import run
from activekd_lab.bench.cost import Cost, empty_cache, measure
from activekd_lab.bench.operations import PEAKS, SHARE, student_operations, teacher_operations
from activekd_lab.compare.table import Table
from activekd_lab.config import RunConfig
from activekd_lab.data.decode import decode_files
from activekd_lab.data.images import read_image
from activekd_lab.data.task import Split, Task
from activekd_lab.data.views import random_resized_crop
from activekd_lab.progress import silent
from activekd_lab.rng import generator

Say = Callable[[str], None]
Read = Callable[[Tensor], Tensor]
CLASSES, BATCH, DRAWN = 10, 64, 1000
PASS = 5000  # images of a timed pass, taken from all
STUDENT, TEACHER, SIDE = "resnet50", "RN50/openai", 224  # ActiveKD on ImageNet
_THREADS = min(8, os.cpu_count() or 1)  # as `decode_files` takes


class Measured(NamedTuple):
    """One step: its name, how many images went through it, and what it cost."""

    name: str
    images: int
    cost: Cost

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / self.cost.seconds

    @property
    def a_core(self) -> float:
        """Images a second of processor time, which other work on the machine changes little."""
        return self.images / self.cost.cpu


def tables(images: int = 2000, *, side: int = 256, size: int = 224, say: Say = silent) -> list[Table]:
    """Measure both ways, and say by arithmetic what a card needs of each.

    Args:
        images: how many JPEGs are written, into a folder that is removed afterwards; at least 100.
        side: of the JPEGs, pixels.
        size: of the store's images, pixels; 3 · size² bytes each.
        say: called with what is done next.
    """
    with empty_cache() as folder:
        say(f"writing {images:,} JPEGs of {side} px")
        files = write_photos(folder / "photos", images, side, generator(0, "bench", "images"))
        found = _measured(files, size, say)
        stored = images * 3 * size**2
        jpeg = sum(path.stat().st_size for path in files) / images
    title = f"{images:,} JPEGs of {side} px, {jpeg / 1e3:.0f} kB each; {size} px, {_THREADS} threads"
    rows = [
        [m.name, f"{m.images:,}", f"{m.rate:,.0f}", f"{m.a_core:,.0f}", f"{m.cost.extra_bytes / 2**20:,.0f}"]
        for m in found
    ]
    most = max(m.cost.extra_bytes for m in found)
    note = f"All images decoded are {stored / 2**20:,.0f} MiB; the most that a step held is {most / 2**20:,.0f} MiB."
    return [
        Table(title, ["step", "images", "images/s", "of a core", "private MiB beyond the start"], rows, (note,)),
        _cards(found[1].a_core, found[2].a_core, 3 * size**2, jpeg),
    ]


def _measured(files: Sequence[Path], size: int, say: Say) -> list[Measured]:
    """Return decoding, rows of the store, the same from JPEGs, crops of rows, and a round of ActiveKD."""
    found: list[Measured] = []

    def add(name: str, images: int, work: Callable[[], Any]) -> Any:
        cost, result = measure(work)
        found.append(Measured(name, images, cost))
        say(f"{name}: {found[-1].a_core:,.0f} images/s a core, {cost.extra_bytes / 2**20:,.0f} MiB")
        return result

    decoded = add("decoded once into the store", len(files), lambda: decode_files(files, size))
    ids = torch.randperm(len(files), generator=generator(0, "bench", "pass"))[:PASS]
    read = decoded.images.__getitem__
    add("rows of the store", len(ids), lambda: _pass(read, ids))
    with ThreadPoolExecutor(_THREADS) as pool:
        add("the same rows from the JPEGs", len(ids), lambda: _pass(partial(stream, files, size, pool), ids))
    add("rows of the store and crops of them, which a GPU cuts itself", len(ids), lambda: _pass(read, ids, size))
    _round(_task(decoded.images[:100]))  # what libraries and models take, whatever the number of images
    task = _task(decoded.images, decoded.stamp)
    add("a round: teacher, 10 steps, student, PCoreSet", len(files), lambda: _round(task))
    return found


def write_photos(folder: Path, count: int, side: int, g: torch.Generator) -> list[Path]:
    """Write JPEGs with coarse and fine structure, about as large as photographs of that size; return their paths.

    The first `DRAWN` are drawn, the others are copies of them: files of their own, which are read and decoded alike.
    """
    files = [folder / str(i % CLASSES) / f"{i}.jpg" for i in range(count)]
    for c in range(min(CLASSES, count)):
        (folder / str(c)).mkdir(parents=True)
    for start in range(0, min(count, DRAWN), BATCH):
        part = files[start : min(start + BATCH, DRAWN)]
        layers = [
            share * F.interpolate(torch.rand(len(part), 3, n, n, generator=g), (side, side), mode="bicubic")
            for n, share in ((6, 0.6), (side // 6, 0.3))
        ]
        noise = 0.08 * torch.rand(len(part), 3, side, side, generator=g)
        pixels = (255 * (sum(layers) + noise)).clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
        for path, picture in zip(part, pixels, strict=True):
            Image.fromarray(picture).save(path, "JPEG", quality=90)
    for i in range(DRAWN, count):
        shutil.copyfile(files[i % DRAWN], files[i])
    return files


def stream(files: Sequence[Path], size: int, pool: ThreadPoolExecutor, ids: Tensor) -> Tensor:
    """Return (B, 3, size, size) uint8, the rows that the store would hold, read from their files now."""
    return torch.stack(list(pool.map(lambda i: read_image(files[i], size), ids.tolist())))


def _pass(read: Read, ids: Tensor, cut: int | None = None) -> None:
    """Go through the images of `ids` once, in batches; with `cut`, a random crop of that size of each."""
    g = generator(0, "bench", "crops")
    for rows in ids.split(BATCH):
        images = read(rows)
        if cut:
            random_resized_crop(images, cut, generator=g)


def _task(images: Tensor, stamp: str = "") -> Task:
    """Return a task whose pool is all images, with their folders as classes."""
    labels = torch.arange(len(images)) % CLASSES
    test = Split("test", images[:100], labels[:100])
    train = Split("train", images, labels, stamp=stamp)
    return Task("photos", tuple(f"thing {c}" for c in range(CLASSES)), ("a photo of a {}.",), train, test)


def _round(task: Task) -> None:
    """Run a round: what the teacher says of every image, a short training, what the student says of them, a query."""
    run(RunConfig(
        backbone="small_cnn", pretrained=False, freeze_backbone=False, image_size=32, steps=10, rounds=1, device="cpu",
    ), task=task)  # fmt: skip


def _cards(store: float, streamed: float, row: float, jpeg: float) -> Table:
    """Say what feeding a card takes, from a core's rates here, bytes of an image in the store and as a JPEG."""
    operations = 3 * student_operations(STUDENT, SIDE) + teacher_operations(TEACHER)  # backward is twice a forward pass
    rows = []
    for card, peak in PEAKS.items():
        crops = SHARE * peak / operations
        ways = [f"{crops / rate:,.1f}" for rate in (store, streamed)]
        rows.append([card, f"{crops:,.0f}", *ways, f"{crops * row / 1e6:,.0f}", f"{crops * jpeg / 1e6:,.0f}"])
    columns = ["card", "images/s", "cores, store", "cores, JPEGs", "MB/s, store", "MB/s, JPEGs"]
    title = f"by arithmetic: to feed {STUDENT} under {TEACHER} at {SIDE} px, at {SHARE:.0%} of a card's published peak"
    return Table(title, columns, rows, ("MB/s are read from disk only where the system's cache does not hold them.",))
