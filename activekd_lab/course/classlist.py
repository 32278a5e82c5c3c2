"""Grade a folder of notebooks that learners handed in: a row a file, whatever the file is, as a CSV for an LMS."""

from __future__ import annotations

import csv
import io
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from activekd_lab.course.answers import read_exercises
from activekd_lab.course.checks.base import CHECKS, functions
from activekd_lab.course.grading import SECONDS, Grade, Grader
from activekd_lab.errors import DataError, SettingError, printable
from activekd_lab.io.arguments import checked
from activekd_lab.io.files import disk, shown, write_atomic

COLUMNS = (
    "assignment", "duedate", "timestamp", "student_id", "last_name", "first_name", "email", "raw_score",
    "late_submission_penalty", "score", "max_score",
    "percent", "status", "flags", "message", "seconds", "file",
)  # fmt: skip
"""The first eleven are those of nbgrader's own export; the CSV imports of Moodle and Canvas can be told to map them."""


@dataclass(frozen=True)
class Submission:
    """One file that was handed in.

    Attributes:
        file: below the folder.
        student: the first folder in which it lies, or its name without suffix.
        assignment: "00_quickstart", "" where the file is no notebook of the course.
        grades: one an exercise; empty where it could not be read.
        message: why not.
        seconds: that grading took.
        handed_in: when the file was last changed.
        flags: what a teacher should look at.
    """

    file: str
    student: str
    assignment: str = ""
    grades: list[Grade] = field(default_factory=list)
    message: str = ""
    seconds: float = 0.0
    handed_in: str = ""
    flags: tuple[str, ...] = ()

    @property
    def points(self) -> int:
        """What the exercises earned."""
        return sum(grade.points for grade in self.grades)

    @property
    def of(self) -> int:
        """What they could have earned."""
        return sum(grade.of for grade in self.grades)


@checked()
def grade_folder(
    folder: str | Path, *, jobs: int = 1, seconds: float = SECONDS, say: Callable[[int, int], None] = lambda *_: None
) -> tuple[list[Submission], list[str]]:
    """Grade every notebook below a folder.

    Args:
        folder: a file or folder a student, at any depth; nbgrader's `submitted/STUDENT/ASSIGNMENT/` too.
        jobs: files at a time.
        seconds: patience with one exercise.
        say: told after each file how many are done, of how many.

    Returns:
        a row for each `.ipynb`, and each other file that holds a notebook, ordered by name; and what this system's
        protection lacks, in words.

    Raises:
        DataError: there is no notebook below the folder.
        SettingError: jobs below 1, or seconds out of range.
    """
    if jobs < 1:
        raise SettingError(f"jobs must be at least 1, but got {jobs}.")
    folder = Path(folder)
    with disk(folder, "read", "give a folder of notebooks", kind=DataError):
        files = [path for path in sorted(folder.rglob("*")) if _is_handed_in(path, folder)]
    if not files:
        raise DataError(f"There is no notebook below {shown(folder)}; give the folder with what learners handed in.")
    with Grader(seconds=seconds) as grader, ThreadPoolExecutor(jobs) as threads:
        found: list[Submission] = []
        try:
            for submission in threads.map(lambda path: _grade(grader, folder, path), files):
                found.append(submission)
                say(len(found), len(files))
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return _note_repeats(found), grader.missing


def grade_file(notebook: str | Path, *, seconds: float = SECONDS) -> tuple[list[Submission], list[str]]:
    """Grade one notebook as `grade_folder` does.

    Raises:
        DataError: it cannot be read, or has no exercise of this package.
    """
    notebook = Path(notebook)
    read_exercises(notebook, functions())  # before a process starts in vain
    with Grader(seconds=seconds) as grader:
        return [_grade(grader, notebook.parent, notebook)], grader.missing


