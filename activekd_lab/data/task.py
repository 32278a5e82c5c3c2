"""A task: images, hidden labels, class names and prompt templates, and the registry that finds one by name."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from activekd_lab.data.cache import cached_rows
from activekd_lab.errors import DataError, SettingError, UnknownNameError


@dataclass(frozen=True, eq=False)
class Split:
    """Images and labels of one part of a task.

    Attributes:
        name: "train", "val" or "test".
        images: (N, 3, H, W) uint8, in memory or memory-mapped.
        labels: (N,) int64, the oracle, -1 where nobody knows. Active learning reads it only through `Pool.buy`.
        stamp: names the pixels where they come from files, so that a large map is hashed once, not in every process.
    """

    name: str
    images: Tensor
    labels: Tensor
    stamp: str = ""

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4 or self.images.shape[1] != 3:
            shape = tuple(self.images.shape)
            raise DataError(
                f"images must be uint8 of shape (N, 3, H, W), but got {self.images.dtype} of shape {shape}."
            )
        if self.labels.dtype != torch.int64 or len(self.labels) != len(self.images):
            raise DataError(
                f"labels must be int64, one an image ({len(self.images)}), but got {self.labels.dtype} of shape "
                f"{tuple(self.labels.shape)}."
            )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index], int(self.labels[index])

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the pixels, the key under which teachers and backbones cache what they computed."""
        if not self.stamp:
            return self._hash().hex()
        key = {"stamp": self.stamp, "shape": str(tuple(self.images.shape))}
        found = cached_rows("fingerprints", key, 8, lambda ids: torch.tensor(list(self._hash())).byte(), chunk=8)
        return bytes(found.tolist()).hex()

    def _hash(self) -> bytes:
        digest = hashlib.sha256(str(tuple(self.images.shape)).encode())
        for chunk in self.images.split(4096):
            digest.update(chunk.contiguous().numpy().data if len(chunk) else b"")
        return digest.digest()[:8]


@dataclass(frozen=True, eq=False)
class Task:
    """A classification task whose training split is the pool of active learning.

    Attributes:
        name: registry key, for example "shapes".
        class_names: C names as they enter the prompts.
        templates: prompt templates, each with one "{}".
        train, test: splits; `val` is None where the task has none.
        horizontal_flip: whether a mirrored image keeps its class, so that training may flip it.
    """

    name: str
    class_names: tuple[str, ...]
    templates: tuple[str, ...]
    train: Split
    test: Split
    val: Split | None = None
    horizontal_flip: bool = True

    def __post_init__(self) -> None:
        check_prompts(self.class_names, self.templates)
        for split in filter(None, (self.train, self.val, self.test)):
            lowest = -1 if split is self.train else 0
            if len(split) and not lowest <= int(split.labels.min()) <= int(split.labels.max()) < self.num_classes:
                raise DataError(f"labels of {self.name}/{split.name} must lie in 0 … {self.num_classes - 1}.")

    @property
    def num_classes(self) -> int:
        """C, the number of classes."""
        return len(self.class_names)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of classes, images and labels, the pool's and the test split's: all that a run's ids stand for."""
        digest = hashlib.sha256(repr(self.class_names).encode())
        for split in (self.train, self.test):
            digest.update(split.fingerprint.encode() + split.labels.numpy().tobytes())
        return digest.hexdigest()[:16]


def check_prompts(class_names: tuple[str, ...], templates: tuple[str, ...]) -> None:
    """Refuse empty or repeated class names and templates without exactly one "{}"."""
    if not class_names or any(not name.strip() for name in class_names):
        raise DataError("class_names must hold at least one name and no empty one.")
    repeated = sorted({name for name in class_names if class_names.count(name) > 1})
    if repeated:
        raise DataError(f"class_names must differ, but {', '.join(map(repr, repeated))} stand more than once.")
    bad = [template for template in templates if template.count("{}") != 1]
    if bad or not templates:
        raise DataError(f"Every prompt template needs exactly one '{{}}' for the class name, but got {bad or 'none'}.")


STRESS = {"imbalance": "float", "label_noise": "float", "stress_seed": "int"}
"""Options that every task has, see data/stress.py, with their types."""
TaskBuilder = Callable[..., Task]
_TASKS: dict[str, TaskBuilder] = {}


def register_task(name: str) -> Callable[[TaskBuilder], TaskBuilder]:
    """Register a function that builds the task `name`; its keyword arguments are the task's options."""

    def add(builder: TaskBuilder) -> TaskBuilder:
        _TASKS[name] = builder
        return builder

    return add


def list_tasks() -> dict[str, str]:
    """Return each task's name and the first line of its help."""
    helps = {name: (inspect.getdoc(builder) or "no help given") for name, builder in sorted(_TASKS.items())}
    return {name: text.splitlines()[0] for name, text in helps.items()}


def check_task(name: str, options: Mapping[str, object]) -> TaskBuilder:
    """Return the builder of `name`, after refusing unknown tasks, unknown, missing and unfit options by name."""
    _options(name, options)
    return _TASKS[name]


def _options(name: str, options: Mapping[str, object]) -> dict[str, object]:
    """Return the options of the task `name`, checked against its builder; a number for a text option as its text."""
    if name not in _TASKS:
        raise UnknownNameError("task", name, _TASKS)
    parameters = inspect.signature(_TASKS[name]).parameters.values()
    known = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    missing = [p.name for p in known if p.default is p.empty and p.name not in options]
    if missing:
        raise SettingError(f"The task {name!r} needs the option {missing[0]}; give it as {missing[0]}=….")
    kinds = {p.name: getattr(p.annotation, "__name__", p.annotation) for p in known} | STRESS
    for option in options:
        if option not in kinds and not takes_any:
            raise UnknownNameError(f"option of the task {name!r}:", option, kinds)
    return {option: _fitting(name, option, value, kinds.get(option, "any")) for option, value in options.items()}


def _fitting(task: str, option: str, value: object, kind: str) -> object:
    """Return the value as the annotated kind; other annotations than these are the builder's own to check."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "str" and (number or isinstance(value, Path)):  # the folder 2024, which JSON reads as a number
        return str(value)
    fits = {"int": number and isinstance(value, int), "float": number, "str": isinstance(value, str)}
    if not fits.get(kind, True):
        raise SettingError(f"The option {option} of the task {task!r} must be {kind}, but got {value!r}.")
    return value


def load_task(name: str, **options: object) -> Task:
    """Load a task by name.

    Args:
        name: a key of `list_tasks()`.
        options: the task's own settings, for example `num_classes=24, long_tail=0.0` for "shapes"; and, for every
            task, those of `stress`, which make its pool harder: `imbalance`, `label_noise`, `stress_seed`.

    Raises:
        UnknownNameError: an unknown task or option; the message lists the known ones, nearest first.
        SettingError: an option that the task needs is missing, or a value is of another type than its own.
    """
    from activekd_lab.data.stress import stress  # noqa: PLC0415  (it makes tasks itself)

    options = _options(name, options)
    harder = {key: options.pop(key) for key in STRESS if key in options}
    task = _TASKS[name](**options)
    return stress(task, **harder) if harder else task  # type: ignore[arg-type]
