"""The images of a run as a table, for pandas and what reads it (cleanlab, FiftyOne, Spotlight). No torch."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from activekd_lab.errors import RunFolderError, SettingError
from activekd_lab.io.files import damaged, read_text
from activekd_lab.runs.records import PredictedSplit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

    from activekd_lab.data import Task
    from activekd_lab.runs.records import RunResult

COLUMNS = ("id", "split", "path", "label", "class")
Stored = np.ndarray[Any, Any] | None  # probabilities (N, C) of a split, where they are stored
_CHUNK = 1 << 22  # distances that are held at a time


def image_rows(task: Task) -> list[tuple[object, ...]]:
    """Return a row of COLUMNS for each image of pool and test; the path is empty where there is no file."""
    rows: list[tuple[object, ...]] = []
    for split in (task.train, task.test):
        for i, y in enumerate(split.labels.tolist()):
            path = "" if split.files is None else _below(split.files[i], getattr(task, "root", None))
            name = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            rows.append((i, split.name, name, y if y >= 0 else "", task.class_names[y] if y >= 0 else ""))
    return rows


def _below(path: Path, root: Path | None) -> str:
    return (path if root is None or not path.is_relative_to(root) else path.relative_to(root)).as_posix()


def images_csv(task: Task) -> str:
    """Return the content of a run folder's images.csv."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *image_rows(task)])
    return text.getvalue()


def image_frame(result: RunResult, round_index: int | None, task: Task | None) -> pd.DataFrame:
    """Return one row an image; see `RunResult.to_frame`."""
    import pandas as pd  # noqa: PLC0415  (slow import)

    rounds = len(result.records)
    if round_index is not None and not 0 <= round_index < rounds:
        raise SettingError(f"round_index must lie in 0 … {rounds - 1}, but got {round_index}.")
    round_index = max(0, rounds - 1) if round_index is None else round_index
    known = {x.id: x for x in result.labels if x.round <= round_index}
    pool_said, test_said = (
        result.probabilities(round_index, split) if result.has_probabilities(round_index, split) else None
        for split in get_args(PredictedSplit)
    )
    frame = pd.DataFrame(_rows(result, task, pool_said, test_said), columns=list(COLUMNS)).astype({"label": "Int64"})
    pool = frame["split"] == "train"
    bought = [known.get(i) if inside else None for i, inside in zip(frame["id"], pool, strict=True)]
    frame["round"] = pd.array([x.round if x else None for x in bought], dtype="Int64")
    frame["source"] = [x.source if x else "" for x in bought]
    said = [
        pd.DataFrame(
            {
                "prediction": [result.class_names[c] for c in x.argmax(1)],
                "confidence": x.max(1),
                "distance": _distances(x, result.labeled_ids(round_index) if x is pool_said else []),
                "probabilities": list(x),
            },
            index=np.flatnonzero(where),
        )
        for x, where in ((pool_said, pool), (test_said, ~pool))
        if x is not None
    ]
    return frame.join(pd.concat(said)) if said else frame


def _rows(result: RunResult, task: Task | None, pool_said: Stored, test_said: Stored) -> list[tuple[object, ...]]:
    """Return rows of COLUMNS from the task, else from images.csv, else of what the run itself knows."""
    if task is not None:
        rows = image_rows(task)
    elif result.folder is not None and (path := result.folder / "images.csv").exists():
        rows = _read(path, result.class_names)
    else:
        names = {x.id: (x.label, result.class_names[x.label]) for x in result.labels}
        ids = sorted(names) if pool_said is None else range(len(pool_said))
        known = [(i, "train", "", *names.get(i, (None, ""))) for i in ids]
        return [*known, *((i, "test", "", None, "") for i in range(0 if test_said is None else len(test_said)))]
    pool = sum(row[1] == "train" for row in rows)
    other = any(x.id >= pool or rows[x.id][3] not in ("", x.label) for x in result.labels)
    sizes = ((pool_said, pool), (test_said, len(rows) - pool))
    if other or any(x is not None and len(x) != count for x, count in sizes):
        raise RunFolderError(
            f"The run has other images than these {pool} of the pool and {len(rows) - pool} of test; hand over the "
            "task that it was made with."
        )
    return [(*row[:3], None if row[3] == "" else row[3], row[4]) for row in rows]


def _read(path: Path, class_names: Sequence[str]) -> list[tuple[object, ...]]:
    rows = csv.reader(io.StringIO(read_text(path, kind=RunFolderError), newline=""), strict=True)
    try:
        if tuple(next(rows, ())) != COLUMNS:
            raise ValueError(f"the columns are not {','.join(COLUMNS)}")
        found: list[tuple[Any, ...]] = [
            (int(i), split, name, int(y) if y else "", said) for i, split, name, y, said in rows
        ]
        _refuse_disorder(found, class_names)
        return found
    except (ValueError, csv.Error) as error:
        raise RunFolderError(
            damaged(path, error, "delete that file; the run does not need it", rows.line_num)
        ) from error


def _refuse_disorder(rows: Sequence[tuple[Any, ...]], class_names: Sequence[str]) -> None:
    pool = sum(row[1] == "train" for row in rows)
    order = [*((i, "train") for i in range(pool)), *((i, "test") for i in range(len(rows) - pool))]
    for (i, split, _, y, said), wanted in zip(rows, order, strict=True):
        if (i, split) != wanted:
            raise ValueError(f"the row of {split} {i} stands where {wanted[1]} {wanted[0]} belongs")
        if said != (class_names[y] if y != "" and 0 <= y < len(class_names) else "") or (y != "" and not said):
            raise ValueError(f"{split} {i} has the label {y} and the class {said!r}")


def _distances(probabilities: np.ndarray[Any, Any], ids: list[int]) -> np.ndarray[Any, Any]:
    """Return each row's Euclidean distance to the nearest labelled one, (N,); 0 for those themselves."""
    centres = probabilities[ids]  # (L, C)
    found = np.full(len(probabilities), np.nan, np.float32)
    if len(ids):
        step = max(1, _CHUNK // len(ids))
        norms = (centres.astype(np.float64) ** 2).sum(1)
        for start in range(0, len(found), step):
            x = probabilities[start : start + step].astype(np.float64)
            squared = (x**2).sum(1)[:, None] + norms - 2 * x @ centres.T
            found[start : start + step] = np.sqrt(squared.min(1).clip(min=0))
        found[ids] = 0
    return found
