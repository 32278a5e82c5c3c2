"""How a run lies on disk: records, labels, predictions. No torch.

A run folder holds `config.json`, `rounds.jsonl`, `labels.csv`, `seconds.json` and `predictions/`. Rounds are appended
whole; a label enters `labels.csv` before the round that bought it is recorded. Wall times have a file of their own, so
that two runs of one configuration leave the same bytes in `rounds.jsonl` and `labels.csv`.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from activekd_lab.errors import RunFolderError
from activekd_lab.records import Label, RoundRecord, RunResult, prediction_path

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = [
    "Label",
    "RoundRecord",
    "RunFolder",
    "RunResult",
    "find_runs",
    "load_run",
    "prediction_path",
    "read_labels",
    "read_records",
    "read_seconds",
    "write_atomic",
]

FORMAT = 1
SOURCES = ("initial", "selector", "validation")
_CONTENT = {
    "task_fingerprint": "images, labels or class names than the task has now, so its ids stand for other images",
    "teacher_fingerprint": "weights than the teacher has now, so its rounds had another teacher",
    "backbone_fingerprint": "weights than the backbone has now, so its students started from others",
}
"""What may change behind the names of a configuration, and what that would mean for a run."""


class RunFolder:
    """The files of one run. Creating it checks that the folder is new or belongs to the same configuration.

    Args:
        folder: `runs/<name>-<hash>`, made if needed.
        identity: the settings that must agree (`RunConfig.identity()`).
        header: everything else that goes into config.json when the folder is new; its fingerprints of task, teacher and
            backbone, where both have one, must agree too.

    Raises:
        RunFolderError: not writable, damaged, written by another configuration, on another task's content, with other
            weights, or by a newer version.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], header: Mapping[str, Any]) -> None:
        self.path = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                raise PermissionError(13, "Permission denied")
            if not (folder / "config.json").exists():
                self._start(identity, header)
            _check_same(folder, identity, header)
        except OSError as error:
            if isinstance(error, RunFolderError):
                raise
            reason = error.strerror or error
            raise RunFolderError(
                f"The run folder {folder} cannot be written ({reason}); choose another store."
            ) from error

    def _start(self, identity: Mapping[str, Any], header: Mapping[str, Any]) -> None:
        with self._alone():
            names = [p.name for p in self.path.iterdir() if not p.name.startswith(".")]
            if "config.json" in names:
                return  # another process was quicker
            if names:
                raise RunFolderError(
                    f"The folder {self.path} holds {names[0]} but no config.json, so it is no run; use another store."
                )
            text = json.dumps({"format": FORMAT, "config": identity, **header}, indent=2)
            write_atomic(self.path / "config.json", text)

    @cached_property
    def _lock(self) -> BaseFileLock:
        from filelock import FileLock  # noqa: PLC0415  (only who writes needs it)

        return FileLock(self.path / ".lock", thread_local=False)  # a widget's run may end in another thread

    @contextmanager
    def _alone(self) -> Iterator[None]:
        from filelock import Timeout  # noqa: PLC0415

        try:
            held = self._lock.acquire(timeout=0)
        except Timeout:
            raise RunFolderError(
                f"The run in {self.path} is being written already, by another process or by an iteration that was left "
                "unfinished in this one; end that first, or choose another store."
            ) from None
        with held:
            yield

    @contextmanager
    def writing(self, rounds: int) -> Iterator[None]:
        """Keep other writers out of the folder; they are refused, not kept waiting. Readers need no lock.

        Args:
            rounds: how many finished rounds the caller has read and continues from.

        Raises:
            RunFolderError: somebody else writes the run, or has written rounds since.
        """
        with self._alone():
            if (found := len(self.records())) != rounds:
                raise RunFolderError(_moved_on(self.path, found, rounds))
            yield

    def records(self) -> list[RoundRecord]:
        """Return the finished rounds."""
        return read_records(self.path)

    def labels(self) -> list[Label]:
        """Return the labels bought so far."""
        return read_labels(self.path)

    def labels_of(self, records: Sequence[RoundRecord]) -> list[Label]:
        """Return the labels that finished rounds started from and bought; those of an unfinished round are left out.

        Raises:
            RunFolderError: labels.csv does not hold what the records say.
        """
        labels = [label for label in self.labels() if label.round <= len(records)]
        picked = [i for record in records for i in record.picks]
        spent = records[0].labels + len(picked) if records else len(labels)
        if [label.id for label in labels if label.source == "selector"] != picked or len(labels) != spent:
            raise RunFolderError(
                f"{self.path / 'labels.csv'} does not hold the {spent} labels that rounds.jsonl says were bought; "
                "nothing was changed. Bring that file back, or delete the folder to start again."
            )
        return labels

    def append(self, record: RoundRecord) -> None:
        """Append a finished round: written whole and flushed to disk, or not at all.

        Raises:
            RunFolderError: it is not the next round.
        """
        path = self.path / "rounds.jsonl"
        text = path.read_text() if path.exists() else ""
        if text.count("\n") != record.round:
            raise RunFolderError(_moved_on(self.path, text.count("\n"), record.round))
        seconds = read_seconds(self.path) | {str(record.round): dict(record.seconds)}
        write_atomic(self.path / "seconds.json", json.dumps(seconds))
        write_atomic(path, text + record.to_json() + "\n")

    def write_labels(self, labels: Iterable[Label]) -> None:
        """Replace labels.csv."""
        rows = [f"{label.id},{label.label},{label.round},{label.source}" for label in labels]
        write_atomic(self.path / "labels.csv", "\n".join(["id,label,round,source", *rows]) + "\n")

    def write_predictions(self, round_index: int, probabilities: np.ndarray[Any, Any]) -> None:
        """Store a round's pool probabilities as float16."""
        path = prediction_path(self.path, round_index)
        path.parent.mkdir(exist_ok=True)
        temporary = path.with_suffix(".tmp.npy")
        np.save(temporary, probabilities.astype(np.float16))
        os.replace(temporary, path)


