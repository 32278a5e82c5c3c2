"""Tasks from what others hold: torch and Hugging Face datasets, arrays of images, features without images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from activekd_lab.data.cache import cached_rows
from activekd_lab.data.decode import SHADES, exact_copies
from activekd_lab.data.images import check_size
from activekd_lab.data.prompts import clean_class_name
from activekd_lab.data.sources import Source, as_labels, pixels, read_source
from activekd_lab.data.task import Split, Task
from activekd_lab.data.walk import LeftOut, some
from activekd_lab.errors import DataError, SettingError, short
from activekd_lab.io.arguments import checked
from activekd_lab.io.numbers import as_tensor
from activekd_lab.rng import generator

Count = Callable[[int, int], None]
_CHUNK = 32  # images that are decoded at once
_TEST_NAMES = ("test", "validation", "valid", "val")


@checked(limit=">= 1")
def task_from(
    source: Any = None,
    *,
    features: Any = None,
    labels: Any = None,
    class_names: Sequence[str] | None = None,
    test: Any = None,
    test_labels: Any = None,
    test_share: float = 0.2,
    name: str = "mine",
    templates: Sequence[str] = ("a photo of a {}.",),
    image_size: int = 224,
    horizontal_flip: bool = True,
    limit: int | None = None,
    seed: int = 0,
    progress: Count | None = None,
) -> Task:
    """Make a task from a dataset, from arrays of images, or from features alone.

    Args:
        source: a torch or torchvision `Dataset` of (image, label); a Hugging Face `Dataset`, or a `DatasetDict` whose
            train and test (or validation) are the splits; or (N, H, W, 3), (N, 3, H, W) or (N, H, W) uint8 images.
        features: (N, D) floats in the place of images: the student learns from them, and nothing is pictured.
        labels: (N,) integers beside arrays or features; -1 where nobody knows. A dataset has its own.
        class_names: C names as they enter the prompts, in the order of the labels; None takes the source's own.
        test: the test split, of the same kind; None holds out `test_share`. Where both say their classes, its labels
            are taken by name: a test folder may lack a class. Copies stay on one side of a drawn split.
        test_labels: its labels.
        test_share: share of each class's labelled rows that is held out, drawn by `seed`.
        name: of the task.
        templates: prompt templates, each with one "{}".
        image_size: side of the square that is kept of each image, pixels; at least what the teacher looks at.
        horizontal_flip: whether a mirrored image keeps its class.
        limit: take at most so many rows of each split, the first ones.
        seed: draws the test split.
        progress: called with (done, total) while images are decoded.

    Raises:
        DataError: rows and labels that do not fit, unreadable images. SettingError: other arguments.

    Example:
        >>> task = akd.task_from(torchvision.datasets.FakeData(200, (3, 32, 32), 4), class_names=["a", "b", "c", "d"])
        >>> task = akd.task_from(features=embeddings, labels=labels, class_names=["cat", "dog"])
    """
    if (source is None) == (features is None):
        raise SettingError("task_from takes either a source of images or features=(N, D); give one of them.")
    if test is None and not 0 < test_share < 1:
        raise SettingError(f"test_share must lie in (0, 1), but got {test_share}; or give test.")
    check_size(image_size)
    if features is not None:
        train = _feature_split("train", features, labels, limit)
        held = None if test is None else _feature_split("test", test, test_labels, limit)
    else:
        first, second = _sources(*_splits(source, test), labels, test_labels)
        _refuse_order(class_names, first.names)
        train, class_names = _image_split("train", first, image_size, limit, progress), class_names or first.names
        held = None if second is None else _image_split("test", second[0], image_size, limit, progress, second[1])
    names = _class_names(class_names, train.labels)
    train, held, left_out = _with_test(train, held, test_share, seed, names)
    return Task(name, names, tuple(templates), train, held, horizontal_flip=horizontal_flip, left_out=left_out)


def _with_test(
    train: Split, held: Split | None, share: float, seed: int, names: Sequence[str]
) -> tuple[Split, Split, LeftOut]:
    """Return the pool, the test split, drawn where there is none, and what to say of both."""
    notes = _class_notes(names, train)
    if held is None:
        return *_held_out(train, share, seed, names, notes), LeftOut(notes=notes)
    if shared := _rows_in(train, held):
        notes.append(f"{shared} of the pool's rows are exact copies of test rows, so the test split is not unseen.")
    return train, held, LeftOut(notes=notes)


def _splits(source: Any, test: Any) -> tuple[Any, Any]:
    """Take a mapping of splits, such as a DatasetDict, apart."""
    if not isinstance(source, Mapping):
        return source, test
    if test is not None:
        raise SettingError("test has no effect beside a mapping of splits, which holds its own; leave it out.")
    if "train" not in source:
        raise DataError(f"The dataset has the splits {', '.join(map(str, source))}, but no train; give one dataset.")
    return source["train"], next((source[name] for name in _TEST_NAMES if name in source), None)


def _sources(
    train: Any, test: Any, labels: Any, test_labels: Any
) -> tuple[Source, tuple[Source, list[int] | None] | None]:
    """Return the pool's source and, where there is one, the test source and which class of the pool each of its own is.

    Raises:
        DataError: a class of the test source that the pool's does not have.
    """
    first = read_source(train, labels)
    return first, None if test is None else _same_classes(first, read_source(test, test_labels))


def _same_classes(first: Source, test: Source) -> tuple[Source, list[int] | None]:
    if first.names is None or test.names is None or list(first.names) == list(test.names):
        return test, None
    if strange := [name for name in test.names if name not in first.names]:
        raise DataError(f"The test split has the class {strange[0]!r}, which the pool's {short(first.names)} lack.")
    return test, [list(first.names).index(name) for name in test.names]


def _refuse_order(given: Sequence[str] | None, own: Sequence[str] | None) -> None:
    """Refuse class names that the source knows as those of other labels; words that it doesn't know are new names."""
    known = [clean_class_name(str(name)).casefold() for name in own or ()]
    for i, name in enumerate(map(str, given or ())):
        if (plain := clean_class_name(name).casefold()) in known and known.index(plain) != i:
            raise DataError(
                f"class_names gives the label {i} the name {name!r}, which is the source's label {known.index(plain)}; "
                "leave class_names out, or give them in the order of the labels."
            )


