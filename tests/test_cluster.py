"""The same grid on a Dask cluster finds the same, also when a worker dies on the way."""

import os
import signal
import sys
import time

import pytest

from activekd_lab import sweep
from activekd_lab.cluster import DaskPool
from activekd_lab.errors import MissingExtraError, SettingError, UnknownNameError

distributed = pytest.importorskip("distributed")


def table(study, out):
    files = {job.name: next((out / "jobs" / job.name).glob("runs/*/rounds.jsonl")) for job in study.jobs}
    return {name: path.read_text() for name, path in files.items()}


def test_a_cluster_of_two_workers_with_one_killed_midway_finds_the_same(tiny_study, tmp_path):
    study, out = tiny_study(tmp_path, selectors="[random, pcoreset]", steps=200), tmp_path / "out"
    sweep.run_sweep(study, tmp_path / "reference")
    killed = []

    def kill_one(text):
        running = list(out.glob("jobs/*/runs/*/config.json"))
        if text.startswith("1 of") and running:
            killed.append(cluster.workers[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        outcome = sweep.run_sweep(study, out, pool=DaskPool(scheduler=cluster.scheduler_address), say=kill_one)
        assert killed
        assert len(cluster.scheduler_info["workers"]) <= 2
    assert outcome.failed == []
    assert len(outcome.finished) == 6
    assert table(study, out) == table(study, tmp_path / "reference")


def test_a_gpu_is_a_resource_that_a_worker_must_have(tiny_study, tmp_path):
    study = tiny_study(tmp_path, seeds="[0]")
    options = {"n_workers": 1, "threads_per_worker": 2, "dashboard_address": None, "resources": {"GPU": 1}}
    with distributed.LocalCluster(**options) as cluster:
        pool = DaskPool(scheduler=cluster.scheduler_address, gpu=True)
        assert len(sweep.run_sweep(study, tmp_path / "out", pool=pool).finished) == 1


def test_no_scheduler_both_places_an_unknown_queue_and_a_missing_extra_are_refused(monkeypatch):
    with pytest.raises(SettingError, match="Give scheduler or cluster, one of them"):
        DaskPool()
    with pytest.raises(UnknownNameError, match="Unknown cluster 'pbs'"):
        DaskPool(cluster="pbs")
    with pytest.raises(SettingError, match=r"dask-jobqueue cannot start a slurm cluster: .*jobqueue\.yaml"):
        DaskPool(cluster="slurm")  # nothing is configured here
    started = time.monotonic()
    with pytest.raises(SettingError, match="No Dask scheduler answers at tcp://127.0.0.1:9"):
        DaskPool(scheduler="tcp://127.0.0.1:9")
    assert time.monotonic() - started < 60
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"activekd_lab\[cluster\]"):
        DaskPool(scheduler="tcp://127.0.0.1:9")
