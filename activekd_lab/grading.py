"""Grade the exercises of a notebook: each runs in a process of its own, with a time-out; no kernel, no other cell.

An exercise is the cell tagged `exercise` before a cell that calls `akd.checks.check("NN.name", function)`. The process
keeps a learner's mistakes away from the grader; it is no protection against code that means harm.
"""

from __future__ import annotations

import ast
import contextlib
import io
import linecache
import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import nbformat

from activekd_lab.checks.base import CheckResult, check, names, points_of
from activekd_lab.errors import DataError, SettingError

SECONDS = 30.0
"""Patience with one exercise; solutions take milliseconds."""
_START_SECONDS = 120.0  # patience with Python and torch, on a busy machine


@dataclass(frozen=True)
class Exercise:
    """An exercise as it stands in a notebook.

    Attributes:
        name: of its check, "03.entropy".
        function: the name that the check cell hands over.
        source: the cell with the learner's code, or None where it is missing.
    """

    name: str
    function: str
    source: str | None


@dataclass(frozen=True)
class Grade:
    """A check's result and its points: `points` of `of`."""

    result: CheckResult
    points: int
    of: int


def grade(notebook: str | Path, *, seconds: float = SECONDS) -> list[Grade]:
    """Check every exercise of a notebook, solved or not; exercises whose cells were deleted count as not started.

    Args:
        notebook: an .ipynb file.
        seconds: patience with one exercise.

    Raises:
        DataError: no notebook, or one without exercises of this package.
        SettingError: seconds not above 0.
    """
    if seconds <= 0:
        raise SettingError(f"seconds must be above 0, but got {seconds}.")
    grades = []
    with contextlib.closing(_Grader(seconds)) as grader:
        for exercise in read_exercises(notebook):
            result, of = grader.examine(exercise), points_of(exercise.name)
            grades.append(Grade(result, of if result.status == "passed" else 0, of))
    return grades


def read_exercises(notebook: str | Path) -> list[Exercise]:
    """Return a notebook's exercises in order, then those of its number that are missing."""
    try:
        cells = nbformat.read(notebook, as_version=4).cells
    except Exception as error:  # nbformat raises a different one for each way a file can be wrong
        raise DataError(f"{notebook} cannot be read as a notebook ({type(error).__name__}: {error}).") from None
    known, found = set(names()), []
    source: str | None = None
    for cell in cells:
        if cell.cell_type == "code":
            if "exercise" in cell.metadata.get("tags", []):
                source = cell.source
            for name, function in _checks_in(cell.source):
                if name in known:
                    found.append(Exercise(name, function, source))
                    source = None
    if not found:
        raise DataError(f"{notebook} has no exercise of this package; hand in one of the folder notebooks.")
    numbers, there = {e.name.partition(".")[0] for e in found}, {e.name for e in found}
    missing = [name for name in sorted(known - there) if name.partition(".")[0] in numbers]
    return found + [Exercise(name, "", None) for name in missing]


def _checks_in(source: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the function of every `….check("name", function)` in a cell."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "check":
            match node.args:
                case [ast.Constant(value=str(name)), ast.Name(id=function)]:
                    yield name, function


class _Grader:
    """A process that runs exercises one by one; a new one takes over where one had to be stopped."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._process: Any = None
        self._pipe: Connection

    def examine(self, exercise: Exercise) -> CheckResult:
        if exercise.source is None:
            return CheckResult(exercise.name, "not started", "The exercise's cell is missing from the notebook.")
        if self._process is None:
            self._start()
        self._pipe.send(exercise)
        try:
            if self._pipe.poll(self._seconds):
                found: CheckResult = self._pipe.recv()
                return found
            message = f"It was stopped after {self._seconds:g} seconds: look for a loop that does not end."
        except EOFError:
            message = "It ended the Python process that ran it."
        self.close()
        return CheckResult(exercise.name, "failed", message)

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        if not self._pipe.poll(_START_SECONDS):
            self.close()
            raise DataError(f"The process that runs exercises did not start within {_START_SECONDS:g} seconds.")
        self._pipe.recv()

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None


def _serve(pipe: Connection) -> None:
    """Answer exercises with results until the other side is gone."""
    import torch  # noqa: F401, PLC0415  (its import shall not count as the learner's time)

    pipe.send("ready")
    with contextlib.suppress(EOFError):
        while True:
            pipe.send(examine(pipe.recv()))


def examine(exercise: Exercise) -> CheckResult:
    """Run the exercise's cell by itself, in this process, and check the function that it leaves."""
    name, source = exercise.name, exercise.source or ""
    file = f"<{name}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)  # for messages with the line
    namespace: dict[str, Any] = {"__name__": "__main__"}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            exec(compile(source, file, "exec"), namespace)
        except (Exception, SystemExit) as error:
            message = f"The cell itself raised {type(error).__name__}: {error}. It has to run without any other cell."
            return CheckResult(name, "failed", message)
        if exercise.function not in namespace:
            return CheckResult(name, "failed", f"The cell defines no function {exercise.function}.")
        return check(name, namespace[exercise.function])
