"""The same grid on a Dask cluster finds the same, also when a worker dies on the way."""

import os
import signal
import sys
import time
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from activekd_lab.errors import ConnectionLostError, MissingExtraError, SettingError, UnknownNameError
from activekd_lab.studies import cluster, sweep, workers
from activekd_lab.studies.cluster import DaskWorkers

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
            killed.append(dask.workers[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as dask:
        outcome = sweep.run_sweep(study, out, workers=DaskWorkers(scheduler=dask.scheduler_address), say=kill_one)
        assert killed
        assert len(dask.scheduler_info["workers"]) <= 2
    assert outcome.failed == []
    assert len(outcome.finished) == 6
    assert table(study, out) == table(study, tmp_path / "reference")


def test_a_gpu_is_a_resource_that_a_worker_must_have(tiny_study, tmp_path):
    study = tiny_study(tmp_path, seeds="[0]")
    options = {"n_workers": 1, "threads_per_worker": 2, "dashboard_address": None, "resources": {"GPU": 1}}
    with distributed.LocalCluster(**options) as dask:
        pool = DaskWorkers(scheduler=dask.scheduler_address, gpu=True)
        assert len(sweep.run_sweep(study, tmp_path / "out", workers=pool).finished) == 1


def test_a_queue_starts_a_scheduler_that_outlives_more_lost_workers_than_dask_does(monkeypatch):
    import dask
    import dask_jobqueue

    class Queue:
        def __init__(self, scheduler_options):
            self.address = scheduler_options["dashboard_address"]
            self.failures = dask.config.get("distributed.scheduler.allowed-failures")

        def scale(self, jobs):
            self.jobs = jobs

    monkeypatch.setattr(dask_jobqueue, "SLURMCluster", Queue)
    found = cluster._queue("slurm", 7)
    assert (found.failures, found.jobs, found.address) == (5, 7, "127.0.0.1:0")
    with dask.config.set({"jobqueue.slurm.scheduler-options": {"dashboard_address": ":8787"}}):
        assert cluster._queue("slurm", 7).address == ":8787"
    with dask.config.set({"distributed.scheduler.allowed-failures": 9}):
        assert cluster._queue("slurm", 7).failures == 9


def test_threads_are_those_of_the_worker_s_machine_and_processes_serve_again(monkeypatch, tmp_path):
    monkeypatch.setattr(distributed, "get_worker", lambda: SimpleNamespace(state=SimpleNamespace(nthreads=4)))
    monkeypatch.setattr("activekd_lab.device.cores", lambda: 32)
    monkeypatch.setattr(cluster, "_idle", [])
    monkeypatch.setattr(cluster, "do", lambda order, process: process)
    order = workers.Order(str(tmp_path / "out" / "jobs" / "a"), False, "stop", None, 1)
    first = cluster._do_there(order)
    assert first._threads == 8
    assert cluster._do_there(order) is first


def test_a_lost_scheduler_is_a_sentence_of_its_own(monkeypatch):
    pool = object.__new__(DaskWorkers)
    pool._resources = {}
    pool._client = SimpleNamespace(submit=lambda *a, **options: "future")
    monkeypatch.setattr(distributed, "as_completed", Mock(side_effect=OSError("closed")))
    with pytest.raises(ConnectionLostError, match=r"does not answer any more \(closed\); finished jobs stay"):
        list(pool.do([workers.Order("job", False, "stop", None, 1)]))


def test_no_scheduler_both_places_an_unknown_queue_and_a_missing_extra_are_refused(monkeypatch):
    with pytest.raises(SettingError, match="Give scheduler or cluster, one of them"):
        DaskWorkers()
    with pytest.raises(UnknownNameError, match="Unknown cluster 'pbs'"):
        DaskWorkers(cluster="pbs")
    with pytest.raises(SettingError, match=r"dask-jobqueue cannot start a slurm cluster: .*jobqueue\.yaml"):
        DaskWorkers(cluster="slurm")  # nothing is configured here
    started = time.monotonic()
    with pytest.raises(SettingError, match="No Dask scheduler answers at tcp://127.0.0.1:9"):
        DaskWorkers(scheduler="tcp://127.0.0.1:9")
    assert time.monotonic() - started < 60
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"activekd_lab\[cluster\]"):
        DaskWorkers(scheduler="tcp://127.0.0.1:9")
