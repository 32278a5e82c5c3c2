"""Tables of runs side by side, as text, Markdown, LaTeX, HTML and CSV: means, paired differences, ranks, provenance."""

from __future__ import annotations

import html
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from activekd_lab import comparison, stats
from activekd_lab.comparison import Measure, Scores
from activekd_lab.errors import SettingError
from activekd_lab.reference import Published, published
from activekd_lab.results import RunResult
from activekd_lab.variants import datasets, finished

MISSING = "—"


class Table(NamedTuple):
    """A table of text.

    Attributes:
        title: what it shows, with units and what stands behind ±.
        columns: their heads.
        rows: as many cells each.
        best: (row, column) positions of the highest mean in each column.
        notes: sentences below it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: frozenset[tuple[int, int]] = frozenset()
    notes: tuple[str, ...] = ()


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


def round_tables(results: Sequence[RunResult]) -> list[Table]:
    """Return a table of accuracies for every round, in their order."""
    done = _finished(results)
    rounds = range(max(len(result.records) for result in done))
    return [accuracy_table(comparison.scores(done, "round", at=r), done) for r in rounds]


def accuracy_table(found: Scores, results: Sequence[RunResult], *, note: str = "") -> Table:
    """Return accuracies in percent: a row a variant, a column a data set; then the teachers and published figures."""
    cells = _intervals(found)
    names = list(dict.fromkeys(found.frame["dataset"]))
    lines = {v: [cells.get((v, d)) for d in names] for v in dict.fromkeys(found.frame["variant"])}
    order = sorted(lines, key=lambda variant: -_mean_of(lines[variant]))
    seeds = max((interval.size for interval in cells.values()), default=0)
    rows = [(variant, *(_cell(interval, seeds) for interval in lines[variant])) for variant in order]
    best = _best([lines[variant] for variant in order])
    missing = sum(cell == MISSING for row in rows for cell in row)
    rows += [*_teacher_rows(results, names), *_published_rows(names)]
    notes = [note, f"{missing} cells without a score ({MISSING})." if missing else "", _ranges(found)]
    title = f"Test accuracy (%): {found.measure}; mean ± half of Student's 95% interval over {seeds} seeds"
    return Table(title, ("variant", *names), tuple(rows), best, tuple(filter(None, notes)))


def _intervals(found: Scores) -> dict[tuple[str, str], stats.Interval]:
    rows = comparison.summary(found).to_dict("records")
    return {(r["variant"], r["dataset"]): stats.Interval(r["mean"], r["low"], r["high"], r["seeds"]) for r in rows}


def _mean_of(line: Sequence[stats.Interval | None]) -> float:
    means = [interval.mean for interval in line if interval]
    return sum(means) / len(means) if means else -math.inf


def _cell(interval: stats.Interval | None, seeds: int) -> str:
    if interval is None:
        return MISSING
    spread = "" if math.isnan(interval.low) else f" ± {100 * (interval.mean - interval.low):.1f}"
    return f"{100 * interval.mean:.1f}{spread}" + (f" [{interval.size}]" if interval.size < seeds else "")


def _best(lines: Sequence[Sequence[stats.Interval | None]]) -> frozenset[tuple[int, int]]:
    found = set()
    for j, column in enumerate(zip(*lines, strict=True), start=1):
        means = [interval.mean if interval else -math.inf for interval in column]
        found |= {(i, j) for i, mean in enumerate(means) if mean == max(means) > -math.inf}
    return frozenset(found)


def _teacher_rows(results: Sequence[RunResult], names: Sequence[str]) -> list[tuple[str, ...]]:
    found: dict[str, dict[str, float]] = {}
    for result, dataset in zip(results, datasets(results), strict=True):
        found.setdefault(str(result.config.get("teacher")), {})[dataset] = result.teacher_accuracy
    return [
        (f"teacher {name}, zero-shot", *(f"{100 * own[d]:.1f}" if d in own else MISSING for d in names))
        for name, own in found.items()
    ]


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


def difference_table(found: Scores, against: Mapping[str, Any]) -> Table:
    """Return paired differences in percentage points, with bootstrap interval, both tests and Holm's correction."""
    table = comparison.differences(found, against)
    rows = [_difference_row(row) for row in table.to_dict("records")]
    columns = (
        "variant",
        "against",
        "pairs",
        "difference",
        "95% bootstrap",
        "p, t test",
        "p, Wilcoxon",
        "p, Holm",
        "differs",
    )
    note = (
        "Pairs share data set and seed; all data sets are pooled. Holm's correction is of the t test, over all rows. "
        "In brackets the smallest p that Wilcoxon's test can give with that many pairs."
    )
    return Table("Paired differences (percentage points)", columns, tuple(rows), notes=(note,))


def _difference_row(row: Mapping[Hashable, Any]) -> tuple[str, ...]:
    interval = MISSING if math.isnan(row["low"]) else f"{100 * row['low']:+.1f} … {100 * row['high']:+.1f}"
    return (
        str(row["variant"]), str(row["against"]), str(row["pairs"]), f"{100 * row['difference']:+.1f}", interval,
        _p(row["p_t"]), f"{_p(row['p_wilcoxon'])} (≥ {row['p_wilcoxon_floor']:.2g})", _p(row["p_holm"]),
        "yes" if row["differs"] else "not shown",
    )  # fmt: skip


