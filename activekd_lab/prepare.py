"""What every round of a run shares, computed once: task, teacher outputs, cached backbone features, provenance."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

from activekd_lab.config import RunConfig
from activekd_lab.data import Split, Task, load_task
from activekd_lab.data.store import cached_tensor
from activekd_lab.errors import SettingError
from activekd_lab.student import DualHeadStudent, StudentOutput, build_backbone, has_pretrained, seeded
from activekd_lab.teacher import Teacher, ZeroShotHead, load_teacher, resolve_device
from activekd_lab.training import FrozenInputs, Inputs, ViewInputs, predict, predict_features


@dataclass(frozen=True, eq=False)
class Prepared:
    """The parts of a run that do not change from round to round.

    Attributes:
        teacher_probabilities: (N, C) zero-shot probabilities of the training split.
        teacher_accuracy: zero-shot accuracy on the test split, a fraction.
        features: train and test backbone features if the backbone is frozen, else None.
        inputs: where training batches come from.
    """

    task: Task
    teacher: Teacher
    head: ZeroShotHead
    device: torch.device
    teacher_probabilities: Tensor
    teacher_accuracy: float
    features: tuple[Tensor, Tensor] | None
    inputs: Inputs

    def new_student(self, config: RunConfig, generator: torch.Generator) -> DualHeadStudent:
        """Return a fresh student on the device."""
        frozen = self.features is not None
        student = DualHeadStudent(
            config.backbone,
            self.task.num_classes,
            single_head=config.method in ("single_head", "ce", "kd"),
            freeze_backbone=frozen,
            projection_dim=config.projection_dim if frozen else None,
            image_size=config.image_size,
            generator=generator,
        )
        return student.to(self.device)

    def predict(self, student: DualHeadStudent) -> tuple[StudentOutput, StudentOutput]:
        """Return the student's outputs on the training and the test split."""
        if self.features is not None:
            return predict_features(student, self.features[0]), predict_features(student, self.features[1])
        return predict(student, self.task.train), predict(student, self.task.test)


def resolve_backbone(config: RunConfig) -> RunConfig:
    """Replace freeze_backbone="auto" by what it means here: frozen if pretrained and there is no GPU."""
    pretrained = has_pretrained(config.backbone)
    if config.freeze_backbone is True and not pretrained:
        raise SettingError(f"freeze_backbone needs pretrained weights, which {config.backbone} lacks; set it to false.")
    if config.freeze_backbone != "auto":
        return config
    return config.with_(freeze_backbone=pretrained and resolve_device(config.device).type == "cpu")


def prepare(config: RunConfig, say: Callable[[str], None] = lambda text: None) -> Prepared:
    """Load the task and the teacher and compute what all rounds share, from the caches where they hold it."""
    task = _load_task(config.task, tuple(sorted(config.task_options.items())))
    device = resolve_device(config.device)
    teacher = _load_teacher(config.teacher, device)
    head = teacher.zero_shot(task)
    say("encoding images with the teacher")
    train_logits = head.logits(teacher.encode(task.train))
    test_logits = head.logits(teacher.encode(task.test))
    features = None
    if config.freeze_backbone is True:
        say("computing backbone features")
        features = (backbone_features(config, task.train, device), backbone_features(config, task.test, device))
        features = (features[0].to(device), features[1].to(device))
        inputs: Inputs = FrozenInputs(features[0], train_logits.to(device))
    else:
        inputs = ViewInputs(task.train, teacher, head, device, config.image_size, task.horizontal_flip)
    accuracy = float((test_logits.argmax(1) == task.test.labels).float().mean())
    return Prepared(task, teacher, head, device, train_logits.softmax(1), accuracy, features, inputs)


_load_task = lru_cache(maxsize=8)(lambda name, options: load_task(name, **dict(options)))
_load_teacher = lru_cache(maxsize=2)(lambda name, device: load_teacher(name, device=device))


def backbone_features(config: RunConfig, split: Split, device: torch.device) -> Tensor:
    """Return (N, F) features of the frozen backbone, cached on disk by backbone, size and pixels."""
    key = (config.backbone, config.image_size, version("timm"), split.fingerprint)

    def compute() -> Tensor:
        with seeded(torch.Generator().manual_seed(0)):
            backbone = build_backbone(config.backbone).to(device).eval()
        with torch.inference_mode():
            batches = (images.to(device).float() / 255 for images in split.images.split(256))
            return torch.cat([backbone(batch, config.image_size).float().cpu() for batch in batches])

    return cached_tensor("features", key, compute)


def provenance(device: torch.device) -> dict[str, str]:
    """Return package versions, device, platform and git commit of this run."""
    names = ("activekd_lab", "torch", "torchvision", "open_clip_torch", "timm", "numpy")
    found = {name: version(name) for name in names}
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return found | {"python": platform.python_version(), "device": kind, "commit": _commit()}


@lru_cache(maxsize=1)
def _commit() -> str:
    """Return the commit of a source checkout, or "not a git checkout"."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return "git not available"
    return done.stdout.strip() if done.returncode == 0 else "not a git checkout"
