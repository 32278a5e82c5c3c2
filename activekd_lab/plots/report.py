"""One interactive HTML page about some runs, no network, no files beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from activekd_lab.compare.table import Table, render
from activekd_lab.compare.tables import compare, provenance_table
from activekd_lab.compare.variants import datasets, finished, variants
from activekd_lab.errors import ActiveKDError, RunFolderError, SettingError
from activekd_lab.io.arguments import checked
from activekd_lab.io.files import shown as shown_path
from activekd_lab.io.files import write_atomic
from activekd_lab.plots import theme
from activekd_lab.plots.accuracies import accuracies, accuracy_table, counted_of, takeaway
from activekd_lab.plots.covering import coverage
from activekd_lab.plots.gallery import pick_gallery
from activekd_lab.plots.groups import Array, Curve, group_runs
from activekd_lab.plots.images import check_images, sheet
from activekd_lab.plots.learning import learning_curves
from activekd_lab.plots.map_data import sample
from activekd_lab.plots.maps import probability_map
from activekd_lab.plots.words import describe
from activekd_lab.runs.records import RunResult

MAP_POINTS, HOVERED = 2500, 600
"""Points a map in the report draws, and how many of them answer the mouse: the page stays near ten megabytes."""
PICTURED = 6
"""How many variants a data set shows with maps and picked images: the best by mean accuracy."""
CURVES = 12
"""Groups that one figure can still show."""
_NO_PREDICTIONS = "No probability map: the runs kept no predictions (save_predictions=True keeps them)."
_LEFT_OUT = "Maps and picked images are of the {} best of {} variants."
_NO_IMAGES = "the report was made without the task's images."


class PoolImages(NamedTuple):
    """A task's training split, for the pictures and the true labels.

    Attributes:
        images: (N, 3, H, W) uint8.
        labels: (N,) int64 true classes.
    """

    images: Array
    labels: Array


def load_images(results: Sequence[RunResult]) -> dict[str, PoolImages | str]:
    """Return images and labels by data set (`variants.datasets`), of those with a run that kept its predictions.

    A data set that is not on this machine has the sentence that says so instead: tables and curves do without it.
    """
    named = zip(datasets(results), results, strict=True)
    configs = {name: result.config for name, result in named if result.keeps_predictions}
    pools: dict[str, PoolImages | str] = {}
    for name, config in configs.items():
        from activekd_lab.data import load_task  # noqa: PLC0415  (slow import)

        try:
            train = load_task(str(config["task"]), **config["task_options"]).train
            pools[name] = PoolImages(train.images.numpy(), train.labels.numpy())
        except ActiveKDError as error:
            pools[name] = str(error)
    return pools


class _Block(NamedTuple):
    """A card with one plot, tabs where there are several figures, and the pictures its points show on hover."""

    key: str
    specs: dict[str, Markup]
    height: int
    sheet: Markup | None = None


class _Section(NamedTuple):
    """What the page says of one data set; a part is a block or a sentence."""

    key: str
    name: str
    takeaway: str
    table: Table
    marks: list[dict[str, object]]
    parts: list[_Block | str]


@checked()
def write_report(
    results: Sequence[RunResult],
    path: str | Path,
    *,
    pools: Mapping[str, PoolImages | str] | None = None,
    title: str = "ActiveKD report",
    note: str = "",
) -> Path:
    """Write the report: for each task a table, learning curves, coverage, probability maps and picked images.

    Args:
        results: runs of one or more tasks; those that differ only by seed are averaged.
        path: the HTML file; its folder is made if needed.
        pools: images and labels by data set (see `load_images`), or a sentence that says why there are none.
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
    page = render(
        "report.html.j2", title=title, note=note, overview=_overview(results), made=provenance_table(results),
        sections=[_section(task, runs, (pools or {}).get(task)) for task, runs in by_task.items()],
        plotly=Markup(get_plotlyjs()), templates=_inert(theme.templates()),
    )  # fmt: skip
    write_atomic(path, page, "choose another path", kind=RunFolderError)
    return Path(path)


def _overview(results: Sequence[RunResult]) -> list[Table]:
    """Return variants × data sets with paired statistics, where there are two variants or more to compare."""
    done = [result for result in results if finished(result)]
    return compare(results, "mean")[:-1] if len(set(variants(done))) > 1 else []  # provenance stands in the foot


