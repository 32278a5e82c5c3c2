"""The report's numbers: accuracy by label count and selector, what stands out, and how the runs were made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from activekd_lab.plots.groups import Curve, curves, group_runs
from activekd_lab.results import RunResult
from activekd_lab.stats import mean_sd


class Row(NamedTuple):
    """One selector and method; accuracies are fractions, as (mean, sample deviation over seeds).

    Attributes:
        curve: accuracy along the labels.
        overall: mean accuracy over the rounds.
        seeds: the seeds.
        classes: mean number of classes with a label at the end.
    """

    curve: Curve
    overall: tuple[float, float]
    seeds: tuple[int, ...]
    classes: float


class Table(NamedTuple):
    """A task's results, best mean accuracy first.

    Attributes:
        labels: label counts, the columns.
        rows: one a selector and method.
        teachers: zero-shot accuracy by teacher, fractions.
    """

    labels: tuple[int, ...]
    rows: tuple[Row, ...]
    teachers: dict[str, float]


def table_data(results: Sequence[RunResult]) -> Table:
    """Collect the table of runs of one task.

    Raises:
        SettingError: no finished round, or several tasks at once.
    """
    groups = group_runs(results)
    found = curves(results, lambda record: record.accuracy)
    rows = sorted((_row(curve, groups[curve.name]) for curve in found), key=lambda row: -row.overall[0])
    labels = sorted({int(count) for curve in found for count in curve.labels})
    teachers = {str(run.config["teacher"]): run.teacher_accuracy for runs in groups.values() for run in runs}
    return Table(tuple(labels), tuple(rows), teachers)


def _row(curve: Curve, runs: Sequence[RunResult]) -> Row:
    seeds = tuple(int(run.config["seed"]) for run in runs)
    covered = mean_sd([run.records[-1].classes_covered for run in runs])[0]
    return Row(curve, mean_sd([run.mean_accuracy for run in runs]), seeds, covered)


def takeaway(table: Table) -> str:
    """Say who led, by how much, and how far the seeds of the same selector lie apart; no verdict beyond the numbers."""
    first, *others = table.rows
    teacher = ", ".join(f"{100 * value:.1f} % ({name})" for name, value in table.teachers.items())
    text = f"Highest mean accuracy over the rounds: {first.curve.name}, {percent(*first.overall)} %."
    if others:
        gap = 100 * (first.overall[0] - others[0].overall[0])
        text += f" Next: {others[0].curve.name}, {percent(*others[0].overall)} %, {gap:.1f} points below."
    counts = {len(row.seeds) for row in table.rows}
    spread = "one seed each: no spread is known" if counts == {1} else "± is one standard deviation over seeds"
    return f"{text} The teacher alone, zero-shot: {teacher}. ({spread[0].upper()}{spread[1:]}.)"


def percent(mean: float, sd: float) -> str:
    """Write a fraction and its deviation as percentages: "43.2 ± 0.4"."""
    return f"{100 * mean:.1f} ± {100 * sd:.1f}"
