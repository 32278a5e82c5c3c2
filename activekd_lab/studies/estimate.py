"""What the jobs of a study take together: steps, images, disk, and hours by counted operations.

Time is arithmetic: the floating-point operations of student and teacher, counted on shapes alone, divided by what one
short measured pass reaches on this machine, and by what published peaks of three GPUs give at a stated share.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from activekd_lab.bench.operations import student_operations, teacher_operations, training_speed
from activekd_lab.config import ResolvedConfig, RunConfig
from activekd_lab.device import resolve_device
from activekd_lab.students.methods import find_method
from activekd_lab.studies.grid import Study
from activekd_lab.teachers.released import crops_a_label

_STORED = 224  # side at which the papers' data sets are decoded unless task_options says another
_BUNDLED = ("shapes", "digits", "tiles")


class Cost(NamedTuple):
    """What the jobs of a study take together.

    Attributes:
        jobs: how many.
        steps: optimizer steps.
        decoded: image files decoded, each once.
        crops: training images cut, seen by student and, under distillation, by the teacher; none on cached features.
        operations: floating-point operations.
        disk: bytes of decoded images.
        unknown: jobs whose data set's size is not known here; they are in none of these numbers but `jobs`.
    """

    jobs: int
    steps: int
    decoded: int
    crops: int
    operations: float
    disk: int
    unknown: int


class Size(NamedTuple):
    """Classes and images of a task."""

    classes: int
    train: int
    val: int
    test: int

    @property
    def images(self) -> int:
        """All splits."""
        return self.train + self.val + self.test


def cost(study: Study) -> Cost:
    """Add up what the jobs of a study take; nothing is loaded but the bundled tasks."""
    steps = crops = unknown = 0
    operations, stores, teachers = 0.0, {}, {}  # the last: what one look at every image costs, by who looks
    for job in study.jobs:
        config = job.resolved
        size = task_size(config)
        if size is None:
            unknown += 1
            continue
        if config.task not in _BUNDLED:
            stores[_task(config)] = size, int(config.task_options.get("image_size", _STORED))
        teachers[_task(config), config.teacher] = size.images * teacher_operations(config.teacher)
        if config.teacher_fit == "crops":
            operations += fitting_crops(config, size) * teacher_operations(config.teacher)
        own, seen = job_steps(config, size)
        student = student_operations(config.backbone, config.image_size)
        if (
            config.freeze_backbone
        ):  # its features are computed once a task and cached; steps on them cost next to nothing
            teachers[_task(config), config.backbone] = size.images * student
            steps += own
            continue
        asked = (
            0.0
            if not find_method(config.method).distills or config.teacher_views
            else teacher_operations(config.teacher)
        )
        measured = (config.rounds + 1) * (size.train + size.test)
        steps, crops = steps + own, crops + seen
        operations += seen * (3 * student + asked) + measured * student  # backward is twice a forward pass
    disk = sum(size.images * 3 * side**2 for size, side in stores.values())
    decoded = sum(size.images for size, _ in stores.values())
    return Cost(len(study.jobs), steps, decoded, crops, operations + sum(teachers.values()), disk, unknown)


def job_steps(config: ResolvedConfig, size: Size) -> tuple[int, int]:
    """Return the optimizer steps of all rounds of a run, and the crops that they see."""
    distills, steps = find_method(config.method).distills, 0
    for r, labeled in enumerate(_labels(config, size)):
        pool = min(size.train - labeled, config.pool_limit or size.train)
        steps += config.training_steps(labeled, pool, last=r == config.rounds, distills=distills)
    return steps, steps * (config.batch_labeled + (config.batch_unlabeled if distills else 0))


def fitting_crops(config: ResolvedConfig, size: Size) -> int:
    """Return the crops that a few-shot teacher is fitted on, once a round."""
    return crops_a_label(config.few_shot, config.task) * sum(_labels(config, size))


def _labels(config: ResolvedConfig, size: Size) -> list[int]:
    """Return L of every round."""
    start, budget = config.initial_per_class * size.classes + config.validation_labels, config.budget or size.classes
    return [min(start + r * budget, size.train) for r in range(config.rounds + 1)]


def _task(config: RunConfig) -> str:
    return f"{config.task} {sorted(config.task_options.items())}"


def task_size(config: RunConfig) -> Size | None:
    """Return a task's size as it was published, or as a bundled task has it; None for any other."""
    from activekd_lab.data.coop import SIZES, SPECS  # noqa: PLC0415  (imports torch)
    from activekd_lab.data.imagenet import PUBLISHED, SUBSETS  # noqa: PLC0415

    if config.task in SIZES:
        return Size(SPECS[config.task].classes, *SIZES[config.task])
    if config.task == "imagenet":
        share = SUBSETS.get(str(config.task_options.get("subset", "")), 1.0)
        return Size(1000, round(share * PUBLISHED["imagenet"]["train"]), 0, PUBLISHED["imagenet"]["test"])
    return _bundled_size(config.task, tuple(sorted(config.task_options.items())))


@lru_cache(maxsize=32)
def _bundled_size(name: str, options: tuple[tuple[str, Any], ...]) -> Size | None:
    from activekd_lab.data import load_task  # noqa: PLC0415  (imports torch)

    if name not in _BUNDLED:
        return None
    task = load_task(name, **dict(options))
    return Size(task.num_classes, len(task.train), len(task.val or ()), len(task.test))


def measured_speed(study: Study, *, seconds: float = 2.0) -> float:
    """Return the operations a second that training the study's first student reaches on this machine."""
    config = study.jobs[0].resolved
    return training_speed(config.backbone, config.image_size, resolve_device(config.device), seconds=seconds)
