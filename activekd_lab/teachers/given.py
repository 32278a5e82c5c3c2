"""A teacher whose outputs were computed elsewhere: probabilities, logits, or embeddings with class texts.

Any vision-language model, however it was run, becomes a teacher by its outputs on the pool and on the test images. Rows
are matched by id, or by file path where paths are given; shapes, sums, order and NaN are checked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from activekd_lab.data.task import Split, Task
from activekd_lab.errors import ActiveKDError, DataError, ModelFilesError, NonFiniteError, SettingError
from activekd_lab.io.arguments import checked
from activekd_lab.io.files import damaged, regular, shown
from activekd_lab.io.numbers import as_tensor
from activekd_lab.teachers.zero_shot import ZeroShotHead

KINDS = ("probabilities", "logits", "embeddings")
_TOLERANCE = 5e-3  # how far a row of probabilities may miss 1: float16 over many classes

_LARGEST = 1e9  # logit, and scale of one: the loss of a student that disagrees with it stays finite


@dataclass(frozen=True, eq=False)
class GivenTeacher:
    """Outputs in the place of a model. Make one with `given_teacher`.

    Attributes:
        kind: "probabilities", "logits" or "embeddings", what was given.
        rows: by split, "train" and "test": (N, C) log-probabilities or logits, or (N, D) unit embeddings.
        text: (C, D) class texts as given, beside embeddings; else None.
        scale: the model's logit scale, beside embeddings.
        files: by split, the path that each row belongs to; a split without it is matched by id.
        class_names: the classes in the order of the columns, where they were given.
    """

    name: str
    kind: str
    rows: Mapping[str, Tensor]
    text: Tensor | None = None
    scale: float = 100.0
    files: Mapping[str, Sequence[str]] | None = None
    class_names: tuple[str, ...] | None = None

    image_size = 0
    """It looks at no image, so it cannot look at an augmented view: training distils what it says of the whole one."""

    @property
    def has_embeddings(self) -> bool:
        """Whether few-shot heads can be fitted on it."""
        return self.text is not None

    @cached_property
    def fingerprint(self) -> str:
        """A hash of everything that was given."""
        digest = hashlib.sha256(repr((self.kind, self.scale, self.class_names)).encode())
        tensors = [*(self.rows[split] for split in sorted(self.rows)), *([] if self.text is None else [self.text])]
        for tensor in tensors:
            digest.update(tensor.contiguous().numpy().tobytes())
        if self.files is not None:  # the same rows for other pictures
            digest.update(repr({split: tuple(self.files[split]) for split in sorted(self.files)}).encode())
        return digest.hexdigest()[:16]

    @property
    def identity(self) -> str:
        """The fingerprint: no arithmetic is left to do."""
        return self.fingerprint

    @checked()
    def encode(self, split: Split, progress: Callable[[int, int], None] | None = None) -> Tensor:
        """Return the rows of a split in the order of its ids: (N, D) unit embeddings, or (N, C) logits.

        Raises:
            DataError: no rows for this split, another number of them, images whose path has no row, or without one.
        """
        if split.name not in self.rows:
            raise DataError(f"The teacher {self.name!r} was given no rows for the {split.name} images; give test=….")
        rows = self.rows[split.name]
        paths = (self.files or {}).get(split.name)
        if paths is not None:
            return rows[_places(self.name, paths, split)]
        if len(rows) != len(split):
            raise DataError(
                f"The teacher {self.name!r} was given {len(rows)} rows for {len(split)} {split.name} images; they must "
                "stand in the order of the ids, or come with files=…."
            )
        return rows

    @checked()
    def zero_shot(self, task: Task, templates: Sequence[str] | None = None) -> ZeroShotHead:
        """Return the head that turns rows into logits.

        Raises:
            DataError: other classes than the task's, or in another order; one row for images of both splits.
            SettingError: templates, which have no effect on what was computed already.
        """
        if templates is not None:
            raise SettingError("templates have no effect with a given teacher, whose texts are given; leave them out.")
        width = len(self.text) if self.text is not None else next(iter(self.rows.values())).shape[1]
        if width != task.num_classes:
            raise DataError(f"The teacher {self.name!r} speaks of {width} classes, the task of {task.num_classes}.")
        if self.class_names is not None and self.class_names != tuple(task.class_names):
            first = next(
                i for i, pair in enumerate(zip(self.class_names, task.class_names, strict=True)) if len({*pair}) > 1
            )
            raise DataError(
                f"The teacher's class {first} is {self.class_names[first]!r}, the task's is "
                f"{task.class_names[first]!r}; bring its columns into the order of the task's class_names."
            )
        self._refuse_shared(task)
        if self.text is None:
            return ZeroShotHead(torch.eye(width), 1.0)  # the rows are logits already
        return ZeroShotHead(F.normalize(self.text, dim=1), self.scale, 0.0, self.text)

    def _refuse_shared(self, task: Task) -> None:
        """Refuse one row for a picture of the pool and one of test, which only the end of their paths makes alike."""
        made_of_files = None not in (task.train.files, task.test.files)  # `encode` refuses others
        if self.files is None or not made_of_files or self.rows.get("test") is not self.rows["train"]:
            return
        pool, test = (_places(self.name, self.files[split.name], split) for split in (task.train, task.test))
        for i in torch.isin(test, pool).nonzero().flatten().tolist()[:1]:
            raise DataError(
                f"The teacher {self.name!r} has one row, {self.files['train'][int(test[i])]}, for the test image "
                f"{(task.test.files or ())[i]} and one of the pool; give longer paths, and rows of every image."
            )


@checked()
def given_teacher(
    *,
    probabilities: Any = None,
    logits: Any = None,
    embeddings: Any = None,
    text: Any = None,
    scale: float = 100.0,
    test: Any = None,
    files: Sequence[str | Path] | None = None,
    test_files: Sequence[str | Path] | None = None,
    class_names: Sequence[str] | None = None,
    name: str = "given",
) -> GivenTeacher:
    """Make a teacher from its outputs on the pool and on the test images; arrays or tensors.

    Args:
        probabilities: (N, C), rows sum to 1; or
        logits: (N, C); or
        embeddings: (N, D) image embeddings of any length, beside `text`.
        text: (C, D) class embeddings; `logits = scale · unit embedding · unit text`.
        scale: the model's logit scale; 100 for OpenAI's CLIP.
        test: the same outputs of the test images. None takes both from the same rows, by `files`.
        files: the path of each row, relative to the task's folder or absolute; rows are then matched by path, so the
            task must be made of files.
        test_files: the same for `test`, beside it only.
        class_names: the classes in the order of the columns; checked against the task's.
        name: for records and messages.

    Raises:
        SettingError: none or several of the three, or text without embeddings.
        DataError: shapes that do not fit, negative probabilities, or rows that do not sum to 1.
        NonFiniteError: NaN or infinity, by row.

    Example:
        >>> teacher = akd.given_teacher(probabilities=p, test=p_test)  # (N, C) and (M, C)
        >>> prepared = akd.prepare(config, task=task, teacher=teacher)
    """
    given = {kind: v for kind, v in zip(KINDS, (probabilities, logits, embeddings), strict=True) if v is not None}
    if len(given) != 1:
        raise SettingError(f"Give one of {', '.join(KINDS)}, but got {' and '.join(given) or 'none'}.")
    ((kind, train),) = given.items()
    if (kind == "embeddings") != (text is not None):
        raise SettingError("text=(C, D) belongs beside embeddings=(N, D), and only there.")
    if not 0 < scale <= _LARGEST:
        raise SettingError(f"scale must be a number above 0, {_LARGEST:g} at most, but got {scale}.")
    if test_files is not None and test is None:
        raise SettingError("test_files belongs beside test; without it, files names the pictures of both.")
    rows = {"train": _rows(kind, train, "the pool")}
    paths = {"train": _paths(files, rows["train"])} if files is not None else {}
    if test is not None:
        rows["test"] = _rows(kind, test, "the test images")
        paths |= {} if test_files is None else {"test": _paths(test_files, rows["test"])}
    elif files is not None:
        rows["test"], paths["test"] = rows["train"], paths["train"]
    words = None if text is None else _words(text)
    widths = {r.shape[1] for r in rows.values()} | ({words.shape[1]} if words is not None else set())
    if len(widths) > 1:
        raise DataError(f"All rows, and text, must have one width, but got {sorted(widths)}.")
    names = None if class_names is None else tuple(map(str, class_names))
    return GivenTeacher(name, kind, rows, words, float(scale), paths or None, names)


@checked()
def load_given(file: str | Path) -> GivenTeacher:
    """Read a teacher from an .npz file that holds the arguments of `given_teacher` by name; no pickled objects.

    Raises:
        ModelFilesError: no such file, or no .npz of these names.
    """
    path = Path(file).expanduser()
    name = shown(path)
    known = {*KINDS, "text", "scale", "test", "files", "test_files", "class_names"}
    try:
        with np.load(regular(path), allow_pickle=False) as stored:
            arrays: dict[str, Any] = {key: stored[key] for key in stored.files}
    except Exception as error:  # an archive's parts raise what they like
        raise ModelFilesError(f"{name} cannot be read as the outputs of a teacher ({shown(error)}).") from error
    strange = sorted(arrays.keys() - known)
    if strange:
        raise ModelFilesError(f"{name} holds {strange[0]!r}; a given teacher is made of {', '.join(sorted(known))}.")
    for key in {"files", "test_files", "class_names", "scale"} & arrays.keys():
        arrays[key] = arrays[key].tolist()
    try:
        return given_teacher(**arrays, name=f"given:{path.name}")
    except ActiveKDError as error:
        raise ModelFilesError(damaged(path, str(error).rstrip("."), "write it again")) from error


def _matrix(values: Any, what: str) -> Tensor:
    """Return (N, D) float32 rows, or refuse what is none."""
    rows: Tensor = as_tensor(values, what, DataError)
    if rows.ndim != 2 or not len(rows) or not rows.shape[1] or not rows.dtype.is_floating_point:
        raise DataError(f"{what} must be a matrix of floats, but got {rows.dtype} {tuple(rows.shape)}.")
    rows = rows.detach().cpu().float()
    bad = (~rows.isfinite().all(1)).nonzero().flatten()
    if len(bad):
        raise NonFiniteError(f"{what}: rows {bad[:5].tolist()} are not finite.")
    return rows


def _rows(kind: str, values: Any, of: str) -> Tensor:
    """Return what heads work on: log-probabilities, logits, or unit embeddings."""
    rows = _matrix(values, f"{kind} of {of}")
    if kind == "embeddings":
        if len(bare := (rows == 0).all(1).nonzero().flatten()):
            raise DataError(f"embeddings of {of}: rows {bare[:5].tolist()} hold nothing but zeros.")
        return F.normalize(rows, dim=1)
    if kind == "logits":
        if len(far := (rows.abs().amax(1) > _LARGEST).nonzero().flatten()):
            raise DataError(f"logits of {of} must lie within ±{_LARGEST:g}, but rows {far[:5].tolist()} do not.")
        return rows
    if bool((rows < 0).any()) or bool(((rows.sum(1) - 1).abs() > _TOLERANCE).any()):
        raise DataError(f"probabilities of {of} must be 0 or more and sum to 1 in every row; give logits as logits=….")
    return rows.clamp_min(1e-12).log()


def _words(text: Any) -> Tensor:
    words, first = _matrix(text, "text"), dict[bytes, int]()
    for i, row in enumerate(_rows("embeddings", words, "text").numpy()):
        if (twin := first.setdefault(row.tobytes(), i)) != i:
            raise DataError(f"text: rows {twin} and {i} are the same, so nothing tells these two classes apart.")
    return words


def _paths(files: Sequence[str | Path], rows: Tensor) -> tuple[str, ...]:
    paths = tuple(PurePath(file).as_posix() for file in files)
    if len(paths) != len(rows) or len(set(paths)) != len(paths):
        raise DataError(f"files must name each of the {len(rows)} rows once, but got {len(set(paths))} names.")
    return paths


def _places(name: str, paths: Sequence[str], split: Split) -> Tensor:
    """Return which row belongs to each image of a split, by the end of its path."""
    place = {path: i for i, path in enumerate(paths)}
    if split.files is None:
        raise DataError(
            f"The teacher {name!r} was given files, but the {split.name} images are not made of any; leave files out, "
            "and give the rows in the order of the ids."
        )
    found = [_place(place, file.as_posix()) for file in split.files]
    missing = [str(file) for file, row in zip(split.files, found, strict=True) if row is None]
    if missing:
        raise DataError(
            f"The teacher {name!r} has no row for {len(missing)} of {len(found)} {split.name} images, such as "
            f"{missing[0]}."
        )
    if len(set(found)) < len(found):
        raise DataError(f"Several {split.name} images end in one of the teacher's paths; give longer paths.")
    return torch.tensor(found)


def _place(place: Mapping[str, int], path: str) -> int | None:
    """Find a path among those given: as it is, or the longest end of it that was given."""
    parts = path.split("/")
    return next((place[end] for i in range(len(parts)) if (end := "/".join(parts[i:])) in place), None)
