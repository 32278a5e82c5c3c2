"""The pages of a sweep: report.html about the runs, jobs.html with every job and its executed notebook."""

from __future__ import annotations

import html
import os
from pathlib import Path

from activekd_lab.grid import Job, Study
from activekd_lab.plots import write_report
from activekd_lab.pools import load_pools
from activekd_lab.results import RunResult, load_run, write_atomic
from activekd_lab.sweep import is_done, last_errors, run_folders

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem }}
:root {{ color-scheme: light dark }} table {{ border-collapse: collapse; width: 100% }}
td, th {{ text-align: left; padding: .2rem .6rem; border-bottom: 1px solid #8884; overflow-wrap: anywhere }}
td.n, th.n {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }}
</style><h1>{title}</h1><p>{about}</p><p>{count}. <a href="report.html">Tables and figures</a></p>
<table><tr><th>job</th><th class="n">last accuracy (%)</th><th>executed notebook, or why there is none</th></tr>
{rows}</table></html>
"""


def write_sweep_report(study: Study, out: str | Path) -> Path:
    """Write `report.html` (tables and figures) and `jobs.html`, and return the former.

    Raises:
        SettingError: no job has a result yet.
        RunFolderError: a run that cannot be read, or pages that cannot be written.
    """
    out = Path(out).expanduser().resolve()
    results = {folder.parts[-3]: load_run(folder) for folder in run_folders(study, out)}
    pools = load_pools(list(results.values()))
    done = f"{len(results)} of {len(study.jobs)} jobs have a result"
    note = f"{study.about} {done}; jobs.html beside this page links every executed notebook."
    write_atomic(out / "jobs.html", _jobs_page(study, out, results, done))
    page = out / "report.html"
    return write_report(list(results.values()), page, pools=pools, title=study.title, note=note)


def _jobs_page(study: Study, out: Path, results: dict[str, RunResult], done: str) -> str:
    errors = last_errors(out)
    rows = "\n".join(_row(study, out, job, results, errors) for job in study.jobs)
    values = {"title": html.escape(study.title), "about": html.escape(study.about), "count": done, "rows": rows}
    return _PAGE.format(**values)


def _row(study: Study, out: Path, job: Job, results: dict[str, RunResult], errors: dict[str, str]) -> str:
    accuracy = f"{100 * results[job.name].final_accuracy:.1f}" if job.name in results else ""
    path = f"jobs/{job.name}/{study.notebook.name}"
    if is_done(out, job):
        size = os.path.getsize(out / path) // 1000 if (out / path).exists() else 0
        what = f'<a href="{html.escape(path)}">{study.notebook.name}</a> ({size} kB)'
    else:
        what = html.escape(errors.get(job.name, "not run yet"))
    return f'<tr><td>{html.escape(job.name)}</td><td class="n">{accuracy}</td><td>{what}</td></tr>'
