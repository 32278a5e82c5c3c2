"""`activekd-lab demo`: the whole way once, on the bundled tasks: runs over selectors and seeds, tables, report.html."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from activekd_lab.config import Method, RunConfig
from activekd_lab.errors import RunFolderError
from activekd_lab.loop import check_names
from activekd_lab.parallel import Sweep, run_all
from activekd_lab.plots import write_report
from activekd_lab.plots.report_table import Row, percent, table_data
from activekd_lab.pools import load_pools
from activekd_lab.results import RunResult

TASKS = ("shapes", "digits")
SETTINGS: tuple[tuple[str, Method], ...] = (
    ("random", "dho"),
    ("entropy", "dho"),
    ("coreset", "dho"),
    ("pcoreset", "dho"),
    ("random", "ce"),  # without distillation: labels only
    ("pcoreset", "ce"),
)
Say = Callable[[str], None]
TextTable = tuple[str, list[str], list[list[str]]]


class Outcome(NamedTuple):
    """What the demo found.

    Attributes:
        tables: (title, columns, rows of text), one a task.
        summary: the same numbers as JSON types.
        seconds: wall time.
        split: where the time went, in words.
        report: the HTML page.
    """

    tables: list[TextTable]
    summary: dict[str, Any]
    seconds: float
    split: str
    report: Path


def run_demo(
    out: Path,
    *,
    tasks: Sequence[str] = TASKS,
    seeds: int = 2,
    rounds: int = 4,
    processes: int | None = None,
    say: Say = lambda text: None,
) -> Outcome:
    """Run every setting with every seed on every task, write `out/report.html`, and return the tables.

    Runs lie in `out/runs`: a second call with the same settings reads them instead of running again, and an
    interrupted one continues after its last finished round.

    Args:
        out: folder of the report and of the runs, made if needed.
        tasks: names of tasks.
        seeds: seeds 0 … seeds − 1 for every setting.
        rounds: query rounds after the initial labels.
        processes: how many work at once, see `parallel.run_all`.
        say: called with a line after each run and before the report.

    Raises:
        UnknownNameError: an unknown task, before anything is computed.
        RunFolderError: `out` cannot be written, before anything is computed.
    """
    started = time.perf_counter()
    configs = [config for task in tasks for config in demo_configs(task, seeds=seeds, rounds=rounds)]
    for config in configs:
        check_names(config)
    _check_writable(out)
    sweep = run_all(configs, out / "runs", processes=processes, say=say)
    say("writing the report")
    note = f"Made by activekd-lab demo: {len(SETTINGS)} settings, seeds 0 to {seeds - 1}, {rounds} query rounds."
    pools = load_pools(sweep.results)
    report = write_report(sweep.results, out / "report.html", pools=pools, title="ActiveKD, bundled tasks", note=note)
    return _outcome(sweep, tasks, report, time.perf_counter() - started)


def demo_configs(task: str, *, seeds: int, rounds: int) -> list[RunConfig]:
    """Return the demo's runs on one task; the backbone stays frozen, so that a GPU changes only the time."""
    return [
        RunConfig(task=task, selector=selector, method=method, seed=seed, rounds=rounds, freeze_backbone=True)
        for selector, method in SETTINGS
        for seed in range(seeds)
    ]


def _check_writable(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise RunFolderError(
            f"The folder {out} cannot be written ({error.strerror or error}); choose another with --out."
        ) from error


def _outcome(sweep: Sweep, tasks: Sequence[str], report: Path, seconds: float) -> Outcome:
    found = {task: [result for result in sweep.results if result.config["task"] == task] for task in tasks}
    stages = ", ".join(f"{name} {value:.0f} s" for name, value in sweep.seconds.items())
    return Outcome(
        tables=[_text_table(task, runs) for task, runs in found.items()],
        summary={
            "tasks": {task: _task_summary(runs) for task, runs in found.items()},
            "seconds": round(seconds, 2),
            "stages": {name: round(value, 2) for name, value in sweep.seconds.items()},
            "processes": sweep.processes,
            "report": str(report),
        },
        seconds=seconds,
        split=f"{stages}, summed over {sweep.processes} process{'es' * (sweep.processes > 1)}",
        report=report,
    )


def _text_table(task: str, runs: Sequence[RunResult]) -> TextTable:
    table = table_data(runs)
    head = ["selector", *(f"{count} labels" for count in table.labels), "mean", "classes labelled"]
    rows = [_text_row(row, table.labels) for row in table.rows]
    rows += [[f"teacher {name}", f"{100 * value:.1f} zero-shot"] for name, value in table.teachers.items()]
    seeds = max(len(row.seeds) for row in table.rows)
    return f"\n{task}: test accuracy (%), mean ± sd over {seeds} seed{'s' * (seeds > 1)}", head, rows


def _text_row(row: Row, labels: Sequence[int]) -> list[str]:
    at = {int(count): i for i, count in enumerate(row.curve.labels)}
    cells = [_text(row.curve.mean[at[n]], row.curve.sd[at[n]], row) if n in at else "" for n in labels]
    return [row.curve.name, *cells, _text(*row.overall, row), f"{row.classes:.1f}"]


def _text(mean: float, sd: float, row: Row) -> str:
    """Write an accuracy in percent; one seed has no spread."""
    return percent(mean, sd) if len(row.seeds) > 1 else f"{100 * mean:.1f}"


def _task_summary(runs: Sequence[RunResult]) -> dict[str, Any]:
    table = table_data(runs)
    settings = [
        {
            "selector": row.curve.selector,
            "method": row.curve.method,
            "seeds": list(row.seeds),
            "labels": row.curve.labels.tolist(),
            "accuracy": row.curve.mean.tolist(),
            "accuracy_sd": row.curve.sd.tolist(),
            "mean_accuracy": row.overall[0],
            "mean_accuracy_sd": row.overall[1],
        }
        for row in table.rows
    ]
    return {"teacher_accuracy": table.teachers, "settings": settings}
