"""Names that are scripts are shown as text: in the report, the comparison, and every figure's and widget's words."""

from dataclasses import replace

import pytest
from runs import make_images, make_run

from activekd_lab.compare.tables import compare, html_page
from activekd_lab.plots.gallery import picks_of
from activekd_lab.plots.report import PoolImages, write_report
from activekd_lab.plots.theme import plain
from activekd_lab.widgets.panels import hover_card, pick_panel, words

EVIL = (
    "<script>window.ran = 1</script>", "</script><script>window.ran = 1</script>", "<!--<script>",
    "<img src=x onerror='window.ran = 1'>", "<a href='javascript:window.ran = 1'>x</a>",
    "' onmouseover='window.ran = 1",
)  # fmt: skip
RAN = '() => window.ran !== undefined || document.querySelector(\'img[src="x"], a[href^="javascript"]\') !== null'


def evil_runs():
    """Every text that a run carries is a script: classes, selector, task, options, teacher, provenance."""
    for i, text in enumerate(EVIL):
        made = make_run(text, seed=0, task="toy", teacher=text, task_options={"root": text}, gain=0.01 * i, rounds=1)
        yield replace(made, class_names=EVIL[:5], provenance={text: text})


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    place, runs = tmp_path_factory.mktemp("evil"), list(evil_runs())
    labels = make_images()[:, 0, 0, 0] % 5
    for label in (label for run in runs for label in run.labels):
        labels[label.id] = label.label  # the run's own images
    pools = {"toy": PoolImages(make_images(), labels)}
    report = write_report([replace(r, config={**r.config, "task_options": {}}) for r in runs], place / "report.html",
                          pools=pools, title=EVIL[0], note=EVIL[2])  # fmt: skip
    (place / "compare.html").write_text(html_page(compare(runs, "final"), title=EVIL[1]), encoding="utf-8")
    p, labels = runs[0].probabilities(0), pools["toy"].labels
    panel = pick_panel(picks_of(p, labels, labels[:3], labels[3:5]), make_images(), EVIL[:5])
    card = hover_card(make_images()[0], plain(EVIL[3]))
    (place / "widget.html").write_text(f"<!doctype html><meta charset=utf-8>{words(EVIL[0])}{panel}{card}", "utf-8")
    return report, place / "compare.html", place / "widget.html"


@pytest.mark.parametrize("page", [0, 1, 2], ids=["report", "compare", "widget"])
def test_a_script_in_a_name_is_shown_and_does_not_run(page, pages, open_page):
    tab = open_page(pages[page].as_uri())
    if page == 0:
        tab.page.locator(".gtitle").first.wait_for()
        tab.page.locator("#toy .plot .gtitle").nth(3).wait_for()
    assert EVIL[0] in tab.page.locator("body").inner_text()
    assert not tab.page.evaluate(RAN)
    assert tab.errors == []