def _image_split(
    name: str, source: Source, size: int, limit: int | None, progress: Count | None, classes: list[int] | None = None
) -> Split:
    """Decode a source once: into the cache where its content has a name, else into memory; a label c is classes[c]."""
    count = min(len(source.images), limit or len(source.images))

    def compute(ids: range) -> Tensor:
        rows = [pixels(source.images[i], size, i) for i in ids]
        return torch.stack(rows) if rows else torch.empty(0, 3, size, size, dtype=torch.uint8)

    if source.key is None:
        stamp, images = "", _in_memory(compute, count, progress)
    else:
        key = {"dataset": source.key, "size": str(size), "reader": "1"}
        stamp = repr(sorted(key.items()))
        images = cached_rows("decoded", key, count, compute, chunk=_CHUNK, about=f"{name} images", progress=progress)
    labels = [c if classes is None or c < 0 else classes[c] for c in list(source.labels)[:count]]
    return Split(name, images, torch.tensor(labels, dtype=torch.int64), stamp=stamp)


def _in_memory(compute: Callable[[range], Tensor], count: int, progress: Count | None) -> Tensor:
    def parts() -> Iterator[Tensor]:
        for start in range(0, max(count, 1), _CHUNK):
            yield compute(range(start, min(start + _CHUNK, count)))
            if progress is not None:
                progress(min(start + _CHUNK, count), count)

    return torch.cat(list(parts()))


def _feature_split(name: str, features: Any, labels: Any, limit: int | None) -> Split:
    rows: Tensor = as_tensor(features, "features", DataError)
    if rows.ndim != 2 or not rows.dtype.is_floating_point or not len(rows) or not rows.shape[1]:
        raise DataError(f"features must be (N, D) floats, but got {rows.dtype} {tuple(rows.shape)}.")
    bad = (~rows.isfinite().all(1)).nonzero().flatten()
    if len(bad):
        raise DataError(f"features must be finite, but rows {bad[:5].tolist()} are not.")
    rows, labels = rows[:limit], as_labels(labels, len(rows))[:limit]
    return Split.of_features(name, rows.float(), labels)


def _class_names(names: Sequence[str] | None, labels: Tensor) -> tuple[str, ...]:
    if names is None:
        raise DataError("class_names must be given: nothing here says how the classes are called.")
    if isinstance(names, str):
        raise SettingError(f"class_names must be a list of names, but got the text {names!r}; split it.")
    if len(labels) and int(labels.max()) >= len(names):
        raise DataError(f"labels must lie in 0 … {len(names) - 1}, one a class name, but got {int(labels.max())}.")
    return tuple(clean_class_name(str(name)) for name in names)


def _class_notes(names: Sequence[str], train: Split) -> list[str]:
    """Say which classes no row is known to be of, where labels are known at all."""
    seen = {*train.labels.tolist()} - {-1}
    empty = [name for c, name in enumerate(names) if c not in seen] if seen else []
    return [f"{len(empty)} of {len(names)} classes have no labelled row: {some(empty)}."] if empty else []


def _rows_in(train: Split, held: Split) -> int:
    """Count the rows of the pool that the test split holds too."""
    if _content(train).shape[1:] != _content(held).shape[1:]:
        return 0
    groups = _copies(torch.cat([_content(train), _content(held)]))
    return sum(i < len(train) for group in groups if group[-1] >= len(train) for i in group)


def _content(split: Split) -> Tensor:
    return split.images if split.features is None else split.features


def _copies(rows: Tensor) -> list[list[int]]:
    """Return groups of equal rows; images of a single colour are no copies of each other."""
    groups = exact_copies(rows)
    return [g for g in groups if rows.dtype != torch.uint8 or int(rows[g[0]].amax()) - int(rows[g[0]].amin()) > SHADES]


def _held_out(train: Split, share: float, seed: int, names: Sequence[str], notes: list[str]) -> tuple[Split, Split]:
    """Draw a share of each class's labelled pictures as the test split, at least one where there are two.

    Copies go where the first of them goes, and stay in the pool if one has no label; `notes` gets what to say of them.
    """
    copies, odd = _copies(_content(train)), []
    drawable, test = train.labels >= 0, torch.zeros(len(train), dtype=torch.bool)
    for group in copies:
        found = sorted({*train.labels[group].tolist()})
        drawable[group if found[0] < 0 else group[1:]] = False
        known = [names[c] for c in found if c >= 0]
        odd += [f"rows {some([*map(str, group)])} ({', '.join(known)})"] * (len(known) > 1)
    g = generator(seed, "task_from", "test")
    for c in train.labels.unique().tolist():
        ids = ((train.labels == c) & drawable).nonzero().flatten()
        if len(ids) > 1:
            drawn = ids[torch.randperm(len(ids), generator=g)]
            test[drawn[: min(len(ids) - 1, max(1, round(share * len(ids))))]] = True
    for group in copies:
        test[group] = test[group[0]].clone()
    if copies:
        notes.append(f"{sum(map(len, copies)) - len(copies)} rows are exact copies of others.")
    if odd:
        notes.append(f"{len(odd)} of these have two labels: {some(odd)}.")
    return train.rows("train", ~test), train.rows("test", test)
