import threading

import numpy as np
import pytest
from controls import control
from runs import make_run

from activekd_lab.config import RunConfig
from activekd_lab.errors import Cancelled, RunFolderError, SettingError
from activekd_lab.plots.lanes import TRACES
from activekd_lab.widgets import SelectorRace
from activekd_lab.widgets import race as module

TINY = RunConfig(
    task_options={"num_classes": 4, "pool_size": 60, "test_per_class": 3, "val_per_class": 1},
    rounds=2, budget=3, steps=3, device="cpu",
)  # fmt: skip


@pytest.fixture
def finished():
    return SelectorRace([make_run("random", gain=0.2), make_run("pcoreset", gain=0.1)])


class Gated:
    """Runs whose rounds come when the test lets them."""

    def __init__(self):
        self.allow, self.turns = threading.Semaphore(0), []

    def __call__(self, config, store, cancel):
        whole = make_run(config.selector, gain={"random": 0.2}.get(config.selector, 0.1), rounds=config.rounds)
        return GatedRun(self, whole, cancel)


class GatedRun:
    def __init__(self, gate, whole, cancel):
        self.gate, self.whole, self.cancel, self.records = gate, whole, cancel, []

    def __iter__(self):
        for record in self.whole.records:
            while not self.gate.allow.acquire(timeout=0.01):
                if self.cancel():
                    raise Cancelled("stop")
            self.gate.turns.append((self.whole.config["selector"], record.round))
            self.records.append(record)
            yield record

    def result(self):
        kept = {k: v for k, v in self.whole._kept.items() if k < len(self.records)}
        return type(self.whole)(self.whole.config, tuple(self.records), self.whole.labels, 0.2, (), _kept=kept)


@pytest.fixture
def gate(monkeypatch):
    gate = Gated()
    monkeypatch.setattr(module, "start_run", gate)
    return gate


def raced():
    return SelectorRace(RunConfig(rounds=2), ["random", "pcoreset"])


def test_any_round_of_finished_runs_can_be_shown(finished):
    assert (finished.reached, finished.shown) == (2, 2)
    assert "Round 2 of 2, 15 labels each: random 70.0 % (5 classes labelled), pcoreset 50.0 %" in finished.takeaway()
    finished.show(1)
    lanes = finished.lanes()
    assert [lane.labels.tolist() for lane in lanes] == [[5, 10], [5, 10]]
    assert "Round 1 of 2, 10 labels each: random 50.0 %" in finished.takeaway()
    with pytest.raises(SettingError, match="0 … 2, which all have finished, but got 3"):
        finished.show(3)


def test_one_map_is_fitted_on_the_first_round_and_shared(finished):
    run, lane = finished.results()["pcoreset"], finished.lanes()[1]
    first = finished.results()["random"].probabilities(0)
    corners = np.eye(5) @ finished._projection.anchors
    np.testing.assert_allclose(np.linalg.norm(corners, axis=1), 1)
    places = finished._projection.positions(run.probabilities(2))
    np.testing.assert_allclose(lane.labeled, places[run.labeled_ids(2)])
    assert lane.picks.shape == (0, 2)  # the last round buys nothing
    assert lane.pool.shape == (len(first), 2)
    finished.show(1)
    np.testing.assert_allclose(
        finished.lanes()[1].picks, finished._projection.positions(run.probabilities(1))[list(run.records[1].picks)]
    )


def test_the_slider_steps_through_the_rounds(finished):
    bar, text, picture, _ = finished.view.children
    slider = control(bar, "round")
    assert (slider.value, slider.max, control(bar, "play").max, slider.continuous_update) == (2, 2, 2, False)
    assert control(bar, "Run") is None
    slider.value = 0
    assert "Round 0 of 2, 5 labels each" in text.value
    assert picture.data[0].x.tolist() == [5]
    assert len(picture.data) == 2 * TRACES
    assert picture.layout.annotations[1].text == "pcoreset<br>30.0 %, 5 classes"
    np.testing.assert_allclose(picture.data[TRACES + 2].x, finished.figure().data[TRACES + 2].x)


