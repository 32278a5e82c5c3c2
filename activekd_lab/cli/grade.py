"""`activekd-lab grade`: what a learner's notebook, or a folder of them, is worth."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from activekd_lab.cli.flags import JSON
from activekd_lab.cli.output import Reporter, print_table
from activekd_lab.errors import DataError
from activekd_lab.io.files import there
from activekd_lab.progress import Counted

if TYPE_CHECKING:
    from activekd_lab.course.classlist import Submission


def grade(
    notebook: Annotated[Path, typer.Argument(help="a learner's .ipynb, or a folder of them")],
    seconds: Annotated[float, typer.Option(min=0.1, max=3600, help="patience with one exercise")] = 30,
    csv: Annotated[Path | None, typer.Option(help="write a row a file, for an LMS or nbgrader")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="files at a time")] = 1,
    checks: Annotated[Path | None, typer.Option(help="a Python file that registers checks of your own")] = None,
    json_: JSON = False,
) -> None:
    """Check the exercises of a notebook, or of each below a folder: exits with 0 when graded, 2 on other files."""
    from activekd_lab.course import classlist
    from activekd_lab.course.checks.base import load_checks

    try:
        several = there(notebook, "give a notebook", kind=DataError) == "folder"
        if checks is not None:
            load_checks(checks)
        if several:
            with Reporter(quiet=json_) as reporter:
                say = lambda done, of: reporter(Counted("graded", done, of))  # noqa: E731
                rows, missing = classlist.grade_folder(notebook, jobs=jobs, seconds=seconds, say=say)
        else:
            rows, missing = classlist.grade_file(notebook, seconds=seconds)
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    for text in missing:
        print(f"note: {text}", file=sys.stderr)
    if csv is not None:
        classlist.write_csv(rows, csv)
    if json_:
        found = [_plain(row) for row in rows]
        print(json.dumps(found if several else found[0] | {"notebook": str(notebook)}, indent=2))
    elif several:
        _print_class(rows)
    else:
        _print_exercises(rows[0])


def _plain(row: Submission) -> dict[str, Any]:
    exercises = [vars(g.result) | {"points": g.points, "of": g.of, "flags": g.flags} for g in row.grades]
    found = {"notebook": row.file, "student": row.student, "points": row.points, "of": row.of, "message": row.message}
    return found | {"seconds": round(row.seconds, 1), "exercises": exercises}


def _print_exercises(row: Submission) -> None:
    lines = [[g.result.name, g.result.status, f"{g.points}/{g.of}", g.result.message] for g in row.grades]
    print_table("", ["exercise", "status", "points", "what it says"], lines)
    print(f"{row.points} of {row.of} points")
    for flag in row.flags:
        print(f"look at {flag}")


def _print_class(rows: list[Submission]) -> None:
    from activekd_lab.course.classlist import status

    lines = [
        [row.student, row.assignment, status(row), f"{row.points}/{row.of}", f"{row.seconds:.1f}",
         "; ".join(row.flags) or row.message]
        for row in rows
    ]  # fmt: skip
    print_table("", ["student", "notebook", "status", "points", "s", "look at"], lines)
    print(f"{len(rows)} files, {sum(row.seconds for row in rows):.0f} s of grading")
