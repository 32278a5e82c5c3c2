"""Runs that differ only by seed belong together: grouping, and mean and spread over seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from activekd_lab.compare.variants import datasets, distinct, variants
from activekd_lab.errors import SettingError
from activekd_lab.runs.records import RoundRecord, RunResult
from activekd_lab.stats import mean_sd

Array = np.ndarray[Any, Any]


class Curve(NamedTuple):
    """One quantity along the labels spent, over the seeds of one variant: selector, method, whatever differs.

    Attributes:
        name: legend text: the selector, and the other settings that differ between the runs shown.
        selector, method: as in the runs' settings.
        labels: (R,) labels spent.
        mean, sd: (R,) over the seeds that reached that count; sd is the sample deviation, 0 for a single seed.
        seeds: (R,) how many seeds reached it.
    """

    name: str
    selector: str
    method: str
    labels: Array
    mean: Array
    sd: Array
    seeds: Array


Runs = RunResult | Sequence[RunResult] | Mapping[str, RunResult | Sequence[RunResult]]
"""One run, several, or several under names of one's own, which the legend then shows."""


def task_of(results: Runs) -> str:
    """Return the task of one run or of several, which are of one task."""
    return str(_several(results)[0].config["task"])


def _several(results: Runs) -> Sequence[RunResult]:
    if isinstance(results, Mapping):
        return [run for part in results.values() for run in _several(part)]
    return [results] if isinstance(results, RunResult) else results


def _begun(results: Runs) -> list[RunResult]:
    return distinct([run for run in _several(results) if run.records])


def group_runs(results: Runs) -> dict[str, list[RunResult]]:
    """Group runs of one task by the names they are given under, else by all that differs between them but the seed.

    The order is that of their first appearance; a run that is there twice, as of a copied folder, counts once.

    Raises:
        SettingError: no finished round, several tasks at once, or two different runs of one variant and seed.
    """
    runs = _several(results)
    by_name = {name: _begun(part) for name, part in results.items()} if isinstance(results, Mapping) else {}
    finished = [run for part in by_name.values() for run in part] if by_name else _begun(results)
    if not finished:
        raise SettingError(f"results must hold a run with at least one finished round, but got {len(runs)} without.")
    tasks = sorted(set(datasets(finished)))
    if len(tasks) > 1:
        raise SettingError(f"results must belong to one task, but got {', '.join(tasks)}; plot one task at a time.")
    if isinstance(results, Mapping):
        names = [name for name, part in by_name.items() for _ in part]
    else:
        names = variants(finished)
    groups: dict[str, list[RunResult]] = {}
    for result, name in zip(finished, names, strict=True):
        groups.setdefault(name, []).append(result)
    return groups


def curves(results: Runs, quantity: Callable[[RoundRecord], float]) -> tuple[Curve, ...]:
    """Return a Curve of `quantity(record)` for each group of runs of one task."""
    return tuple(_curve(name, runs, quantity) for name, runs in group_runs(results).items())


def _curve(name: str, runs: Sequence[RunResult], quantity: Callable[[RoundRecord], float]) -> Curve:
    values: dict[int, list[float]] = {}
    for run in runs:
        for record in run.records:
            values.setdefault(record.labels, []).append(quantity(record))
    labels = sorted(values)
    mean, sd = zip(*(mean_sd(values[count]) for count in labels), strict=True)
    seeds = [len(values[count]) for count in labels]
    config = runs[0].config
    return Curve(name, config["selector"], config["method"], *map(np.array, (labels, mean, sd, seeds)))


def seeds_text(results: Runs) -> str:
    """Say how many seeds a mean was taken over: "3 seeds", or "2 to 3 seeds"."""
    counts = sorted({len(runs) for runs in group_runs(results).values()})
    few = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{few} seed{'s' if counts[-1] > 1 else ''}"


def teachers_of(results: Sequence[RunResult]) -> dict[str, float]:
    """Return the zero-shot accuracy of each teacher that was asked, by name; by name and accuracy where it has two."""
    found: dict[str, dict[float, None]] = {}
    for run in results:
        if run.teacher_accuracy is not None:
            found.setdefault(str(run.config["teacher"]), {})[run.teacher_accuracy] = None
    return {
        name if len(own) == 1 else f"{name} ({100 * value:.1f}%)": value for name, own in found.items() for value in own
    }
