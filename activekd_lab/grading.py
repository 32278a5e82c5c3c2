"""Grade the exercises of a notebook: each runs in a process of its own, with a time-out, and without a kernel.

An exercise is the cell tagged `exercise` before a cell that calls `akd.checks.check("NN.name", function)`. It finds
what the whole notebook imports and defines, as in Jupyter, but nothing that other cells compute. The process keeps a
learner's mistakes away from the grader; it is no protection against code that means harm.
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
    exercises = read_exercises(notebook)
    with contextlib.closing(_Grader(seconds, read_definitions(notebook))) as grader:
        for exercise in exercises:
            result, of = grader.examine(exercise), points_of(exercise.name)
            grades.append(Grade(result, of if result.status == "passed" else 0, of))
    return grades


def read_exercises(notebook: str | Path) -> list[Exercise]:
    """Return a notebook's exercises in order, then those of its number that are missing."""
    known, found = set(names()), []
    source: str | None = None
    for cell in _code_cells(notebook):
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


def read_definitions(notebook: str | Path) -> list[str]:
    """Return the statements by which a notebook's cells import names and define functions, in order."""
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef)
    bodies = [_parse(cell.source).body for cell in _code_cells(notebook)]
    return [ast.unparse(node) for body in bodies for node in body if isinstance(node, kinds)]


def _code_cells(notebook: str | Path) -> list[nbformat.NotebookNode]:
    try:
        return [cell for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]
    except Exception as error:  # nbformat raises a different one for each way a file can be wrong
        raise DataError(f"{notebook} cannot be read as a notebook ({type(error).__name__}: {error}).") from None


def _parse(source: str) -> ast.Module:
    """Return the tree of a cell, empty where a learner's mistake or a %magic makes it no Python."""
    try:
        return ast.parse(source)
    except SyntaxError:
        return ast.Module([], [])


def _checks_in(source: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the function of every `….check("name", function)` in a cell."""
    for node in ast.walk(_parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "check":
            match node.args:
                case [ast.Constant(value=str(name)), ast.Name(id=function)]:
                    yield name, function


class _Grader:
    """A process that runs exercises one by one; a new one takes over where one had to be stopped."""

    def __init__(self, seconds: float, definitions: list[str]) -> None:
        self._seconds, self._definitions = seconds, definitions
        self._process: Any = None
        self._pipe: Connection

    def examine(self, exercise: Exercise) -> CheckResult:
        if exercise.source is None:
            return examine(exercise, {})
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
        self._process = context.Process(target=_serve, args=(theirs, self._definitions), daemon=True)
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


def _serve(pipe: Connection, definitions: list[str]) -> None:
    """Answer exercises with results until the other side is gone."""
    import torch  # noqa: F401, PLC0415  (its import shall not count as the learner's time)

    shared = define(definitions)
    pipe.send("ready")
    with contextlib.suppress(EOFError):
        while True:
            pipe.send(examine(pipe.recv(), shared))


def define(definitions: list[str]) -> dict[str, Any]:
    """Return the names that imports and functions give; one that fails here is missed only by those who need it."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    silent = io.StringIO()
    with contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent):
        for source in definitions:
            with contextlib.suppress(Exception, SystemExit):
                exec(compile(source, "<notebook>", "exec"), namespace)
    return namespace


def examine(exercise: Exercise, shared: dict[str, Any]) -> CheckResult:
    """Run the exercise's cell beside the notebook's other definitions, and check the function that it leaves."""
    name, source = exercise.name, exercise.source
    if source is None:
        return CheckResult(name, "not started", "The exercise's cell is missing from the notebook.")
    file = f"<{name}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)  # for messages with the line
    namespace = dict(shared)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            exec(compile(source, file, "exec"), namespace)
        except (Exception, SystemExit) as error:
            message = f"The cell itself raised {type(error).__name__}: {error}. "
            message += "It has to run with no more than the notebook's imports and functions."
            return CheckResult(name, "failed", message)
        if exercise.function not in namespace:
            return CheckResult(name, "failed", f"The cell defines no function {exercise.function}.")
        return check(name, namespace[exercise.function])
