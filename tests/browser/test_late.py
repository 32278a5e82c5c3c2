"""A machine so slow that anywidget gives up on every script: figures and Labeler are drawn, and follow Python."""

from test_labeler import NOTEBOOK, label
from test_play import NOTEBOOK as PLAYED
from test_sliders import MARK, MIXING, SETUP

IMPATIENT = """AbortSignal.timeout = () => {
  const late = new AbortController();
  setTimeout(() => late.abort(), 0);
  return late.signal;
};"""


def test_figures_are_drawn_and_follow_their_controls(open_notebook):
    tab = open_notebook([SETUP, MIXING, MIXING], height=1100, script=IMPATIENT)
    given_up = []
    tab.page.on("pageerror", lambda error: given_up.append(str(error)))
    tab.run_all()
    tab.page.set_default_timeout(60_000)
    for number in (1, 2):
        cell = tab.cell(number)
        cell.locator(".js-plotly-plot .gtitle").wait_for()
        plot, weight = cell.locator(".js-plotly-plot"), cell.get_by_role("slider").first
        before = plot.evaluate(MARK)
        weight.focus()
        weight.press("ArrowRight")
        tab.page.wait_for_function("plot => plot.data.at(-1).x[0] === 0.55", arg=plot.element_handle())
        assert plot.evaluate(MARK) == [0.55, before[1]]
    assert any("Failed to initialize" in error for error in given_up)
    assert tab.errors == []


PLAY = """
if game.worker.status == "ready":
    game.pick(game.free[:3])
    game.worker.run()
game.worker.join()
print(game.takeaway())"""
POINTS = "plots => plots.map(plot => plot.data.map(trace => trace.x?.length ?? 0))"


def test_picks_and_results_that_came_before_the_page_had_drawn_are_shown(open_notebook):
    tab = open_notebook([PLAYED[0], "game = akd.widgets.PickYourself(active, budget=3, draws=2)\ngame", PLAY],
                        width=1000, height=1600, script=IMPATIENT)  # fmt: skip
    tab.run_all()
    plots = tab.cell(1).locator(".js-plotly-plot")
    plots.nth(1).locator(".ytick", has_text="radius").first.wait_for()
    tab.page.wait_for_function("plots => plots[1].data[1].x?.length === 6", arg=plots.element_handles())
    drawn, results = plots.evaluate_all(POINTS)
    assert drawn[3] == 3, "the picks on the map"
    assert results == [5, 6], "a bar for each who picked, a dot for each student"
    assert plots.nth(1).get_attribute("aria-label").startswith("What 3 labels bring")
    assert tab.errors == []


def test_the_labeler_shows_the_next_image(open_notebook, tmp_path):
    sources = [source.replace("{folder}", str(tmp_path / "session")) for source in NOTEBOOK]
    tab = open_notebook(sources, width=1000, script=IMPATIENT)
    tab.run_all()
    label(tab, "123", 0)
    assert tab.errors == []
