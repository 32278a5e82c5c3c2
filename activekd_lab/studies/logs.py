"""What a sweep remembers: how every try ended, and what jobs of a kind took, for the next estimate."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from activekd_lab.config import RunConfig
from activekd_lab.data.store import cache_dir
from activekd_lab.errors import RunFolderError
from activekd_lab.io.files import disk, parse_json, read_text, there, write_atomic
from activekd_lab.io.lock import FileLock
from activekd_lab.studies.workers import JobOutcome

_LOG = "log.jsonl"  # in the sweep's folder
_TIMES, _MOST_TIMES = "job-times.jsonl", 2000  # in the cache
_COST = ("task", "task_options", "teacher", "few_shot", "method", "backbone", "image_size", "rounds", "steps", "epochs")


class _Try(BaseModel):
    """A line of log.jsonl: a `JobOutcome` and when it came."""

    name: str
    status: str
    seconds: float
    tries: int
    error: str
    ended: float


class _Time(BaseModel):
    """A line of job-times.jsonl."""

    kind: str
    seconds: float


Line = TypeVar("Line", bound=BaseModel)


def note(out: Path, outcome: JobOutcome) -> None:
    """Log how a job ended."""
    _append(out / _LOG, _Try, outcome._asdict() | {"ended": round(time.time(), 1)})


def last_errors(out: Path) -> dict[str, str]:
    """Return the last line of the error of every job whose last try failed."""
    found = {entry.name: entry.error for entry in _lines(out / _LOG, _Try)}
    return {name: error for name, error in found.items() if error}


def kind(config: RunConfig) -> str:
    """Return the settings that a job's time depends on."""
    values = config.model_dump(mode="json")
    return json.dumps([values[name] for name in _COST], sort_keys=True)


def remember(config: RunConfig, seconds: float) -> None:
    """Keep what a job of this kind took."""
    entry = {"kind": kind(config), "seconds": round(seconds, 1)}
    lock = FileLock(cache_dir() / f".{_TIMES}")  # other sweeps keep theirs there
    with disk(cache_dir(), "written", "make room", kind=RunFolderError), lock:
        _append(cache_dir() / _TIMES, _Time, entry, most=_MOST_TIMES)


def _append(path: Path, schema: type[BaseModel], entry: Mapping[str, Any], most: int | None = None) -> None:
    """Write a log again, whole, with one more line; of all lines the last `most` are kept."""
    lines = [*(line.model_dump_json() for line in _lines(path, schema)), schema(**entry).model_dump_json()]
    write_atomic(path, "".join(f"{line}\n" for line in lines[-(most or 0) :]), "make room", kind=RunFolderError)


def earlier_times() -> dict[str, list[float]]:
    """Return the seconds of earlier jobs, by their kind."""
    found: dict[str, list[float]] = {}
    for entry in _lines(cache_dir() / _TIMES, _Time):
        found.setdefault(entry.kind, []).append(entry.seconds)
    return found


def _lines(path: Path, schema: type[Line]) -> list[Line]:
    """Return the lines of a log, each checked."""
    if not there(path, kind=RunFolderError):
        return []
    lines = read_text(path, "remove it", kind=RunFolderError).splitlines()
    return [
        parse_json(line, path, "remove it", schema=schema, kind=RunFolderError, line=number)
        for number, line in enumerate(lines, start=1)
    ]
