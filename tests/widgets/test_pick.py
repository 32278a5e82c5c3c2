import numpy as np
import pytest
from controls import control

from activekd_lab.active.loop import ActiveRun
from activekd_lab.active.prepare import prepare
from activekd_lab.config import RunConfig
from activekd_lab.errors import SettingError
from activekd_lab.widgets import pick
from activekd_lab.widgets.pick import PickYourself


@pytest.fixture(scope="module")
def active():
    options = {"num_classes": 4, "pool_size": 60, "test_per_class": 5, "val_per_class": 1}
    run = ActiveRun(prepare(RunConfig(task_options=options, rounds=1, budget=5, steps=10, device="cpu")))
    next(iter(run))
    return run


@pytest.fixture
def game(active):
    return PickYourself(active, budget=3, draws=2)


def race(game, ids):
    game.pick(ids)
    game.worker.run()
    game.worker.join(60)
    assert game.worker.status == "done", game.takeaway()
    return game.worker.records


def test_everybody_labels_as_many_and_the_same_picks_give_the_same_student(game, active):
    theirs = game._asked[0][1]
    trials = race(game, theirs)  # pcoreset's own
    assert [t.who for t in trials] == ["no new label", "you", "pcoreset", "entropy", "random", "random"]
    assert {len(t.picks) for t in trials[1:]} == {3}
    assert trials[1][1:] == trials[2][1:]
    assert trials[2].radius == pytest.approx(active.records[0].pick_radii[3])  # as the run measured its own picks
    assert trials[4].picks != trials[5].picks
    assert len(active.pool) == len(game.images)
    assert set(active.pool.until(0).labeled_ids.tolist()).isdisjoint(theirs), "the run's ledger stays as it was"


def test_the_sentence_counts_gains_and_random_draws_from_the_trials(game, monkeypatch):
    scores = iter([0.5, 0.6, 0.7, 0.55, 0.58, 0.64])
    monkeypatch.setattr(pick, "train_on", lambda *_: next(scores))
    race(game, game.free[:2] + game.free[-1:])
    said = game.takeaway()
    assert said.startswith("Without new labels 50.0 %")
    for part in ("you +10.0, ", "pcoreset +20.0", "random +11.0 (+8.0 to +14.0)", "Yours beat 1 of 2 random draws"):
        assert part in said
    game.pick(game.free[1:4])
    assert (game.worker.status, game.worker.records) == ("ready", [])
    scores = iter([0.9])  # the others are known
    assert race(game, game.free[1:4])[1].accuracy == 0.9


def test_the_list_picks_takes_back_and_stops_when_full(game):
    box = game.view
    lines, add = control(box, "image"), control(box, "Pick")
    for i in game.free[:3]:
        lines.value = i
        add.click()
    assert game.picks == game.free[:3]
    lines.value = game.free[5]
    assert add.disabled
    assert not control(box, "Train").disabled
    lines.value = game.free[1]
    assert add.description == "Take back"
    add.click()
    assert game.picks == [game.free[0], game.free[2]]
    assert control(box, "Train").disabled


def test_labels_are_seen_once_they_are_bought(game):
    game.pick(game.free[:3])
    assert game._gallery().count("label: ?") == 3
    race(game, game.free[:3])
    names = [game.class_names[game._active.prepared.task.train.labels[i]] for i in game.picks]
    assert all(f"{i}: {name}" in game._gallery() for i, name in zip(game.picks, names, strict=True))
    assert np.size(game.figure().data[1].x) == 6


@pytest.mark.parametrize("ids", [[0, 0], range(4), [10**6]])
def test_picks_that_cannot_be_are_refused(game, ids):
    with pytest.raises(SettingError, match="at most 3 different images without a label"):
        game.pick(ids)


def test_a_run_without_a_round_and_a_large_budget_are_refused(active):
    with pytest.raises(SettingError, match="next"):
        PickYourself(ActiveRun(active.prepared))
    with pytest.raises(SettingError, match="images without a label, but got 1000"):
        PickYourself(active, budget=1000)
