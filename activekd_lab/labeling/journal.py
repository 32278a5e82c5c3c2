"""What a labelling session keeps: `answers.csv`, which only ever grows, and `session.json`, which can be spared.

A line of `answers.csv` is one answer, an undo being one too, so that a kill, a full disk or a second session can lose
none that was acknowledged. Answers name images and classes: new photos, more classes and joined tables are no trouble.
"""

from __future__ import annotations

import csv
import io
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from activekd_lab.data.walk import some
from activekd_lab.errors import RunFolderError, SettingError, UnknownNameError
from activekd_lab.io.files import append_whole, damaged, disk, parse_json, read_bytes, read_text, shown, write_atomic
from activekd_lab.io.lock import FileLock
from activekd_lab.io.numbers import named, whole

SKIP, REJECT, UNDONE = "skip", "reject", "undone"
MARKS = {f"({mark})": mark for mark in (SKIP, REJECT, UNDONE)}
_COLUMNS = ("id", "path", "answer", "batch")
_FIELDS = (*_COLUMNS, "bytes")  # how many, and a checksum of some: of another photo of the name. Earlier tables lack it
_ROOM = "nothing was kept; make room, or give the session another folder (folder=, --session)"
_MEND = "mend that line, or remove it"


class Answer(NamedTuple):
    """One answer: the id, a class index or "skip" or "reject", and the batch that asked."""

    id: int
    answer: int | str
    batch: int


class Identity(BaseModel):
    """What a session belongs to; `images` where their paths do not tell which is which."""

    model_config = ConfigDict(strict=True)

    class_names: list[str]
    seed: int
    images: str | None = None


class State(BaseModel):
    """The content of `session.json`: identity, the batch at hand and the images that it still asks for, by name."""

    model_config = ConfigDict(strict=True)

    identity: Identity
    batch: int = Field(ge=0)
    queue: list[str | int]  # ids in folders of an earlier version


class Line(NamedTuple):
    """A line of `answers.csv`: its number, the image, a class or mark, the batch that asked, the file's stamp."""

    number: int
    name: str
    text: str
    batch: int
    stamp: str = ""


