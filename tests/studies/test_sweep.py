"""Sweeps: once each, whatever is killed; a failing job stands alone; two sweeps never share a folder."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from activekd_lab.course.lab import USUAL, find_notebooks
from activekd_lab.errors import RunFolderError, SettingError
from activekd_lab.studies import grid, logs, sweep
from activekd_lab.studies.report import write_sweep_report
from activekd_lab.studies.workers import JobOutcome, LocalWorkers

NOTEBOOKS = find_notebooks(USUAL)


def log(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def table(found, out):
    """What the jobs found, by job: the lines of rounds.jsonl."""
    return {
        job.name: next((out / "jobs" / job.name).glob("runs/*/rounds.jsonl")).read_text()
        for job in found.jobs
        if sweep.is_done(out, job)
    }


@pytest.fixture(scope="module")
def done(tmp_path_factory, cache, tiny_study):
    folder = tmp_path_factory.mktemp("sweep")
    found, said = tiny_study(folder), []
    return found, folder / "out", sweep.run_sweep(found, folder / "out", say=said.append), said


def test_every_job_is_done_once_and_a_second_call_does_nothing(done):
    found, out, outcome, said = done
    assert outcome.failed == []
    assert sorted(outcome.finished) == sorted(job.name for job in found.jobs)
    assert outcome.overhead > 0
    assert any("3 of 3" in line for line in said)
    again = sweep.run_sweep(found, out)
    assert (again.ran, again.overhead) == ([], None)
    assert len(log(out)) == 3


def test_a_job_keeps_its_executed_notebook_small_and_its_run_where_others_find_it(done):
    found, out, *_ = done
    folder = out / "jobs" / found.jobs[0].name
    executed = folder / "06_reproduce.ipynb"
    assert executed.stat().st_size < 200_000
    assert "widgets" not in json.loads(executed.read_text())["metadata"]
    assert len(sweep.run_folders(found, out)) == 3


def test_the_estimate_comes_from_earlier_jobs(done, tmp_path, tiny_study):
    found, out, *_ = done
    assert sweep.estimate(found, out) == (3, 3, 0, 0)
    jobs, ended, seconds, unknown = sweep.estimate(found, tmp_path / "elsewhere")
    assert (jobs, ended, unknown) == (3, 0, 0)
    assert seconds > 1
    assert sweep.estimate(tiny_study(tmp_path, steps=11), tmp_path / "elsewhere").unknown == 3


def test_the_report_links_every_executed_notebook(done):
    found, out, *_ = done
    page = write_sweep_report(found, out)
    assert "A tiny grid" in page.read_text()
    jobs = (out / "jobs.html").read_text()
    for job in found.jobs:
        assert f'href="jobs/{job.name}/06_reproduce.ipynb"' in jobs


def test_a_damaged_run_is_named_in_the_report_and_costs_no_other(done, tmp_path):
    found, out, *_ = done
    copy = shutil.copytree(out, tmp_path / "copy")
    rounds = sweep.run_folders(found, copy)[0] / "rounds.jsonl"
    rounds.write_text("{" + rounds.read_text())
    page = write_sweep_report(found, copy).read_text()
    assert "2 of 3 jobs have a result" in page
    assert "line 1" in page


def test_a_failing_job_and_one_of_a_missing_data_set_do_not_stop_the_rest(tmp_path, monkeypatch):
    monkeypatch.delenv("ACTIVEKD_LAB_DATA", raising=False)
    path = tmp_path / "mixed.yaml"
    tiny = "task: shapes, task_options: {num_classes: 4, pool_size: 80, test_per_class: 5, val_per_class: 2}"
    path.write_text(
        f"grid:\n- {{{tiny}, rounds: 99}}\n- {{{tiny}, rounds: 0, options: {{steps: 5}}}}\n"
        f"- {{task: eurosat, task_options: {{root: {tmp_path / 'none'}}}, seed: [0, 1]}}\n"
    )
    found = grid.read_grid(path, notebooks=NOTEBOOKS)
    outcome = sweep.run_sweep(found, tmp_path / "out", workers=1)
    assert len(outcome.finished) == 1
    errors = {o.name.split("-")[0]: o.error for o in outcome.failed}
    assert len(outcome.failed) == 3
    assert errors["shapes"].startswith("PoolError: 4 initial labels and 99 rounds")
    assert errors["eurosat"].startswith("DataError: ")
    why = logs.last_errors(tmp_path / "out")
    assert [why[job.name] for job in (found.jobs[0], found.jobs[-1])] == [errors["shapes"], errors["eurosat"]]
    again = sweep.run_sweep(found, tmp_path / "out", workers=1)
    assert len(again.ran) == 3  # what failed is tried again, what is done is not


def test_a_job_that_takes_too_long_is_ended_and_tried_again_as_often_as_asked(tmp_path, tiny_study):
    found = tiny_study(tmp_path, seeds="[0]", steps=10**6)
    (outcome,) = sweep.run_sweep(found, tmp_path / "out", workers=1, timeout=8, retries=0).ran
    assert (outcome.status, outcome.tries, outcome.error) == ("failed", 1, "it took longer than 8 s")


# A shell starts what runs in the background deaf to Ctrl-C, and that is inherited.
LISTEN = "import signal, runpy; signal.signal(signal.SIGINT, signal.default_int_handler); "
COMMAND = [sys.executable, "-c", LISTEN + "runpy.run_module('activekd_lab', run_name='__main__')", "sweep"]


@pytest.fixture
def start():
    """Return a function that starts a sweep in a process; a test that fails leaves none behind."""
    started = []

    def run(folder, out):
        command = [*COMMAND, str(folder / "tiny.yaml"), "--out", str(out), "--notebooks", str(NOTEBOOKS)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(command, text=True, **pipes))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def wait_for(condition, seconds=120):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited too long"
        time.sleep(0.1)


def children(process):
    import psutil

    return psutil.Process(process.pid).children(recursive=True)


def test_a_killed_sweep_continues_finds_the_same_and_runs_nothing_twice(done, start, tmp_path, tiny_study):
    found, reference, *_ = done
    tiny_study(tmp_path)
    out = tmp_path / "out"
    process = start(tmp_path, out)
    wait_for((out / "log.jsonl").exists)
    family = children(process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: not any(p.is_running() and p.status() != "zombie" for p in family))  # nothing outlives it
    finished = {entry["name"] for entry in log(out)}
    outcome = sweep.run_sweep(found, out)
    assert {o.name for o in outcome.ran}.isdisjoint(finished)
    assert len(log(out)) == len({entry["name"] for entry in log(out)}) == 3
    assert table(found, out) == table(found, reference)


def test_a_killed_worker_costs_one_try(start, tmp_path, tiny_study):
    found, out = tiny_study(tmp_path, seeds="[0]", steps=1000), tmp_path / "out"
    process = start(tmp_path, out)
    wait_for(lambda: list(out.glob("jobs/*/runs/*/config.json")))
    for worker in children(process):
        os.kill(worker.pid, signal.SIGKILL)
    assert process.wait(200) == 0
    assert [entry["tries"] for entry in log(out)] == [2]
    assert sweep.is_done(out, found.jobs[0])


@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGINT, 130, "stopped by Ctrl-C"), (signal.SIGTERM, 143, "stopped by SIGTERM")]
)
def test_ctrl_c_and_sigterm_stop_the_jobs_and_say_how_to_continue(start, tmp_path, tiny_study, number, code, said):
    found, out = tiny_study(tmp_path, seeds="[0]", steps=10**6), tmp_path / "out"
    process = start(tmp_path, out)
    wait_for(lambda: list(out.glob("jobs/*/runs/*/config.json")))
    family = children(process)
    process.send_signal(number)
    text, error = process.communicate(timeout=120)
    assert process.returncode == code
    assert "the same command continues from there" in text
    assert said in error
    assert "Traceback" not in error
    assert not any(p.is_running() and p.status() != "zombie" for p in family)
    assert list(out.glob(".stop-*")) == []
    assert not sweep.is_done(out, found.jobs[0])


def test_a_second_sweep_in_the_same_folder_says_so(tmp_path, tiny_study):
    out = tmp_path / "out"
    with (
        sweep._own(out, tiny_study(tmp_path)),
        pytest.raises(RunFolderError, match=r"Another sweep is running in .*; wait for it, or choose another --out"),
    ):
        sweep.run_sweep(tiny_study(tmp_path), out)


def test_a_folder_of_another_format_of_something_else_and_a_damaged_one_are_refused(tmp_path, tiny_study):
    found, old = tiny_study(tmp_path), tmp_path / "old"
    old.mkdir()
    (old / "sweep.json").write_text(json.dumps({"format": 0, "jobs": []}))
    with pytest.raises(RunFolderError, match=r"was written in format 0, this version writes 1; nothing was changed"):
        sweep.run_sweep(found, old)
    (old / "sweep.json").write_text("{")
    with pytest.raises(RunFolderError, match=r"sweep\.json is damaged"):
        sweep.run_sweep(found, old)
    with pytest.raises(RunFolderError, match=r"holds old but no sweep\.json, so it is no sweep"):
        sweep.run_sweep(found, tmp_path)


def test_a_full_disk_fails_the_jobs_with_a_sentence_and_leaves_what_was_done(done, tmp_path, tiny_study):
    """No file may grow beyond 6 kB: job.json fits, an executed notebook does not."""
    tiny_study(tmp_path, seeds="[0]")
    limit = "import resource, sys, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000)); "
    run = "sys.argv = sys.argv[1:]; runpy.run_module('activekd_lab', run_name='__main__')"
    command = [sys.executable, "-c", limit + run, "activekd-lab", "sweep", str(tmp_path / "tiny.yaml")]
    command += ["--out", str(tmp_path / "out"), "--notebooks", str(NOTEBOOKS), "--workers", "1"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stdout + ended.stderr
    assert "File too large" in ended.stdout + ended.stderr


class Broken:
    """A pool whose first order raises."""

    def __init__(self, out, error=None):
        self.out, self.error = out, error

    def do(self, orders):
        for order in orders:
            if self.error:
                raise self.error
            yield JobOutcome(order.folder.rpartition("/")[2], "failed", 0.0, 1, "why")

    def close(self):
        self.stopped = len(list(self.out.glob(".stop-*")))


@pytest.mark.parametrize("error", [RuntimeError("a bug"), ConnectionResetError("the scheduler is gone")])
def test_an_error_of_the_pool_stops_what_runs_and_is_not_taken_for_a_full_disk(tmp_path, tiny_study, error):
    pool = Broken(tmp_path / "out", error)
    with pytest.raises(type(error), match=str(error)):
        sweep.run_sweep(tiny_study(tmp_path), tmp_path / "out", workers=pool)
    assert pool.stopped == 1
    assert list(tmp_path.glob("out/.stop-*")) == []
    with pytest.raises(type(error)):  # the lock is free again
        sweep.run_sweep(tiny_study(tmp_path), tmp_path / "out", workers=pool)


def test_a_log_that_cannot_be_written_is_a_sentence(tmp_path, tiny_study):
    (tmp_path / "out" / "log.jsonl").mkdir(parents=True)
    (tmp_path / "out" / "sweep.json").write_text('{"format": 1}')
    with pytest.raises(RunFolderError, match=r"log\.jsonl cannot be (read|written) \("):
        sweep.run_sweep(tiny_study(tmp_path), tmp_path / "out", workers=Broken(tmp_path / "out"))


def test_no_worker_is_refused():
    with pytest.raises(SettingError, match="workers must be 1 or more, but got 0"):
        LocalWorkers(0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"Line 1 of .*result\.json is damaged \(.*\); remove it to run this job again"),
        ("[]", "result.json is damaged"),
        ('{"profile": 3, "parameters": {}}', r"result\.json is damaged \(profile: "),
        ("[" * 100_000, "result.json is damaged"),
        ('{"profile": ' + "9" * 5000 + "}", "result.json is damaged"),
    ],
)
def test_a_damaged_result_is_a_sentence_and_no_success(tmp_path, tiny_study, content, message):
    found, out = tiny_study(tmp_path), tmp_path / "out"
    path = out / "jobs" / found.jobs[0].name / "result.json"
    path.parent.mkdir(parents=True)
    (out / "sweep.json").write_text('{"format": 1}')
    path.write_text(content)
    for call in (lambda: sweep.run_sweep(found, out, workers=Broken(out)), lambda: sweep.estimate(found, out)):
        with pytest.raises(RunFolderError, match=message):
            call()


def test_a_job_file_holds_no_path_of_this_machine(done):
    found, out, *_ = done
    folder = out / "jobs" / found.jobs[0].name
    for name in ("job.json", "06_reproduce.ipynb"):
        assert str(out) not in (folder / name).read_text()
        assert str(NOTEBOOKS) not in (folder / name).read_text()
