import threading
import time

import pytest

from activekd_lab.config import RunConfig
from activekd_lab.errors import Cancelled, SettingError
from activekd_lab.runs.stored import load_run
from activekd_lab.widgets.live import LiveRun
from activekd_lab.widgets.worker import Worker


@pytest.fixture
def steps(run):
    """A run whose rounds come one at a time, when the test lets them."""

    class Steps:
        def __init__(self):
            self.allow = threading.Semaphore(0)

        def __call__(self, cancel):
            for record in run.records:
                while not self.allow.acquire(timeout=0.01):
                    if cancel():
                        raise Cancelled("stop")
                yield record

    return Steps()


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_rounds_arrive_and_the_run_ends(steps, run):
    worker = Worker(steps)
    worker.run()
    with pytest.raises(SettingError, match="going on already"):
        worker.run()
    steps.allow.release(3)
    worker.join(10)
    assert worker.status == "done"
    assert worker.records == list(run.records)


def test_a_paused_run_takes_no_further_round_until_told(steps):
    worker = Worker(steps)
    worker.run()
    worker.pause()
    steps.allow.release(3)
    until(lambda: len(worker.records) == 1)
    time.sleep(0.05)
    assert (worker.status, len(worker.records)) == ("paused", 1)
    worker.run()
    worker.join(10)
    assert (worker.status, len(worker.records)) == ("done", 3)


@pytest.mark.parametrize("paused", [False, True])
def test_cancelling_keeps_finished_rounds(steps, paused):
    worker = Worker(steps)
    worker.run()
    steps.allow.release(1)
    until(lambda: len(worker.records) == 1)
    if paused:
        worker.pause()
    worker.cancel()
    worker.join(10)
    assert (worker.status, len(worker.records)) == ("cancelled", 1)


def test_a_failure_is_kept_and_said():
    def broken(cancel):
        raise ValueError("no such teacher")
        yield

    live = LiveRun(broken, rounds=2)
    live.worker.run()
    live.worker.join(10)
    assert live.worker.status == "failed"
    assert live.takeaway() == "Failed in round 0: no such teacher"


def test_buttons_follow_the_run_and_the_curve_grows(steps, run):
    live = LiveRun(steps, rounds=2, teacher_accuracy=0.25)
    bar, text, curve, _ = live.view.children
    start, pause, cancel, progress = bar.children
    assert (start.disabled, pause.disabled, cancel.disabled) == (False, True, True)
    start.click()
    assert (start.disabled, pause.disabled, cancel.disabled) == (True, False, False)
    steps.allow.release(3)
    live.worker.join(10)
    assert progress.value == 3
    assert curve.data[0].x.tolist() == [5, 10, 15]
    assert curve.data[0].y.tolist() == pytest.approx([30, 40, 50])
    assert "Done: round 2 of 2, 15 labels, accuracy 50.0 %" in text.value
    assert live.figure().data[0].y.tolist() == pytest.approx([30, 40, 50])


def test_settings_are_run_from_the_store_and_say_their_rounds(tiny, tmp_path):
    config = RunConfig(**tiny | {"rounds": 1})
    for _ in range(2):  # the second time everything is stored
        live = LiveRun(config, store=tmp_path)
        live.worker.run()
        live.worker.join(60)
        assert (live.rounds, live.worker.status) == (1, "done"), live.takeaway()
    assert [record.labels for record in live.worker.records] == [4, 9]
    (folder,) = tmp_path.iterdir()
    assert load_run(folder).records == tuple(live.worker.records)


@pytest.mark.parametrize(
    ("source", "settings", "message"),
    [
        (RunConfig(rounds=2), {"rounds": 3}, "rounds=3 has no effect beside settings, which say 2"),
        (iter, {}, "rounds must be 0 or more beside a function, but got None"),
        (iter, {"rounds": 1, "store": "runs"}, "store has no effect beside a function"),
    ],
)
def test_settings_without_effect_are_refused(source, settings, message):
    with pytest.raises(SettingError, match=message):
        LiveRun(source, **settings)
