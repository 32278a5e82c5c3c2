"""MixingExplorer and BudgetPlanner in JupyterLab, moved by keyboard and by mouse, at two widths."""

from pathlib import Path

import pytest

SETUP = f"""
import sys, numpy as np, activekd_lab as akd
sys.path.insert(0, {str(Path(__file__).parents[1] / "plots")!r})
from runs import make_run
rng = np.random.default_rng(0)
labels = rng.integers(0, 4, 300)
ce, kd = (rng.normal(size=(300, 4)) + scale * np.eye(4)[labels] for scale in (1.0, 1.5))
"""
MIXING = "akd.widgets.MixingExplorer(ce, kd, labels)"
PLANNER = """runs = [make_run(s, seed, gain=g) for s, g in (("pcoreset", 0.12), ("random", 0.1)) for seed in (0, 1)]
akd.widgets.BudgetPlanner(runs, seconds_per_label=6)"""
MARK = "plot => { const mark = plot.data.at(-1); return [mark.x[0], mark.y[0]]; }"


@pytest.fixture(scope="module")
def tab(shared_notebook):
    tab = shared_notebook([SETUP, MIXING, PLANNER], height=1100)
    tab.run_all()
    tab.page.set_default_timeout(60_000)  # a slow machine, and other tests beside this one
    for number in (1, 2):
        tab.cell(number).locator(".js-plotly-plot .gtitle").wait_for()  # drawn, so that there is data to read
    return tab


def test_both_mixing_sliders_move_the_mark_and_the_words(tab):
    cell = tab.cell(1)
    plot = cell.locator(".js-plotly-plot")
    weight, temperature = cell.get_by_role("slider").all()
    assert plot.evaluate(MARK) == [0.5, 2]
    weight.focus()
    weight.press("ArrowRight")
    cell.get_by_text("ce_weight 0.55, kd_temperature 1:").wait_for()
    tab.slide(temperature, 1)
    cell.get_by_text("ce_weight 0.55, kd_temperature 4:").wait_for()
    tab.slide(weight, 0)
    cell.get_by_text("ce_weight 0, kd_temperature 4:").wait_for()
    assert plot.evaluate(MARK) == [0, 6]
    assert tab.errors == []


def test_the_planners_sliders_move_the_price_and_the_line(tab):
    cell = tab.cell(2)
    plot = cell.locator(".js-plotly-plot")
    cell.get_by_text("25 labels, about 2 min").wait_for()
    initial, budget, rounds, seconds = cell.get_by_role("slider").all()
    rounds.focus()
    for _ in range(3):
        rounds.press("ArrowLeft")
    cell.get_by_text("10 labels, about 1 min.").wait_for()
    cell.get_by_text("Stored runs had then: pcoreset 43.0 %, random 41.0 %.").wait_for()
    assert plot.evaluate(MARK)[0] == 10
    tab.slide(seconds, 1)
    cell.get_by_text("10 labels, about 10 min").wait_for()
    initial.focus()
    initial.press("ArrowRight")
    cell.get_by_text("15 labels, about 15 min").wait_for()
    tab.slide(budget, 1)
    cell.get_by_text("no accuracy is promised").wait_for()
    assert tab.errors == []


@pytest.mark.parametrize("width", [1280, 800])
def test_both_fit_the_page_and_no_text_overlaps(tab, width):
    tab.page.set_viewport_size({"width": width, "height": 1100})
    tab.run_all()
    for number, name in ((1, "mixing-explorer"), (2, "budget-planner")):
        cell = tab.cell(number)
        cell.locator(".js-plotly-plot .gtitle").wait_for()
        tab.screenshot(f"{name}-{width}", of=cell)
    assert tab.text_problems() == []
    assert tab.errors == []
    assert tab.outside == []
