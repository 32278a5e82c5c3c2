"""SelectionExplorer in JupyterLab: moved by keyboard and by mouse, at two widths."""

import re

import pytest

NOTEBOOK = [
    """
import numpy as np, activekd_lab as akd
task = akd.load_task("digits")
rng = np.random.default_rng(0)
logits = rng.normal(size=(len(task.train), 10)) + 3 * np.eye(10)[np.asarray(task.train.labels)]
p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
""",
    "explorer = akd.widgets.SelectionExplorer(task, p, labeled_ids=np.arange(10), budget=10)\nexplorer",
    "print('state', explorer.state.budget, explorer.state.selector, len(explorer.picks().ids))",
]


def takeaway(tab):
    return tab.page.locator("p[role=status]").first.inner_text()


def radius_after(tab):
    return float(re.search(r"radius goes from [\d.]+ to ([\d.]+)", takeaway(tab))[1])


@pytest.mark.parametrize("width", [1280, 800])
def test_the_budget_slider_redraws_the_picks(open_notebook, width):
    tab = open_notebook(NOTEBOOK, width=width, height=1300)
    tab.run_all()
    cell = tab.cell(1)
    tab.page.get_by_text("pcoreset picks 10").first.wait_for()
    before = radius_after(tab)
    slider = cell.get_by_role("slider").first
    slider.focus()
    for _ in range(5):
        slider.press("ArrowRight")
    tab.page.get_by_text("pcoreset picks 15").first.wait_for()
    assert radius_after(tab) < before
    assert cell.locator("[role=img]:not(.js-plotly-plot)").count() == 15  # a figure has that role, too
    tab.slide(slider, 0.5)
    tab.page.wait_for_function("() => !document.querySelector('p[role=status]').innerText.includes('picks 15')")
    cell.get_by_label("selector").select_option("entropy")
    tab.page.get_by_text(re.compile("entropy picks")).first.wait_for()
    tab.page.wait_for_timeout(500)
    tab.screenshot(f"selection-explorer-{width}")
    assert tab.errors == []
    assert tab.outside == []