def test_selectors_take_turns_and_the_newest_common_round_is_shown(gate):
    race = raced()
    bar, text, picture, _ = race.view.children
    assert "Ready. 2 selectors, 2 query rounds each" in text.value
    control(bar, "Run").click()
    gate.allow.release(6)
    race.worker.join(10)
    assert gate.turns == [(name, r) for r in range(3) for name in ("random", "pcoreset")]
    assert race.worker.status == "done"
    assert (control(bar, "rounds").value, control(bar, "round").value) == (6, 2)
    assert picture.data[0].y.tolist() == pytest.approx([30, 50, 70])
    assert text.value.count("Done. Round 2 of 2, 15 labels each: random 70.0 %") == 1


def test_a_round_that_one_selector_still_lacks_is_not_shown(gate):
    race = raced()
    arrived = threading.Event()
    race.worker.on_change = lambda: len(race.worker.records) == 3 and arrived.set()
    race.worker.run()
    gate.allow.release(3)
    assert arrived.wait(10)
    assert race.shown == 0
    assert [len(lane.labels) for lane in race.lanes()] == [1, 1]
    race.worker.cancel()
    race.worker.join(10)
    assert (race.worker.status, race.reached) == ("cancelled", 0)
    assert race.takeaway().startswith("Cancelled. Round 0 of 2, 5 labels each")


def test_looking_back_is_not_disturbed_by_new_rounds(gate):
    race = raced()
    bar = race.view.children[0]
    arrived = threading.Event()
    draw, race.worker.on_change = race.worker.on_change, lambda: (draw(), race.reached == 1 and arrived.set())
    control(bar, "Run").click()
    gate.allow.release(4)
    assert arrived.wait(10)
    control(bar, "round").value = 0
    gate.allow.release(2)
    race.worker.join(10)
    assert (race.reached, race.shown, control(bar, "round").value, control(bar, "round").max) == (2, 0, 0, 2)
    control(bar, "round").value = 2
    assert race.round is None


def test_a_real_race_starts_alike_and_stored_runs_are_not_trained_again(tmp_path, monkeypatch):
    race = SelectorRace(TINY, ["random", "entropy"], store=tmp_path)
    race.worker.run()
    race.worker.join(120)
    assert (race.worker.status, race.worker.error) == ("done", None)
    one, other = race.results().values()
    assert one.labeled_ids(0) == other.labeled_ids(0)
    np.testing.assert_array_equal(one.probabilities(0), other.probabilities(0))

    runs, start = [], module.start_run

    def watched(*args):
        runs.append(start(*args))
        return runs[-1]

    monkeypatch.setattr(module, "start_run", watched)
    again = SelectorRace(TINY, ["random", "entropy"], store=tmp_path)
    again.worker.run()
    again.worker.join(120)
    assert again.takeaway() == race.takeaway()
    assert [run.student for run in runs] == [None, None]


def test_what_fails_in_a_run_is_said():
    race = SelectorRace(TINY.with_(rounds=200), ["random"])
    race.worker.run()
    race.worker.join(60)
    assert race.worker.status == "failed"
    assert "exceed the pool of 60 images" in race.takeaway()


def test_without_maps_predictions_are_not_needed():
    runs = [make_run("random"), make_run("entropy")]
    for run in runs:
        run._kept.clear()
    race = SelectorRace(runs, maps=False)
    assert [trace.name for trace in race.figure().data] == ["random", "entropy"]
    with pytest.raises(RunFolderError, match="save_predictions=True"):
        SelectorRace(runs).figure()


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(SettingError, match=r"each selector once, at least one, but got \['random', 'random'\]"):
        SelectorRace(RunConfig(), ["random", "random"])
    with pytest.raises(SettingError, match="at least one, but got"):
        SelectorRace(RunConfig())
    with pytest.raises(
        SettingError, match="selectors as a list, each a text, but got str .random."
    ):  # not the six selectors r, a, n, …
        SelectorRace(RunConfig(), "random")
    with pytest.raises(SettingError, match="set save_predictions=True, or maps=False"):
        SelectorRace(RunConfig(save_predictions=False), ["random"])
    with pytest.raises(SettingError, match="no effect beside finished runs"):
        SelectorRace([make_run()], ["random"])
    with pytest.raises(SettingError, match="seeds 0, 1; for means over seeds use plots.selector_race"):
        SelectorRace([make_run(), make_run(seed=1)])
