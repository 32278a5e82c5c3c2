import pytest
from controls import control

from activekd_lab.active import failures
from activekd_lab.active.failures import FAILURES, Outcome
from activekd_lab.active.prepare import prepare
from activekd_lab.config import RunConfig
from activekd_lab.errors import UnknownNameError
from activekd_lab.widgets.failures import WAYS, FailureGallery

OPTIONS = {"num_classes": 4, "pool_size": 60, "test_per_class": 5, "val_per_class": 1}


@pytest.fixture
def gallery():
    return FailureGallery(prepare(RunConfig(task_options=OPTIONS, steps=5, device="cpu")), rounds=2, seeds=2)


@pytest.fixture
def played(monkeypatch):
    """Runs that bring 80%, 70% and 50% on a sound task, the first 5 and 6 points less where answers are wrong."""
    calls = []

    def play(start, method, selector, *, seed, **_):
        noisy = start.prepared.task.train.labels.tolist() != calls[0] if calls else False
        calls.append(start.prepared.task.train.labels.tolist())
        base = {"pcoreset": 0.8, "random": 0.7 if method == "dho" else 0.5}[selector]
        return Outcome(base - noisy * (selector == "pcoreset") * (0.05 + 0.01 * seed), 4, 0)

    monkeypatch.setattr(failures, "play", play)
    return calls


def wait(gallery):
    gallery.worker.join(60)
    assert gallery.worker.status == "done", gallery.takeaway()


def test_a_level_is_trained_once_after_the_sound_one(gallery, played):
    failure, level = (control(gallery.view, name) for name in ("failure", "how bad"))
    failure.value = "noisy labels"
    assert (gallery.level, gallery.worker.status) == (0, "ready")
    level.value = 0.4
    wait(gallery)
    assert len(gallery.known) == len(played) == 2 * 2 * len(WAYS)
    assert "DHO + PCoreSet 74.5 % (sound: 80.0 %)" in gallery.takeaway()
    assert "+4.5 points from random, a change of -5.5 (95% interval -11.9 to +0.9)" in gallery.takeaway()
    level.value = 0
    level.value = 0.2
    wait(gallery)
    assert len(played) == 3 * 2 * len(WAYS)
    assert gallery.figure().data[0].x == (0, 1, 2)
    failure.value = "miscalibrated teacher"
    assert (gallery.level, level.value, len(level.options)) == (1, 1, 5)
    assert gallery.figure().data[0].x == ()


def test_every_failure_runs_with_real_students_when_it_is_bad(gallery):
    gallery.rounds, gallery._scenes = 1, gallery._scenes[:1]
    for name, failure in FAILURES.items():
        gallery.show(name, failure.levels[2])
        gallery.worker.run()
        wait(gallery)
        assert "are missing" not in gallery.takeaway()
    assert len(gallery.known) == 4 * 2 * len(WAYS)


def test_a_cancelled_level_keeps_what_it_has_and_says_what_is_missing(gallery, monkeypatch):
    def play(*_, **__):
        gallery.worker.cancel()
        return Outcome(0.5, 4, 0)

    monkeypatch.setattr(failures, "play", play)
    gallery.worker.run()
    gallery.worker.join(60)
    assert (gallery.worker.status, len(gallery.known)) == ("cancelled", 1)
    assert "Cancelled: 5 runs of 2 rounds are missing here." in gallery.takeaway()


def test_unknown_failures_and_levels_are_named(gallery):
    with pytest.raises(UnknownNameError, match="nearest first: noisy labels"):
        gallery.show("noisy label", 0)
    with pytest.raises(UnknownNameError, match=r"level of 'noisy labels'.*0\.2"):
        gallery.show("noisy labels", 0.3)
