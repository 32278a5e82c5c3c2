"""Notebooks executed in a process of their own, which imports everything once and then executes one after another.

It reads orders, a line of JSON each, and answers each with a line. Its standard input ends when whoever started it is
gone, in whatever way; it then ends at once, and with it all that it started.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import chdir, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from activekd_lab.config import RunConfig
from activekd_lab.device import calm_threads
from activekd_lab.io.lock import FileLock

RESULT_FILE = "result.json"  # the only sign of success
LOG_FILE, LOCK_FILE = "log.txt", ".lock"  # in the folder of an order
_COMMAND = (sys.executable, "-X", "faulthandler", "-m", "activekd_lab.course.process")
_TICK = 0.2  # seconds between two looks at the clock and at whether to stop
_MOST = 50  # orders; then a fresh process takes over, whatever memory the notebooks left behind
_IDLE = 120.0  # seconds without an order after which the process ends itself; the next order starts another
_PRELOAD = (
    "open_clip", "timm", "pandas", "plotly.graph_objects", "activekd_lab.plots.learning", "activekd_lab.active.begin",
    "activekd_lab.course.engine",
)  # fmt: skip


class Failure(NamedTuple):
    """Why an order was not done.

    Attributes:
        error: one line.
        details: a traceback, or empty.
        lost: the process died or took too long, so another try may succeed; an error of the notebook is final.
    """

    error: str
    details: str = ""
    lost: bool = False


class NotebookProcess:
    """The process, started on first use and again after it ended; for one thread at a time.

    Args:
        log: file to which its output goes between orders.
        threads: of its numerical libraries.
    """

    def __init__(self, log: Path, *, threads: int = 1) -> None:
        self._log, self._threads, self._done = log, threads, 0
        self._process: subprocess.Popen[bytes] | None = None
        self._reader = ThreadPoolExecutor(1)  # pipes cannot be waited for on every system

    def __enter__(self) -> NotebookProcess:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def execute(self, notebook: Path, folder: Path, parameters: Mapping[str, Any], **limits: Any) -> Failure | None:
        """Execute a notebook in a folder by papermill, and return None or what went wrong."""
        return self._do({"folder": str(folder), "notebook": str(notebook), "parameters": dict(parameters)}, **limits)

    def prepare(self, config: RunConfig, folder: Path, **limits: Any) -> Failure | None:
        """Fill the caches that runs of this kind share, with the log in a folder."""
        settings = config.model_dump(mode="json", exclude_unset=True)
        return self._do({"folder": str(folder), "config": settings}, **limits)

    def close(self) -> int | None:
        """End the process with all that it started, and return its exit code."""
        process, self._process, self._done = self._process, None, 0
        if process is None:
            return None
        code = process.poll()
        with suppress(OSError):  # it is gone
            os.killpg(process.pid, signal.SIGKILL) if hasattr(os, "killpg") else process.kill()
        process.wait()
        with suppress(OSError):  # an order that nobody took
            process.stdin.close()  # type: ignore[union-attr]
        self._reader.submit(process.stdout.close)  # type: ignore[union-attr]  # after whoever reads there
        return process.returncode if code is None else code

    def _do(
        self, order: Mapping[str, Any], *, timeout: float | None = None, stopped: Callable[[], bool] = lambda: False
    ) -> Failure | None:
        limit = time.monotonic() + timeout if timeout else float("inf")
        try:
            answer = self._reader.submit(self._ask, self._running(), json.dumps(order))
            while not wait([answer], _TICK).done:
                if stopped():
                    self.close()
                    return Failure("stopped")
                if time.monotonic() > limit:
                    self.close()
                    return Failure(f"it took longer than {timeout:g} s", lost=True)
            found = json.loads(answer.result())
            return found and Failure(*found)
        except (OSError, ValueError):
            code = self.close()
            if code == 0:  # it had been idle for too long just then, and read nothing
                return self._do(order, timeout=timeout, stopped=stopped)
            return Failure(f"its process ended with code {code}; see {LOG_FILE} and {self._log.name}", lost=True)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._done >= _MOST or (self._process is not None and self._process.poll() is not None):
            self.close()
        self._done += 1
        if self._process is None:
            env = {"OMP_NUM_THREADS": str(self._threads), "PLOTLY_RENDERER": "plotly_mimetype"} | os.environ
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    _COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=env, start_new_session=True
                )
        return self._process

    @staticmethod
    def _ask(process: subprocess.Popen[bytes], order: str) -> bytes:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(order.encode() + b"\n")
        process.stdin.flush()
        return process.stdout.readline()


def main() -> None:
    """Serve orders until the input ends."""
    calm_threads()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what others print is no answer
    orders: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_listen, args=(orders,), daemon=True).start()
    for name in _PRELOAD:
        __import__(name)
    with suppress(queue.Empty):
        while True:
            answers.write(json.dumps(_answer(orders.get(timeout=_IDLE))) + "\n")
    os._exit(0)  # the listener still reads


def _listen(orders: queue.Queue[dict[str, Any]]) -> None:
    for line in sys.stdin.buffer:
        orders.put(json.loads(line))
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _answer(order: Mapping[str, Any]) -> Failure | None:
    folder = Path(order["folder"])
    try:
        with _output_to(folder / LOG_FILE), FileLock(folder / LOCK_FILE), chdir(folder):
            _prepare(order["config"]) if "config" in order else _papermill(order["notebook"], order["parameters"])
    except Exception as error:
        name, value = getattr(error, "ename", type(error).__name__), getattr(error, "evalue", str(error))
        return Failure(
            f"{name}: {value}".strip().splitlines()[0], anonymous("".join(traceback.format_exception(error)))
        )
    return None


@contextmanager
def _output_to(path: Path) -> Iterator[None]:
    """Send what this process and its libraries print to a file."""
    before = [os.dup(1), os.dup(2)]
    try:
        with path.open("wb") as log:
            os.dup2(log.fileno(), 1), os.dup2(log.fileno(), 2)
        yield
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        for number, old in zip((1, 2), before, strict=True):
            os.dup2(old, number)
            os.close(old)


def _prepare(settings: Mapping[str, Any]) -> None:
    from activekd_lab.active.prepare import prepare  # noqa: PLC0415  (imports torch)

    prepare(RunConfig(**settings).with_(rounds=0, initial_per_class=1))  # a job that asks too much says so itself


def _papermill(notebook: str, parameters: dict[str, Any]) -> None:
    """Execute a notebook in the working folder; paths in it are relative, so that it can be published."""
    if Path(RESULT_FILE).exists():  # another process did it while this one waited for the lock
        return
    import papermill  # noqa: PLC0415  (slow import)

    from activekd_lab.course import engine  # noqa: PLC0415  (imports IPython)

    papermill.execute_notebook(
        os.path.relpath(notebook), Path(notebook).name, parameters, engine_name=engine.NAME, kernel_name="python3",
        language="python", progress_bar=False,
    )  # fmt: skip


def anonymous(text: str) -> str:
    """Shorten the paths of a traceback to what lies below a folder of packages: it may be published."""
    for folder in sorted({os.path.abspath(p) for p in sys.path if p}, key=len, reverse=True):
        text = text.replace(f'File "{folder}{os.sep}', 'File "')
    return text.replace(str(Path.home()) + os.sep, f"~{os.sep}")


if __name__ == "__main__":
    main()
