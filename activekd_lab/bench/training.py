"""`activekd-lab bench training`: images a second of our training step against the straightforward one.

The straightforward step decodes each JPEG, augments it with PIL, and asks the teacher about every batch. Ours decodes
once and crops a batch at a time; with cached views the teacher is not asked at all; on a frozen backbone the features
are cached too. All sides train the same student on the same images in one run.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from activekd_lab.bench.teacher import BenchTable
from activekd_lab.config import RunConfig
from activekd_lab.data.pool import initial_ids
from activekd_lab.prepare import Prepared, prepare, resolve_backbone
from activekd_lab.rng import generator
from activekd_lab.rounds import training_plan
from activekd_lab.student import DualHeadStudent, StudentOutput
from activekd_lab.training import Inputs, fit
from activekd_lab.view_cache import CachedViewInputs

Say = Callable[[str], None]
SIDES: dict[str, dict[str, Any]] = {
    "decode, PIL, teacher each step": {},
    "decoded once, crops in batches": {},
    "4 cached views": {"teacher_views": 4},
    "16 cached views": {"teacher_views": 16},
    "frozen backbone, cached features": {"freeze_backbone": True, "backbone": "efficientnet_lite0"},
}


@dataclass(eq=False)
class PlainInputs:
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
        with torch.no_grad():
            logits = self.prepared.zero_shot.logits(self.prepared.teacher.encode_views(views))
        self.seconds["decode and augment"] += decoded - started
        self.seconds["teacher"] += time.perf_counter() - decoded
        return views, logits

    def forward(self, student: DualHeadStudent, inputs: Tensor) -> StudentOutput:
        """Run the whole student."""
        output: StudentOutput = student(inputs)
        return output


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


def speed(*, steps: int = 20, device: str = "auto", say: Say = lambda text: None) -> BenchTable:
    """Time `steps` steps of 64 + 64 images for each side, after two to warm up."""
    found: dict[str, tuple[float, dict[str, float]]] = {}
    for name in SIDES:
        say(f"{name}: {steps} steps")
        prepared, config = _prepared(name, seed=0, device=device)
        inputs = _inputs(name, prepared, config)
        _fit(prepared, config.with_(steps=2), inputs)
        for part in inputs.seconds:
            inputs.seconds[part] = 0.0
        started = time.perf_counter()
        _fit(prepared, config.with_(steps=steps), inputs)
        if prepared.device.type == "cuda":
            torch.cuda.synchronize()
        found[name] = (time.perf_counter() - started, inputs.seconds)
    plain = found[next(iter(SIDES))][0]
    rows = []
    for name, (seconds, parts) in found.items():
        split = parts | {"student": seconds - sum(parts.values())}
        shares = ", ".join(f"{part} {value / seconds:.0%}" for part, value in split.items())
        rows.append([name, f"{steps * 128 / seconds:,.0f}", f"{plain / seconds:.1f}×", shares])
    return BenchTable("a training step of 64 + 64 images", ["way", "images/s", "ratio", "where the time goes"], rows)


def accuracy(*, seeds: int = 3, steps: int = 200, say: Say = lambda text: None) -> BenchTable:
    """Train the same student the plain way and on cached views: test accuracy in percent, mean ± deviation."""
    rows = []
    for name in list(SIDES)[:4]:
        found = []
        for seed in range(seeds):
            say(f"{name}: seed {seed}")
            prepared, config = _prepared(name, seed=seed, device="auto")
            student = _fit(prepared, config.with_(steps=steps), _inputs(name, prepared, config))
            predicted = prepared.predict(student)[1].probabilities().argmax(1)
            found.append(100 * float((predicted == prepared.task.test.labels).float().mean()))
        rows.append([name, f"{np.mean(found):.1f} ± {np.std(found, ddof=1) if seeds > 1 else 0:.1f}"])
    return BenchTable(f"digits, small_cnn, 4 labels a class, {steps} steps, {seeds} seeds", ["way", "accuracy"], rows)


def _prepared(name: str, *, seed: int, device: str) -> tuple[Prepared, RunConfig]:
    settings = {"backbone": "small_cnn", "image_size": 32} | SIDES[name]
    if settings["backbone"] == "efficientnet_lite0":
        settings.pop("image_size")
    config = resolve_backbone(RunConfig(task="digits", initial_per_class=4, seed=seed, device=device, **settings))
    return prepare(config), config


def _inputs(name: str, prepared: Prepared, config: RunConfig) -> Any:
    plain = name == next(iter(SIDES))
    assert plain or isinstance(prepared.inputs, CachedViewInputs) == ("teacher_views" in SIDES[name])
    return PlainInputs(prepared, config.image_size) if plain else _Timed(prepared.inputs)


def _fit(prepared: Prepared, config: RunConfig, inputs: Inputs) -> DualHeadStudent:
    task, seed = prepared.task, config.seed
    ids = initial_ids(task.train, task.num_classes, config.initial_per_class, generator(seed, "initial"))
    rest = torch.ones(len(task.train), dtype=torch.bool).index_fill(0, ids, False).nonzero().flatten()
    student, plan = prepared.new_student(config, generator(seed, "student", 0)), training_plan(config, len(ids))
    fit(student, inputs, ids, task.train.labels[ids], rest, plan, generator=generator(seed, "train", 0))
    return student


def _jpeg(image: Tensor) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=95)
    return file.getvalue()
