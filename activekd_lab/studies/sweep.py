"""Sweeps: every job of a grid, once, whatever interrupts it. A job is done when its result.json is there.

```
OUT/
  sweep.json        the format and the study
  log.jsonl         a line for every try: job, status, seconds
  jobs/<name>/      job.json, the executed notebook, result.json, runs/<run>, and error.json if the last try failed
  report.html       made at the end
```
"""

from __future__ import annotations

import json
import statistics
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from activekd_lab.course.process import RESULT_FILE
from activekd_lab.errors import RunFolderError
from activekd_lab.io.arguments import checked
from activekd_lab.io.files import disk, read_json, there, write_atomic
from activekd_lab.io.lock import FileLock
from activekd_lab.progress import silent
from activekd_lab.runs.stored import read_seconds
from activekd_lab.studies import logs
from activekd_lab.studies.grid import Job, Study
from activekd_lab.studies.naming import job_notebook
from activekd_lab.studies.workers import JOB_FILE, JobFile, JobOutcome, LocalWorkers, Order, Workers

FORMAT = 1
_STAY = "finished jobs stay: make room, or choose another --out"
_SHARED = ("task", "task_options", "teacher", "templates", "teacher_views", "backbone", "freeze_backbone", "pretrained",
           "backbone_weights", "image_size")  # fmt: skip
"""Settings that decide which caches a run reads."""
Say = Callable[[str], None]


class _Sweep(BaseModel):
    """sweep.json."""

    format: int


class _Result(BaseModel):
    """What every result.json holds."""

    profile: str
    parameters: dict[str, Any]


class SweepOutcome(NamedTuple):
    """What a call did.

    Attributes:
        finished: names of all jobs of the study that have a result now.
        ran: outcomes of this call.
        seconds: wall time.
        overhead: median seconds a job of this call took beyond its run, or None if none ran.
    """

    finished: list[str]
    ran: list[JobOutcome]
    seconds: float
    overhead: float | None

    @property
    def failed(self) -> list[JobOutcome]:
        """The jobs that did not finish, with the last line of their error."""
        return [outcome for outcome in self.ran if outcome.status == "failed"]


class Estimate(NamedTuple):
    """What is left of a study.

    Attributes:
        jobs, done: how many there are, and how many have a result.
        seconds: what the others take together, from the times of earlier jobs of the same kind.
        unknown: how many others no earlier job is like; they are not in `seconds`.
    """

    jobs: int
    done: int
    seconds: float
    unknown: int


@checked()
def run_sweep(
    study: Study,
    out: str | Path,
    *,
    workers: int | Workers = 2,
    timeout: float | None = None,
    retries: int = 1,
    say: Say = silent,
) -> SweepOutcome:
    """Do the jobs of a study that have no result yet.

    Args:
        study: from `grid.read_grid` or `grid.load_study`.
        out: the sweep's folder; one that was interrupted continues, and other grids may be added to it.
        workers: jobs at once; or where they run instead, such as `cluster.DaskWorkers`, for all of which `out` must be
            the same folder.
        timeout: seconds a job may take, or None.
        retries: further tries for a job whose process died or took too long.
        say: called with a line for every job that ended.

    Raises:
        RunFolderError: a folder of another format, one in use by another sweep, or one that cannot be written.
        KeyboardInterrupt: passed on after running jobs were stopped.
    """
    started, out = time.perf_counter(), Path(out).expanduser().resolve()
    ran: list[JobOutcome] = []
    stop = out / f".stop-{uuid.uuid4().hex[:8]}"
    with _own(out, study):
        place = LocalWorkers(workers) if isinstance(workers, int) else workers
        try:
            _write_jobs(study, out)
            order = Order("", False, str(stop), timeout, retries)
            for outcome in _do_all(study, out, place, order, say):
                logs.note(out, outcome)
                ran.append(outcome)
        except BaseException:  # whatever it is, running jobs must not be waited for
            say("stopping; finished jobs stay, and the same command continues from there")
            with suppress(OSError):  # a full disk is what is told already
                stop.touch()
            raise
        finally:
            place.close()
            stop.unlink(missing_ok=True)
    finished = [job.name for job in study.jobs if is_done(out, job)]
    return SweepOutcome(finished, ran, time.perf_counter() - started, _overhead(out, ran))


def is_done(out: Path, job: Job) -> bool:
    """Tell whether a job has its result.

    Raises:
        RunFolderError: a damaged one.
    """
    path = out / "jobs" / job.name / RESULT_FILE
    if not there(path, kind=RunFolderError):
        return False
    read_json(path, "remove it to run this job again", schema=_Result, kind=RunFolderError)
    return True


@checked()
def run_folders(study: Study, out: str | Path) -> list[Path]:
    """Return the run folders of a study's finished jobs."""
    out = Path(out).expanduser().resolve()
    done = [out / "jobs" / job.name for job in study.jobs if is_done(out, job)]
    return [path.parent for folder in done for path in folder.glob("runs/*/config.json")]


@checked()
def estimate(study: Study, out: str | Path) -> Estimate:
    """Say what a study would cost, without running or writing anything."""
    left = [job for job in study.jobs if not is_done(Path(out), job)]
    times = logs.earlier_times()
    known = [statistics.median(times[kind]) for job in left if (kind := logs.kind(job.config)) in times]
    return Estimate(len(study.jobs), len(study.jobs) - len(left), sum(known), len(left) - len(known))


