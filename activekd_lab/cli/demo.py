"""`activekd-lab demo`: the whole way once, on the bundled tasks: runs over selectors and seeds, tables, report.html."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from activekd_lab.active.parallel import ManyRuns, run_all
from activekd_lab.compare.table import Table
from activekd_lab.config import RunConfig
from activekd_lab.errors import RunFolderError
from activekd_lab.plots.accuracies import accuracies, accuracy_table
from activekd_lab.plots.report import load_images, write_report
from activekd_lab.progress import silent
from activekd_lab.runs.records import RunResult

TASKS = ("shapes", "digits")
SETTINGS: tuple[tuple[str, str], ...] = (
    ("random", "dho"),
    ("entropy", "dho"),
    ("coreset", "dho"),
    ("pcoreset", "dho"),
    ("random", "ce"),  # without distillation: labels only
    ("pcoreset", "ce"),
)
Say = Callable[[str], None]


class DemoOutcome(NamedTuple):
    """What the demo found.

    Attributes:
        tables: one a task.
        summary: the same numbers as JSON types.
        seconds: wall time.
        split: where the time went, in words.
        report: the HTML page.
    """

    tables: list[Table]
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
    say: Say = silent,
) -> DemoOutcome:
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
        config.resolve()
    _check_writable(out)
    done = run_all(configs, out / "runs", processes=processes, say=say)
    say("writing the report")
    note = f"Made by activekd-lab demo: {len(SETTINGS)} settings, seeds 0 to {seeds - 1}, {rounds} query rounds."
    pools = load_images(done.results)
    report = write_report(done.results, out / "report.html", pools=pools, title="ActiveKD, bundled tasks", note=note)
    return _outcome(done, tasks, report, time.perf_counter() - started)


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


def _outcome(done: ManyRuns, tasks: Sequence[str], report: Path, seconds: float) -> DemoOutcome:
    found = {task: [result for result in done.results if result.config["task"] == task] for task in tasks}
    stages = ", ".join(f"{name} {value:.0f} s" for name, value in done.seconds.items())
    return DemoOutcome(
        tables=[accuracy_table(accuracies(runs), title=f"\n{task}: test accuracy (%)") for task, runs in found.items()],
        summary={
            "tasks": {task: _task_summary(runs) for task, runs in found.items()},
            "seconds": round(seconds, 2),
            "stages": {name: round(value, 2) for name, value in done.seconds.items()},
            "processes": done.processes,
            "report": str(report),
        },
        seconds=seconds,
        split=f"{stages}, summed over {done.processes} process{'es' * (done.processes > 1)}",
        report=report,
    )


def _task_summary(runs: Sequence[RunResult]) -> dict[str, Any]:
    table = accuracies(runs)
    settings = [
        {
            "selector": row.curve.selector,
            "method": row.curve.method,
            "seeds": list(row.seeds),
            "labels": row.curve.labels.tolist(),
            "accuracy": row.curve.mean.tolist(),
            "accuracy_sd": row.curve.sd.tolist(),
            "mean_accuracy": row.overall[0],
            "mean_accuracy_sd": None if len(row.seeds) < 2 else row.overall[1],
        }
        for row in table.rows
    ]
    return {"teacher_accuracy": table.teachers, "settings": settings}
