"""Grade the exercises of a notebook: each in an enclosed process of its own, judged from outside, without a kernel.

The learner's code never runs in this process. A check calls a stand-in, which sends the arguments to the enclosed
process as plain values and gets plain values back (`messages`). Whoever takes over that process can only answer, and
the checks ask with arguments drawn anew each time. What is not defended stands in `notebooks/INSTRUCTORS.md`.
"""

from __future__ import annotations

import math
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from activekd_lab.course import messages
from activekd_lab.course.answers import Exercise, read_exercises
from activekd_lab.course.checks.base import CHANGED, CheckResult, check, functions, points_of
from activekd_lab.course.checks.values import Wrong
from activekd_lab.errors import DataError, SettingError, printable

SECONDS, MEMORY = 30.0, 2**30
"""Patience with one exercise, whose solution takes milliseconds, and the bytes that it may take."""
_START_SECONDS = 120.0  # patience with Python and torch, on a busy machine
_PACKAGE = Path(__file__).parents[1]
_FORGED = "It wrote into the pipe of the grader."
_MOST_BYTES = 64 * 2**20  # of all answers of one exercise


@dataclass(frozen=True)
class Grade:
    """A check's result and its points, `points` of `of`; `flags` are what a teacher should look at."""

    result: CheckResult
    points: int
    of: int
    flags: tuple[str, ...] = ()


def grade(notebook: str | Path, *, seconds: float = SECONDS) -> list[Grade]:
    """Check every exercise of a notebook, solved or not; exercises whose cells were deleted count as not started.

    Args:
        notebook: an .ipynb file.
        seconds: patience with one exercise.

    Raises:
        DataError: no notebook, or one without exercises of this package.
        SettingError: seconds out of range, or a system on which a learner's code cannot be limited.
    """
    read_exercises(notebook, functions())  # before a process starts in vain
    with Grader(seconds=seconds) as grader:
        return grader.grade(notebook)