def find_runs(places: Iterable[Path]) -> list[Path]:
    """Return the run folders among `places` and below them, at any depth, sorted.

    Raises:
        RunFolderError: a place that neither is a run folder nor holds one.
    """
    found: set[Path] = set()
    for place in places:
        runs = set(_below(place))
        if not runs:
            raise RunFolderError(f"{place} is no run folder and holds none: there is no config.json there or below.")
        found |= runs
    return sorted(found)


def _below(place: Path) -> Iterator[Path]:
    for folder, inside, files in os.walk(place):
        if "config.json" in files:
            inside.clear()  # a run holds no other run
            yield Path(folder)


def load_run(folder: str | Path) -> RunResult:
    """Read a run folder back.

    Raises:
        RunFolderError: not a run folder, written by a newer version, or damaged.
    """
    folder = Path(folder)
    header = _read_header(folder)
    return RunResult(
        config=header["config"],
        records=tuple(read_records(folder)),
        labels=tuple(read_labels(folder)),
        teacher_accuracy=header["teacher_accuracy"],
        class_names=tuple(header["class_names"]),
        folder=folder,
        provenance=header.get("provenance", {}),
    )


def read_records(folder: Path) -> list[RoundRecord]:
    """Read rounds.jsonl, refusing a truncated or reordered file."""
    path = folder / "rounds.jsonl"
    if not path.exists():
        return []
    records: list[RoundRecord] = []
    seconds = read_seconds(folder)
    text = path.read_text("utf-8", errors="replace")  # of a damaged file no line is a record then
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            record = RoundRecord.from_json(line)
        except ValueError as error:
            raise RunFolderError(_damaged(path, number)) from error
        if record.round != len(records):
            raise RunFolderError(_damaged(path, number))
        records.append(replace(record, seconds=seconds.get(str(record.round), {})))
    if text and not text.endswith("\n"):
        raise RunFolderError(_damaged(path, len(records)))
    return records


def _damaged(path: Path, number: int) -> str:
    return (
        f"Line {number} of {path} is damaged or cut short; nothing was changed. "
        "Delete that line and all after it to resume from there, or delete the folder to start again."
    )


def _moved_on(folder: Path, found: int, known: int) -> str:
    return (
        f"The run in {folder} holds {found} finished rounds, not the {known} that it is to be continued from, so "
        "somebody else has written there; open it again."
    )


def read_seconds(folder: Path) -> dict[str, dict[str, float]]:
    """Read the wall times of each round; they are a convenience, so a missing or damaged file is an empty answer."""
    try:
        found = json.loads((folder / "seconds.json").read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def read_labels(folder: Path) -> list[Label]:
    """Read labels.csv."""
    path = folder / "labels.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        try:
            return [_label(row) for row in csv.DictReader(file, strict=True)]
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            raise RunFolderError(f"{path} is damaged ({error}); delete the folder to start again.") from error


def _label(row: Mapping[str, str]) -> Label:
    if row["source"] not in SOURCES:
        raise ValueError(f"source {row['source']!r}")
    return Label(int(row["id"]), int(row["label"]), int(row["round"]), row["source"])


def _read_header(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        header: Any = json.loads(path.read_text())
    except FileNotFoundError:
        raise RunFolderError(f"{folder} is not a run folder: it has no config.json.") from None
    except ValueError as error:
        raise RunFolderError(f"{path} is damaged ({error}); delete the folder to start again.") from error
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
    checked: dict[str, Any] = header
    return checked


def _check_same(folder: Path, identity: Mapping[str, Any], header: Mapping[str, Any]) -> None:
    there = _read_header(folder)
    stored = there["config"]
    differing = sorted(k for k in {*stored, *identity} if stored.get(k) != identity.get(k))
    if differing:
        name = differing[0]
        raise RunFolderError(
            f"{folder} belongs to another configuration ({name}={stored.get(name)!r} there, {identity.get(name)!r} "
            "here); nothing was changed. Choose another store."
        )
    for key, what in _CONTENT.items():
        before, now = (h.get(key) for h in (there, header))
        if None not in (before, now) and before != now:  # folders of earlier versions have none
            raise RunFolderError(
                f"The run in {folder} was begun on other {what}; nothing was changed. Bring those back, or choose "
                "another store to start again."
            )


def write_atomic(path: Path, text: str) -> None:
    """Write a small text file whole: to a temporary name, to disk, then renamed."""
    temporary = path.with_name(f".{path.name}.tmp")  # hidden: one that a kill left makes no folder a stranger's
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
