"""The `report` command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from activekd_lab.cli.output import warn_left_out


def report(
    runs: Annotated[list[Path], typer.Argument(help="run folders, or stores that hold some")],
    out: Annotated[Path, typer.Option(help="the page to write")] = Path("report.html"),
    images: Annotated[bool, typer.Option(help="picture the pool; its data set must be on this machine")] = True,
) -> None:
    """Write one offline, interactive HTML page about stored runs."""
    from activekd_lab.plots.report import load_images, write_report
    from activekd_lab.runs.stored import load_runs

    results, left_out = load_runs(runs)
    warn_left_out(left_out)
    pools = load_images(results) if images else {}
    for name, pool in pools.items():
        if isinstance(pool, str):
            print(f"warning: no pictures of {name}: {pool}", file=sys.stderr)
    print(f"{len(results)} runs: {write_report(results, out, pools=pools)}")
