"""What every round of a run shares, computed once: task, teacher outputs, cached backbone features, provenance."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from activekd_lab.backbones import Backbone, build_backbone, has_pretrained
from activekd_lab.config import RunConfig
from activekd_lab.data import Split, Task, check_task, load_task
from activekd_lab.data.cache import cached_rows
from activekd_lab.errors import DataError, ModelFilesError, SettingError
from activekd_lab.fewshot import few_shot
from activekd_lab.progress import Count, counted, watched
from activekd_lab.student import DualHeadStudent, StudentOutput, check_frozen, seeded
from activekd_lab.teacher import (
    CHUNK,
    Teacher,
    TeacherHead,
    ZeroShotHead,
    load_teacher,
    local_files,
    resolve_device,
    weights_fingerprint,
)
from activekd_lab.training import FrozenInputs, Inputs, ViewInputs, predict, predict_features
from activekd_lab.view_cache import CachedViewInputs, encode_cached_views

_BATCH = 64  # images that the frozen backbone sees at once


class FrozenBackbone(NamedTuple):
    """A backbone that no round trains, and a hash of its weights."""

    backbone: Backbone
    fingerprint: str


@dataclass(frozen=True, eq=False)
class Prepared:
    """The parts of a run that do not change from round to round.

    Attributes:
        zero_shot: the teacher's head before it has seen a label.
        embeddings: (N, D) teacher embeddings of the training split, what a few-shot teacher is fitted on.
        teacher_probabilities: (N, C) probabilities of the training split, zero-shot unless `with_labels` refit them.
        teacher_accuracy: zero-shot accuracy on the test split, a fraction.
        features: train and test backbone features if the backbone is frozen, else None.
        frozen: what computed them, else None.
        image_size: side of the students' input.
        inputs: where training batches come from.
    """

    task: Task
    teacher: Teacher
    zero_shot: ZeroShotHead
    device: torch.device
    embeddings: Tensor
    teacher_probabilities: Tensor
    teacher_accuracy: float
    features: tuple[Tensor, Tensor] | None
    frozen: FrozenBackbone | None
    image_size: int
    inputs: Inputs

    def new_student(self, config: RunConfig, generator: torch.Generator) -> DualHeadStudent:
        """Return a fresh student on the device; students on a frozen backbone share it.

        A CLIP tower with two heads starts from its own class texts (DHO's language-aware initialisation).
        """
        frozen = self.features is not None
        language = self._language_start(config)
        student = DualHeadStudent(
            frozen_backbone(config, self.device) if frozen else config.backbone,
            self.task.num_classes,
            single_head=config.method in ("single_head", "ce", "kd"),
            freeze_backbone=frozen,
            projection_dim=config.projection_dim if frozen else None,
            image_size=config.image_size,
            pretrained=config.start_pretrained,
            weights=config.backbone_weights,
            class_embeddings=language.text.cpu() if language else None,
            class_scale=language.scale if language else 100.0,
            generator=generator,
        ).to(self.device)
        if config.channels_last:
            student.backbone.to(memory_format=torch.channels_last)
        if config.compile:
            student.backbone.compile()
        return student

    def _language_start(self, config: RunConfig) -> ZeroShotHead | None:
        """Return the zero-shot head of a pretrained CLIP tower that trains under DHO, else None."""
        family, _, name = config.backbone.partition("/")
        if family != "open_clip" or config.method != "dho" or config.start_pretrained is False or self.features:
            return None
        if config.backbone_weights is not None:
            return None  # a tower of unknown language
        own = self.teacher if name == config.teacher else _load_teacher(name, self.device)
        return self.zero_shot if own is self.teacher else own.zero_shot(self.task, config.templates)

    def with_labels(self, config: RunConfig, ids: Tensor, labels: Tensor, generator: torch.Generator) -> Prepared:
        """Return these parts with the teacher of `config.few_shot` fitted on the labels of some ids."""
        method = few_shot(config.few_shot, self.zero_shot)
        head = method.fit(self.embeddings[ids].to(self.device), labels.to(self.device), generator=generator)
        logits = head.logits(self.embeddings)
        return replace(self, teacher_probabilities=logits.softmax(1), inputs=_with_head(self.inputs, head, logits))

    def predict(
        self, student: DualHeadStudent, progress: Count = lambda done, total: None
    ) -> tuple[StudentOutput, StudentOutput]:
        """Return the student's outputs on the training and the test split; `progress` gets (done, total) of each.

        Cached features are used where they are the student's own. One that was loaded may have been trained elsewhere,
        with other settings; it looks at the images.
        """
        if self.features is not None and self._knows(student):
            return predict_features(student, self.features[0]), predict_features(student, self.features[1])
        train = predict(student, self.task.train, progress=progress)
        return train, predict(student, self.task.test, progress=progress) if len(self.task.test) else train[:0]

    def _knows(self, student: DualHeadStudent) -> bool:
        """Tell whether the cached features are what this student's heads were trained on."""
        if self.frozen is None or not student.freeze_backbone or student.image_size != self.image_size:
            return False
        own, (known, fingerprint) = student.backbone, self.frozen
        return own is known or (own.name == known.name and weights_fingerprint(own) == fingerprint)


def resolve_backbone(config: RunConfig) -> RunConfig:
    """Replace freeze_backbone="auto" by what it means here: frozen if pretrained and there is no GPU."""
    known = has_pretrained(config.backbone)  # refuses an unknown name first
    pretrained = known if config.start_pretrained is None else config.start_pretrained
    if config.freeze_backbone != "auto":
        check_frozen(config.backbone, config.freeze_backbone, config.start_pretrained, config.backbone_weights)
        return config
    has_stages = config.backbone == "efficientnet_lite0"
    return config.with_(freeze_backbone=has_stages and pretrained and resolve_device(config.device).type == "cpu")


def prepare(config: RunConfig, say: Callable[[str], None] = lambda text: None, *, task: Task | None = None) -> Prepared:
    """Load the task and the teacher and compute what all rounds share, from the caches where they hold it.

    A `task` given here takes the place of `config.task`; it may have unlabelled images and an empty test split.

    Raises:
        DataError: the configured task cannot be run, since labels or a test split are missing.
    """
    for name in ("teacher_views", "channels_last", "compile"):
        if getattr(config, name) and config.freeze_backbone is True:
            raise SettingError(f"{name} has no effect with a frozen backbone, whose features are cached; leave it out.")
    if task is None:
        with watched(counted(say, "decoding images")):
            task = _task(config)
        _check_labels(task)
    device = resolve_device(config.device)
    teacher = load_run_teacher(config)
    head = teacher.zero_shot(task, config.templates)
    say(what := "encoding images with the teacher")
    embeddings = teacher.encode(task.train, counted(say, what))
    train_logits = head.logits(embeddings)
    test_logits = head.logits(teacher.encode(task.test, counted(say, what))) if len(task.test) else train_logits[:0]
    features = frozen = None
    if config.freeze_backbone is True:
        say(what := "computing backbone features")
        train, test = (backbone_features(config, s, device, counted(say, what)) for s in (task.train, task.test))
        features, frozen = (train.to(device), test.to(device)), _frozen(config, device)
        inputs: Inputs = FrozenInputs(features[0], train_logits.to(device))
    elif config.teacher_views is not None:
        say(what := f"encoding {config.teacher_views} views an image with the teacher")
        views = encode_cached_views(
            teacher,
            task.train,
            views=config.teacher_views,
            size=config.image_size,
            flip=task.horizontal_flip,
            progress=counted(say, what),
        )
        inputs = CachedViewInputs(views, head, device)
    else:
        inputs = ViewInputs(task.train, teacher, head, device, config.image_size, task.horizontal_flip)
    accuracy = float((test_logits.argmax(1) == task.test.labels).float().mean())
    probabilities, size = train_logits.softmax(1), config.image_size
    return Prepared(task, teacher, head, device, embeddings, probabilities, accuracy, features, frozen, size, inputs)


def _task(config: RunConfig) -> Task:
    """Return the task of a run, loaded once; a folder's files may have changed since, so it is looked at again."""
    if config.task == "folder":
        return load_task(config.task, **config.task_options)
    builder = check_task(config.task, dict(config.task_options))  # a cell that registers one of that name may run again
    return _load_task(config.task, tuple(sorted(config.task_options.items())), builder)


def _check_labels(task: Task) -> None:
    if len(task.train) == 0:
        raise DataError(f"{task.name!r} has no pool to choose from, it is only measured on; see `activekd-lab tasks`.")
    unknown = int((task.train.labels < 0).sum())
    if unknown or len(task.test) == 0:
        raise DataError(
            f"A run needs the label of every pool image and a test split to measure on, but {task.name!r} has "
            f"{unknown} unlabelled images and {len(task.test)} test images; label them first (`activekd-lab label`)."
        )


def _with_head(inputs: Inputs, head: TeacherHead, logits: Tensor) -> Inputs:
    """Return the same inputs with another teacher head, whose (N, C) logits of the plain images are given."""
    if isinstance(inputs, FrozenInputs):
        return replace(inputs, teacher_logits=logits.to(inputs.features.device))
    assert isinstance(inputs, ViewInputs | CachedViewInputs)
    return replace(inputs, head=head)


_load_task = lru_cache(maxsize=8)(lambda name, options, builder: load_task(name, **dict(options)))
_build_teacher = lru_cache(maxsize=2)(lambda name, changed, device: load_teacher(name, device=device))


def load_run_teacher(config: RunConfig) -> Teacher:
    """Return the teacher of a run on its device, loaded once; again where its local files have changed since."""
    return _load_teacher(config.teacher, resolve_device(config.device))


def _load_teacher(name: str, device: torch.device) -> Teacher:
    return _build_teacher(name, tuple(map(_changed, local_files(name))), device)


def frozen_backbone(config: RunConfig, device: torch.device) -> Backbone:
    """Return the backbone that is frozen in every round of a run, built once."""
    return _frozen(config, device).backbone


def backbone_fingerprint(config: RunConfig, device: torch.device) -> str | None:
    """Return a hash of the weights that every student's backbone starts from; None where a name alone says them.

    Raises:
        ModelFilesError: a weights file that cannot be read.
    """
    if config.freeze_backbone is True:
        return _frozen(config, device).fingerprint
    if config.backbone_weights is None:
        return None
    try:
        with Path(config.backbone_weights).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise ModelFilesError(f"The weights {config.backbone_weights} cannot be read ({error.strerror}).") from error


def _frozen(config: RunConfig, device: torch.device) -> FrozenBackbone:
    changed = _changed(Path(config.backbone_weights)) if config.backbone_weights else 0
    return _build_frozen(config.backbone, config.start_pretrained, config.backbone_weights, changed, device)


def _changed(file: Path) -> int:
    """Return when a file was written last, 0 where there is none."""
    return file.stat().st_mtime_ns if file.exists() else 0


@lru_cache(maxsize=2)
def _build_frozen(
    name: str, pretrained: bool | None, weights: str | None, changed: int, device: torch.device
) -> FrozenBackbone:
    with seeded(torch.Generator().manual_seed(0)):
        backbone: Backbone = build_backbone(name, pretrained=pretrained, weights=weights).to(device)
    backbone.to(memory_format=torch.channels_last)  # 1.7 times the images a second on a CPU
    return FrozenBackbone(backbone.eval().requires_grad_(False), weights_fingerprint(backbone))


def backbone_features(
    config: RunConfig, split: Split, device: torch.device, progress: Count = lambda done, total: None
) -> Tensor:
    """Return (N, F) stage features of the frozen backbone, cached on disk by weights, size and pixels.

    `progress` is called with (done, total) while they are computed.
    """
    backbone, fingerprint = _frozen(config, device)
    key = {
        "backbone": config.backbone,
        "weights": fingerprint,
        "image_size": str(config.image_size),
        "timm": version("timm"),
        "split": split.fingerprint,
    }

    @torch.inference_mode()
    def compute(ids: range) -> Tensor:
        if len(ids) == 0:
            return torch.empty(0, backbone.num_stage_features)
        parts: list[Tensor] = []
        for images in split.images[ids.start : ids.stop].split(_BATCH):
            pixels = images.to(device).contiguous(memory_format=torch.channels_last).float() / 255
            parts.append(backbone.stages(pixels, config.image_size).float().cpu())
            progress(ids.start + _BATCH * (len(parts) - 1) + len(images), len(split))
        return torch.cat(parts)

    backbone.check_size(config.image_size)
    about = f"{config.backbone}, {split.name}"
    return cached_rows("features", key, len(split), compute, chunk=CHUNK, about=about)


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
