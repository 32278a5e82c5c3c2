"""A task: images, hidden labels, class names and prompt templates, and the registry that finds one by name."""

from __future__ import annotations

import hashlib
import inspect
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from activekd_lab.data.cache import cached_rows
from activekd_lab.data.walk import LeftOut
from activekd_lab.errors import DataError, SettingError, UnknownNameError
from activekd_lab.io.arguments import checked
from activekd_lab.io.numbers import named


@checked()
@dataclass(frozen=True, eq=False)
class Split:
    """Images and labels of one part of a task.

    Attributes:
        name: "train", "val" or "test".
        images: (N, 3, H, W) uint8, in memory or memory-mapped.
        labels: (N,) int64, the oracle, -1 where nobody knows. Active learning reads it only through `Pool.buy`.
        stamp: names the pixels where they come from files, so that a large map is hashed once, not in every process.
        files: the file of each image, by id, where the task is made of files.
        features: (N, D) float32 in the place of images, whose sides are then 0; None where there are images.
    """

    name: str
    images: Tensor
    labels: Tensor
    stamp: str = ""
    files: tuple[Path, ...] | None = None
    features: Tensor | None = None

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

    @classmethod
    @checked(features="(N, D) finite", labels="(N,) integers")
    def of_features(cls, name: str, features: Tensor, labels: Tensor) -> Split:
        """Return a split without pictures: a student learns from (N, D) features."""
        return cls(name, torch.empty(len(features), 3, 0, 0, dtype=torch.uint8), labels, features=features)

    @property
    def pictured(self) -> bool:
        """Whether there are images to look at."""
        return self.features is None

    @checked()
    def rows(self, name: str, ids: Tensor) -> Split:
        """Return some rows, by (M,) ids or an (N,) mask, as a split of that name."""
        positions = ids.dtype != torch.bool
        outside = positions and ids.numel() and not -len(self) <= int(ids.min()) <= int(ids.max()) < len(self)
        if ids.ndim != 1 or ids.is_floating_point() or outside or (not positions and len(ids) != len(self)):
            raise DataError(f"ids must be rows of {len(self)} images, by number or by a mask, but got {named(ids)}.")
        features = None if self.features is None else self.features[ids]
        chosen = ids.nonzero().flatten() if ids.dtype == torch.bool else ids
        files = None if self.files is None else tuple(self.files[i] for i in chosen.tolist())
        return Split(name, self.images[ids], self.labels[ids], files=files, features=features)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        what = "images of {2} × {3}".format(*self.images.shape) if self.pictured else "rows of features"
        return f"<{self.name}: {len(self):,} {what}>"

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
        rows = self.images if self.features is None else self.features
        digest = hashlib.sha256(str(tuple(rows.shape)).encode())
        for chunk in rows.split(4096):
            digest.update(chunk.contiguous().numpy().data if len(chunk) else b"")
        return digest.digest()[:8]


@checked()
@dataclass(frozen=True, eq=False)
class Task:
    """A classification task whose training split is the pool of active learning.

    Attributes:
        name: registry key, for example "shapes".
        class_names: C names as they enter the prompts.
        templates: prompt templates, each with one "{}".
        train, test: splits; `val` is None where the task has none.
        horizontal_flip: whether a mirrored image keeps its class, so that training may flip it.
        left_out: files that were left out when the task was made, counted by reason; nothing for most tasks.
    """

    name: str
    class_names: tuple[str, ...]
    templates: tuple[str, ...]
    train: Split
    test: Split
    val: Split | None = None
    horizontal_flip: bool = True
    left_out: LeftOut = field(default_factory=LeftOut)

    def __post_init__(self) -> None:
        check_prompts(self.class_names, self.templates)
        for split in filter(None, (self.train, self.val, self.test)):
            lowest = -1 if split is self.train else 0
            if len(split) and not lowest <= int(split.labels.min()) <= int(split.labels.max()) < self.num_classes:
                raise DataError(f"labels of {self.name}/{split.name} must lie in 0 … {self.num_classes - 1}.")
            widths = [None if x.features is None else x.features.shape[1] for x in (self.train, split)]
            if len({*widths}) > 1:
                raise DataError(f"The splits of {self.name} must hold features of one width, but got {widths}.")

    @property
    def num_classes(self) -> int:
        """C, the number of classes."""
        return len(self.class_names)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that a run depends on: classes, prompts, whether images may be flipped, images and labels."""
        digest = hashlib.sha256(repr((self.class_names, self.templates, self.horizontal_flip)).encode())
        for split in filter(None, (self.train, self.test, self.val)):
            digest.update(split.fingerprint.encode() + split.labels.numpy().tobytes())
        return digest.hexdigest()[:16]


_NO_TEXT = ("Cc", "Cs", "Zl", "Zp")  # Unicode's categories of control characters, lone surrogates and line ends


def not_text(name: str) -> bool:
    """Tell whether a name holds what nobody can read: control characters, half a character, line ends."""
    return any(unicodedata.category(c) in _NO_TEXT for c in name)


def check_prompts(class_names: tuple[str, ...], templates: tuple[str, ...]) -> None:
    """Refuse empty, repeated or unreadable class names and templates without exactly one "{}"."""
    if not class_names or any(not name.strip() for name in class_names):
        raise DataError("class_names must hold at least one name and no empty one.")
    odd = list(filter(not_text, class_names))
    if odd:
        raise DataError(f"class_names must be readable texts in one line, but got {odd[0]!r}.")
    repeated = sorted({name for name in class_names if class_names.count(name) > 1})
    if repeated:
        raise DataError(f"class_names must differ, but {', '.join(map(repr, repeated))} stand more than once.")
    bad = [text for text in templates if text.count("{}") != 1 or {*text.replace("{}", "")} & {*"{}"}]
    if bad or not templates:
        raise DataError(
            f"Every prompt template needs exactly one '{{}}' for the class name and no other brace, but got "
            f"{bad or 'none'}."
        )


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


@checked()
def check_task(name: str, options: Mapping[str, object]) -> TaskBuilder:
    """Return the builder of `name`, after refusing unknown tasks, unknown, missing and unfit options by name."""
    _options(name, options)
    return _TASKS[name]


def text_options(name: str) -> set[str]:
    """Return which options of a task are texts, such as paths: whoever reads them takes them as they are written."""
    parameters = inspect.signature(_TASKS[name]).parameters.values() if name in _TASKS else ()
    return {p.name for p in parameters if getattr(p.annotation, "__name__", p.annotation) == "str"}


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
    whole = number and isinstance(value, int)
    if kind == "str" and (whole or isinstance(value, Path)):  # the folder 2024, which a grid reads as a number
        return str(value)
    fits = {"int": whole, "float": number, "str": isinstance(value, str)}
    fits["bool"] = isinstance(value, bool)
    if not fits.get(kind, True):
        raise SettingError(
            f"The option {option} of the task {task!r} must be {kind.replace('str', 'a text')}, but got {value!r}."
        )
    return value


@checked()
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