def _section(task: str, runs: Sequence[RunResult], pool: PoolImages | str | None) -> _Section:
    found, key = accuracies(runs), re.sub(r"[^\w-]+", "-", task)
    counted = counted_of(runs)  # an unfinished run with other settings would change what the others are called
    groups, legible = group_runs(counted), _legible(counted)
    known, said = pool.labels if isinstance(pool, PoolImages) else None, list[str]()
    best = [row.curve.name for row in found.rows[:PICTURED]]
    shown = {name: run for name in best if (run := _with_predictions(groups[name], known, said))}
    parts: list[_Block | str] = [
        *_guessing(runs),
        _block(f"{key}-curves", {name: learning_curves(part) for name, part in legible.items()}),
        _block(f"{key}-coverage", {name: coverage(part) for name, part in legible.items()}),
        *([_LEFT_OUT.format(PICTURED, len(groups))] if len(groups) > PICTURED else []),
        *said,
        *_pictures(key, shown, pool),
    ]
    return _Section(key, task, takeaway(found), accuracy_table(found), [_mark(row.curve) for row in found.rows], parts)


def _guessing(runs: Sequence[RunResult]) -> list[str]:
    """Return a sentence for each teacher that, in some run, cannot be told from guessing on the initial labels."""
    tested: dict[str, list[str]] = {}
    for run in runs:
        if run.teacher_start is not None:
            tested.setdefault(str(run.config.get("teacher")), []).append(run.teacher_start.remark)
    said = {teacher: [remark for remark in remarks if remark] for teacher, remarks in tested.items()}
    return [
        f"{teacher}, at the start of {len(remarks)} of {len(tested[teacher])} runs: {remarks[0]}"
        for teacher, remarks in said.items()
        if remarks
    ]


def _mark(curve: Curve) -> dict[str, object]:
    return {"color": theme.selector_style(curve.selector).color, "open": curve.method != "dho"}


def _legible(runs: Sequence[RunResult]) -> dict[str, list[RunResult]]:
    """Return the runs of one figure; of many groups, one figure for all selectors taught alike."""
    groups = group_runs(runs)
    parts: dict[str, list[RunResult]] = {}
    for name, group in groups.items():
        how = name.partition(" · ")[2] if len(groups) > CURVES else ""
        parts.setdefault(how, []).extend(group)
    return parts


def _with_predictions(runs: Sequence[RunResult], labels: Array | None, said: list[str]) -> RunResult | None:
    """Return the first run whose rounds all kept their probabilities, of these labels' images; `said` gains why not."""
    for run in runs:
        try:
            sizes = {len(run.probabilities(record.round)) for record in run.records}
        except RunFolderError as error:
            said += [f"Not pictured: {error}"] * run.keeps_predictions
            continue
        now = sizes if labels is None else {len(labels)}
        same = labels is None or all(
            labels[label.id] in (-1, label.label) for label in run.labels if label.id < max(now)
        )
        if sizes == now and len(sizes) == 1 and same:
            return run
        place = shown_path(run.folder or "a run")
        said.append(f"Not pictured: {place} holds predictions of other images than the data set has now.")
    return None


def _pictures(key: str, shown: Mapping[str, RunResult], pool: PoolImages | str | None) -> list[_Block | str]:
    """Return maps and galleries, or the sentences that say why there are none."""
    images = pool if isinstance(pool, PoolImages) else None
    parts: list[_Block | str] = []
    if shown:
        labels = images.labels if images else None
        maps = {n: probability_map(r, labels=labels, max_points=MAP_POINTS, hovered=HOVERED) for n, r in shown.items()}
        parts.append(_block(f"{key}-map", maps, _sheet(shown.values(), images.images) if images else None))
    else:
        parts.append(_NO_PREDICTIONS)
    if images is None:
        return [*parts, f"No pictures: {pool or _NO_IMAGES}"]
    picking = {name: run for name, run in shown.items() if any(record.picks for record in run.records)}
    galleries = {name: pick_gallery(run, images.images, images.labels) for name, run in picking.items()}
    return [*parts, _block(f"{key}-picks", galleries)] if galleries else parts


def _sheet(runs: Iterable[RunResult], images: Array) -> Markup:
    """Return one sheet with the thumbnails of all points that answer the mouse."""
    check_images(images)
    ids = {int(i) for i in sample(len(images), MAP_POINTS, HOVERED)[0]}
    for run in runs:
        ids |= {label.id for label in run.labels} | {i for record in run.records for i in record.picks}
    order = np.array(sorted(ids))
    page = sheet(images[order], columns=max(1, int(np.sqrt(len(order)))), quality=80)
    return _inert(json.dumps({"ids": order.tolist(), **page._asdict()}))


def _block(key: str, figures: Mapping[str, go.Figure], sheet: Markup | None = None) -> _Block:
    height = int(next(iter(figures.values())).layout.height)
    return _Block(key, {name: _spec(fig) for name, fig in figures.items()}, height, sheet)


def _spec(fig: go.Figure) -> Markup:
    """Return the figure as JSON without its template: the page holds both and sets the one it needs."""
    fig.layout.template, fig.layout.meta = None, {"said": describe(fig)}
    return _inert(str(fig.to_json(validate=False)))


def _inert(text: str) -> Markup:
    """Return JSON that cannot end, nor begin, anything in the page: no tag and no comment is left in it."""
    return Markup(text.replace("<", "\\u003c"))