def _is_handed_in(path: Path, folder: Path) -> bool:
    parts = path.relative_to(folder).parts
    if not path.is_file() or any(part.startswith((".", "__MACOSX")) for part in parts):
        return False
    if path.suffix.lower() == ".ipynb":
        return True
    with path.open("rb") as file:  # a notebook under another name
        start = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    return start.startswith(b"{") and b'"cell' in start


def _grade(grader: Grader, folder: Path, path: Path) -> Submission:
    below, start = path.relative_to(folder), time.perf_counter()
    student = below.parts[0] if len(below.parts) > 1 else below.stem
    grades, message = list[Grade](), ""
    try:
        if path.is_symlink():  # out of an archive; it may lead to the solutions
            raise DataError(f"{shown(below)} is a link, not a notebook; ask for the file itself.")
        grades = grader.grade(path)
    except Exception as error:  # one file never costs the others
        message = (
            str(error) if isinstance(error, DataError) else f"It cannot be graded ({type(error).__name__}: {error})."
        )
    return Submission(
        file=below.as_posix(), student=student, assignment=_assignment(grades), grades=grades, message=message,
        seconds=time.perf_counter() - start,
        handed_in=datetime.fromtimestamp(path.stat().st_mtime).astimezone().isoformat(timespec="seconds"),
        flags=tuple(f"{grade.result.name} {flag}" for grade in grades for flag in grade.flags),
    )  # fmt: skip


def _assignment(grades: Sequence[Grade]) -> str:
    if not grades:
        return ""
    name = grades[0].result.name
    return f"{name.partition('.')[0]}_{CHECKS[name].examine.__module__.rpartition('.')[2]}"


def _note_repeats(rows: list[Submission]) -> list[Submission]:
    """Flag what one student handed in twice: an LMS keeps one of them."""
    times = Counter((row.student, row.assignment) for row in rows if row.assignment)
    again = "one of {} files of this student for this notebook"
    return [
        Submission(**{**vars(row), "flags": (*row.flags, again.format(times[row.student, row.assignment]))})
        if times[row.student, row.assignment] > 1
        else row
        for row in rows
    ]


def to_csv(rows: Sequence[Submission]) -> str:
    """Return the rows as a CSV with `COLUMNS`, then a column an exercise with its points."""
    exercises = sorted({grade.result.name for row in rows for grade in row.grades})
    out = io.StringIO()
    writer = csv.DictWriter(out, [*COLUMNS, *exercises], restval="")
    writer.writeheader()
    for row in rows:
        cells = {
            "assignment": row.assignment, "timestamp": row.handed_in, "student_id": row.student,
            "raw_score": row.points, "late_submission_penalty": 0, "score": row.points, "max_score": row.of,
            "percent": round(100 * row.points / row.of, 1) if row.of else 0, "status": status(row),
            "flags": "; ".join(row.flags), "message": row.message or _first_fault(row),
            "seconds": round(row.seconds, 1), "file": row.file,
        }  # fmt: skip
        cells |= {grade.result.name: grade.points for grade in row.grades}
        writer.writerow({name: _harmless(value) for name, value in cells.items()})
    return out.getvalue()


def write_csv(rows: Sequence[Submission], path: str | Path) -> None:
    """Write the rows to a file, whole or not at all; with a byte order mark, so that Excel reads names as they are."""
    write_atomic(path, "\ufeff" + to_csv(rows), "give another file to --csv")


def status(row: Submission) -> str:
    """Return "graded", "not started" or "unreadable"."""
    if not row.grades:
        return "unreadable"
    return "not started" if all(g.result.status == "not started" for g in row.grades) else "graded"


def _first_fault(row: Submission) -> str:
    return next((f"{g.result.name}: {g.result.message}" for g in row.grades if g.result.status == "failed"), "")


def _harmless(value: object) -> object:
    """Keep a spreadsheet from taking a learner's text for a formula, and a terminal from obeying it."""
    value = printable(value, but="\n") if isinstance(value, str) else value
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
