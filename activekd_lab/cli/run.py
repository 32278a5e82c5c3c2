"""Commands that run: `demo` and `run`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from activekd_lab.cli.flags import JSON, settings, with_config_flags
from activekd_lab.cli.output import Reporter, first_process, print_tables
from activekd_lab.config import RunConfig
from activekd_lab.errors import ModelFilesError
from activekd_lab.io.files import try_out


def demo(
    out: Annotated[Path, typer.Option(help="folder of the report and of the runs")] = Path("demo-report"),
    task: Annotated[list[str] | None, typer.Option(help="run only this task (repeatable)")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="seeds a setting")] = 2,
    rounds: Annotated[int, typer.Option(min=0, help="query rounds after the initial labels")] = 4,
    json_: JSON = False,
) -> None:
    """Run ActiveKD for real on the bundled tasks: four selectors and a baseline, a table and report.html."""
    from activekd_lab.cli.demo import TASKS, run_demo

    with Reporter(quiet=json_) as report:
        outcome = run_demo(out, tasks=tuple(task or TASKS), seeds=seeds, rounds=rounds, say=report)
    if json_:
        print(json.dumps(outcome.summary, indent=2))
        return
    print_tables(outcome.tables, as_json=False)
    print(f"{outcome.seconds:.0f} s in all ({outcome.split}). Report: {outcome.report}")


@with_config_flags
def run(**options: Any) -> None:
    """Run one ActiveKD configuration, a line a round; every setting is a flag."""
    store, as_json, student = options.pop("store"), options.pop("json_"), options.pop("save_student")
    config = RunConfig(**settings(options))
    from activekd_lab.active.begin import start
    from activekd_lab.students.checkpoint import student_file  # after the settings are checked: torch takes a second

    if student is not None and first_process():
        try_out(student_file(student), kind=ModelFilesError)
    with Reporter(quiet=as_json) as report:
        active = start(config, store=store, progress=report)
        for record in active:
            times = ", ".join(f"{name} {value:.2f} s" for name, value in record.seconds.items())
            heads = f"CE head {record.ce_accuracy:.3f}, KD head {record.kd_accuracy:.3f}; "
            report.line(
                f"round {record.round:>2}  labels {record.labels:>5}  accuracy {record.accuracy:.3f}  "
                f"({heads * active.prepared.method.two_heads}{times})"
            )
        saved = None if student is None else active.saved_student()  # all processes train it, the first one writes it
    if not first_process():
        return
    if saved is not None:
        saved.save(student)
    result = active.result()
    if as_json:
        print(json.dumps({"folder": str(result.folder), "rounds": [json.loads(r.to_json()) for r in result.records]}))
    else:
        accuracy = result.teacher_accuracy
        print("no teacher was asked" if accuracy is None else f"teacher, zero-shot: {accuracy:.3f}")
        print(f"stored in {result.folder}")
