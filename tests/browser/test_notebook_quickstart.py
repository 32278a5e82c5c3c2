"""00_quickstart in JupyterLab, as a learner runs it: all cells, then the budget slider by keyboard."""

from pathlib import Path

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "00_quickstart.ipynb"
FIGURES = ("prediction_gallery(pool", "learning_curves(runs)", "probability_map(result)")
_MARKERS = "plot => plot.data.map(trace => trace.x.length)"


def test_quickstart_runs_and_its_slider_redraws_the_picks(open_notebook):
    tab = open_notebook(NOTEBOOK, height=1400)
    tab.run_all()
    for number, text in enumerate(FIGURES):
        figure = tab.cell_with(text)
        figure.locator(".js-plotly-plot .gtitle").wait_for()
        tab.screenshot(f"quickstart-{number}", of=figure)
    cell = tab.cell_with("explorer = akd.widgets.SelectionExplorer")
    plot, words = cell.locator(".js-plotly-plot").first, cell.get_by_role("status")
    tab.page.get_by_text("pcoreset picks 12").first.wait_for()
    before, said = plot.evaluate(_MARKERS), words.inner_text()

    slider = cell.get_by_role("slider").first
    slider.focus()
    for _ in range(12):
        slider.press("ArrowRight")
    tab.page.get_by_text("pcoreset picks 24").first.wait_for()

    after = plot.evaluate(_MARKERS)
    grown = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert grown == [(12, 24), (13, 25), (13, 25)]  # picks, and two distances along them
    assert words.inner_text() != said
    tab.page.wait_for_timeout(500)  # the last frame
    tab.screenshot("quickstart-slider", of=cell)
    assert tab.errors == []
    assert tab.outside == []
