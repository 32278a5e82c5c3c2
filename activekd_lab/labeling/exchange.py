"""A session's questions and answers, handed to other programs and taken back: Label Studio, CVAT, COCO, tables.

An answer is for the image of its name, never for the next in a row; a class is a name. What is not taken is counted.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath
from typing import NamedTuple, NoReturn
from urllib.parse import parse_qs, unquote, urlsplit

from activekd_lab.data import FolderTask
from activekd_lab.data.table import REJECTED
from activekd_lab.data.walk import LeftOut, some
from activekd_lab.errors import DataError, RunFolderError, nearest_first
from activekd_lab.io.arguments import checked
from activekd_lab.io.files import shown, write_atomic
from activekd_lab.labeling.files import export_rejected, name_of, refuse_photo
from activekd_lab.labeling.formats import Given, format_of, read_answers
from activekd_lab.labeling.journal import REJECT
from activekd_lab.labeling.session import LabelSession
from activekd_lab.labeling.writers import WRITERS, Picture


class Imported(NamedTuple):
    """How many answers were taken from a file, and what was left out or should be known."""

    taken: int
    left_out: LeftOut


class Names:
    """Finds the images that other programs mean: by the path below the folder, or the end of it where that is unique.

    Args:
        names: of the images, as `name_of` gives them; their positions are the ids.
        root: the folder's own name, which may precede them.

    Attributes:
        loose: what was found by the end of a path alone.
    """

    def __init__(self, names: Sequence[str], root: str = "") -> None:
        self._ids = {composed(name): i for i, name in enumerate(names)} | {name: i for i, name in enumerate(names)}
        self._names, self._root, self.loose = names, root, list[str]()
        self._last: dict[str, list[int]] = {}
        for i, name in enumerate(names):
            self._last.setdefault(name.rpartition("/")[2], []).append(i)

    def find(self, given: Given, source: object) -> int | None:
        """Return the id of the image that an answer is for, None where there is none of that name.

        Raises:
            DataError: a name that several images end in.
        """
        if given.image != given.image.strip() and given.image in self._ids:
            return self._ids[given.image]
        text = plain_path(given.image.strip())
        parts = [part for part in PureWindowsPath(text).parts if part.strip("/\\.")]
        below = "/".join(parts[1:] if parts[:1] == [self._root] else parts)
        exact = {self._ids[name] for name in (text, below, composed(below)) if name in self._ids}
        if len(exact) > 1:
            self._refuse(given, source, sorted(exact))
        if exact or not parts:
            return next(iter(exact), None)
        tails = ("/".join(parts[start:]) for start in range(1, len(parts)))
        found = next(([self._ids[tail]] for tail in tails if tail in self._ids), None)
        found = found or self._last.get(parts[-1]) or self._last.get(re.sub(r"^[0-9a-f]{8}-", "", parts[-1]), [])
        if len(found) > 1:
            self._refuse(given, source, found)
        self.loose += [f"{shown(given.image)} = {shown(self._names[i])}" for i in found]
        return found[0] if found else None

    def _refuse(self, given: Given, source: object, found: Sequence[int]) -> NoReturn:
        raise DataError(
            f"{given.where} of {shown(source)} is for {shown(given.image)}, which may be "
            f"{some([shown(self._names[i]) for i in found])}; write the path below the folder."
        )


def composed(name: str) -> str:
    """Return a name with its accents as most programs write them; macOS parts them from their letters."""
    return unicodedata.normalize("NFC", name)


def plain_path(text: str) -> str:
    """Return the path that a URL or a link of Label Studio's local storage leads to; other texts are paths already."""
    if "://" not in text and not text.startswith("/data/"):
        return text
    url = urlsplit(text)
    return parse_qs(url.query).get("d", [unquote(url.path)])[0]