class Journal:
    """The files of one session.

    Args:
        folder: made if needed.
        names: the names of the pool's images, by id.
        class_names: C names; an answer is one of them or (skip), (reject), (undone).
        stamp_of: tells an image's file from another, by id (`files.stamp_of`); None where there is none.

    Attributes:
        answers: those that hold, in the order of giving.
        state: of `session.json`, None where there is none.

    Raises:
        RunFolderError: a folder that cannot be made or read; lines that are damaged, contradict each other, name images
            that are gone or no class: each with its number.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        class_names: Sequence[str],
        stamp_of: Callable[[int], str | None] = lambda id: None,
    ) -> None:
        self._stamp_of = stamp_of
        self.folder, self.table, self._state_file = folder, folder / "answers.csv", folder / "session.json"
        self._names, self._classes = names, class_names
        self._ids = {name: i for i, name in enumerate(names)}
        with disk(folder, "written", "give another folder (folder=, --session)", kind=RunFolderError):
            folder.mkdir(parents=True, exist_ok=True)
            there, begun = self.table.exists(), self._state_file.exists()
        if begun and not there:
            raise RunFolderError(
                f"{shown(folder)} has a session.json but no answers.csv any more; bring that file back, or move "
                "session.json away to begin anew."
            )
        self.state = self._read_state() if begun else None
        self._fields: Sequence[str] = _FIELDS
        self._known = self._bytes()
        self.answers: list[Answer] = []
        if self._known:
            self._fold(self._lines())
        else:
            self._rewrite(",".join(_FIELDS) + "\n")

    def add(self, *answers: Answer) -> None:
        """Append answers, each for another image: all are on disk when this returns, or none is.

        Raises:
            RunFolderError: it cannot be written, or somebody else has answered since.
        """
        texts = [self._classes[a.answer] if isinstance(a.answer, int) else f"({a.answer})" for a in answers]
        self._append(answers, texts)
        ids = {a.id for a in answers}
        self.answers = [a for a in self.answers if a.id not in ids]  # a skipped image that came back
        self.answers += answers

    def take_back(self) -> Answer:
        """Append that the last answer is undone, and return it; as `add` else."""
        last = self.answers[-1]
        self._append([last], [f"({UNDONE})"])
        return self.answers.pop()

    def write_state(self, state: State) -> None:
        """Replace `session.json`; the answers do not depend on it.

        Raises:
            RunFolderError: it cannot be written; the answers are kept all the same.
        """
        text, then = state.model_dump_json(indent=1, exclude_none=True), "every answer is kept; make room, and go on"
        with self._alone():
            write_atomic(self._state_file, text, then, kind=RunFolderError, own=True)
        self.state = state

    def _append(self, answers: Sequence[Answer], texts: Sequence[str]) -> None:
        lines = io.StringIO("" if self._known.endswith(b"\n") else "\n")  # the last one may be torn
        lines.seek(0, os.SEEK_END)
        writer = csv.DictWriter(lines, self._fields, restval="", extrasaction="ignore", lineterminator="\n")
        for answer, text in zip(answers, texts, strict=True):
            values = (answer.id, self._names[answer.id], text, answer.batch, self._stamp_of(answer.id))
            writer.writerow(dict(zip(_FIELDS, values, strict=True)))
        with self._alone():
            append_whole(self.table, lines.getvalue(), _ROOM, kind=RunFolderError)
            self._known += lines.getvalue().encode()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other sessions out; refuse to go on where one of them, or an editor, has changed the answers."""
        with disk(self.folder, "written", _ROOM, kind=RunFolderError), FileLock(self.folder / ".lock"):
            if self._bytes() != self._known:
                raise RunFolderError(
                    f"{shown(self.table)} was changed by another session since this one wrote it, so nothing was kept "
                    "here; close one of them, and open the session again."
                )
            yield

    def _bytes(self) -> bytes:
        return read_bytes(self.table, kind=RunFolderError) if self.table.exists() else b""

    def _rewrite(self, text: str) -> None:
        write_atomic(self.table, text, _ROOM, kind=RunFolderError, own=True)
        self._known = text.encode()

    def _read_state(self) -> State:
        then = "mend it, or move it away: the answers stand in answers.csv"
        text = read_text(self._state_file, then, kind=RunFolderError)
        state: State = parse_json(text, self._state_file, then, schema=State, kind=RunFolderError)
        return state

    def _lines(self) -> list[Line]:
        """Read the table; a last line that a power cut left half is left out, and the file as it was is kept too."""
        text = read_text(self.table, _MEND, kind=RunFolderError)
        physical = list(io.StringIO(text, newline=""))
        rows = csv.reader(physical, strict=True)
        found: list[Line] = []
        header: list[str] = []
        while True:
            start = rows.line_num + 1
            try:
                if (row := next(rows, None)) is None:
                    return found
                if not header or {*_COLUMNS[1:]} <= {*row}:  # a second header: two tables were joined
                    header = self._header(row)
                elif row:
                    found.append(self._line(start, header, row))
            except (csv.Error, ValueError) as error:
                if start == len(physical) and not text.endswith("\n"):
                    self._put_aside(text, physical[:-1])
                    return found
                raise RunFolderError(damaged(self.table, error, _MEND, start)) from error

    def _header(self, row: list[str]) -> list[str]:
        if not set(_COLUMNS[1:]) <= set(row) or len({*row}) < len(row):
            raise ValueError(f"expected the columns {','.join(_COLUMNS)}, each once, but got {','.join(row)}")
        self._fields = row
        return row

    def _line(self, number: int, header: list[str], values: list[str]) -> Line:
        if header[-1] == _FIELDS[-1] and len(values) < len(header):  # a line that was added by hand
            header = header[:-1]
        if len(values) != len(header):
            raise ValueError(f"{len(values)} values for {len(header)} columns")
        row = dict(zip(header, values, strict=True))
        text, batch = row["answer"], int(row["batch"])
        stamp = row.get("bytes", "")
        if not 0 <= batch < 1 << 31 or not re.fullmatch(r"(\d+(-[0-9a-f]{8})?)?", stamp):
            raise ValueError(f"batch {batch}, bytes {stamp or 'none'}")
        if text not in self._classes and text not in MARKS:
            raise RunFolderError(
                f"Line {number} of {shown(self.table)} has the answer {text!r} for {shown(row['path'])}, but answers "
                f"are {', '.join(self._classes)}, (skip) or (reject); mend or remove that line, or give that class too."
            )
        return Line(number, row["path"], text, batch, stamp)

    def _put_aside(self, text: str, whole: list[str]) -> None:
        copy = next(p for i in range(1, 10_000) if not (p := self.folder / f"answers.{i}.csv").exists())
        write_atomic(copy, text, _ROOM, kind=RunFolderError)
        self._rewrite("".join(whole) or ",".join(_FIELDS) + "\n")
        warnings.warn(
            f"The last line of {self.table} was cut short, so it is left out; the file as it was is {copy.name}.",
            stacklevel=5,
        )

    def _fold(self, lines: Sequence[Line]) -> None:
        self._refuse_gone([line.name for line in lines if line.name not in self._ids])
        found = standing(lines, self.table)
        stamped = [x for x in found.values() if x.stamp]  # earlier versions wrote the size alone, or nothing
        now = [f"{self._stamp_of(self._ids[line.name])}-" for line in stamped]
        self._tell_changed([x for x, is_ in zip(stamped, now, strict=True) if not is_.startswith(f"{x.stamp}-")])
        for line in found.values():
            answer: int | str = MARKS.get(line.text, "") or self._classes.index(line.text)
            self.answers.append(Answer(self._ids[line.name], answer, line.batch))

    def _tell_changed(self, lines: Sequence[Line]) -> None:
        if lines:
            warnings.warn(
                f"{len(lines)} images are other files than when they were answered "
                f"({some([shown(line.name) for line in lines])}): look at them, and mend their lines in "
                f"{shown(self.table)}; where the answer still fits, empty its bytes.",
                stacklevel=5,
            )

    def _refuse_gone(self, gone: Sequence[str]) -> None:
        if gone:
            raise RunFolderError(
                f"{shown(self.table)} has {len(gone)} answers for images that are not in the pool (any more), or "
                f"cannot be read: {some([*map(shown, gone)])}; put them back, or remove those lines."
            )


