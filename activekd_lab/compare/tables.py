"""Tables of runs side by side: accuracies, paired differences, ranks, published figures, provenance."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from activekd_lab import stats
from activekd_lab.compare import comparison
from activekd_lab.compare.comparison import Measure, Scores
from activekd_lab.compare.reference import Published, published
from activekd_lab.compare.table import Table, render
from activekd_lab.compare.variants import datasets, finished, settings
from activekd_lab.errors import SettingError
from activekd_lab.io.arguments import checked
from activekd_lab.runs.records import RunResult

MISSING = "—"


@checked()
def compare(
    results: Sequence[RunResult],
    measure: Measure = "area",
    *,
    at: int | None = None,
    against: Mapping[str, Any] | None = None,
) -> list[Table]:
    """Return the tables of a comparison: accuracies, paired differences and ranks where there are any, provenance.

    Unfinished runs are left out, and a note says so.

    Args:
        results: runs of one or more data sets.
        measure: see `comparison.scores`.
        at: label count or round.
        against: one setting of the counterparts; None takes {"selector": "random"} where random was run.

    Raises:
        SettingError: no finished run at all.
    """
    done = _finished(results)
    found = comparison.scores(done, measure, at=at)
    left = len(results) - len(done)
    note = f"{left} of {len(results)} runs are unfinished and left out." if left else ""
    tables = [accuracy_table(found, done, note=note)]
    if against is not None or "random" in set(found.frame["selector"]):
        tables.append(difference_table(found, against or {"selector": "random"}))
    if found.frame["selector"].nunique() > 1:
        tables.append(rank_table(found))
    return [*tables, provenance_table(done)]


def _finished(results: Sequence[RunResult]) -> list[RunResult]:
    done = [result for result in results if finished(result)]
    if not done:
        raise SettingError(f"results must hold at least one finished run, but got {len(results)} unfinished; wait.")
    return done


@checked()
def round_tables(results: Sequence[RunResult]) -> list[Table]:
    """Return a table of accuracies for every round, in their order."""
    done = _finished(results)
    rounds = range(max(len(result.records) for result in done))
    return [accuracy_table(comparison.scores(done, "round", at=r), done) for r in rounds]


@checked()
def accuracy_table(found: Scores, results: Sequence[RunResult], *, note: str = "") -> Table:
    """Return accuracies in percent: a row a variant, a column a data set; then the teachers and published figures."""
    cells = _cells(found)
    names = list(dict.fromkeys(found.frame["dataset"]))
    lines = {v: [cells.get((v, d)) for d in names] for v in dict.fromkeys(found.frame["variant"])}
    order = sorted(lines, key=lambda variant: -_mean_of(lines[variant]))
    seeds = max((cell["seeds"] for cell in cells.values()), default=0)
    rows = [(variant, *(_cell(cell, seeds) for cell in lines[variant])) for variant in order]
    best = _best([lines[variant] for variant in order])
    missing = sum(cell == MISSING for row in rows for cell in row)
    rows += [*_teacher_rows(results, names), *_published_rows(names)]
    notes = [note, f"{missing} cells without a score ({MISSING})." if missing else "", _ranges(found)]
    over = f"; mean ± one standard deviation over {seeds} seeds" if seeds > 1 else "; one seed"
    title = f"Test accuracy (%): {found.measure}{over}"
    return Table(title, ("variant", *names), rows, tuple(filter(None, notes)), best)


_Cell = Mapping[Hashable, Any]  # a row of `comparison.summary`


def _cells(found: Scores) -> dict[tuple[str, str], _Cell]:
    return {(row["variant"], row["dataset"]): row for row in comparison.summary(found).to_dict("records")}


def _mean_of(line: Sequence[_Cell | None]) -> float:
    means = [cell["mean"] for cell in line if cell]
    return sum(means) / len(means) if means else -math.inf


def _cell(cell: _Cell | None, seeds: int) -> str:
    if cell is None:
        return MISSING
    return percent(cell["mean"], cell["sd"]) + (f" [{cell['seeds']}]" if cell["seeds"] < seeds else "")


@checked(mean="or NaN", sd="or NaN")
def percent(mean: float, sd: float = math.nan) -> str:
    """Write a fraction and its deviation over seeds as percentages, "43.2 ± 0.4"; one seed (NaN) has no deviation."""
    return MISSING if math.isnan(mean) else f"{100 * mean:.1f}" + ("" if math.isnan(sd) else f" ± {100 * sd:.1f}")


def _best(lines: Sequence[Sequence[_Cell | None]]) -> frozenset[tuple[int, int]]:
    best = set()
    for j, column in enumerate(zip(*lines, strict=True), start=1):
        means = [cell["mean"] if cell else -math.inf for cell in column]
        best |= {(i, j) for i, mean in enumerate(means) if mean == max(means) > -math.inf}
    return frozenset(best)


def _teacher_rows(results: Sequence[RunResult], names: Sequence[str]) -> list[tuple[str, ...]]:
    found: dict[str, dict[str, list[float]]] = {}
    for result, config, dataset in zip(results, settings(results), datasets(results), strict=True):
        if result.teacher_accuracy is not None:
            own = found.setdefault(str(config.get("teacher")), {})
            own.setdefault(dataset, []).append(result.teacher_accuracy)
    return [
        (f"teacher {name}, zero-shot", *(_span(own[d]) if d in own else MISSING for d in names))
        for name, own in found.items()
    ]


def _span(values: Sequence[float]) -> str:
    """Write fractions as a percentage, or as two: with other prompts one teacher is two."""
    return " … ".join(dict.fromkeys(f"{100 * value:.1f}" for value in (min(values), max(values))))


def _published_rows(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return a row for each published accuracy of one of the data sets, whatever its options."""
    rows: dict[tuple[str, str, str], dict[str, Published]] = {}
    for figure in published():
        if figure.unit == "percent":
            rows.setdefault((figure.quantity, figure.setting, figure.source), {})[figure.dataset] = figure
    found = []
    for (quantity, setting, source), own in rows.items():
        cells = [own[name].value if (name := d.partition(" (")[0]) in own else MISSING for d in names]
        if set(cells) != {MISSING}:
            found.append((f"published: {quantity.replace('_', ' ')}, {setting} [{source}]", *cells))
    return found


