"""The processes of a job: a server that imports everything once, a fork of it for each job, and the job's own kernel.

Imports take seconds and a fork milliseconds, so a job costs little more than its run. The server reads one line of JSON
a job from its standard input and answers with one; when its input ends, because the sweep ended or was killed, it kills
what it started. Processes are forked while no thread and no event loop of ours runs.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from activekd_lab.results import write_atomic

JOB_FILE, ERROR_FILE, LOG_FILE, LOCK_FILE = "job.json", "error.json", "log.txt", ".lock"
_FORKS = sys.platform == "linux"  # elsewhere libraries do not all survive a fork; there a job imports for itself
_PRELOAD = ("papermill", "ipykernel.kernelapp", "activekd_lab.loop", "activekd_lab.notebooks", "activekd_lab.grid",
            "open_clip", "timm", "plotly.graph_objects", "pandas", "activekd_lab.plots.learning")  # fmt: skip


def main() -> None:
    """Serve jobs, or with a folder as argument do that one."""
    if len(sys.argv) > 1:
        sys.exit(_job(Path(sys.argv[1]), warm="--warm" in sys.argv))
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what imports print is no answer
    if _FORKS:
        for name in _PRELOAD:
            __import__(name)
    while line := sys.stdin.buffer.readline():
        order = json.loads(line)
        process = _start(Path(order["folder"]), warm=order["warm"])
        answers.write(json.dumps({"code": _watch(process)}) + "\n")


def _start(folder: Path, *, warm: bool) -> int:
    """Start a job in a session of its own, its output in the folder's log, and return its process id."""
    with (folder / LOG_FILE).open("wb") as log:
        if not _FORKS:
            command = [sys.executable, "-m", "activekd_lab.job", str(folder), *["--warm"] * warm]
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            ).pid
        process = os.fork()
        if process:
            return process
        _become_job(log.fileno())
    _leave(lambda: _job(folder, warm=warm))


def _become_job(log: int) -> None:
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)


def _leave(work: Any) -> NoReturn:
    """Do the work of a forked process and end it without running the handlers of the server."""
    code = 1
    try:
        code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _watch(process: int) -> int:
    """Wait for a job and return its exit code, negative for a signal; when our input ends, kill it and exit."""
    while True:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            _kill_session(process)  # a kernel that outlived its job
            return os.waitstatus_to_exitcode(status)
        if select.select([sys.stdin], [], [], 0.05)[0]:
            _kill_session(process)
            os._exit(0)


def _kill_session(leader: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _job(folder: Path, *, warm: bool) -> int:
    """Do the job described in a folder; what goes wrong is left in error.json."""
    from filelock import FileLock  # noqa: PLC0415  (torch brings it)

    manager = None if warm or not _FORKS else _forking_manager()
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    try:
        with FileLock(folder / LOCK_FILE):  # a job of a lost worker may still be at it
            spec = json.loads((folder / JOB_FILE).read_text("utf-8"))
            _prepare(spec) if warm else _execute(folder, spec, manager)
    except Exception as error:
        write_atomic(folder / ERROR_FILE, json.dumps(_described(error), indent=2))
        return 1
    return 0


def _end_with(parent: int) -> None:
    """End this job and its kernel when the server is gone."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.killpg(0, signal.SIGKILL)


def _prepare(spec: dict[str, Any]) -> None:
    """Fill the caches that runs of this kind share."""
    from activekd_lab.config import RunConfig  # noqa: PLC0415  (imports with torch, only in the job)
    from activekd_lab.prepare import prepare, resolve_backbone  # noqa: PLC0415

    prepare(resolve_backbone(RunConfig(**spec["config"])))


def _execute(folder: Path, spec: dict[str, Any], manager: type | None) -> None:
    from activekd_lab.notebooks import RESULT_FILE, execute  # noqa: PLC0415

    if not (folder / RESULT_FILE).exists():
        execute(spec["notebook"], folder, kernel_manager=manager, **spec["parameters"])


def _described(error: Exception) -> dict[str, Any]:
    """Return an error's last line and its traceback; a cell's own error where papermill carries one."""
    name, value = getattr(error, "ename", type(error).__name__), getattr(error, "evalue", str(error))
    last = f"{name}: {value}".strip().splitlines()
    return {
        "error": last[0] if last else name,
        "kind": type(error).__name__,
        "traceback": "".join(traceback.format_exception(error)),
    }


def _forking_manager() -> type:
    """Fork the kernel now, and return a kernel manager that hands it its connection instead of starting another."""
    from jupyter_client.manager import AsyncKernelManager  # noqa: PLC0415

    kernel = _ForkedKernel()

    class ForkingManager(AsyncKernelManager):
        """Talks over sockets in the file system: two jobs never reach for the same port."""

        async def _async_launch_kernel(self, kernel_cmd: list[str], **options: Any) -> None:
            kernel.launch(kernel_cmd, options)
            local: Any = self.provisioner
            local.process, local.pid = kernel, kernel.pid
            self._reconcile_connection_info(local.connection_info)

        _launch_kernel = _async_launch_kernel

        def __init__(self, **options: Any) -> None:
            super().__init__(**options, transport="ipc", ip=str(Path(tempfile.mkdtemp(prefix="akd-")) / "kernel"))

        async def _async_cleanup_resources(self, restart: bool = False) -> None:
            await super()._async_cleanup_resources(restart)
            if not restart:
                shutil.rmtree(Path(self.ip).parent, ignore_errors=True)

        cleanup_resources = _async_cleanup_resources

    return ForkingManager


class _ForkedKernel:
    """A forked process that waits for its command, with the part of Popen that jupyter_client uses."""

    stdin = stdout = stderr = None

    def __init__(self) -> None:
        order, self._order = os.pipe()
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._order)
            _leave(lambda: _become_kernel(order))
        os.close(order)

    def launch(self, command: list[str], options: dict[str, Any]) -> None:
        """Make it the kernel that a command describes."""
        arguments = command[command.index("ipykernel_launcher") + 1 :]
        order = {
            "arguments": arguments,
            "env": dict(options["env"]),
            "cwd": str(Path(options.get("cwd") or ".").resolve()),
        }
        with os.fdopen(self._order, "wb") as pipe:
            pipe.write(json.dumps(order).encode())

    def poll(self) -> int | None:
        if self.returncode is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if found else None
        return self.returncode

    def wait(self) -> int:
        while self.poll() is None:
            time.sleep(0.01)
        return self.returncode or 0

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


def _become_kernel(order: int) -> int:
    parent = os.getppid()
    with os.fdopen(order, "rb") as pipe:
        text = pipe.read()
    if not text:  # the job ended without a notebook
        return 0
    found = json.loads(text)
    os.environ.clear()
    os.environ.update(found["env"] | {"JPY_PARENT_PID": str(parent)})
    os.chdir(found["cwd"])
    from ipykernel.kernelapp import launch_new_instance  # noqa: PLC0415

    launch_new_instance(argv=found["arguments"])
    return 0


if __name__ == "__main__":
    main()
