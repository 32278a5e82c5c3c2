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
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from activekd_lab.data.store import cache_dir
from activekd_lab.errors import RunFolderError
from activekd_lab.grid import Job, Study, job_notebook
from activekd_lab.job import JOB_FILE
from activekd_lab.notebooks import RESULT_FILE
from activekd_lab.results import write_atomic
from activekd_lab.workers import LocalPool, Order, Outcome, Pool

FORMAT = 1
_TIMES = "job-times.jsonl"  # in the cache: what earlier jobs took, for the next estimate
_COST = ("task", "task_options", "teacher", "few_shot", "method", "backbone", "image_size", "rounds", "steps", "epochs")
_SHARED = ("task", "task_options", "teacher", "templates", "teacher_views", "backbone", "freeze_backbone", "pretrained",
           "backbone_weights", "image_size")  # fmt: skip
"""Settings that decide which caches a run reads."""
Say = Callable[[str], None]


class SweepOutcome(NamedTuple):
    """What a call did.

    Attributes:
        finished: names of all jobs of the study that have a result now.
        ran: outcomes of this call.
        seconds: wall time.
        overhead: median seconds a job of this call took beyond its run, or None if none ran.
    """

    finished: list[str]
    ran: list[Outcome]
    seconds: float
    overhead: float | None

    @property
    def failed(self) -> list[Outcome]:
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


def run_sweep(
    study: Study,
    out: str | Path,
    *,
    workers: int = 2,
    pool: Pool | None = None,
    timeout: float | None = None,
    retries: int = 1,
    say: Say = lambda text: None,
) -> SweepOutcome:
    """Do the jobs of a study that have no result yet.

    Args:
        study: from `grid.read_grid` or `grid.load_study`.
        out: the sweep's folder; one that was interrupted continues, and other grids may be added to it.
        workers: jobs at once.
        pool: where they run instead, such as a `cluster.DaskPool`; `out` must be the same folder for all of it.
        timeout: seconds a job may take, or None.
        retries: further tries for a job whose process died or took too long.
        say: called with a line for every job that ended.

    Raises:
        RunFolderError: a folder of another format, one in use by another sweep, or one that cannot be written.
        KeyboardInterrupt: passed on after running jobs were stopped.
    """
    started, out = time.perf_counter(), Path(out).expanduser().resolve()
    ran: list[Outcome] = []
    stop = out / f".stop-{uuid.uuid4().hex[:8]}"
    with _own(out, study):
        pool = pool or LocalPool(workers)
        try:
            _write_jobs(study, out)
            order = Order("", False, str(stop), timeout, retries)
            for outcome in _do_all(study, out, pool, order, say):
                _append(out / "log.jsonl", outcome._asdict() | {"ended": round(time.time(), 1)})
                ran.append(outcome)
        except BaseException:  # whatever it is, running jobs must not be waited for
            say("stopping; finished jobs stay, and the same command continues from there")
            with suppress(OSError):  # a full disk is what is told already
                stop.touch()
            raise
        finally:
            pool.close()
            stop.unlink(missing_ok=True)
    finished = [job.name for job in study.jobs if is_done(out, job)]
    return SweepOutcome(finished, ran, time.perf_counter() - started, _overhead(out, ran))


def is_done(out: Path, job: Job) -> bool:
    """Tell whether a job has its result."""
    return (out / "jobs" / job.name / RESULT_FILE).exists()


def run_folders(study: Study, out: str | Path) -> list[Path]:
    """Return the run folders of a study's finished jobs."""
    out = Path(out).expanduser().resolve()
    done = [out / "jobs" / job.name for job in study.jobs if is_done(out, job)]
    return [path.parent for folder in done for path in folder.glob("runs/*/config.json")]


def estimate(study: Study, out: str | Path) -> Estimate:
    """Say what a study would cost, without running or writing anything."""
    left = [job for job in study.jobs if not is_done(Path(out), job)]
    times = _earlier_times()
    known = [statistics.median(times[kind]) for job in left if (kind := _kind(job.config)) in times]
    return Estimate(len(study.jobs), len(study.jobs) - len(left), sum(known), len(left) - len(known))


