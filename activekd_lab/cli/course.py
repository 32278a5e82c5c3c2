"""`activekd-lab notebooks` and `activekd-lab course`: what learners get."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

course = typer.Typer(no_args_is_help=True, help="Hand the course out: a zip for students, assignments for nbgrader.")
Seed = Annotated[int | None, typer.Option(min=0, help="put this seed into every notebook's settings")]


def notebooks(
    folder: Annotated[Path, typer.Argument(help="where to write them; made if needed")], seed: Seed = None
) -> None:
    """Write the notebooks, without solutions, into a folder. Files that you have worked on are not touched."""
    from activekd_lab.course.handout import write_notebooks

    written = write_notebooks(folder, seed=seed)
    print(f"{len(written)} files in {folder}; `activekd-lab lab --folder {folder}` opens them")


@course.command()
def pack(
    out: Annotated[Path, typer.Argument(help="the zip file")],
    students: Annotated[
        Path | None, typer.Option(help="a text file, a name a line: each gets a folder with a seed of its own")
    ] = None,
) -> None:
    """Zip what students get: the notebooks without solutions, sources or instructor pages."""
    from activekd_lab.course import handout
    from activekd_lab.io.files import read_text

    names = read_text(students).split("\n") if students else []
    written = handout.pack(out, students=[name.strip() for name in names if name.strip()])
    print(f"{len(written)} files in {out}")


@course.command()
def nbgrader(folder: Annotated[Path, typer.Argument(help="an nbgrader course; source/ is written there")]) -> None:
    """Write the notebooks as nbgrader's source assignments, in which a blank notebook earns 0."""
    from activekd_lab.course.handout import write_nbgrader

    print(f"{len(write_nbgrader(folder))} assignments in {folder / 'source'}")
