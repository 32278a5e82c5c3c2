"""A task's accuracies by label count and variant: the numbers of a report's table, and the table as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from activekd_lab.compare.comparison import common_range, mean_between
from activekd_lab.compare.table import Table
from activekd_lab.compare.tables import percent
from activekd_lab.compare.variants import finished
from activekd_lab.plots.groups import Curve, curves, group_runs, teachers_of
from activekd_lab.runs.records import RunResult


class Row(NamedTuple):
    """One variant; accuracies are fractions.

    Attributes:
        curve: accuracy along the labels.
        overall: mean and sample deviation over seeds (NaN for one seed) of the mean accuracy over the rounds, within
            the label counts that all runs reached.
        seeds: the seeds.
        classes: mean number of classes with a label at the end.
    """

    curve: Curve
    overall: tuple[float, float]
    seeds: tuple[int, ...]
    classes: float


class Accuracies(NamedTuple):
    """A task's results, best mean accuracy first.

    Attributes:
        labels: label counts, the columns.
        rows: one a variant.
        teachers: zero-shot accuracy by teacher, fractions.
        left_out: how many unfinished runs are not counted, since others are finished.
    """

    labels: tuple[int, ...]
    rows: tuple[Row, ...]
    teachers: dict[str, float]
    left_out: int


def counted_of(results: Sequence[RunResult]) -> list[RunResult]:
    """Return the finished runs, or all where none is finished: those by which a page names variants and counts."""
    return [run for run in results if finished(run)] or list(results)


def accuracies(results: Sequence[RunResult]) -> Accuracies:
    """Collect the results of one task's runs; unfinished ones count only where none is finished.

    Raises:
        SettingError: no finished round, or several tasks at once.
    """
    counted = counted_of(results)
    groups = group_runs(counted)
    between = common_range([run for runs in groups.values() for run in runs])
    lines = curves(groups, lambda record: record.accuracy)
    rows = [_row(curve, groups[curve.name], between) for curve in lines]
    rows.sort(key=lambda row: -math.inf if math.isnan(row.overall[0]) else row.overall[0], reverse=True)
    labels = sorted({int(count) for curve in lines for count in curve.labels})
    teachers = teachers_of([run for runs in groups.values() for run in runs])
    return Accuracies(tuple(labels), tuple(rows), teachers, len(results) - len(counted))


def _row(curve: Curve, runs: Sequence[RunResult], between: tuple[int, int]) -> Row:
    means = [mean_between(run, between) for run in runs]
    sd = float(np.std(means, ddof=1)) if len(means) > 1 else math.nan
    covered = float(np.mean([run.records[-1].classes_covered for run in runs]))
    return Row(curve, (float(np.mean(means)), sd), tuple(int(run.config["seed"]) for run in runs), covered)


def takeaway(found: Accuracies) -> str:
    """Say who led, by how much, and how far the seeds of one variant lie apart; no verdict beyond the numbers."""
    first, *others = found.rows
    teacher = ", ".join(f"{100 * value:.1f} % ({name})" for name, value in found.teachers.items())
    text = f"Highest mean accuracy over the rounds: {first.curve.name}, {percent(*first.overall)} %."
    if others:
        gap = 100 * (first.overall[0] - others[0].overall[0])
        text += f" Next: {others[0].curve.name}, {percent(*others[0].overall)} %, {gap:.1f} points below."
    one = {len(row.seeds) for row in found.rows} == {1}
    spread = "One seed each: no spread is known" if one else "± is one standard deviation over seeds"
    alone = f" The teacher alone, zero-shot: {teacher}." if teacher else ""
    return f"{text}{alone} ({spread}.)"


def accuracy_table(found: Accuracies, *, title: str = "Test accuracy (%) by labels spent") -> Table:
    """Write the results as text: a row a variant, then the teachers; the best of each column is marked."""
    columns = ["selector", *(f"{count} labels" for count in found.labels), "mean", "classes labelled"]
    rows = [_cells(row, found.labels) for row in found.rows]
    means = [[_at(row.curve, count)[0] for count in found.labels] + [row.overall[0]] for row in found.rows]
    tops = np.nanmax(np.array(means), axis=0, initial=-1)
    best = {(i, 1 + j) for i, line in enumerate(means) for j, mean in enumerate(line) if mean >= tops[j]}
    rows += [[f"teacher {name}, zero-shot", f"{100 * value:.1f}"] for name, value in found.teachers.items()]
    counts = [len(row.seeds) for row in found.rows]
    seeds = sorted({min(counts), max(counts)})
    over = "one seed" if seeds == [1] else f"mean ± one standard deviation over {' to '.join(map(str, seeds))} seeds"
    notes = (f"{found.left_out} unfinished runs are left out.",) if found.left_out else ()
    return Table(f"{title}: {over}", columns, rows, notes, frozenset(best))


def _cells(row: Row, labels: Sequence[int]) -> list[str]:
    cells = ["" if math.isnan(_at(row.curve, count)[0]) else percent(*_at(row.curve, count)) for count in labels]
    return [row.curve.name, *cells, percent(*row.overall), f"{row.classes:.1f}"]


def _at(curve: Curve, count: int) -> tuple[float, float]:
    """Return mean and deviation at a label count; NaN where no seed, or only one, has that many."""
    i = int(np.searchsorted(curve.labels, count))
    if i == len(curve.labels) or curve.labels[i] != count:
        return math.nan, math.nan
    return float(curve.mean[i]), float(curve.sd[i]) if curve.seeds[i] > 1 else math.nan
