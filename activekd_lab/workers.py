"""Doing jobs from outside: one server process a worker thread, time-outs, retries, and a file that stops them all."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from activekd_lab.errors import SettingError
from activekd_lab.job import ERROR_FILE
from activekd_lab.notebooks import RESULT_FILE

SERVER_LOG = "servers.log"  # in the sweep's folder
_TICK = 0.2  # seconds between two looks at the clock and the stop file
_LOST = ("DeadKernelError", "Timeout")  # the kernel died or never answered: worth another try


class Order(NamedTuple):
    """One job to do.

    Attributes:
        folder: the job's folder, with its job.json.
        warm: only fill the caches that the job needs.
        stop: a file; once it exists the job is killed.
        timeout: seconds that one try may take, or None.
        retries: further tries after a process died or took too long; an error of the notebook is final.
        threads: of the job's numerical libraries; whoever does the order knows the machine and says how many.
    """

    folder: str
    warm: bool
    stop: str
    timeout: float | None
    retries: int
    threads: int = 1


class Outcome(NamedTuple):
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


class Pool(Protocol):
    """Where orders are done: threads here, or a Dask cluster."""

    def do(self, orders: Sequence[Order]) -> Iterator[Outcome]:
        """Yield outcomes as they come."""

    def close(self) -> None:
        """Stop what runs and let the workers go."""


class LocalPool:
    """Worker threads of this process, each with a server process of its own."""

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise SettingError(f"workers must be 1 or more, but got {workers}.")
        self._threads, self._share = ThreadPoolExecutor(workers), share_of_cores(workers)

    def do(self, orders: Sequence[Order]) -> Iterator[Outcome]:
        """Yield outcomes as they come."""
        futures = [self._threads.submit(do, order._replace(threads=self._share)) for order in orders]
        for future in as_completed(futures):
            yield future.result()

    def close(self) -> None:
        """Let running jobs end (the stop file ends them at once), and drop the others."""
        self._threads.shutdown(cancel_futures=True)
        close_servers()


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_of_cores(jobs: int) -> int:
    """Return the threads of each of so many jobs at once on this machine."""
    return max(1, cores() // jobs)


def do(order: Order) -> Outcome:
    """Do one order in this thread, in processes of its own."""
    folder, started, tries, error = Path(order.folder), 0.0, 0, ""
    while tries <= order.retries:
        if Path(order.stop).exists():
            return Outcome(folder.name, "stopped", 0.0, tries, "stopped")
        tries, started = tries + 1, time.perf_counter()
        (folder / ERROR_FILE).unlink(missing_ok=True)
        code = _my_server(order).do(order)
        seconds = time.perf_counter() - started
        if code == 0 and (order.warm or (folder / RESULT_FILE).exists()):
            return Outcome(folder.name, "finished", seconds, tries, "")
        error, again = _why(folder, code, order)
        if error == "stopped" or not again:
            return Outcome(folder.name, "stopped" if error == "stopped" else "failed", seconds, tries, error)
    return Outcome(folder.name, "failed", time.perf_counter() - started, tries, error)


def _why(folder: Path, code: int | str, order: Order) -> tuple[str, bool]:
    """Return why a try did not finish, in one line, and whether another one may."""
    if isinstance(code, str):
        return code, code != "stopped"
    try:
        found = json.loads((folder / ERROR_FILE).read_text("utf-8"))
        return str(found["error"]), found["kind"] in _LOST or "Kernel died" in found["error"]
    except (OSError, ValueError):
        return f"its process ended with code {code} and left no error; see {folder.name}/log.txt", True


class _Server:
    """A process of `activekd_lab.job`, started on first use and again after it was killed."""

    def __init__(self, order: Order) -> None:
        self.process = self._start(order)

    @staticmethod
    def _start(order: Order) -> subprocess.Popen[bytes]:
        env = {"OMP_NUM_THREADS": str(order.threads), "PYDEVD_DISABLE_FILE_VALIDATION": "1"} | os.environ
        with (Path(order.folder).parents[1] / SERVER_LOG).open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "activekd_lab.job"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                env=env, start_new_session=True,
            )  # fmt: skip

    def do(self, order: Order) -> int | str:
        """Return the job's exit code, or in words why it was ended."""
        if self.process.poll() is not None:
            self.process = self._start(order)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        line = json.dumps({"folder": order.folder, "warm": order.warm}) + "\n"
        limit = time.monotonic() + order.timeout if order.timeout else None
        try:
            self.process.stdin.write(line.encode())
            self.process.stdin.flush()
            while not self._readable():
                if Path(order.stop).exists():
                    return self._end("stopped")
                if limit is not None and time.monotonic() > limit:
                    return self._end(f"it took longer than {order.timeout:g} s")
            return int(json.loads(self.process.stdout.readline())["code"])
        except (OSError, ValueError):
            return self._end(f"its server process was killed, or could not start; see {SERVER_LOG}")

    def _readable(self) -> bool:
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)  # type: ignore[arg-type]
            return bool(selector.select(_TICK))

    def _end(self, why: str) -> str:
        self.close()
        return why

    def close(self) -> None:
        """Close its input, upon which it kills its job and exits."""
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):  # it is gone already
                pipe.close()  # type: ignore[union-attr]
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


_mine = threading.local()
_servers: list[_Server] = []


def _my_server(order: Order) -> _Server:
    """Return this thread's server."""
    if not hasattr(_mine, "server"):
        _mine.server = _Server(order)
        _servers.append(_mine.server)
    server: _Server = _mine.server
    return server


def close_servers() -> None:
    """End every server that this process started."""
    while _servers:
        _servers.pop().close()
