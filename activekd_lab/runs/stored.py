"""What lies in a run folder, read and checked: each file by its schema, each fault a sentence. No torch."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from activekd_lab.errors import FileError, RunFolderError
from activekd_lab.io.arguments import checked, unchecked
from activekd_lab.io.files import damaged, disk, fitted, one_sentence, read_bytes, read_json, read_text, shown
from activekd_lab.runs.guessing import Guessed
from activekd_lab.runs.records import Label, RoundRecord, RunResult, without_copies

FORMAT, _MOST = 1, 1 << 62
SOURCES = ("initial", "selector", "validation")
_DELETE = "delete the folder to start again"
_as_read = unchecked(Label)  # a study's folder has hundreds of thousands


@checked()
def find_runs(places: Iterable[Path]) -> list[Path]:
    """Return the run folders among `places` and below them, at any depth, sorted.

    Raises:
        RunFolderError: a place that neither is a run folder nor holds one.
    """
    found: set[Path] = set()
    for place in places:
        runs = set(_below(place))
        if not runs:
            raise RunFolderError(
                f"{shown(place)} is no run folder and holds none: there is no config.json there or below."
            )
        found |= runs
    return sorted(found)


def _below(place: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise RunFolderError(one_sentence(error, error.filename or place, "read", "mend it or leave it out")) from error

    for folder, inside, files in os.walk(place, onerror=refuse):
        if "config.json" in files:
            inside.clear()  # a run holds no other run
            yield Path(folder)


def load_runs(places: Iterable[Path]) -> tuple[list[RunResult], list[str]]:
    """Read all runs in and below `places`; return them, and a sentence for each that cannot be read or is a copy.

    Raises:
        RunFolderError: a place without runs, or none that can be read.
    """
    results, left_out = [], []
    for folder in find_runs(places):
        try:
            results.append(load_run(folder))
        except RunFolderError as error:
            left_out.append(str(error))
    if not results:
        rest = f" So it is with {len(left_out) - 1} more." * (len(left_out) > 1)
        raise RunFolderError(f"No run can be read: {left_out[0]}{rest}")
    results, copies = without_copies(results)
    return results, left_out + copies


@checked()
def load_run(folder: str | Path) -> RunResult:
    """Read a run folder back.

    Raises:
        RunFolderError: not a run folder, written by a newer version, or damaged.
    """
    folder = Path(folder)
    header = read_header(folder)
    config = fitted(header.config, _Config, folder / "config.json", _DELETE, kind=RunFolderError)
    records = read_records(folder, len(header.class_names), config.rounds)
    labels = read_labels(folder, len(header.class_names))
    return RunResult(
        config=header.config,
        records=tuple(records),
        labels=tuple(labels_of(folder, labels, records)),
        teacher_accuracy=header.teacher_accuracy,
        class_names=tuple(header.class_names),
        teacher_start=None if header.teacher_start is None else Guessed(**header.teacher_start.model_dump()),
        folder=folder,
        provenance=header.provenance,
        content={name: getattr(header, f"{name}_fingerprint") for name in ("task", "teacher", "backbone")},
    )


def read_records(folder: Path, classes: int | None = None, last: int | None = None) -> list[RoundRecord]:
    """Read rounds.jsonl, refusing a truncated or reordered file, and rounds that do not follow from one another.

    Args:
        folder: the run's.
        classes: C; None takes that of the first round.
        last: the number of the last round, where it is known.
    """
    path = folder / "rounds.jsonl"
    if not path.exists():
        return []
    records: list[RoundRecord] = []
    seconds = read_seconds(folder)
    text = read_bytes(path, kind=RunFolderError).decode("utf-8", "replace")  # of a damaged file no line is a record
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            record = RoundRecord.from_json(line)
            classes = len(record.class_accuracy) if classes is None else classes
            _refuse_misfit(record, records, classes, last)
        except (ValueError, RecursionError) as error:
            raise RunFolderError(_damaged(path, number, error)) from error
        records.append(replace(record, seconds=seconds.get(str(record.round), {})))
    if text and not text.endswith("\n"):
        raise RunFolderError(_damaged(path, len(records), "it has no end"))
    return records


def _refuse_misfit(record: RoundRecord, before: list[RoundRecord], classes: int, last: int | None) -> None:
    """Raise ValueError, with the reason, for a round that cannot come after those before it."""
    if record.round != len(before) or (last is not None and record.round > last):
        raise ValueError(f"round is {record.round}, which is not the next")
    if len(record.class_accuracy) != classes:
        raise ValueError(f"class_accuracy is of {len(record.class_accuracy)} classes, but there are {classes}")
    if before and not before[-1].labels < record.labels == before[-1].labels + len(before[-1].picks):
        raise ValueError(
            f"labels is {record.labels}, but the round before has {before[-1].labels} and picks {len(before[-1].picks)}"
        )


def _damaged(path: Path, number: int, why: object) -> str:
    return (
        f"Line {number} of {path} is damaged or cut short; nothing was changed ({shown(why)}). "
        "Delete that line and all after it to resume from there, or delete the folder to start again."
    )


def read_seconds(folder: Path) -> dict[str, dict[str, float]]:
    """Read the wall times of each round; they are a convenience, so a missing or damaged file is an empty answer."""
    try:
        found = read_json(folder / "seconds.json")
    except FileError:
        return {}
    rounds = found.items() if isinstance(found, dict) else ()
    return {key: times for key, times in rounds if isinstance(times, dict) and all(map(_is_time, times.values()))}


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12


def labels_of(folder: Path, labels: Sequence[Label], records: Sequence[RoundRecord]) -> list[Label]:
    """Return the labels that finished rounds started from and bought; those of an unfinished round are left out.

    Raises:
        RunFolderError: they are not what the records say.
    """
    labels = [label for label in labels if label.round <= len(records)]
    picked = [(i, record.round + 1) for record in records for i in record.picks]
    spent = records[0].labels + len(picked) if records else len(labels)
    bought = [(label.id, label.round) for label in labels if label.source == "selector"]
    start = {label.round for label in labels if label.source != "selector"}
    if bought != picked or len(labels) != spent or start - {0}:
        raise RunFolderError(
            f"{shown(folder / 'labels.csv')} does not hold the {spent} labels that rounds.jsonl says were bought; "
            "nothing was changed. Bring that file back, or delete the folder to start again."
        )
    return labels


def read_labels(folder: Path, classes: int = _MOST) -> list[Label]:
    """Read labels.csv of a run with so many classes."""
    path = folder / "labels.csv"
    if not path.exists():
        return []
    rows = csv.reader(io.StringIO(read_text(path, _DELETE, kind=RunFolderError), newline=""), strict=True)
    try:
        header = next(rows, [])
        if sorted(header) != ["id", "label", "round", "source"]:
            raise ValueError("the columns are not id,label,round,source")
        column = [header.index(name) for name in ("id", "label", "round", "source")]
        found: dict[int, Label] = {}
        for row in filter(None, rows):
            label = _label(*(row[i] for i in column))
            if label.label >= classes or label.id in found:
                raise ValueError(
                    f"class {label.label} of {classes}" if label.label >= classes else f"id {label.id} again"
                )
            found[label.id] = label
        return list(found.values())
    except (IndexError, ValueError, csv.Error) as error:
        raise RunFolderError(damaged(path, error, _DELETE, max(1, rows.line_num))) from error


def _label(id: str, label: str, round: str, source: str) -> Label:
    if source not in SOURCES:
        raise ValueError(f"source {source!r}")
    numbers = int(id), int(label), int(round)
    if min(numbers) < 0 or max(numbers) >= _MOST:
        raise ValueError(f"a number outside 0 … 2^62 in {[id, label, round]}")
    return _as_read(*numbers, source)


class _Start(BaseModel):
    model_config = ConfigDict(strict=True)

    right: int = Field(ge=0)
    labels: int = Field(ge=0, lt=1 << 53)
    chance: float = Field(gt=0, le=1)


class Header(BaseModel):
    """What config.json holds; `config` are the settings of any run, or of anything that writes this form."""

    model_config = ConfigDict(strict=True, extra="allow")

    config: dict[str, Any]
    teacher_accuracy: float | None = Field(ge=0, le=1)
    class_names: list[str] = Field(min_length=1)
    teacher_start: _Start | None = None
    provenance: dict[str, Any] = {}
    task_fingerprint: str | None = None
    teacher_fingerprint: str | None = None
    backbone_fingerprint: str | None = None


class _Config(BaseModel):
    """The settings that tables and plots of stored runs read."""

    model_config = ConfigDict(strict=True, extra="allow")

    task: str
    selector: str
    method: str
    seed: int = Field(ge=0)
    rounds: int = Field(ge=0)
    teacher: str
    task_options: dict[str, Any] = {}


def read_header(folder: Path) -> Header:
    """Read config.json, refusing what is not of this format."""
    path = folder / "config.json"
    with disk(folder, "read", "give a run folder", kind=RunFolderError):
        if not path.exists():
            raise RunFolderError(f"{shown(folder)} is not a run folder: it has no config.json.")
    header = read_json(path, _DELETE, kind=RunFolderError)
    stored = header.get("format", 0) if isinstance(header, dict) else 0
    stored = stored if isinstance(stored, int) else 0
    if stored > FORMAT:
        raise RunFolderError(
            f"{folder} was written by a newer activekd_lab; update this one (pip install -U activekd_lab)."
        )
    whole = stored == FORMAT and {"config", "teacher_accuracy", "class_names"} <= header.keys()
    if not whole or not isinstance(header["config"], dict):
        raise RunFolderError(
            f"{folder} is no run of this format ({FORMAT}): an older activekd_lab or another program wrote its "
            "config.json. Run it again in another store, or leave the folder out."
        )
    return fitted(header, Header, path, _DELETE, kind=RunFolderError)