@contextmanager
def _own(out: Path, study: Study) -> Iterator[None]:
    """Make the folder, check it, and lock it for this process."""
    from filelock import FileLock, Timeout  # noqa: PLC0415  (torch brings it)

    about = {"format": FORMAT, "title": study.title, "about": study.about, "profile": study.profile}
    lock = FileLock(out / ".lock", timeout=0)
    try:
        with _writing(out):
            out.mkdir(parents=True, exist_ok=True)
            _check_format(out)
            try:
                lock.acquire()
            except Timeout:
                raise RunFolderError(
                    f"Another sweep is running in {out}; wait for it, or choose another --out."
                ) from None
            write_atomic(out / "sweep.json", json.dumps(about | {"jobs": [j.name for j in study.jobs]}, indent=2))
        yield
    finally:
        lock.release()


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Say in a sentence that a folder cannot be written."""
    try:
        yield
    except RunFolderError:
        raise
    except OSError as error:
        raise RunFolderError(
            f"The folder {folder} cannot be written ({error.strerror or error}); finished jobs stay. Make room, or "
            "choose another one."
        ) from error


def _check_format(out: Path) -> None:
    try:
        found = json.loads((out / "sweep.json").read_text("utf-8")).get("format")
    except FileNotFoundError:
        strangers = sorted(path.name for path in out.iterdir() if not path.name.startswith("."))
        if strangers:
            raise RunFolderError(
                f"The folder {out} holds {strangers[0]} but no sweep.json, so it is no sweep; choose another --out."
            ) from None
        return
    except (ValueError, AttributeError) as error:
        raise RunFolderError(f"{out / 'sweep.json'} is damaged ({error}); delete that file and run again.") from error
    if found != FORMAT:
        raise RunFolderError(
            f"{out} was written in format {found}, this version writes {FORMAT}; nothing was changed. Choose another "
            "--out, or use the version that wrote it."
        )


def _write_jobs(study: Study, out: Path) -> None:
    """Describe every job that is not done in its folder, and keep the notebook that they execute."""
    notebook = out / study.notebook.name
    with _writing(out):
        write_atomic(notebook, json.dumps(job_notebook(study.notebook), indent=1))
    for job in study.jobs:
        folder = out / "jobs" / job.name
        if (folder / RESULT_FILE).exists():
            continue
        spec = {
            "parameters": dict(job.parameters),
            "config": job.config.model_dump(mode="json", exclude_unset=True),
            "code": job.code,
            "notebook": str(notebook),
        }
        with _writing(out):
            folder.mkdir(parents=True, exist_ok=True)
            write_atomic(folder / JOB_FILE, json.dumps(spec, indent=2))


def _do_all(study: Study, out: Path, pool: Pool, order: Order, say: Say) -> Iterator[Outcome]:
    left = {job.name: job for job in study.jobs if not is_done(out, job)}
    say(f"{len(study.jobs)} jobs, {len(study.jobs) - len(left)} done before; {len(left)} to do")
    orders = {name: order._replace(folder=str(out / "jobs" / name)) for name in left}
    ready = yield from _prepare(left, orders, pool, say)
    started = time.perf_counter()
    for count, outcome in enumerate(pool.do([orders[name] for name in ready]), start=1):
        if outcome.status == "finished":
            _remember(left[outcome.name], outcome)
        say(_progress(outcome, count, len(ready), time.perf_counter() - started))
        yield outcome


def _prepare(
    left: Mapping[str, Job], orders: Mapping[str, Order], pool: Pool, say: Say
) -> Generator[Outcome, None, list[str]]:
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
    for outcome in pool.do([orders[name]._replace(warm=True) for name in leaders]):
        if outcome.status == "finished":
            ready |= set(leaders[outcome.name])
            continue
        say(f"{len(leaders[outcome.name])} jobs cannot run: {outcome.error}")
        yield from (outcome._replace(name=name) for name in leaders[outcome.name])
    return [name for name in left if name in ready]


def _shared(config: Any) -> str:
    values = config.model_dump(mode="json")
    return json.dumps([values[name] for name in _SHARED], sort_keys=True)


def _kind(config: Any) -> str:
    """Return the settings that a job's time depends on."""
    values = config.model_dump(mode="json")
    return json.dumps([values[name] for name in _COST], sort_keys=True)


def _progress(outcome: Outcome, count: int, total: int, seconds: float) -> str:
    left = seconds / count * (total - count)
    what = outcome.status if outcome.status == "finished" else f"{outcome.status}: {outcome.error}"
    return f"{count} of {total}, about {left / 60:.0f} min left: {outcome.name} {what} ({outcome.seconds:.1f} s)"


def _remember(job: Job, outcome: Outcome) -> None:
    _append(cache_dir() / _TIMES, {"kind": _kind(job.config), "seconds": round(outcome.seconds, 1)})


def _append(path: Path, entry: Mapping[str, Any]) -> None:
    """Append one line in one write, so that several processes may."""
    with _writing(path.parent), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(dict(entry)) + "\n")


def _earlier_times() -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for entry in _lines(cache_dir() / _TIMES):
        found.setdefault(entry["kind"], []).append(entry["seconds"])
    return found


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the whole lines of a log; one that was cut short is left out."""
    for line in path.read_text("utf-8").splitlines() if path.exists() else ():
        try:
            yield json.loads(line)
        except ValueError:
            continue


def _overhead(out: Path, ran: Iterable[Outcome]) -> float | None:
    """Return the median of job time minus the time that its run spent in rounds."""
    beyond = []
    for outcome in ran:
        files = list((out / "jobs" / outcome.name / "runs").glob("*/seconds.json"))
        if outcome.status == "finished" and outcome.tries == 1 and len(files) == 1:
            rounds: Sequence[Mapping[str, float]] = list(json.loads(files[0].read_text("utf-8")).values())
            beyond.append(outcome.seconds - sum(sum(stages.values()) for stages in rounds))
    return statistics.median(beyond) if beyond else None


def last_errors(out: Path) -> dict[str, str]:
    """Return the last line of the error of every job whose last try failed."""
    found = {}
    for entry in _lines(out / "log.jsonl"):
        found[str(entry["name"])] = str(entry["error"])
    return {name: error for name, error in found.items() if error}