def _ranges(found: Scores) -> str:
    spans = ", ".join(f"{low} to {high} on {dataset}" for dataset, (low, high) in found.ranges.items())
    return f"Label counts that all runs reached, validation labels included: {spans}."


@checked()
def difference_table(found: Scores, against: Mapping[str, Any]) -> Table:
    """Return paired differences in percentage points, with bootstrap interval, both tests and Holm's correction."""
    table = comparison.differences(found, against)
    rows = [_difference_row(row) for row in table.to_dict("records")]
    columns = ("variant", "against", "pairs", "difference", "95% bootstrap", "p, t test", "p, Wilcoxon", "p, Holm",
               "differs")  # fmt: skip
    note = (
        "Pairs share data set and seed; all data sets are pooled. Holm's correction is of the t test, over all rows. "
        "In brackets the smallest p that Wilcoxon's test can give with that many pairs."
    )
    return Table("Paired differences (percentage points)", columns, rows, (note,))


def _difference_row(row: Mapping[Hashable, Any]) -> tuple[str, ...]:
    interval = MISSING if math.isnan(row["low"]) else f"{100 * row['low']:+.1f} … {100 * row['high']:+.1f}"
    return (
        str(row["variant"]), str(row["against"]), str(row["pairs"]), f"{100 * row['difference']:+.1f}", interval,
        _p(row["p_t"]), f"{_p(row['p_wilcoxon'])} (≥ {row['p_wilcoxon_floor']:.2g})", _p(row["p_holm"]),
        "yes" if row["differs"] else "not shown",
    )  # fmt: skip


def _p(value: float) -> str:
    return MISSING if math.isnan(value) else f"{value:.3f}" if value >= 0.001 else "< 0.001"


@checked()
def rank_table(found: Scores) -> Table:
    """Return in how many settings each selector is first, its mean rank, and whom it is not told apart from."""
    won = comparison.wins(found)
    ranks: dict[str, tuple[str, str]] = {}
    try:
        ranked = comparison.ranks(found)
    except SettingError as error:
        note = f"No mean ranks: {error}"
    else:
        ranks = {name: (f"{ranked.ranks[i]:.2f}", _alike(ranked, i)) for i, name in enumerate(ranked.names)}
        friedman = "" if math.isnan(ranked.p_value) else f" Friedman's p = {ranked.p_value:.3g}."
        note = (
            f"Mean ranks over {ranked.blocks} blocks (data set and seed, mean over other settings). Told apart are "
            f"selectors more than {ranked.critical:.2f} ranks from one another (Nemenyi, 5%) whose paired t test, with "
            f"Holm's correction over all pairs, says so too.{friedman}"
        )
    rows = [
        (name, f"{first} of {total}", *ranks.get(name, (MISSING, MISSING)))
        for name, first, total in won.itertuples(index=False)
    ]
    columns = ("selector", "first in", "mean rank", "not told apart from")
    return Table(f"Who is first, by {found.measure}", columns, rows, (note,))


def _alike(ranked: stats.Ranks, i: int) -> str:
    groups = [range(first, last + 1) for first, last in ranked.cliques if first <= i <= last]
    others = sorted({j for group in groups for j in group} - {i})
    return ", ".join(ranked.names[j] for j in others) or "nobody"


@checked()
def provenance_table(results: Sequence[RunResult]) -> Table:
    """Return settings and provenance: one value where all runs agree, else all of them."""
    found: dict[str, dict[str, None]] = {}
    for result in results:
        for key, value in {**result.config, **result.provenance}.items():
            found.setdefault(key, {})[_plain(value)] = None
    rows = [(key, ", ".join(values)) for key, values in found.items()]
    return Table(f"How the {len(results)} runs were made", ("setting", "value"), rows)


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items()) or "none"
    return "none" if value is None else str(value)


@checked()
def html_page(tables: Sequence[Table], *, title: str = "Comparison of runs") -> str:
    """Write tables as an HTML page of its own."""
    return render("compare.html.j2", tables=tables, title=title)


@checked()
def csv_text(results: Sequence[RunResult], measure: Measure = "area", *, at: int | None = None) -> str:
    """Write a line for each variant and data set: mean, ends of Student's 95% interval, seeds, deviation; fractions.

    Unfinished runs are left out; a cell without a score stands there, empty.
    """
    found = comparison.scores(_finished(results), measure, at=at)
    cells = comparison.summary(found).set_index(["variant", "dataset"])
    places = [(v, d) for v in dict.fromkeys(found.frame["variant"]) for d in found.ranges]
    return str(cells.reindex(places).astype({"seeds": "Int64"}).round(6).to_csv(lineterminator="\n"))
