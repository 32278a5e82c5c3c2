"""The pages of a sweep: report.html about the runs, jobs.html with every job and its executed notebook."""

from __future__ import annotations

import os
from pathlib import Path

from activekd_lab.compare.table import render
from activekd_lab.io.arguments import checked
from activekd_lab.io.files import write_atomic
from activekd_lab.plots.report import load_images, write_report
from activekd_lab.runs.records import RunResult
from activekd_lab.runs.stored import load_runs
from activekd_lab.studies.grid import Job, Study
from activekd_lab.studies.logs import last_errors
from activekd_lab.studies.sweep import is_done, run_folders


@checked()
def write_sweep_report(study: Study, out: str | Path) -> Path:
    """Write `report.html` (tables and figures) and `jobs.html`, and return the former.

    Raises:
        SettingError: no job has a result yet.
        RunFolderError: no run that can be read (of several, those that cannot are named), or pages not written.
    """
    out = Path(out).expanduser().resolve()
    folders = run_folders(study, out)
    loaded, left_out = load_runs(folders) if folders else ([], [])
    results = {run.folder.parts[-3]: run for run in loaded if run.folder}
    pools = load_images(list(results.values()))
    done = f"{len(results)} of {len(study.jobs)} jobs have a result"
    note = " ".join([study.about, f"{done}; jobs.html beside this page links every executed notebook.", *left_out])
    write_atomic(out / "jobs.html", _jobs_page(study, out, results, done))
    page = out / "report.html"
    return write_report(list(results.values()), page, pools=pools, title=study.title, note=note)


def _jobs_page(study: Study, out: Path, results: dict[str, RunResult], done: str) -> str:
    errors = last_errors(out)
    jobs = [_job(study, out, job, results.get(job.name), errors) for job in study.jobs]
    return render("jobs.html.j2", title=study.title, about=study.about, count=done, jobs=jobs)


def _job(study: Study, out: Path, job: Job, result: RunResult | None, errors: dict[str, str]) -> dict[str, object]:
    path = f"jobs/{job.name}/{study.notebook.name}"
    size = os.path.getsize(out / path) // 1000 if (out / path).exists() else 0
    shown = {"name": job.name, "accuracy": f"{100 * result.final_accuracy:.1f}" if result else ""}
    done = is_done(out, job)
    return shown | {"path": path if done else "", "size": size, "why": errors.get(job.name, "not run yet")}