@contextmanager
def _own(out: Path, study: Study) -> Iterator[None]:
    """Make the folder, check it, and lock it for this process."""
    from filelock import Timeout  # noqa: PLC0415  (torch brings it)

    about = {"format": FORMAT, "title": study.title, "about": study.about, "profile": study.profile}
    with disk(out, "written", _STAY, kind=RunFolderError), ExitStack() as held:
        out.mkdir(parents=True, exist_ok=True)
        _check_format(out)
        try:
            held.enter_context(FileLock(out / ".lock", wait=False))
        except Timeout:
            raise RunFolderError(f"Another sweep is running in {out}; wait for it, or choose another --out.") from None
        _write_json(out / "sweep.json", about | {"jobs": [job.name for job in study.jobs]})
        lock = held.pop_all()  # what the jobs raise is not about this folder
    with lock:
        yield


def _check_format(out: Path) -> None:
    if not (out / "sweep.json").exists():
        strangers = sorted(path.name for path in out.iterdir() if not path.name.startswith("."))
        if strangers:
            raise RunFolderError(
                f"The folder {out} holds {strangers[0]} but no sweep.json, so it is no sweep; choose another --out."
            )
        return
    found = read_json(out / "sweep.json", "delete that file and run again", schema=_Sweep, kind=RunFolderError)
    if found.format != FORMAT:
        raise RunFolderError(
            f"{out} was written in format {found.format}, this version writes {FORMAT}; nothing was changed. Choose "
            "another --out, or use the version that wrote it."
        )


def _write_json(path: Path, content: Any) -> None:
    write_atomic(path, json.dumps(content, indent=2), _STAY, kind=RunFolderError)


def _write_jobs(study: Study, out: Path) -> None:
    """Describe every job that is not done in its folder, and keep the notebook that they execute."""
    _write_json(out / study.notebook.name, job_notebook(study.notebook))
    for job in study.jobs:
        if is_done(out, job):
            continue
        config = job.config.model_dump(mode="json", exclude_unset=True)
        spec = JobFile(parameters=dict(job.parameters), config=config, code=job.code, notebook=study.notebook.name)
        _write_json(out / "jobs" / job.name / JOB_FILE, spec.model_dump())


def _do_all(study: Study, out: Path, place: Workers, order: Order, say: Say) -> Iterator[JobOutcome]:
    left = {job.name: job for job in study.jobs if not is_done(out, job)}
    say(f"{len(study.jobs)} jobs, {len(study.jobs) - len(left)} done before; {len(left)} to do")
    orders = {name: order._replace(folder=str(out / "jobs" / name)) for name in left}
    ready = yield from _prepare(left, orders, place, say)
    started = time.perf_counter()
    for count, outcome in enumerate(place.do([orders[name] for name in ready]), start=1):
        if outcome.status == "finished":
            logs.remember(left[outcome.name].config, outcome.seconds)
        say(_progress(outcome, count, len(ready), time.perf_counter() - started))
        yield outcome


def _prepare(
    left: Mapping[str, Job], orders: Mapping[str, Order], place: Workers, say: Say
) -> Generator[JobOutcome, None, list[str]]:
    """Fill the shared caches, one job of each kind, and return the names of the jobs that can run.

    What cannot be prepared (a missing data set, a teacher that cannot be loaded) fails once, for all jobs of its kind.
    """
    kinds: dict[str, list[str]] = {}
    for name, job in left.items():
        kinds.setdefault(_shared(job.config), []).append(name)
    leaders = {names[0]: names for names in kinds.values()}
    if leaders:
        say(f"preparing images, teacher embeddings and features of {len(leaders)} kind(s) of run")
    ready: set[str] = set()
    for outcome in place.do([orders[name]._replace(warm=True) for name in leaders]):
        if outcome.status == "finished":
            ready |= set(leaders[outcome.name])
            continue
        say(f"{len(leaders[outcome.name])} jobs cannot run: {outcome.error}")
        yield from (outcome._replace(name=name) for name in leaders[outcome.name])
    return [name for name in left if name in ready]


def _shared(config: Any) -> str:
    values = config.model_dump(mode="json")
    return json.dumps([values[name] for name in _SHARED], sort_keys=True)


def _progress(outcome: JobOutcome, count: int, total: int, seconds: float) -> str:
    left = seconds / count * (total - count)
    what = outcome.status if outcome.status == "finished" else f"{outcome.status}: {outcome.error}"
    return f"{count} of {total}, about {left / 60:.0f} min left: {outcome.name} {what} ({outcome.seconds:.1f} s)"


def _overhead(out: Path, ran: Iterable[JobOutcome]) -> float | None:
    """Return the median of job time minus the time that its run spent in rounds."""
    beyond = []
    for outcome in ran:
        runs = list((out / "jobs" / outcome.name / "runs").glob("*/seconds.json"))
        if outcome.status == "finished" and outcome.tries == 1 and len(runs) == 1:
            rounds = read_seconds(runs[0].parent).values()
            beyond.append(outcome.seconds - sum(sum(stages.values()) for stages in rounds))
    return statistics.median(beyond) if beyond else None
