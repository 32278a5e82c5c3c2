"""Many runs: the same in one process and in two, in a useful order, and stopped without loss."""

from __future__ import annotations

import pytest

from activekd_lab import parallel
from activekd_lab.config import RunConfig
from activekd_lab.errors import PoolError, SettingError, UnknownNameError


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
    monkeypatch.setattr("activekd_lab.loop.fit", lambda *a, **k: pytest.fail("trained again"))
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
    monkeypatch.setattr(parallel, "ActiveRun", interrupt)
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
