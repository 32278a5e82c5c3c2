"""One interactive HTML page about some runs: no network, no files beside it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from activekd_lab.errors import RunFolderError, SettingError
from activekd_lab.plots import theme
from activekd_lab.plots.covering import coverage
from activekd_lab.plots.gallery import pick_gallery
from activekd_lab.plots.groups import Array, group_runs
from activekd_lab.plots.images import check_images, sheet
from activekd_lab.plots.learning import learning_curves
from activekd_lab.plots.map_data import sample
from activekd_lab.plots.maps import probability_map
from activekd_lab.plots.report_page import CSS, JS, PAGE
from activekd_lab.plots.report_table import Row, Table, percent, table_data, takeaway
from activekd_lab.results import RunResult
from activekd_lab.tables import compare, html_tables, provenance_table
from activekd_lab.variants import datasets, finished, variants

MAP_POINTS, HOVERED = 2500, 600
"""Points a map in the report draws, and how many of them answer the mouse: the page stays near ten megabytes."""
PICTURED = 6
"""How many variants a data set shows with maps and picked images: the best by mean accuracy."""
CURVES = 12
"""Groups that one figure can still show."""
_NO_PREDICTIONS = "No probability map: the runs kept no predictions (save_predictions=True keeps them)."
_LEFT_OUT = "Maps and picked images are of the {} best of {} variants."
_NO_IMAGES = "the report was made without the task's images."


class Pool(NamedTuple):
    """A task's training split, for the pictures and the true labels.

    Attributes:
        images: (N, 3, H, W) uint8.
        labels: (N,) int64 true classes.
    """

    images: Array
    labels: Array


def write_report(
    results: Sequence[RunResult],
    path: str | Path,
    *,
    pools: Mapping[str, Pool | str] | None = None,
    title: str = "ActiveKD report",
    note: str = "",
) -> Path:
    """Write the report: for each task a table, learning curves, coverage, probability maps and picked images.

    Args:
        results: runs of one or more tasks; those that differ only by seed are averaged.
        path: the HTML file; its folder is made if needed.
        pools: images and labels by data set (`variants.datasets`), or a sentence that says why there are none. One
            without them gets no pictures, and the page says why.
        title: the page's heading.
        note: the line below it.

    Returns:
        The path written.

    Raises:
        SettingError: no finished round at all.
        RunFolderError: the file cannot be written.
    """
    by_task: dict[str, list[RunResult]] = {}
    for result, dataset in zip(results, datasets(results), strict=True):
        if result.records:
            by_task.setdefault(dataset, []).append(result)
    if not by_task:
        raise SettingError(f"results must hold a run with at least one finished round, but got {len(results)} without.")
    sections = [_section(task, runs, (pools or {}).get(task)) for task, runs in by_task.items()]
    nav = "".join(f'<a href="#{_anchor(task)}">{html.escape(task)}</a>' for task in by_task) if len(by_task) > 1 else ""
    page = PAGE.format(
        title=html.escape(title), note=html.escape(note), nav=nav, sections="".join([_overview(results), *sections]),
        foot=_foot(results), css=CSS, js=JS, plotly=get_plotlyjs(), templates=_templates(),
    )  # fmt: skip
    return _write(Path(path), page)


def _overview(results: Sequence[RunResult]) -> str:
    """Return variants × data sets with paired statistics, where there are two variants or more to compare."""
    done = [result for result in results if finished(result)]
    if len(set(variants(done))) < 2:
        return ""
    tables = compare(results)[:-1]  # provenance stands in the foot
    blocks = "".join(f'<div class="block">{html_tables([table])}</div>' for table in tables)
    return f'<section id="overview"><h2>Side by side</h2>{blocks}</section>'


def _anchor(task: str) -> str:
    return re.sub(r"[^\w-]+", "-", task)


def _section(task: str, runs: Sequence[RunResult], found: Pool | str | None) -> str:
    pool, why = (found, "") if isinstance(found, Pool) else (None, f"No pictures: {found or _NO_IMAGES}")
    table, key = table_data(runs), _anchor(task)
    groups, best_first = group_runs(runs), [row.curve.name for row in table.rows]
    shown = {name: run for name in best_first[:PICTURED] if (run := _with_predictions(groups[name]))}
    return "".join(
        [
            f'<section id="{key}"><h2>{html.escape(task)}</h2><p>{html.escape(takeaway(table))}</p>',
            f'<div class="block">{_table(table)}</div>',
            _block(f"{key}-curves", {name: learning_curves(part) for name, part in _legible(groups).items()}),
            _block(f"{key}-coverage", {name: coverage(part) for name, part in _legible(groups).items()}),
            f'<p class="muted">{_LEFT_OUT.format(PICTURED, len(groups))}</p>' if len(groups) > PICTURED else "",
            _maps(key, shown, pool),
            _galleries(key, shown, pool)
            if pool
            else f'<p class="muted">No pictures: {html.escape(why, quote=False)}</p>',
            "</section>",
        ]
    )


def _legible(groups: Mapping[str, Sequence[RunResult]]) -> dict[str, list[RunResult]]:
    """Return the runs of one figure; of many groups, one figure for all selectors taught alike."""
    parts: dict[str, list[RunResult]] = {}
    for name, runs in groups.items():
        how = name.partition(" · ")[2] if len(groups) > CURVES else ""
        parts.setdefault(how, []).extend(runs)
    return parts


def _with_predictions(runs: Sequence[RunResult]) -> RunResult | None:
    """Return the first run whose rounds all kept their probabilities."""
    for run in runs:
        try:
            for record in run.records:
                run.probabilities(record.round)
        except RunFolderError:
            continue
        return run
    return None


def _maps(key: str, shown: Mapping[str, RunResult], pool: Pool | None) -> str:
    if not shown:
        return f'<p class="muted">{_NO_PREDICTIONS}</p>'
    labels = pool.labels if pool else None
    figs = {
        name: probability_map(run, labels=labels, max_points=MAP_POINTS, hovered=HOVERED) for name, run in shown.items()
    }
    sheets = _sheet(f"{key}-sheet", shown.values(), pool.images) if pool else ""
    return sheets + _block(f"{key}-map", figs, sheet_id=f"{key}-sheet" if pool else "")


def _galleries(key: str, shown: Mapping[str, RunResult], pool: Pool) -> str:
    picking = {name: run for name, run in shown.items() if any(record.picks for record in run.records)}
    return (
        _block(f"{key}-picks", {n: pick_gallery(r, pool.images, pool.labels) for n, r in picking.items()})
        if picking
        else ""
    )


def _sheet(sheet_id: str, runs: Iterable[RunResult], images: Array) -> str:
    """Return one sheet with the thumbnails of all points that answer the mouse."""
    check_images(images)
    ids = {int(i) for i in sample(len(images), MAP_POINTS, HOVERED)[0]}
    for run in runs:
        ids |= {label.id for label in run.labels} | {i for record in run.records for i in record.picks}
    order = np.array(sorted(ids))
    page = sheet(images[order], columns=max(1, int(np.sqrt(len(order)))), quality=80)
    return _json(sheet_id, json.dumps({"ids": order.tolist(), **page._asdict()}))


def _block(block_id: str, figs: Mapping[str, go.Figure], *, sheet_id: str = "") -> str:
    """Return a card with one plot, and tabs where there are several figures to choose from."""
    names = list(figs)
    specs = "".join(_json(f"{block_id}-{i}", _spec(fig)) for i, fig in enumerate(figs.values()))
    tabs = "".join(
        f'<button role="tab" aria-selected="{str(i == 0).lower()}" data-spec="{block_id}-{i}">{html.escape(n)}</button>'
        for i, n in enumerate(names)
    )
    bar = f'<div class="tabs" role="tablist">{tabs}</div>' if len(names) > 1 else ""
    height = int(next(iter(figs.values())).layout.height)
    plot = f'<div class="plot" style="height:{height}px" data-spec="{block_id}-0" data-sheet="{sheet_id}"></div>'
    return f'{specs}<div class="block">{bar}{plot}</div>'


def _spec(fig: go.Figure) -> str:
    """Return the figure as JSON without its template: the page holds both and sets the one it needs."""
    spec = json.loads(fig.to_json())
    del spec["layout"]["template"]
    return json.dumps(spec)


def _json(element_id: str, text: str) -> str:
    inert = text.replace("</", "<\\/")
    return f'<script type="application/json" id="{element_id}">{inert}</script>'


def _templates() -> str:
    figs = {name: json.loads(go.Figure(layout_template=f"activekd_{name}").to_json()) for name in ("light", "dark")}
    return json.dumps({name: fig["layout"]["template"] for name, fig in figs.items()})


def _table(table: Table) -> str:
    head = "".join(f"<th>{count}</th>" for count in table.labels)
    best = [
        max(row.curve.mean[row.curve.labels == count].max(initial=0) for row in table.rows) for count in table.labels
    ]
    rows = "".join(_table_row(row, table.labels, best) for row in table.rows)
    levels = "".join(
        f'<tr class="teacher"><td>teacher {html.escape(name)}, zero-shot</td><td>{100 * value:.1f}</td>'
        f'<td colspan="{len(table.labels) + 1}"></td></tr>'
        for name, value in table.teachers.items()
    )
    return (
        "<h3>Test accuracy (%) by labels spent: mean, ± one standard deviation over seeds</h3>"
        f'<div class="scroll"><table><tr><th>selector</th><th>mean</th>{head}<th>classes<br>labelled</th></tr>'
        f"{rows}{levels}</table></div>"
    )


def _table_row(row: Row, labels: Sequence[int], best: Sequence[float]) -> str:
    color, distilled = theme.selector_style(row.curve.selector).color, row.curve.method == "dho"
    mark = f'<i class="key{"" if distilled else " open"}" style="background:{color};border-color:{color}"></i>'
    cells = [_cell(*row.overall)]
    at = {int(count): i for i, count in enumerate(row.curve.labels)}
    for count, top in zip(labels, best, strict=True):
        i = at.get(count)
        cells.append("<td></td>" if i is None else _cell(row.curve.mean[i], row.curve.sd[i], row.curve.mean[i] >= top))
    name = f"{html.escape(row.curve.name)}<small>{len(row.seeds)} seed{'s' * (len(row.seeds) > 1)}</small>"
    return f"<tr><td>{mark}{name}</td>{''.join(cells)}<td>{row.classes:.1f}</td></tr>"


def _cell(mean: float, sd: float, best: bool = False) -> str:
    value, spread = percent(mean, sd).split(" ", 1)
    mark = ' class="best"' if best else ""
    return f"<td{mark}>{value}<small>{spread}</small></td>"


def _foot(results: Sequence[RunResult]) -> str:
    table = provenance_table(results)
    rows = "".join(f"<tr><td>{html.escape(k)}</td><td>{html.escape(v)}</td></tr>" for k, v in table.rows)
    return f'<div class="block"><table>{rows}</table></div>'


def _write(path: Path, page: str) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise RunFolderError(
            f"The report {path} cannot be written ({error.strerror or error}); choose another path."
        ) from error
    return path
