"""What a reader meets where something is missing or unfinished: a sentence, and the picture where there is one."""

import sys

import numpy as np
import pytest
from controls import control
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from runs import make_run, probabilities

from activekd_lab.config import RunConfig
from activekd_lab.errors import SettingError
from activekd_lab.plots.page import missing_front_end
from activekd_lab.runs.folder import RunFolder
from activekd_lab.runs.stored import load_run
from activekd_lab.widgets import SelectorRace
from activekd_lab.widgets.bias import BiasExplorer
from activekd_lab.widgets.explorer import SelectionExplorer, View
from activekd_lab.widgets.live import LiveRun
from activekd_lab.widgets.planner import BudgetPlanner

NOT_A_KERNEL = "No controls: this is not a notebook kernel. Open it in JupyterLab (activekd-lab lab)."


def widgets(task):
    p, runs = probabilities(60, 5, 3.0, 0), [make_run("random"), make_run("pcoreset")]
    return [
        BiasExplorer(np.log(p), p, task.class_names, count=3),
        BudgetPlanner(runs),
        LiveRun(lambda cancel: iter(runs[0].records), rounds=2),
        SelectionExplorer(task, runs[0]),
        SelectorRace(runs),
    ]


@pytest.fixture
def shell():
    """IPython as a terminal has it: no kernel, so no front end for controls."""
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


def test_outside_a_notebook_there_is_a_sentence_and_the_picture(task, shell, monkeypatch):
    monkeypatch.setenv("PLOTLY_RENDERER", "json")
    for widget in widgets(task):
        with capture_output() as caught:
            widget._ipython_display_()
        assert caught.outputs[0].data == {"text/plain": f"{NOT_A_KERNEL} {widget.takeaway()}"}
        assert any("application/json" in output.data or "text/html" in output.data for output in caught.outputs[1:])


def test_a_missing_package_is_named_with_its_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    assert (
        missing_front_end() == "No controls: the package anywidget is missing; install it with: pip install anywidget."
    )


def test_a_front_end_that_cannot_draw_widgets_shows_the_sentence_instead(task, shell, monkeypatch):
    monkeypatch.setattr(shell, "kernel", object(), raising=False)
    for widget in widgets(task):
        with capture_output() as caught:
            widget._ipython_display_()
        (output,) = caught.outputs
        assert "application/vnd.jupyter.widget-view+json" in output.data
        assert output.data["text/plain"].endswith(
            f"{widget.takeaway()} (JupyterLab shows the controls; .figure() is the picture.)"
        )


def write(folder, run, rounds):
    """Write a run folder as it is after `rounds` finished ones: labels and predictions are one step ahead."""
    config = RunConfig(task="shapes", selector=run.config["selector"])
    made = RunFolder(folder, config.identity(), {"teacher_accuracy": 0.2, "class_names": run.class_names})
    for record in run.records[:rounds]:
        made.append(record)
    for number in range(rounds + 1):
        made.write_predictions(number, run.probabilities(number))
    made.write_labels([label for label in run.labels if label.round <= rounds])
    return load_run(folder)


def test_a_run_folder_still_being_written_shows_its_finished_rounds(task, run, tmp_path):
    half = write(tmp_path / "half", run, rounds=1)
    explorer = SelectionExplorer(task, half)
    assert (explorer.state.rounds, explorer.state.round) == ((0,), 0)
    assert explorer.state.arrays.labeled_ids.tolist() == sorted(run.labeled_ids(0))
    race = SelectorRace([half, write(tmp_path / "more", make_run("random"), rounds=2)])
    assert (race.reached, [len(lane.labels) for lane in race.lanes()]) == (0, [1, 1])


def test_a_run_without_a_finished_round_is_refused_with_a_sentence(task, run, tmp_path):
    empty = write(tmp_path, run, rounds=0)
    for make in (lambda: SelectionExplorer(task, empty), lambda: SelectorRace([run, empty])):
        with pytest.raises(SettingError, match="The pcoreset run has no finished round yet; wait for its first"):
            make()


def test_a_cancelled_run_keeps_its_rounds_and_can_start_again(run):
    live = LiveRun(lambda cancel: iter(run.records), rounds=2)
    bar = live.view.children[0]
    live.worker.on_change = lambda: live.worker.cancel() if len(live.worker.records) == 1 else None
    live.worker.run()
    live.worker.join(10)
    assert live.takeaway().startswith("Cancelled: round 0 of 2, 5 labels")
    live.worker.on_change = lambda: None
    control(bar, "Run").click()
    live.worker.join(10)
    assert live.takeaway().startswith("Done: round 2 of 2")


def test_the_checks_see_a_callback_that_does_nothing(task, run, monkeypatch):
    def moves_the_map():
        explorer = SelectionExplorer(task, run)
        control(explorer.view, "budget").value = 9
        assert "picks 9" in explorer.view.children[1].value

    moves_the_map()
    monkeypatch.setattr(View, "_on_change", lambda self, change: None)
    with pytest.raises(AssertionError):
        moves_the_map()
