"""Doing jobs: a notebook's process each, time-outs, retries, and a file that stops them all."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple, Protocol

from pydantic import BaseModel

from activekd_lab.config import RunConfig
from activekd_lab.course.process import RESULT_FILE, Failure, NotebookProcess
from activekd_lab.device import share_of_cores
from activekd_lab.errors import ActiveKDError, RunFolderError, SettingError
from activekd_lab.io.files import read_json, write_atomic

JOB_FILE, ERROR_FILE = "job.json", "error.json"
SERVER_LOG = "servers.log"  # in the sweep's folder


class JobFile(BaseModel):
    """What job.json holds: what papermill is given, the run that it describes, the code's version, the notebook."""

    parameters: dict[str, Any]
    config: dict[str, Any]
    code: str
    notebook: str


class Order(NamedTuple):
    """One job to do.

    Attributes:
        folder: the job's folder, with its job.json.
        warm: only fill the caches that the job needs.
        stop: a file; once it exists the job is killed.
        timeout: seconds that one try may take, or None.
        retries: further tries after a process died or took too long; an error of the notebook is final.
    """

    folder: str
    warm: bool
    stop: str
    timeout: float | None
    retries: int

    @property
    def name(self) -> str:
        """The job's name."""
        return Path(self.folder).name

    def process(self, at_once: int) -> NotebookProcess:
        """Return a process for this order and later ones, of `at_once` on this machine."""
        return NotebookProcess(Path(self.folder).parents[1] / SERVER_LOG, threads=share_of_cores(at_once))


class JobOutcome(NamedTuple):
    """How a job ended.

    Attributes:
        name: of its folder.
        status: "finished", "failed" or "stopped".
        seconds: of the last try.
        tries: how many.
        error: one line, empty when finished.
    """

    name: str
    status: str
    seconds: float
    tries: int
    error: str


class Workers(Protocol):
    """Where orders are done: processes here, or a Dask cluster."""

    def do(self, orders: Sequence[Order]) -> Iterator[JobOutcome]:
        """Yield outcomes as they come."""

    def close(self) -> None:
        """Stop what runs and let the workers go."""


class LocalWorkers:
    """Processes of this machine, each driven by a thread of this one."""

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise SettingError(f"workers must be 1 or more, but got {workers}.")
        self._count, self._threads = workers, ThreadPoolExecutor(workers)
        self._processes: list[NotebookProcess] = []
        self._idle: SimpleQueue[NotebookProcess] = SimpleQueue()

    def do(self, orders: Sequence[Order]) -> Iterator[JobOutcome]:
        """Yield outcomes as they come."""
        while orders and len(self._processes) < min(self._count, len(orders)):
            self._processes.append(orders[0].process(self._count))
            self._idle.put(self._processes[-1])
        for future in as_completed([self._threads.submit(self._do, order) for order in orders]):
            yield future.result()

    def _do(self, order: Order) -> JobOutcome:
        process = self._idle.get()
        try:
            return do(order, process)
        finally:
            self._idle.put(process)

    def close(self) -> None:
        """Let running jobs end (the stop file ends them at once), and drop the others."""
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            process.close()


def do(order: Order, process: NotebookProcess) -> JobOutcome:
    """Do one order in a process; what went wrong at last is left in error.json."""
    folder, tries, seconds = Path(order.folder), 0, 0.0
    failure: Failure | None = Failure("stopped", lost=True)
    while failure is not None and failure.lost and tries <= order.retries and not Path(order.stop).exists():
        tries, started = tries + 1, time.perf_counter()
        failure = _try(order, folder, process)
        seconds = time.perf_counter() - started
    if failure is None:
        return JobOutcome(order.name, "finished", seconds, tries, "")
    status = "stopped" if failure.error == "stopped" else "failed"
    return JobOutcome(order.name, status, seconds, tries, failure.error)


def _try(order: Order, folder: Path, process: NotebookProcess) -> Failure | None:
    limits: dict[str, Any] = {"timeout": order.timeout, "stopped": Path(order.stop).exists}
    try:
        (folder / ERROR_FILE).unlink(missing_ok=True)
        job = read_json(folder / JOB_FILE, "run the sweep again", schema=JobFile, kind=RunFolderError)
        if order.warm:
            failure = process.prepare(RunConfig(**job.config), folder, **limits)
        else:
            failure = process.execute(folder.parents[1] / job.notebook, folder, job.parameters, **limits)
            if failure is None and not (folder / RESULT_FILE).exists():
                failure = Failure(f"its notebook ended without {RESULT_FILE}")
        if failure is not None:
            write_atomic(folder / ERROR_FILE, json.dumps(failure._asdict(), indent=2))
        return failure
    except (ActiveKDError, OSError) as error:
        return Failure(f"{type(error).__name__}: {error}")
