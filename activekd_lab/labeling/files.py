"""What a labelling session belongs to, and how its labels leave it."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from PIL import Image

from activekd_lab.config import RunConfig
from activekd_lab.data import FolderTask, Task
from activekd_lab.data.layout import list_folder
from activekd_lab.data.prompts import clean_class_name
from activekd_lab.data.table import REJECTED
from activekd_lab.errors import DataError, PoolError, RunFolderError
from activekd_lab.io.files import disk, replacing, shown, write_atomic
from activekd_lab.labeling.journal import Identity

_PIECE = 1 << 15  # bytes
_DEVICES = r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)"
_NO_FOLDER = re.compile(rf'(?i)^\.|^__macosx$|^{_DEVICES}|[/\\<>:"|?*\x00-\x1f\ud800-\udfff]|[. ]$|^\s|^$')
"""Names that lead elsewhere, are hidden, or that Windows does not take."""


class Progress(NamedTuple):
    """Counts of images: with a label, put off, in no class, not asked yet; and the number of the batch at hand."""

    labeled: int
    skipped: int
    rejected: int
    remaining: int
    batch: int


def check_student(folder: Path, found: Mapping[str, object], config: RunConfig) -> None:
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


def check_identity(folder: Path, stored: Identity, here: Identity, say: Callable[[str], None]) -> None:
    """Refuse another seed or other images; say which classes are others, which is no hindrance.

    Raises:
        RunFolderError: what differs, there and here.
    """
    if stored.seed != here.seed:
        raise RunFolderError(
            f"The session in {shown(folder)} was begun with seed={stored.seed} (here {here.seed}); give that seed, or "
            "use another folder."
        )
    if here.images is not None and stored.images != here.images:
        raise RunFolderError(
            f"The session in {shown(folder)} belongs to other images than the task has now; use another folder."
        )
    if stored.class_names != here.class_names:
        before, now = ", ".join(stored.class_names), ", ".join(here.class_names)
        say(f"the classes were {before} and are now {now}; every answer keeps its class")


def export_csv(path: str | Path, task: Task, labels: Mapping[int, int]) -> Path:
    """Write `path,label` for every label by id; see `LabelSession.export_csv`.

    Raises:
        RunFolderError: a file that cannot be written.
    """
    refuse_photo(path, task)
    _write_table(path, [(name_of(task, i), task.class_names[y]) for i, y in sorted(labels.items())])
    return Path(path)


def rejected_file(path: str | Path) -> Path:
    """Return the table of rejected images that lies beside an export: labels.csv, labels.rejected.csv."""
    return Path(path).with_suffix(".rejected.csv")


def export_rejected(path: str | Path, task: Task, ids: Iterable[int]) -> None:
    """Write `path,label`, the label being "(reject)", of images in no class beside an export, where there are any.

    A table that lies there is replaced even if there are none now. `import_answers` reads it.

    Raises:
        RunFolderError: a file that cannot be written.
    """
    rows, target = [(name_of(task, i), REJECTED) for i in sorted(ids)], rejected_file(path)
    if rows or target.exists():
        _write_table(target, rows)


def refuse_photo(path: str | Path, task: Task) -> None:
    """Refuse to write over an image of the task.

    Raises:
        RunFolderError: the path is one.
    """
    photos = {file for split in (task.train, task.val, task.test) if split for file in split.files or ()}
    with disk(path, "written", "choose another file", kind=RunFolderError):
        if Path(path).resolve() in photos:
            raise RunFolderError(f"{shown(path)} is an image of the task; choose another file.")


def _write_table(path: str | Path, rows: Iterable[tuple[str, str]]) -> None:
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([("path", "label"), *rows])
    write_atomic(path, table.getvalue(), "choose another file", kind=RunFolderError)


def export_folder(path: str | Path, task: Task, labels: Mapping[int, int]) -> Path:
    """Copy every labelled image into a folder a class; see `LabelSession.export_folder`.

    Raises:
        RunFolderError: the folder is there already and not empty. DataError: a class whose name a folder cannot bear.
    """
    target = Path(path)
    refuse_as_folders({task.class_names[y] for y in labels.values()})
    with disk(target, "written", "choose a new folder", kind=RunFolderError):
        if target.exists() and any(target.iterdir()):
            raise RunFolderError(f"{shown(target)} is not empty; choose a new folder.")
        for i, y in labels.items():
            _export_image(task, i, target / task.class_names[y])
    return target


def refuse_as_folders(names: Collection[str]) -> None:
    """Refuse classes that would not be read back from folders of their names, on this system or another.

    Asked is the reader itself, with a folder of empty files: `train` and `test` would be splits, `2024` a date.

    Raises:
        DataError: the name, and that a table can hold it.
    """
    then = "write a table with export_csv instead, or rename the class"
    for name in names:
        if _NO_FOLDER.search(name) or len(os.fsencode(name)) > 255:
            raise DataError(f"The class {name!r} cannot be the name of a folder; {then}.")
    folders = {*names, "beside"} if len(names) == 1 else {*names}  # one alone is read where class_names says so
    with TemporaryDirectory() as place:
        for name in folders:
            (Path(place) / name).mkdir(exist_ok=True)
            (Path(place) / name / "0.png").touch()
        try:
            read = set(map(clean_class_name, list_folder(Path(place)).names)) if folders else set()
        except DataError:
            read = set()
    wrong = sorted(set(map(clean_class_name, names)) - read)
    if wrong or len(read) < len(folders):
        raise DataError(f"Folders named {', '.join(map(repr, wrong or names))} would not be read as classes; {then}.")


def _export_image(task: Task, id: int, place: Path) -> None:
    source = file_of(task, id)
    name = f"{id}.png" if source is None else f"{id}-{source.name}"
    if len(os.fsencode(name)) > 255:
        name = f"{id}{Path(name).suffix}"
    with replacing(place / name) as temporary:
        if source is None:
            Image.fromarray(task.train.images[id].permute(1, 2, 0).numpy()).save(temporary)
        else:
            shutil.copy2(source, temporary)


def known_id(task: Task, id: int) -> int:
    """Return an id of the pool, or raise PoolError."""
    if not 0 <= id < len(task.train):
        raise PoolError(f"id must lie in 0 … {len(task.train) - 1}, but got {id}.")
    return id


def file_of(task: Task, id: int) -> Path | None:
    """Return the file of an id of the training split, None where the task is not made of files."""
    return task.files[id] if isinstance(task, FolderTask) else None


def name_of(task: Task, id: int) -> str:
    r"""Return what names an image on disk: its path below the folder, or the id where the task is not made of files.

    Bytes of a file name that are no UTF-8 are written out, as in `caf\xe9.png`.
    """
    if not isinstance(task, FolderTask):
        return str(id)
    path = task.files[id].relative_to(task.root).as_posix()
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def stamp_of(task: Task, id: int) -> str | None:
    """Return what another file of one name would differ in: its size, and a checksum of its ends and its middle.

    None where the task is not made of files or the file is gone.
    """
    if not isinstance(task, FolderTask):
        return None
    try:
        with open(task.files[id], "rb") as file:
            size, found = os.fstat(file.fileno()).st_size, 0
            for start in (0, size // 2, size - _PIECE):
                file.seek(max(0, start))
                found = zlib.crc32(file.read(_PIECE), found)
    except OSError:
        return None
    return f"{size}-{found:08x}"
