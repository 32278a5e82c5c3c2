"""How a labelling session lies on disk, and how its labels leave it.

The folder holds `session.json` (what it belongs to, and the batch at hand), `answers.csv` (every answer) and `student/`
after training.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from activekd_lab.data import FolderTask, Task
from activekd_lab.errors import RunFolderError
from activekd_lab.results import write_atomic

SKIP, REJECT = "skip", "reject"


class Answer(NamedTuple):
    """One answer: the id, a class index or "skip" or "reject", and the batch that asked."""

    id: int
    answer: int | str
    batch: int


class Progress(NamedTuple):
    """Counts of images: with a label, put off, in no class, not asked yet; and the number of the batch at hand."""

    labeled: int
    skipped: int
    rejected: int
    remaining: int
    batch: int


def write_session(folder: Path, task: Task, state: Mapping[str, Any], answers: Sequence[Answer]) -> None:
    """Write the answers, then the state.

    Raises:
        RunFolderError: a folder that cannot be written.
    """
    names = task.class_names
    rows = [(a.id, _relative(task, a.id), names[a.answer] if isinstance(a.answer, int) else f"({a.answer})", a.batch)
            for a in answers]  # fmt: skip
    try:
        write_atomic(folder / "answers.csv", _csv([("id", "path", "answer", "batch"), *rows]))
        write_atomic(folder / "session.json", json.dumps(state, indent=1, ensure_ascii=False))
    except OSError as error:
        raise RunFolderError(f"{folder} cannot be written ({error.strerror}); the last answer is not kept.") from error


def read_session(folder: Path, task: Task) -> tuple[dict[str, Any], list[Answer]] | None:
    """Return state and answers, or None from a folder without a session, which is made if needed.

    Raises:
        RunFolderError: a folder that cannot be made, or files that cannot be read.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "session.json").exists():
            return None
        state: dict[str, Any] = json.loads((folder / "session.json").read_text("utf-8"))
        rows = csv.DictReader(io.StringIO((folder / "answers.csv").read_text("utf-8")))
        return state, [Answer(int(r["id"]), _parse(r["answer"], task), int(r["batch"])) for r in rows]
    except (OSError, ValueError, KeyError) as error:
        raise RunFolderError(f"The session in {folder} cannot be read ({error}); mend or move it.") from error


def check_answers(folder: Path, task: Task, answers: Sequence[Answer]) -> None:
    """Refuse answers that the task cannot have given, as after an edit by hand.

    Raises:
        RunFolderError: an id outside the pool, or an answer that is no class.
    """
    size = len(task.train)
    for a in answers:
        if not 0 <= a.id < size or a.answer not in (*range(task.num_classes), SKIP, REJECT):
            raise RunFolderError(
                f"{folder / 'answers.csv'} has the answer {a.answer!r} for id {a.id}, but ids lie in 0 … {size - 1}, "
                "and answers are classes, (skip) or (reject); mend or remove that line."
            )


def export_csv(path: str | Path, task: Task, labels: Mapping[int, int]) -> Path:
    """Write `path,label` for every label by id; see `LabelSession.export_csv`."""
    rows = [(_relative(task, i), task.class_names[y]) for i, y in sorted(labels.items())]
    write_atomic(Path(path), _csv([("path", "label"), *rows]))
    return Path(path)


def export_folder(path: str | Path, task: Task, labels: Mapping[int, int]) -> Path:
    """Copy every labelled image into a folder a class; see `LabelSession.export_folder`.

    Raises:
        RunFolderError: the folder is there already and not empty.
    """
    target = Path(path)
    if target.exists() and any(target.iterdir()):
        raise RunFolderError(f"{target} is not empty; choose a new folder.")
    for i, y in labels.items():
        place = target / task.class_names[y]
        place.mkdir(parents=True, exist_ok=True)
        source = file_of(task, i)
        if source is None:
            Image.fromarray(task.train.images[i].permute(1, 2, 0).numpy()).save(place / f"{i}.png")
        else:
            shutil.copy2(source, place / f"{i}-{source.name}")
    return target


def file_of(task: Task, id: int) -> Path | None:
    """Return the file of an id of the training split, None where the task is not made of files."""
    return task.files[id] if isinstance(task, FolderTask) else None


def _relative(task: Task, id: int) -> str:
    return task.files[id].relative_to(task.root).as_posix() if isinstance(task, FolderTask) else str(id)


def _parse(text: str, task: Task) -> int | str:
    return task.class_names.index(text) if text in task.class_names else text.strip("()")


def _csv(rows: list[tuple[object, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
