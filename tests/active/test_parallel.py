"""Many runs: the same in one process and in two, in a useful order, and stopped without loss."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import psutil
import pytest

from activekd_lab.active import parallel
from activekd_lab.config import RunConfig
from activekd_lab.errors import PoolError, SettingError, UnknownNameError
from activekd_lab.io.lock import FileLock


def configs(tiny, seeds=2, **changes):
    return [RunConfig(**tiny | {"rounds": 1, "seed": seed} | changes) for seed in range(seeds)]


def test_two_processes_find_what_one_finds(tiny, tmp_path):
    one = parallel.run_all(configs(tiny), tmp_path / "one", processes=1)
    two = parallel.run_all(configs(tiny), tmp_path / "two", processes=2)
    assert (one.processes, two.processes) == (1, 2)
    assert [r.config["seed"] for r in two.results] == [0, 1]
    assert [r.labels for r in two.results] == [r.labels for r in one.results]
    for a, b in zip(one.results, two.results, strict=True):
        assert [r.accuracy for r in a.records] == pytest.approx([r.accuracy for r in b.records], abs=0.06)
    assert set(two.seconds) == {"prepare", "train", "predict", "select", "measure"}


def test_finished_runs_are_read_and_cost_nothing(tiny, tmp_path, monkeypatch):
    first = parallel.run_all(configs(tiny), tmp_path, processes=1)
    monkeypatch.setattr("activekd_lab.active.rounds.fit", lambda *a, **k: pytest.fail("trained again"))
    again = parallel.run_all(configs(tiny), tmp_path, processes=1)
    assert [r.records for r in again.results] == [r.records for r in first.results]
    assert set(again.seconds) == {"prepare"}


def test_one_run_of_each_task_comes_first_then_the_last_task():
    tasks = ("shapes", "shapes", "shapes", "digits", "digits")
    assert parallel.order([RunConfig(task=task, seed=i) for i, task in enumerate(tasks)]) == [0, 3, 4, 2, 1]


def test_an_interrupt_says_where_the_finished_rounds_are(tiny, tmp_path, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    said: list[str] = []
    monkeypatch.setattr(parallel, "start", interrupt)
    with pytest.raises(KeyboardInterrupt):
        parallel.run_all(configs(tiny), tmp_path, processes=1, say=said.append)
    assert "continues from there" in said[-1]


def test_an_error_in_another_process_arrives_with_its_sentence(tiny, tmp_path):
    with pytest.raises(PoolError, match="exceed the pool of 80 images"):
        parallel.run_all(configs(tiny, rounds=99), tmp_path, processes=2)


@pytest.mark.parametrize(
    ("change", "message"), [({"processes": 0}, "processes must be 1 or more, but got 0"), ({}, r"s0-\w+ twice")]
)
def test_no_process_and_the_same_run_twice_are_refused(tiny, tmp_path, change, message):
    with pytest.raises(SettingError, match=message):
        parallel.run_all(configs(tiny, seeds=1) * (1 if change else 2), tmp_path, **change)


def test_no_run_at_all_and_an_unknown_name_are_refused(tiny, tmp_path):
    with pytest.raises(SettingError, match="but got none"):
        parallel.run_all([], tmp_path)
    with pytest.raises(UnknownNameError, match="Unknown selector 'pcorset'"):
        parallel.run_all(configs(tiny, selector="pcorset"), tmp_path)


def wait_for(condition, seconds=180):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited too long"
        time.sleep(0.1)


def test_a_killed_parent_leaves_no_process_and_no_run_in_use(tiny, tmp_path):
    """As a demo that is killed: its rerun takes the runs over at once."""
    script = tmp_path / "script.py"
    settings = [config.model_dump(mode="json", exclude_unset=True) for config in configs(tiny, steps=10**6)]
    script.write_text(
        "from activekd_lab.active import parallel\nfrom activekd_lab.config import RunConfig\n"
        "if __name__ == '__main__':\n"
        f"    parallel.run_all([RunConfig(**s) for s in {settings!r}], {str(tmp_path / 'runs')!r}, processes=2)\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)])
    wait_for(lambda: len(list((tmp_path / "runs").glob("*/config.json"))) == 2)
    family = psutil.Process(parent.pid).children(recursive=True)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_for(lambda: not any(p.is_running() and p.status() != "zombie" for p in family), seconds=30)
    for folder in (tmp_path / "runs").iterdir():
        with FileLock(folder / ".lock", wait=False):
            pass
