"""What every round of a run shares, computed once: task, teacher outputs, cached backbone features, provenance."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor, nn

from activekd_lab.active.frozen import FrozenBackbone, Start, backbone_features, frozen_backbone, start_fingerprint
from activekd_lab.active.inputs import CachedViewInputs, FrozenInputs, PlainInputs, ViewInputs
from activekd_lab.active.prepared import Prepared, Taught, load_run_teacher, view_size, zero_shot_head
from activekd_lab.active.views import encode_cached_views
from activekd_lab.config import ResolvedConfig, RunConfig
from activekd_lab.data import Task, check_task, load_task
from activekd_lab.device import resolve_device
from activekd_lab.errors import DataError
from activekd_lab.io.arguments import checked
from activekd_lab.progress import Remark, Say, counted, shown, watched
from activekd_lab.selectors import REGISTRY
from activekd_lab.students.methods import Method, MethodFunction, find_method
from activekd_lab.students.own import own_backbone
from activekd_lab.students.training import Inputs
from activekd_lab.teachers.clip import Teacher
from activekd_lab.teachers.given import GivenTeacher


@checked()
def prepare(
    config: RunConfig,
    *,
    task: Task | None = None,
    teacher: Teacher | GivenTeacher | None = None,
    backbone: nn.Module | None = None,
    method: Method | MethodFunction | None = None,
    ask: bool | None = None,
    progress: Callable[[str], None] | None = None,
) -> Prepared:
    """Load the task and the teacher and compute what all rounds share, from the caches where they hold it.

    Args:
        config: the settings, resolved here if they are not.
        task: takes the place of `config.task`, see `task_from`; it may have unlabelled images and no test images.
        teacher: takes the place of `config.teacher`: a loaded one, or outputs computed elsewhere (`given_teacher`).
        backbone: takes the place of `config.backbone`: a network of images, (B, 3, S, S) to (B, D), that every round
            starts from a copy of, or with `freeze_backbone=True` uses as it stands.
        method: takes the place of `config.method`: a function of the two heads' outputs (`students.methods`).
        ask: whether the teacher is loaded and looks at all images; None asks it where the run needs it. One with
            method="ce" and a selector of the package does not, and has no teacher figures.
        progress: called with a short text whenever a new stage begins; in a notebook a line does, see `run`.

    Raises:
        UnknownNameError, SettingError: settings that cannot be, see `RunConfig.resolve`; before anything is loaded.
        DataError: the configured task cannot be run, since labels or a test split are missing.

    Example:
        >>> prepared = akd.prepare(akd.RunConfig(task="digits"))
        >>> prepared.teacher_probabilities.shape
        torch.Size([1297, 10])
    """
    config = config.resolve(task=task, teacher=teacher, backbone=backbone, method=method)
    learned = find_method(config.method if method is None else method)
    ask = asks_teacher(config, learned) if ask is None else ask
    with shown(progress) as say:
        return _prepared(config, task, teacher, backbone, learned, ask, say)


def _prepared(
    config: ResolvedConfig,
    task: Task | None,
    teacher: Teacher | GivenTeacher | None,
    backbone: nn.Module | None,
    method: Method,
    ask: bool,
    say: Say,
) -> Prepared:
    task = _task(config, say) if task is None else task
    _check_validation(config, task)
    device = resolve_device(config.device)
    if task.left_out:
        say(Remark(task.left_out))
    taught, logits = _ask(config, task, teacher, device, say) if ask else (None, None)
    own = None if backbone is None else own_backbone(backbone, image_size=config.image_size).to(device)
    start = Start(config.backbone, config.start_pretrained, config.backbone_weights)
    frozen = frozen_backbone(start, device, own) if config.freeze_backbone else None
    features = _features(config, frozen, task, device, say) if frozen else None
    return Prepared(
        config=config,
        task=task,
        taught=taught,
        device=device,
        features=features,
        frozen=frozen,
        own=None if frozen else own,
        backbone_fingerprint=frozen.fingerprint if frozen else start_fingerprint(start, own),
        inputs=_inputs(config, task, taught, logits, features, device, say),
        method=method,
    )


def asks_teacher(config: ResolvedConfig, method: Method) -> bool:
    """Tell whether a run needs the teacher: to learn from, to start from its class texts, or for a selector's view.

    Selectors that are not the package's own may look at what the teacher says.
    """
    starts = method.two_heads and config.backbone.startswith("open_clip/")
    looks = config.selector not in REGISTRY or config.selector_options.get("probabilities") == "teacher"
    return method.distills or starts or looks


def _ask(
    config: ResolvedConfig, task: Task, teacher: Teacher | GivenTeacher | None, device: torch.device, say: Say
) -> tuple[Taught, Tensor]:
    """Return what the teacher says of every image, and its (N, C) zero-shot logits of the training split."""
    teacher = load_run_teacher(config.teacher, device) if teacher is None else teacher
    _remark(config, task, teacher, say)
    head = zero_shot_head(teacher, task, config.templates, config.text_average)
    say(what := "encoding images with the teacher")
    embeddings = teacher.encode(task.train, counted(say, what))
    tested = teacher.encode(task.test, counted(say, what)) if len(task.test) else embeddings[:0]
    logits = head.logits(embeddings)
    right = head.logits(tested).argmax(1) == task.test.labels
    return Taught(teacher, head, embeddings, logits.softmax(1), float(right.float().mean())), logits


def _remark(config: ResolvedConfig, task: Task, teacher: Teacher | GivenTeacher, say: Callable[[str], None]) -> None:
    """Refuse a task that the teacher cannot see, and say where it has fewer pixels than it wants."""
    if not task.train.pictured and isinstance(teacher, Teacher):
        raise DataError(
            f"{task.name!r} has features and no images for {teacher.name!r} to look at; hand over a teacher's outputs "
            "on it (akd.given_teacher)."
        )
    side = task.train.images.shape[-1]
    if config.task == "folder" and side < teacher.image_size:
        say(Remark(f"Images are kept at {side} px, but the teacher looks at {teacher.image_size}: give image_size."))


def _features(
    config: ResolvedConfig, frozen: FrozenBackbone, task: Task, device: torch.device, say: Callable[[str], None]
) -> tuple[Tensor, Tensor]:
    """Return the frozen backbone's features of the training and the test split, on the device."""
    if task.train.features is not None:
        given = task.test.features
        return task.train.features.to(device), (task.train.features[:0] if given is None else given).to(device)
    say(what := "computing backbone features")
    train, test = (
        backbone_features(frozen, split, config.image_size, device, counted(say, what))
        for split in (task.train, task.test)
    )
    return train.to(device), test.to(device)