def _p(value: float) -> str:
    return MISSING if math.isnan(value) else f"{value:.3f}" if value >= 0.001 else "< 0.001"


def rank_table(found: Scores) -> Table:
    """Return in how many settings each selector is first, and mean ranks with Nemenyi's critical difference."""
    won = comparison.wins(found)
    try:
        ranked = comparison.ranks(found)
    except SettingError as error:
        ranks, note = {}, f"No mean ranks: {error}"
    else:
        ranks = dict(zip(ranked.names, ranked.ranks, strict=True))
        friedman = "" if math.isnan(ranked.p_value) else f" Friedman's p = {ranked.p_value:.3g}."
        note = (
            f"Mean ranks over {ranked.blocks} blocks (data set, seed, other settings); selectors within "
            f"{ranked.critical:.2f} of one another (Nemenyi, 5%) are not told apart.{friedman}"
        )
    rows = [
        (name, f"{first} of {total}", f"{ranks[name]:.2f}" if name in ranks else MISSING)
        for name, first, total in won.itertuples(index=False)
    ]
    return Table(f"Who is first, by {found.measure}", ("selector", "first in", "mean rank"), tuple(rows), notes=(note,))


def provenance_table(results: Sequence[RunResult]) -> Table:
    """Return settings and provenance: one value where all runs agree, else all of them."""
    found: dict[str, dict[str, None]] = {}
    for result in results:
        for key, value in {**result.config, **result.provenance}.items():
            found.setdefault(key, {})[_plain(value)] = None
    rows = [(key, ", ".join(values)) for key, values in found.items()]
    return Table(f"How the {len(results)} runs were made", ("setting", "value"), tuple(rows))


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items()) or "none"
    return "none" if value is None else str(value)


def markdown(tables: Sequence[Table], *, bold: bool = True) -> str:
    """Write tables in Markdown, the best of each column in bold."""
    parts = []
    for table in tables:
        marked = table.best if bold else frozenset()
        lines = [[f"**{c}**" if (i, j) in marked else c for j, c in enumerate(r)] for i, r in enumerate(table.rows)]
        rows = [table.columns, ["---"] * len(table.columns), *lines]
        body = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
        parts.append("\n\n".join([f"**{table.title}**", body, *table.notes]))
    return "\n\n".join(parts) + "\n"


_LATEX = {"\\": r"\textbackslash{}", "±": r"$\pm$", "—": "--", "·": r"$\cdot$", "…": r"\dots{}", "≥": r"$\geq$"} | {
    c: f"\\{c}" for c in "&%$#_{}"
}


def latex(tables: Sequence[Table]) -> str:
    """Write tables in LaTeX for the package booktabs, the best of each column in bold."""
    return "\n".join(_latex(table) for table in tables)


def _latex(table: Table) -> str:
    escape = str.maketrans(_LATEX)
    lines = [
        [f"\\textbf{{{c.translate(escape)}}}" if (i, j) in table.best else c.translate(escape) for j, c in enumerate(r)]
        for i, r in enumerate(table.rows)
    ]
    head, *body = [" & ".join(row) + r" \\" for row in ([c.translate(escape) for c in table.columns], *lines)]
    caption = " ".join([f"{table.title}.", *table.notes]).translate(escape)
    begin = (
        f"\\begin{{table}}\n\\caption{{{caption}}}\n\\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}\n\\toprule"
    )
    return "\n".join([begin, head, r"\midrule", *body, "\\bottomrule\n\\end{tabular}\n\\end{table}\n"])


def html_tables(tables: Sequence[Table]) -> str:
    """Write tables as an HTML fragment, the best of each column of class "best"."""
    return "".join(_html(table) for table in tables)


def _html(table: Table) -> str:
    head = "".join(f"<th>{html.escape(column)}</th>" for column in table.columns)
    rows = "".join(
        "<tr>"
        + "".join(f"<td{' class=best' * ((i, j) in table.best)}>{html.escape(c)}</td>" for j, c in enumerate(row))
        + "</tr>"
        for i, row in enumerate(table.rows)
    )
    notes = "".join(f'<p class="muted">{html.escape(note)}</p>' for note in table.notes)
    body = f'<div class="scroll"><table><tr>{head}</tr>{rows}</table></div>'
    return f"<h3>{html.escape(table.title)}</h3>{body}{notes}"


def html_page(tables: Sequence[Table], *, css: str, title: str = "Comparison of runs") -> str:
    """Write tables as an HTML page of its own."""
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
    )
    blocks = "".join(f'<div class="block">{_html(table)}</div>' for table in tables)
    frame = (
        '<!doctype html><html lang="en"><head>{}<style>{}</style></head><body><main><h1>{}</h1>{}</main></body></html>'
    )
    return frame.format(head, css, html.escape(title), blocks)


def csv_text(results: Sequence[RunResult], measure: Measure = "area", *, at: int | None = None) -> str:
    """Write a line for each variant and data set: mean, ends of Student's 95% interval (fractions), seeds.

    Unfinished runs are left out; a cell without a score stands there, empty.
    """
    found = comparison.scores(_finished(results), measure, at=at)
    cells = comparison.summary(found).set_index(["variant", "dataset"])
    places = [(v, d) for v in dict.fromkeys(found.frame["variant"]) for d in found.ranges]
    return str(cells.reindex(places).astype({"seeds": "Int64"}).round(6).to_csv(lineterminator="\n"))
