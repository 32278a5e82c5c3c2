"""How a run lies on disk: records, labels, predictions. No torch.

A run folder holds `config.json`, `rounds.jsonl`, `labels.csv`, `seconds.json` and `predictions/`; of a task made of
files also `images.csv`, which only people read. Rounds are appended
whole; a label enters `labels.csv` before the round that bought it is recorded. Wall times have a file of their own, so
that two runs of one configuration leave the same bytes in `rounds.jsonl` and `labels.csv`.
"""

from __future__ import annotations

import errno
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from activekd_lab.errors import RunFolderError
from activekd_lab.io.arguments import checked
from activekd_lab.io.files import disk, one_sentence, read_text, shown, write_atomic
from activekd_lab.io.lock import FileLock
from activekd_lab.runs.records import Label, PredictedSplit, RoundRecord, RunResult, prediction_path
from activekd_lab.runs.stored import (
    FORMAT,
    find_runs,
    labels_of,
    load_run,
    load_runs,
    read_header,
    read_labels,
    read_records,
    read_seconds,
)

__all__ = [
    "Label",
    "RoundRecord",
    "RunFolder",
    "RunResult",
    "find_runs",
    "load_run",
    "load_runs",
    "prediction_path",
    "read_labels",
    "read_records",
    "read_seconds",
]

_ROOM = "make room, and the same run continues"
_CONTENT = {
    "task_fingerprint": "images, labels, class names or prompts than the task has now, so its rounds are another's",
    "teacher_fingerprint": "weights than the teacher has now, so its rounds had another teacher",
    "backbone_fingerprint": "weights than the backbone has now, so its students started from others",
}
"""What may change behind the names of a configuration, and what that would mean for a run."""


@checked()
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
        with disk(f"The run folder {shown(folder)}", "written", "choose another store", kind=RunFolderError):
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            if not (folder / "config.json").exists():
                self._start(identity, header)
            _check_same(folder, identity, header)

    def _start(self, identity: Mapping[str, Any], header: Mapping[str, Any]) -> None:
        with self._alone():
            names = [p.name for p in self.path.iterdir() if not p.name.startswith(".")]
            if "config.json" in names:
                return  # another process was quicker
            if names:
                raise RunFolderError(
                    f"The folder {shown(self.path)} holds {shown(names[0])} but no config.json, so it is no run; use "
                    "another store."
                )
            text = json.dumps({"format": FORMAT, "config": identity, **header}, indent=2)
            write_atomic(self.path / "config.json", text, _ROOM, kind=RunFolderError, own=True)

    @cached_property
    def _lock(self) -> FileLock:
        return FileLock(self.path / ".lock", wait=False)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        from filelock import Timeout  # noqa: PLC0415  (only who writes needs it)

        with ExitStack() as stack:
            try:
                stack.enter_context(self._lock)
            except Timeout:
                raise RunFolderError(
                    f"The run in {self.path} is being written already, by another process or by an iteration that was "
                    "left unfinished in this one; end that first, or choose another store."
                ) from None
            except OSError as error:
                raise RunFolderError(one_sentence(error, self.path, "written", _ROOM)) from error
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
        return read_records(self.path, len(read_header(self.path).class_names))

    def labels(self) -> list[Label]:
        """Return the labels bought so far."""
        return read_labels(self.path)

    @checked()
    def labels_of(self, records: Sequence[RoundRecord]) -> list[Label]:
        """Return the labels that finished rounds started from and bought; those of an unfinished round are left out.

        Raises:
            RunFolderError: labels.csv does not hold what the records say.
        """
        return labels_of(self.path, self.labels(), records)

    @checked()
    def append(self, record: RoundRecord) -> None:
        """Append a finished round: written whole and flushed to disk, or not at all.

        Raises:
            RunFolderError: it is not the next round.
        """
        path = self.path / "rounds.jsonl"
        text = read_text(path, kind=RunFolderError) if path.exists() else ""
        if text.count("\n") != record.round:
            raise RunFolderError(_moved_on(self.path, text.count("\n"), record.round))
        seconds = read_seconds(self.path) | {str(record.round): dict(record.seconds)}
        write_atomic(self.path / "seconds.json", json.dumps(seconds), _ROOM, kind=RunFolderError, own=True)
        write_atomic(path, text + record.to_json() + "\n", _ROOM, kind=RunFolderError, own=True)

    @checked()
    def write_labels(self, labels: Iterable[Label]) -> None:
        """Replace labels.csv."""
        rows = [f"{label.id},{label.label},{label.round},{label.source}" for label in labels]
        text = "\n".join(["id,label,round,source", *rows]) + "\n"
        write_atomic(self.path / "labels.csv", text, _ROOM, kind=RunFolderError, own=True)

    @checked()
    def write_images(self, text: str) -> None:
        """Replace images.csv."""
        write_atomic(self.path / "images.csv", text, _ROOM, kind=RunFolderError, own=True)

    @checked()
    def write_predictions(
        self, round_index: int, probabilities: np.ndarray[Any, Any], split: PredictedSplit = "train"
    ) -> None:
        """Store a round's probabilities of the pool, or of the test split, as float16."""
        stored, header = np.ascontiguousarray(probabilities, dtype=np.float16), io.BytesIO()
        np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(stored))
        content: list[bytes | memoryview] = [header.getvalue(), stored.reshape(-1).view(np.uint8).data]
        write_atomic(prediction_path(self.path, round_index, split), content, _ROOM, kind=RunFolderError, own=True)


def _check_same(folder: Path, identity: Mapping[str, Any], header: Mapping[str, Any]) -> None:
    there = read_header(folder)
    stored = there.config
    differing = sorted(k for k in {*stored, *identity} if stored.get(k) != identity.get(k))
    if differing:
        name = differing[0]
        raise RunFolderError(
            f"{folder} belongs to another configuration ({name}={stored.get(name)!r} there, {identity.get(name)!r} "
            "here); nothing was changed. Choose another store."
        )
    for key, what in _CONTENT.items():
        before, now = getattr(there, key), header.get(key)
        if None not in (before, now) and before != now:  # folders of earlier versions have none
            raise RunFolderError(
                f"The run in {folder} was begun on other {what}; nothing was changed. Bring those back, or choose "
                "another store to start again."
            )


def _moved_on(folder: Path, found: int, known: int) -> str:
    return (
        f"The run in {folder} holds {found} finished rounds, not the {known} that it is to be continued from, so "
        "somebody else has written there; open it again."
    )
