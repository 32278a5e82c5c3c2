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

from activekd_lab.config import RunConfig
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
    rows = [(a.id, name_of(task, a.id), names[a.answer] if isinstance(a.answer, int) else f"({a.answer})", a.batch)
            for a in answers]  # fmt: skip
    try:
        write_atomic(folder / "answers.csv", _csv([("id", "path", "answer", "batch"), *rows]))
        write_atomic(folder / "session.json", json.dumps(state, indent=1, ensure_ascii=False))
    except OSError as error:
        raise RunFolderError(f"{folder} cannot be written ({error.strerror}); the last answer is not kept.") from error


def read_session(folder: Path, task: Task) -> tuple[dict[str, Any], list[Answer]] | None:
    """Return state and answers, or None from a folder without a session, which is made if needed.

    An answer belongs to the image that it names, whatever id that has today.

    Raises:
        RunFolderError: a folder that cannot be made, files that cannot be read, or answers for images that are gone.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "session.json").exists():
            return None
        state: dict[str, Any] = json.loads((folder / "session.json").read_text("utf-8"))
        rows = [(r["path"], _parse(r["answer"], task), int(r["batch"]))
                for r in csv.DictReader(io.StringIO((folder / "answers.csv").read_text("utf-8")))]  # fmt: skip
    except (OSError, ValueError, KeyError) as error:
        raise RunFolderError(f"The session in {folder} cannot be read ({error}); mend or move it.") from error
    ids = ids_by_name(task)
    _refuse_gone(folder, task, [name for name, *_ in rows if name not in ids])
    return state, [Answer(ids[name], answer, batch) for name, answer, batch in rows]


def answers_on_disk(folder: Path) -> bytes:
    """Return the answers as they lie there, nothing where there are none or they cannot be read."""
    try:
        return (folder / "answers.csv").read_bytes()
    except OSError:
        return b""


def _refuse_gone(folder: Path, task: Task, gone: Sequence[str]) -> None:
    if gone:
        shown = ", ".join(gone[:3]) + " …" * (len(gone) > 3)
        raise RunFolderError(
            f"{folder / 'answers.csv'} has {len(gone)} answers for images that are not in {task.name!r} (any more), or "
            f"cannot be read: {shown}; put them back, or remove those lines."
        )


def check_answers(folder: Path, task: Task, answers: Sequence[Answer]) -> None:
    """Refuse answers that the task cannot have given, as after an edit by hand.

    Raises:
        RunFolderError: an answer that is no class.
    """
    for a in answers:
        if a.answer not in (*range(task.num_classes), SKIP, REJECT):
            raise RunFolderError(
                f"{folder / 'answers.csv'} has the answer {a.answer!r} for {name_of(task, a.id)}, but answers are "
                "classes, (skip) or (reject); mend or remove that line."
            )


def check_student(folder: Path, found: Mapping[str, Any], config: RunConfig) -> None:
    """Refuse the settings of a stored student that `config` would not make: what is prepared is not its input.

    Raises:
        RunFolderError: another backbone or image size, or frozen where it is not.
    """
    frozen = config.freeze_backbone is True
    wanted = {"backbone": config.backbone, "image_size": config.image_size, "freeze_backbone": frozen}
    other = [f"{key}={found[key]!r} (here {value!r})" for key, value in wanted.items() if found[key] != value]
    if other:
        raise RunFolderError(
            f"The student in {folder / 'student'} was trained with {', '.join(other)}; give the same settings, or move "
            "that folder away to train anew on the labels."
        )


def export_csv(path: str | Path, task: Task, labels: Mapping[int, int]) -> Path:
    """Write `path,label` for every label by id; see `LabelSession.export_csv`.

    Raises:
        RunFolderError: a file that cannot be written.
    """
    rows = [(name_of(task, i), task.class_names[y]) for i, y in sorted(labels.items())]
    try:
        write_atomic(Path(path), _csv([("path", "label"), *rows]))
    except OSError as error:
        raise RunFolderError(f"{path} cannot be written ({error.strerror}); choose another file.") from error
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


def name_of(task: Task, id: int) -> str:
    """Return what names an image on disk: its path below the folder, or the id where the task is not made of files."""
    return task.files[id].relative_to(task.root).as_posix() if isinstance(task, FolderTask) else str(id)


def ids_by_name(task: Task) -> dict[str, int]:
    """Return the id of each name that `name_of` gives."""
    return {name_of(task, i): i for i in range(len(task.train))}


def _parse(text: str, task: Task) -> int | str:
    return task.class_names.index(text) if text in task.class_names else text.strip("()")


def _csv(rows: list[tuple[object, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
