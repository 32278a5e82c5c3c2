"""What there is, whether it works, and where the notebooks are: `tasks`, `selectors`, `methods`, `doctor`, `lab`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from activekd_lab.cli.flags import JSON
from activekd_lab.cli.output import print_registry, print_table


def tasks(json_: JSON = False) -> None:
    """List the tasks."""
    from activekd_lab.data import list_tasks

    print_registry(list_tasks(), as_json=json_)


def selectors(json_: JSON = False) -> None:
    """List the selectors, with their source."""
    from activekd_lab.selectors import list_selectors

    print_registry({s.name: f"{s.help} [{s.citation}]" for s in list_selectors()}, as_json=json_)


def methods(json_: JSON = False) -> None:
    """List the methods: what a student learns from, with their source."""
    from activekd_lab.students.methods import list_methods

    print_registry({m.name: f"{m.help} [{m.citation}]" for m in list_methods()}, as_json=json_)


def doctor(json_: JSON = False) -> None:
    """Check this installation: versions, device, write access, teacher, backbone weights, widgets."""
    from activekd_lab.cli.doctor import examine

    findings = examine()
    if json_:
        print(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        print_table("", ["", "check", "finding"], [["ok" if f.ok else "FAIL", f.check, f.finding] for f in findings])
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


def lab(
    folder: Annotated[Path, typer.Option(help="the notebooks, outside a checkout")] = Path("notebooks"),
    arguments: Annotated[list[str] | None, typer.Argument(help="passed on to jupyter lab, after --")] = None,
) -> None:
    """Open JupyterLab on the notebooks."""
    from activekd_lab.course.lab import open_lab

    raise typer.Exit(open_lab(folder, arguments or []))