def standing(lines: Sequence[Line], table: Path) -> dict[str, Line]:
    """Return the line that holds for each image: an undo takes one back, a put-off image may come back.

    Raises:
        RunFolderError: two answers for an image that do not agree.
    """
    hold: dict[str, Line] = {}
    for line in lines:
        before = hold.get(line.name)
        mark = MARKS.get(line.text)
        if mark == UNDONE:
            hold.pop(line.name, None)
        elif before is None or MARKS.get(before.text) == SKIP:
            hold.pop(line.name, None)  # the order is that of the last word
            hold[line.name] = line
        elif mark != SKIP and line.text != before.text:
            raise RunFolderError(
                f"Lines {before.number} and {line.number} of {shown(table)} give {shown(line.name)} the answers "
                f"{before.text!r} and {line.text!r}; remove one of them."
            )
    return hold


@dataclass(frozen=True)
class Trained:
    """What `train` found.

    Attributes:
        labels: how many were used.
        loss: mean of the last tenth of the steps.
        accuracy: on the test split, None without one.
        remark: where the teacher cannot be told from guessing on these labels, that and what to do; said once.
    """

    labels: int
    loss: float
    accuracy: float | None
    remark: str = ""


def class_index(label: object, names: Sequence[str]) -> int:
    """Return the index of a class by its name, or by an index of any integer type: int, NumPy's, a tensor of one.

    Raises:
        UnknownNameError: a name that is no class. SettingError: an index outside, or no integer, such as True.
    """
    if isinstance(label, str):
        if label not in names:
            raise UnknownNameError("class", label, names)
        return names.index(label)
    if (index := whole(label)) is None:
        raise SettingError(f"The class must be a name or an integer index, but got {named(label)}.")
    if not 0 <= index < len(names):
        raise SettingError(f"The class must lie in 0 … {len(names) - 1}, but got {index}.")
    return index
