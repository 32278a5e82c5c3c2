"""`activekd-lab grade`: what a learner's notebook is worth."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from activekd_lab.cli_flags import JSON
from activekd_lab.cli_output import print_table
from activekd_lab.errors import DataError


def grade(
    notebook: Annotated[Path, typer.Argument(help="a learner's .ipynb")],
    seconds: Annotated[float, typer.Option(min=0.1, help="patience with one exercise")] = 30,
    json_: JSON = False,
) -> None:
    """Check the exercises of a notebook. It runs the learner's code: exits with 0 when graded, 2 on another file."""
    from activekd_lab.grading import grade as examine

    try:
        grades = examine(notebook, seconds=seconds)
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    earned, of = sum(g.points for g in grades), sum(g.of for g in grades)
    if json_:
        rows = [vars(g.result) | {"points": g.points, "of": g.of} for g in grades]
        print(json.dumps({"notebook": str(notebook), "points": earned, "of": of, "exercises": rows}, indent=2))
        return
    lines = [[g.result.name, g.result.status, f"{g.points}/{g.of}", g.result.message] for g in grades]
    print_table("", ["exercise", "status", "points", "what it says"], lines)
    print(f"{earned} of {of} points")
