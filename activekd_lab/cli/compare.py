"""`activekd-lab compare`: stored runs side by side, method × data set, with paired statistics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from activekd_lab.cli.output import print_tables, warn_left_out
from activekd_lab.errors import RunFolderError, SettingError, UnknownNameError

if TYPE_CHECKING:
    from activekd_lab.compare.table import Table
    from activekd_lab.runs.records import RunResult

FORMATS = ("text", "markdown", "latex", "csv", "html", "json")


def compare(
    runs: Annotated[list[Path], typer.Argument(help="run folders, or folders that hold some at any depth")],
    measure: Annotated[
        str, typer.Option(help="area (under the learning curve), mean (of rounds) or final (accuracy)")
    ] = "area",
    labels: Annotated[int | None, typer.Option(help="instead: accuracy at this many labels, interpolated")] = None,
    round_: Annotated[int | None, typer.Option("--round", min=0, help="instead: accuracy after this round")] = None,
    per_round: Annotated[bool, typer.Option("--per-round", help="also a table for every round")] = False,
    against: Annotated[
        str | None, typer.Option(help="paired differences from runs with this setting [default: selector=random]")
    ] = None,
    task: Annotated[list[str] | None, typer.Option(help="only this task (repeatable)")] = None,
    format_: Annotated[str, typer.Option("--format", help=", ".join(FORMATS))] = "text",
    out: Annotated[Path | None, typer.Option(help="write there instead of printing")] = None,
) -> None:
    """Compare runs: means over seeds, paired differences, ranks, published figures, and how the runs were made."""
    if format_ not in FORMATS:
        raise UnknownNameError("format", format_, FORMATS)
    if format_ == "csv" and (against or per_round):
        raise SettingError(
            "--format csv is one row a run, so --against and --per-round have no effect; leave them out."
        )
    how = _measure(measure, labels, round_)
    from activekd_lab.compare.tables import compare as make_tables
    from activekd_lab.compare.tables import csv_text, round_tables
    from activekd_lab.runs.stored import load_runs

    results, left_out = load_runs(runs)
    warn_left_out(left_out)
    known = sorted({str(result.config["task"]) for result in results})
    for name in task or ():
        if name not in known:
            raise UnknownNameError("task in these runs", name, known)
    results = [result for result in results if not task or result.config["task"] in task]
    tables = make_tables(results, **how, against=_against(against, results))
    if per_round:
        tables[1:1] = round_tables(results)
    if format_ == "csv":
        _write(csv_text(results, **how), out)
    elif format_ == "text" and out is None:
        print_tables(tables, as_json=False)
    else:
        _write(_render(tables, format_), out)


def _measure(measure: str, labels: int | None, round_index: int | None) -> dict[str, Any]:
    given = {name: at for name, at in (("labels", labels), ("round", round_index)) if at is not None}
    if len(given) > 1 or (given and measure != "area"):
        raise SettingError("--measure, --labels and --round each say what is compared; give one of them.")
    return {"measure": next(iter(given), measure), "at": next(iter(given.values()), None)}


def _against(text: str | None, results: list[RunResult]) -> dict[str, Any] | None:
    """Read setting=value; the default is selector=random where something was run with it."""
    if text is None:
        known = any(result.config["selector"] == "random" for result in results)
        return {"selector": "random"} if known else None
    key, equals, value = text.partition("=")
    if not equals:
        raise SettingError(f"--against expected setting=value, such as method=ce, but got {text!r}.")
    try:
        return {key: json.loads(value)}
    except ValueError:
        return {key: value}


def _render(tables: list[Table], format_: str) -> str:
    if format_ == "html":
        from activekd_lab.compare.tables import html_page

        return html_page(tables)
    written = [{"text": t.text, "markdown": t.markdown, "latex": t.latex, "json": t.json}[format_]() for t in tables]
    return f"[{', '.join(written)}]\n" if format_ == "json" else "\n\n".join(text.strip() for text in written) + "\n"


def _write(content: str, out: Path | None) -> None:
    from activekd_lab.io.files import write_atomic

    if out is None:
        print(content, end="")
    else:
        write_atomic(out, content, "choose another --out", kind=RunFolderError)
        print(out)
