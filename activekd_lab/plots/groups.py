"""Runs that differ only by seed belong together: grouping, and mean and spread over seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from activekd_lab.errors import SettingError
from activekd_lab.results import RoundRecord, RunResult
from activekd_lab.stats import mean_sd
from activekd_lab.variants import datasets, variants

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


def group_runs(results: Sequence[RunResult]) -> dict[str, list[RunResult]]:
    """Group runs of one task by all that differs between them but the seed, in the order of their first appearance.

    Raises:
        SettingError: no finished round, or several tasks at once.
    """
    finished = [result for result in results if result.records]
    if not finished:
        raise SettingError(f"results must hold a run with at least one finished round, but got {len(results)} without.")
    tasks = sorted(set(datasets(finished)))
    if len(tasks) > 1:
        raise SettingError(f"results must belong to one task, but got {', '.join(tasks)}; plot one task at a time.")
    groups: dict[str, list[RunResult]] = {}
    for result, name in zip(finished, variants(finished), strict=True):
        groups.setdefault(name, []).append(result)
    return groups


def curves(results: Sequence[RunResult], quantity: Callable[[RoundRecord], float]) -> tuple[Curve, ...]:
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


def seeds_text(results: Sequence[RunResult]) -> str:
    """Say how many seeds a mean was taken over: "3 seeds", or "2 to 3 seeds"."""
    counts = sorted({len(runs) for runs in group_runs(results).values()})
    few = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{few} seed{'s' if counts[-1] > 1 else ''}"
