"""`activekd-lab bench training`: images a second of our training step against the straightforward one.

The straightforward step decodes each JPEG, augments it with PIL, and asks the teacher about every batch. Ours decodes
once and crops a batch at a time; with cached views the teacher is not asked at all; on a frozen backbone the features
are cached too. All sides train the same student on the same images in one run.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from activekd_lab.active.inputs import CachedViewInputs, WholeStudent
from activekd_lab.active.pool import Pool, initial_ids
from activekd_lab.active.prepare import prepare
from activekd_lab.active.prepared import Prepared
from activekd_lab.active.rounds import accuracy as test_accuracy
from activekd_lab.active.rounds import train_student
from activekd_lab.compare.table import Table
from activekd_lab.config import RunConfig
from activekd_lab.progress import silent
from activekd_lab.rng import generator
from activekd_lab.students.student import DualHeadStudent, StudentOutput
from activekd_lab.students.training import Inputs
from activekd_lab.teachers.clip import Teacher

Say = Callable[[str], None]
SIDES: dict[str, dict[str, Any]] = {
    "decode, PIL, teacher each step": {},
    "decoded once, crops in batches": {},
    "4 cached views": {"teacher_views": 4},
    "16 cached views": {"teacher_views": 16},
    "frozen backbone, cached features": {"freeze_backbone": True, "backbone": "efficientnet_lite0"},
}


@dataclass(eq=False)
class DecodedInputs(WholeStudent):
    """The straightforward way: every image is decoded and augmented alone, the teacher sees every batch."""

    prepared: Prepared
    size: int
    seconds: dict[str, float] = field(default_factory=lambda: {"decode and augment": 0.0, "teacher": 0.0})

    def __post_init__(self) -> None:
        self.files = [_jpeg(image) for image in self.prepared.task.train.images]
        flip = [v2.RandomHorizontalFlip()] if self.prepared.task.horizontal_flip else []
        crop = v2.RandomResizedCrop(self.size, scale=(0.5, 1.0), antialias=True)
        self.augment = v2.Compose([crop, *flip, v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)])

    def batch(self, ids: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Decode, augment, stack, and ask the teacher."""
        started = time.perf_counter()
        with torch.random.fork_rng(devices=[]):  # PIL's augmentations draw from the global generator
            torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
            views = torch.stack([self.augment(Image.open(io.BytesIO(self.files[i]))) for i in ids.tolist()])
        decoded = time.perf_counter()
        views = views.to(self.prepared.device)
        assert isinstance(self.prepared.teacher, Teacher)
        with torch.no_grad():
            logits = self.prepared.zero_shot.logits(self.prepared.teacher.encode_views(views))
        self.seconds["decode and augment"] += decoded - started
        self.seconds["teacher"] += time.perf_counter() - decoded
        return views, logits


@dataclass(eq=False)
class _Timed:
    """Any inputs, with the time that batches take."""

    inputs: Inputs
    seconds: dict[str, float] = field(default_factory=lambda: {"batches": 0.0})

    def batch(self, ids: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        started = time.perf_counter()
        found = self.inputs.batch(ids, generator)
        self.seconds["batches"] += time.perf_counter() - started
        return found

    def forward(self, student: DualHeadStudent, inputs: Tensor) -> StudentOutput:
        return self.inputs.forward(student, inputs)


def speed(*, steps: int = 20, device: str = "auto", say: Say = silent) -> Table:
    """Time `steps` steps of 64 + 64 images for each side, after two to warm up."""
    found: dict[str, tuple[float, dict[str, float]]] = {}
    for name in SIDES:
        say(f"{name}: {steps} steps")
        prepared = _prepared(name, seed=0, steps=steps, device=device)
        inputs = _inputs(name, prepared)
        _fit(_prepared(name, seed=0, steps=2, device=device), inputs)
        for part in inputs.seconds:
            inputs.seconds[part] = 0.0
        started = time.perf_counter()
        _fit(prepared, inputs)
        if prepared.device.type == "cuda":
            torch.cuda.synchronize()
        found[name] = (time.perf_counter() - started, inputs.seconds)
    plain = found[next(iter(SIDES))][0]
    rows = []
    for name, (seconds, parts) in found.items():
        split = parts | {"student": seconds - sum(parts.values())}
        shares = ", ".join(f"{part} {value / seconds:.0%}" for part, value in split.items())
        rows.append([name, f"{steps * 128 / seconds:,.0f}", f"{plain / seconds:.1f}×", shares])
    return Table("a training step of 64 + 64 images", ["way", "images/s", "ratio", "where the time goes"], rows)


def accuracy(*, seeds: int = 3, steps: int = 200, say: Say = silent) -> Table:
    """Train the same student the plain way and on cached views: test accuracy in percent, mean ± deviation."""
    rows = []
    for name in list(SIDES)[:4]:
        found = []
        for seed in range(seeds):
            say(f"{name}: seed {seed}")
            prepared = _prepared(name, seed=seed, steps=steps, device="auto")
            student = _fit(prepared, _inputs(name, prepared))
            found.append(100 * test_accuracy(prepared.predict(student)[1].probabilities(), prepared.task.test.labels))
        rows.append([name, f"{np.mean(found):.1f} ± {np.std(found, ddof=1) if seeds > 1 else 0:.1f}"])
    return Table(f"digits, small_cnn, 4 labels a class, {steps} steps, {seeds} seeds", ["way", "accuracy"], rows)


def _prepared(name: str, *, seed: int, steps: int, device: str) -> Prepared:
    settings = {"backbone": "small_cnn", "image_size": 32} | SIDES[name]
    if settings["backbone"] == "efficientnet_lite0":
        settings.pop("image_size")
    return prepare(RunConfig(task="digits", initial_per_class=4, seed=seed, steps=steps, device=device, **settings))


def _inputs(name: str, prepared: Prepared) -> Any:
    plain = name == next(iter(SIDES))
    assert plain or isinstance(prepared.inputs, CachedViewInputs) == ("teacher_views" in SIDES[name])
    return DecodedInputs(prepared, prepared.config.image_size) if plain else _Timed(prepared.inputs)


def _fit(prepared: Prepared, inputs: Inputs) -> DualHeadStudent:
    task, config = prepared.task, prepared.config
    pool = Pool(task.train)
    ids = initial_ids(task.train, task.num_classes, config.initial_per_class, generator(config.seed, "initial"))
    pool.buy(ids, round_index=0, source="initial")
    return train_student(replace(prepared, inputs=inputs), pool, seed=config.seed, key=0)[0]


def _jpeg(image: Tensor) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=95)
    return file.getvalue()