def _inputs(
    config: ResolvedConfig,
    task: Task,
    taught: Taught | None,
    logits: Tensor | None,
    features: tuple[Tensor, Tensor] | None,
    device: torch.device,
    say: Callable[[str], None],
) -> Inputs:
    """Return where training batches come from: cached features, cached views, or fresh crops."""
    if logits is None:  # nothing learns from them
        logits = torch.zeros(1, task.num_classes, device=device).expand(len(task.train), -1)  # one row of memory
    if features is not None:
        return FrozenInputs(features[0], logits.to(device))
    if taught is None or isinstance(taught.teacher, GivenTeacher):
        return PlainInputs(task.train, logits.to(device), config.image_size, task.horizontal_flip)
    teacher, head = taught.teacher, taught.zero_shot
    if config.teacher_views is None:
        return ViewInputs(task.train, teacher, head, device, view_size(config, taught), task.horizontal_flip)
    say(what := f"encoding {config.teacher_views} views an image with the teacher")
    views = encode_cached_views(
        teacher,
        task.train,
        views=config.teacher_views,
        size=view_size(config, taught),
        flip=task.horizontal_flip,
        progress=counted(say, what),
    )
    return CachedViewInputs(views, head, device)


def _task(config: ResolvedConfig, say: Callable[[str], None]) -> Task:
    """Return the task of a run, loaded once; a folder's files may have changed since, so it is looked at again."""
    options = dict(config.task_options)
    with watched(counted(say, "decoding images")):
        if config.task == "folder":
            task = load_task(config.task, **options)
        else:
            builder = check_task(config.task, options)  # a cell that registers one of that name may run again
            task = _load_task(config.task, tuple(sorted(options.items())), builder)
    check_task_for_run(config, task)
    return task


def check_task_for_run(config: RunConfig, task: Task) -> None:
    """Refuse a task that no run can be measured on, or whose pool is too small for it, before anything is encoded.

    A run needs every pool image's label, test images, and rounds × budget images.
    """
    if len(task.train) == 0:
        raise DataError(f"{task.name!r} has no pool to choose from, it is only measured on; see `activekd-lab tasks`.")
    unknown = int((task.train.labels < 0).sum())
    if unknown or len(task.test) == 0:
        raise DataError(
            f"A run needs the label of every pool image and a test split to measure on, but {task.name!r} has "
            f"{unknown} unlabelled images and {len(task.test)} test images; label them first (`activekd-lab label`)."
        )
    config.budget_in(len(task.train), task.num_classes)


def _check_validation(config: ResolvedConfig, task: Task) -> None:
    """Refuse a task without the validation split that is to be chosen, or searched, on."""
    on_crops = config.teacher_fit == "crops" and config.few_shot == "tip_adapter_f"
    what = (
        "choose_on='validation'" if config.choose_on == "validation" else "tip_adapter_f on crops" if on_crops else ""
    )
    if what and (task.val is None or len(task.val) == 0):
        raise DataError(f"{what} needs a validation split, but {task.name!r} has none; leave it out.")


_load_task = lru_cache(maxsize=8)(lambda name, options, builder: load_task(name, **dict(options)))