class Grader:
    """A process that has loaded PyTorch and never sees a learner's code; it is forked for each exercise.

    Several threads may grade at once.

    Attributes:
        missing: in words, the protection that this system does not offer; known after the first exercise.
    """

    def __init__(self, *, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        if not 0 < seconds <= 3600:  # infinity and NaN fail here, too
            raise SettingError(f"seconds must be above 0 and at most 3600, but got {seconds}.")
        if not hasattr(os, "fork"):
            raise SettingError(
                "Grading runs a learner's code and needs the limits of Linux or macOS; use WSL or Docker."
            )
        self.missing: list[str] = []
        self._seconds, self._memory, self._turn = seconds, memory, threading.Lock()
        self._home = tempfile.TemporaryDirectory(prefix="activekd-exercise-", ignore_cleanup_errors=True)
        self._control, theirs = socket.socketpair()
        places = [str(Path(p).resolve()) for p in [*sys.path, str(_PACKAGE.parent)] if p and Path(p).is_dir()]
        start = f"import sys; sys.path[:] = {places!r}; from activekd_lab.course.exercise_process import main; "
        self._readable = [str(_PACKAGE), sys.prefix, sys.base_prefix, *(p for p in places if p.endswith("-packages"))]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-B", "-c", f"{start}main({theirs.fileno()})"],
                pass_fds=[theirs.fileno()], cwd=self._home.name, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, env={"HOME": self._home.name, "OMP_NUM_THREADS": "1", "LANG": "C.UTF-8"},
            )  # fmt: skip
        self._control.settimeout(_START_SECONDS)

    def __enter__(self) -> Grader:
        try:
            functions()  # checks, and what they and messages import, shall not count as the learner's time
            messages.encode(0.0)
            self._hear()
        except BaseException:  # Ctrl-C and SIGTERM, too
            self.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process and all that it started."""
        self._control.close()
        try:
            self._process.wait(2)  # it ends its children first
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._home.cleanup()

    def grade(self, notebook: str | Path) -> list[Grade]:
        """Grade a notebook; see `grade`."""
        return [self.examine(exercise) for exercise in read_exercises(notebook, functions())]

    def examine(self, exercise: Exercise) -> Grade:
        """Run one exercise in a process of its own, and check the function that it leaves."""
        of = points_of(exercise.name)
        if not exercise.pieces:
            return Grade(
                CheckResult(exercise.name, "not started" if exercise.missing else "failed", exercise.problem), 0, of
            )
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                child = int(self._order(b"run", theirs))
            learner = _Learner(ours, self._seconds, lambda: int(self._order(b"%d" % child)))
            try:
                result, flags = self._examine(exercise, learner)
            finally:
                learner.end()
        return Grade(result, of if result.status == "passed" else 0, of, (*exercise.flags, *flags))

    def _examine(self, exercise: Exercise, learner: _Learner) -> tuple[CheckResult, list[str]]:
        try:
            seconds = math.ceil(self._seconds) + 1
            learner.say(
                pieces=[astuple(piece) for piece in exercise.pieces], home=self._home.name, readable=self._readable,
                memory=self._memory, seconds=seconds,
            )  # fmt: skip
            self.missing = [str(text)[:200] for text in learner.hear().get("missing", [])][:5]  # before any of theirs
            fault = learner.hear().get("fault")
        except Wrong as wrong:
            fault = str(wrong)
        if fault:
            result = CheckResult(exercise.name, "failed", str(fault)[:2000])
        else:
            result = check(exercise.name, learner.call, seed=secrets.randbits(60))
        return result, [f"tried to {text}" for text in learner.tried]

    def _order(self, order: bytes, handed: socket.socket | None = None) -> bytes:
        with self._turn:
            socket.send_fds(self._control, [order], [handed.fileno()] if handed else [])
            return self._hear()

    def _hear(self) -> bytes:
        try:
            if answer := self._control.recv(64):
                return answer
        except TimeoutError:
            pass
        raise DataError(f"The process that runs exercises did not answer within {_START_SECONDS:g} seconds.")


class _Learner:
    """The learner's function, in its process: `call` is its stand-in here."""

    def __init__(self, line: socket.socket, seconds: float, kill: Callable[[], int]) -> None:
        self.tried: list[str] = []
        self._line, self._kill, self._seconds = line, kill, seconds
        self._deadline = time.monotonic() + seconds
        self._number, self._heard, self._left = 0, b"", _MOST_BYTES
        self._fault = ""

    def call(self, *arguments: Any, **keywords: Any) -> Any:
        """Call the learner's function; raises what a check expects of it."""
        asked: list[Callable[..., Any]] = []
        self._number += 1
        sent = messages.encode(list(arguments), asked), messages.encode(keywords, asked)
        self.say(id=self._number, arguments=sent[0], keywords=sent[1])
        while (answer := self.hear()).get("id") != self._number:
            if "ask" not in answer:
                raise self._stopped(_FORGED)
            self.say(**_ask(asked, answer))
        if answer.get("todo"):
            raise NotImplementedError
        if "raised" in answer:
            raise Wrong(str(answer["raised"])[:2000])
        if answer.get("changed"):
            raise Wrong(CHANGED)
        try:
            return messages.decode(answer.get("value"))
        except messages.MessageError as error:
            raise Wrong(str(error)) from None

    def say(self, **message: Any) -> None:
        if self._fault:
            raise Wrong(self._fault)
        try:
            self._line.settimeout(max(0.01, self._deadline - time.monotonic()))
            self._line.sendall(messages.dump(message))
        except OSError:
            raise self._stopped() from None

    def hear(self) -> dict[str, Any]:
        """Return the next message; what is no message ends the exercise."""
        if self._fault:
            raise Wrong(self._fault)
        try:
            while b"\n" not in self._heard:
                self._line.settimeout(max(0.01, self._deadline - time.monotonic()))
                more = self._line.recv(2**20)
                self._heard, self._left = self._heard + more, self._left - len(more)
                full = self._left < 0 or len(self._heard) > messages.LIMIT + 2**20
                if not more or full or time.monotonic() > self._deadline:
                    raise self._stopped(full=full)
            line, _, self._heard = self._heard.partition(b"\n")
            message = messages.load(line)
        except messages.MessageError:
            raise self._stopped(_FORGED) from None
        except OSError:
            raise self._stopped() from None
        tried = message.get("tried", [])
        self.tried = [printable(str(text)[:200]) for text in tried[:5]] if isinstance(tried, list) else []
        return message

    def _stopped(self, why: str = "", *, full: bool = False) -> Wrong:
        """End the process, and return what to tell the learner."""
        late = time.monotonic() > self._deadline
        status = self.end()
        if full:
            why = "It was stopped: its answers are larger than the grader reads."
        elif late or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU):
            why = f"It was stopped after {self._seconds:g} seconds: look for a loop that does not end."
        self._fault = why or "It ended the Python process that ran it."
        return Wrong(self._fault)

    def end(self) -> int:
        """End the process, once, and return the status that it ended with."""
        if self._kill is not _nothing:
            kill, self._kill = self._kill, _nothing
            return kill()
        return 0


def _nothing() -> int:
    return 0


def _ask(functions: list[Callable[..., Any]], message: dict[str, Any]) -> dict[str, Any]:
    """Call a function that a check handed to the learner's, and return its answer as a message."""
    try:
        arguments = messages.decode(message.get("arguments"))
        return {"value": messages.encode(functions[message["ask"]](*arguments))}
    except Exception as error:  # whatever the learner's code handed over
        return {"value": None, "failed": f"{type(error).__name__}: {error}"[:500]}
