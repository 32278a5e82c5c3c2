"""`activekd-lab sweep` and `reproduce`: grids of jobs, resumable, here or on a cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from activekd_lab.cli.flags import JSON
from activekd_lab.cli.output import Reporter
from activekd_lab.errors import SettingError

Out = Annotated[Path, typer.Option(help="folder of jobs and report; an interrupted sweep continues there")]
Profile = Annotated[str, typer.Option(help="smoke, quick or paper")]
Workers = Annotated[int, typer.Option(min=1, help="jobs at once")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="only say what there is to do, and what it will take")]
Timeout = Annotated[float | None, typer.Option(min=1, help="seconds that a job may take", show_default=False)]
Retries = Annotated[int, typer.Option(min=0, help="further tries for a job whose process died or took too long")]
Scheduler = Annotated[str | None, typer.Option(help="a running Dask scheduler, tcp://…; DIR must be shared with it")]
Cluster = Annotated[str | None, typer.Option(help="start workers through a queue: slurm (configured by dask-jobqueue)")]
Gpu = Annotated[bool, typer.Option("--gpu", help="each job takes one GPU of a Dask worker (--resources GPU=1)")]
Notebooks = Annotated[Path, typer.Option(help="folder of the notebooks, outside a checkout")]


def sweep(
    grid: Annotated[Path, typer.Argument(help="YAML file: title, grid, profiles; see activekd_lab/studies/grid.py")],
    out: Out = Path("sweep"),
    profile: Profile = "quick",
    workers: Workers = 2,
    dry_run: DryRun = False,
    timeout: Timeout = None,
    retries: Retries = 1,
    scheduler: Scheduler = None,
    cluster: Cluster = None,
    gpu: Gpu = False,
    notebooks: Notebooks = Path("notebooks"),
    json_: JSON = False,
) -> None:
    """Run every combination of a grid of your own, each once; the same command continues after an interruption."""
    from activekd_lab.studies.grid import read_grid

    study = read_grid(grid, profile=profile, notebooks=notebooks)
    _run(study, out, workers, dry_run, timeout, retries, (scheduler, cluster, gpu), json_)


def reproduce(
    name: Annotated[str, typer.Argument(help="a packaged study; `list` names them")],
    out: Out = Path("study"),
    profile: Profile = "paper",
    workers: Workers = 2,
    dry_run: DryRun = False,
    timeout: Timeout = None,
    retries: Retries = 1,
    scheduler: Scheduler = None,
    cluster: Cluster = None,
    gpu: Gpu = False,
    notebooks: Notebooks = Path("notebooks"),
    json_: JSON = False,
) -> None:
    """Run a study of the papers, or the offline one (bundled-all), and write its report."""
    from activekd_lab.cli.output import print_registry
    from activekd_lab.studies.grid import list_studies, load_study

    if name == "list":
        print_registry(list_studies(), as_json=json_)
        return
    study = load_study(name, profile=profile, notebooks=notebooks)
    _run(study, out, workers, dry_run, timeout, retries, (scheduler, cluster, gpu), json_)


def _run(
    study: Any, out: Path, workers: int, dry_run: bool, timeout: float | None, retries: int, dask: Any, json_: bool
) -> None:
    from activekd_lab.studies.preflight import refuse_missing
    from activekd_lab.studies.sweep import run_sweep

    scheduler, cluster, gpu = dask
    if gpu and scheduler is None and cluster is None:
        raise SettingError("--gpu has no effect without Dask's workers; add --scheduler or --cluster, or leave it out.")
    if dry_run:
        _say_cost(study, out, workers, json_)
        return
    refuse_missing(study)
    with Reporter(quiet=json_) as report:
        say = report if json_ else report.line
        where = _workers(*dask, workers=workers)
        found = run_sweep(study, out, workers=where, timeout=timeout, retries=retries, say=say)
        page = _report(study, out, report)
    if json_:
        values = found._asdict() | {"ran": [o._asdict() for o in found.ran], "report": str(page) if page else None}
        print(json.dumps(values))
    else:
        _say_outcome(study, found, page)
    raise typer.Exit(0 if len(found.finished) == len(study.jobs) else 1)


def _workers(scheduler: str | None, cluster: str | None, gpu: bool, *, workers: int) -> Any:
    if scheduler is None and cluster is None:
        return workers
    from activekd_lab.studies.cluster import DaskWorkers

    return DaskWorkers(scheduler=scheduler, cluster=cluster, workers=workers, gpu=gpu)


def _say_cost(study: Any, out: Path, workers: int, json_: bool) -> None:
    from activekd_lab.studies import preflight
    from activekd_lab.studies.estimate import cost, measured_speed
    from activekd_lab.studies.sweep import estimate

    found, absent = estimate(study, out), preflight.missing(study)
    if json_:
        more = {
            "settings": preflight.settings_table(study),
            "cost": cost(study)._asdict(),
            "missing": [item._asdict() for item in absent],
        }
        print(json.dumps(found._asdict() | more | {"names": [job.name for job in study.jobs]}))
        raise typer.Exit(1 if absent else 0)
    print(f"{study.title} ({study.profile})\n{study.about}")
    for axis, values in study.axes.items():
        print(f"  {axis}: {', '.join(str(value) for value in values)}")
    print(f"{found.jobs} jobs, {found.done} done, {found.jobs - found.done} to do.")
    if found.seconds:
        print(
            f"About {found.seconds / workers / 60:.0f} min with {workers} workers, as earlier jobs of this kind took."
        )
    if found.unknown:
        print(f"{found.unknown} jobs are of a kind that never ran here; their time is not known.")
    for line in preflight.report_lines(study, measured_speed(study)):
        print(line)
    raise typer.Exit(1 if absent else 0)


def _report(study: Any, out: Path, say: Any) -> Path | None:
    from activekd_lab.studies.sweep import run_folders

    if not run_folders(study, out):
        return None
    from activekd_lab.studies.report import write_sweep_report

    say("writing the report")
    return write_sweep_report(study, out)


def _say_outcome(study: Any, found: Any, page: Path | None) -> None:
    for outcome in found.failed:
        print(f"failed: {outcome.name}: {outcome.error}")
    done = f"{len(found.finished)} of {len(study.jobs)} jobs have a result"
    print(f"{done}; {len(found.ran)} ran now, in {found.seconds:.0f} s")
    if found.overhead is not None:
        print(f"overhead a job (papermill, loading, figures): {found.overhead:.1f} s, the median")
    if page is not None:
        print(f"Report: {page}")