@checked()
def import_answers(session: LabelSession, path: str | Path, *, beyond: bool = False) -> Imported:
    """Answer what a session asks from a file of Label Studio, CVAT or COCO, a table, or another session's folder.

    An answer is for the image of its name; all of them are written, or none is. Left out and counted are images that
    are not in the pool, not asked for, or answered.

    Args:
        session: is answered.
        path: its format is told by its content.
        beyond: take answers for images that nobody asked for, too.

    Raises:
        DataError: an entry that cannot be read, names no class, means several images, or contradicts another.
        FileError: no such file. RunFolderError: the answers cannot be kept.

    Example:
        >>> taken, left_out = akd.labeling.import_answers(session, "from-label-studio.json")
    """
    answers, left_out = read_answers(path, session.task.class_names)
    known = {id: session.task.class_names[y] for id, y in session.labels.items()}
    known |= {answer.id: REJECTED for answer in session.answers if answer.answer == REJECT}
    asked, taken = set(session.asked), dict[int, int | str]()
    for id, given in _by_image(session, answers, path, left_out).items():
        if id in known:
            same = "answered here already" if known[id] == given.label else "answered otherwise here, which stays"
            left_out.add(same, f"{given.image} ({given.label})")
        elif id not in asked and not beyond:
            left_out.add("not asked for now", given.image)
        else:
            taken[id] = given.label
    session.answer_all(taken)
    return Imported(len(taken), left_out)


def _by_image(session: LabelSession, answers: Sequence[Given], path: object, left_out: LeftOut) -> dict[int, Given]:
    """Return the answer for each image of the pool.

    Raises:
        DataError: a class that the session does not have, or two for one image.
    """
    classes = [*session.task.class_names, REJECTED]
    root = session.task.root.name if isinstance(session.task, FolderTask) else ""
    names = Names([name_of(session.task, i) for i in range(len(session.task.train))], root)
    found: dict[int, Given] = {}
    for given in answers:
        if given.label not in classes:
            raise DataError(
                f"{given.where} of {shown(path)} gives {shown(given.image)} the class {given.label!r}, but classes "
                f"are, nearest first, {', '.join(nearest_first(given.label, classes[:-1]))}; mend it, or give that "
                "class too."
            )
        if (id := names.find(given, path)) is None:
            left_out.add("not in the pool", given.image)
            continue
        before = found.setdefault(id, given)
        if before.label != given.label:
            raise DataError(
                f"{before.where} and {given.where} of {shown(path)} give {shown(given.image)} the classes "
                f"{before.label!r} and {given.label!r}; keep one, or list what people disagree on by "
                "`activekd-lab merge`."
            )
    if names.loose:
        left_out.notes.append(f"{len(names.loose)} are known by the end of their path alone ({some(names.loose)}).")
    return found


@checked()
def export_answers(session: LabelSession, path: str | Path, format: str | None = None) -> Path:
    """Write the labels so far, and in formats of other programs what is asked now, for somebody to answer there.

    No format has a word for images of no class, so rejected ones go to a table of their own beside it,
    `labels.rejected.csv` for `labels.csv`, which `import_answers` reads too.

    Args:
        session: whose images are files.
        path: of the file.
        format: "csv" (labels only), "label-studio" (what is asked has the model's guess as a prediction), "cvat" or
            "coco"; None takes CVAT for .xml and CSV else.

    Raises:
        SettingError, UnknownNameError: a format that cannot be told, or unknown. DataError: images without files.
        RunFolderError: a file that cannot be written.
    """
    refuse_photo(path, session.task)
    kind, rejected = format_of(Path(path), format), [a.id for a in session.answers if a.answer == REJECT]
    if kind == "csv":
        session.export_csv(path)
        export_rejected(path, session.task, rejected)
        return Path(path)
    task, labels = session.task, session.labels
    if not isinstance(task, FolderTask):
        raise DataError(f"{task.name!r} has no image files for other programs to show; write a table (format csv).")
    pictures = []
    for id in (*sorted(labels), *session.asked):
        c, probability = session.suggestion(id)
        label = task.class_names[labels[id]] if id in labels else None
        pictures.append(Picture(name_of(task, id), task.files[id], label, (task.class_names[c], probability)))
    text = WRITERS[kind](pictures, task.root.name, task.class_names, session.model_name)
    write_atomic(path, text, "choose another file", kind=RunFolderError)
    export_rejected(path, task, rejected)
    return Path(path)
