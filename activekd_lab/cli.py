"""The command line: `activekd-lab COMMAND`. It parses, calls the library, and prints; nothing is computed here."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from activekd_lab.cli_compare import compare
from activekd_lab.cli_data import data
from activekd_lab.cli_flags import JSON, settings, with_config_flags
from activekd_lab.cli_grade import grade
from activekd_lab.cli_label import label
from activekd_lab.cli_output import Reporter, first_process, print_registry, print_table, print_tables
from activekd_lab.cli_sweep import reproduce, sweep
from activekd_lab.config import RunConfig
from activekd_lab.errors import ActiveKDError, UnknownNameError

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Learn and reproduce active learning with distillation from vision-language models.",
)  # fmt: skip
bench = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Measure speed: both sides of a ratio in one run."
)
app.add_typer(bench, name="bench")
app.add_typer(data, name="data")
cache = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
app.add_typer(cache, name="cache")
Kind = Annotated[str | None, typer.Option(help="only this kind, such as embeddings")]


def main() -> None:
    """Run the command line; an error of the package prints one sentence and exits with 1."""
    try:
        app()
    except ActiveKDError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"error: {error}", markup=False)
        sys.exit(1)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="folder of the report and of the runs")] = Path("demo-report"),
    task: Annotated[list[str] | None, typer.Option(help="run only this task (repeatable)")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="seeds a setting")] = 2,
    rounds: Annotated[int, typer.Option(min=0, help="query rounds after the initial labels")] = 4,
    json_: JSON = False,
) -> None:
    """Run ActiveKD for real on the bundled tasks: four selectors and a baseline, a table and report.html."""
    from activekd_lab.demo import TASKS, run_demo

    with Reporter(quiet=json_) as report:
        outcome = run_demo(out, tasks=tuple(task or TASKS), seeds=seeds, rounds=rounds, say=report)
    if json_:
        print(json.dumps(outcome.summary, indent=2))
        return
    for table in outcome.tables:
        print_table(*table)
    print(f"\n{outcome.seconds:.0f} s in all ({outcome.split}). Report: {outcome.report}")


def run(**options: Any) -> None:
    """Run one ActiveKD configuration, a line a round; every setting is a flag."""
    store, as_json, student = options.pop("store"), options.pop("json_"), options.pop("save_student")
    config = RunConfig(**settings(options))
    from activekd_lab.checkpoint import writing  # after the settings are checked: torch takes a second
    from activekd_lab.loop import ActiveRun

    if student is not None and first_process():
        with writing(student):
            student.mkdir(parents=True, exist_ok=True)
    with Reporter(quiet=as_json) as report:
        active = ActiveRun(config, store=store, progress=report)
        for record in active:
            times = ", ".join(f"{name} {value:.2f} s" for name, value in record.seconds.items())
            report.line(
                f"round {record.round:>2}  labels {record.labels:>5}  accuracy {record.accuracy:.3f}  "
                f"(CE head {record.ce_accuracy:.3f}, KD head {record.kd_accuracy:.3f}; {times})"
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
        print(f"teacher, zero-shot: {result.teacher_accuracy:.3f}\nstored in {result.folder}")


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="run folders, or stores that hold some")],
    out: Annotated[Path, typer.Option(help="the page to write")] = Path("report.html"),
    images: Annotated[bool, typer.Option(help="picture the pool; its data set must be on this machine")] = True,
) -> None:
    """Write one offline, interactive HTML page about stored runs."""
    from activekd_lab.plots import write_report
    from activekd_lab.pools import load_pools
    from activekd_lab.results import find_runs, load_run

    results = [load_run(folder) for folder in find_runs(runs)]
    pools = load_pools(results) if images else {}
    for name, pool in pools.items():
        if isinstance(pool, str):
            print(f"warning: no pictures of {name}: {pool}", file=sys.stderr)
    print(f"{len(results)} runs: {write_report(results, out, pools=pools)}")


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="folder that a student was saved to")],
    images: Annotated[list[Path], typer.Argument(help="image files, or folders of some")],
    top: Annotated[int, typer.Option(min=1, help="classes to name for each image")] = 3,
    json_: JSON = False,
) -> None:
    """Classify image files, and all below folders, with a saved student."""
    from activekd_lab.checkpoint import find_files, load_student
    from activekd_lab.progress import counted

    saved, files = load_student(model), find_files(images)
    with Reporter(quiet=json_) as report:
        probabilities = saved.predict_files(files, progress=counted(report, "images"))
    best = probabilities.topk(min(top, len(saved.class_names)))
    named = [
        [(saved.class_names[c], p) for p, c in zip(*row, strict=True)]
        for row in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]
    if json_:
        print(json.dumps({str(path): dict(row) for path, row in zip(files, named, strict=True)}, ensure_ascii=False))
        return
    rows = [[str(path), *(f"{name} {p:.2f}" for name, p in row)] for path, row in zip(files, named, strict=True)]
    print_table("", ["image", "prediction", *[""] * (len(named[0]) - 1)], rows)


@app.command()
def export(
    model: Annotated[Path, typer.Argument(help="folder that a student was saved to")],
    out: Annotated[Path, typer.Option(help="the file to write")] = Path("student.onnx"),
    format_: Annotated[str, typer.Option("--format", help="onnx")] = "onnx",
) -> None:
    """Turn a saved student into one ONNX file, mixing included, and check it against onnxruntime."""
    from activekd_lab.checkpoint import load_student
    from activekd_lab.export import export_onnx

    if format_ != "onnx":
        raise UnknownNameError("format", format_, ["onnx"])
    print(f"{export_onnx(load_student(model), out)}: probabilities agree with the student")


@app.command()
def tasks(json_: JSON = False) -> None:
    """List the tasks."""
    from activekd_lab.data import list_tasks

    print_registry(list_tasks(), as_json=json_)


@app.command()
def selectors(json_: JSON = False) -> None:
    """List the selectors, with their source."""
    from activekd_lab.selectors import list_selectors

    print_registry({s.name: f"{s.help} [{s.citation}]" for s in list_selectors()}, as_json=json_)


@app.command()
def doctor(json_: JSON = False) -> None:
    """Check this installation: versions, device, write access, teacher, backbone weights, widgets."""
    from activekd_lab.doctor import examine

    findings = examine()
    if json_:
        print(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        print_table("", ["", "check", "finding"], [["ok" if f.ok else "FAIL", f.check, f.finding] for f in findings])
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


@cache.callback()
def cache_list(context: typer.Context, kind: Kind = None, json_: JSON = False) -> None:
    """List what is cached on disk: teacher embeddings and views, backbone features, rendered images."""
    from activekd_lab.data.cache import list_cache
    from activekd_lab.data.store import cache_dir

    if context.invoked_subcommand is not None:
        return
    entries = list_cache(kind)
    total = sum(entry.size for entry in entries)
    if json_:
        rows: list[dict[str, object]] = [entry._asdict() | {"path": str(entry.path)} for entry in entries]
        print(json.dumps({"folder": str(cache_dir()), "bytes": total, "entries": rows}))
        return
    lines = [[e.kind, f"{e.size / 1e6:.1f}", e.about + ("" if e.finished else " (unfinished)")] for e in entries]
    print_table("", ["kind", "MB", "what it holds"], lines)
    print(f"{len(entries)} files, {total / 1e6:.1f} MB in {cache_dir()}")


@cache.command("clear")
def cache_clear(kind: Kind = None) -> None:
    """Delete what is cached; it is computed again when it is needed."""
    from activekd_lab.data.cache import clear_cache

    count, size = clear_cache(kind)
    print(f"deleted {count} files, {size / 1e6:.1f} MB")


@bench.command("selectors")
def bench_selectors(
    scale: Annotated[str | None, typer.Option(help="imagenet: a float16 memory map of 1.28 M × 1000 (2.6 GB)")] = None,
    full: Annotated[bool, typer.Option("--full", help="the largest sizes too (minutes, gigabytes)")] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    figure: Annotated[Path | None, typer.Option(help="also write a scaling figure (HTML) there")] = None,
    json_: JSON = False,
) -> None:
    """Measure k-center and BADGE against plain ways of computing them."""
    from activekd_lab.bench.selectors import run as measure
    from activekd_lab.bench.selectors import scaling, scaling_figure, tables

    with Reporter(quiet=json_) as report:
        found = measure(scale=scale, full=full, device=device, say=report)
        if figure is not None:
            scaling_figure(scaling(say=report)).write_html(figure)
    if json_:
        print(json.dumps(found))
        return
    for table in tables(found):
        print_table(*table)


@bench.command("widgets")
def bench_widgets(json_: JSON = False) -> None:
    """Measure slider moves of the explorers and the first display: time in the kernel and bytes sent."""
    from activekd_lab.bench.widgets import measure

    found = measure()._asdict()
    if json_:
        print(json.dumps(found))
    else:
        print_table("", ["measure", "value"], [[name, f"{value:,.4g}"] for name, value in found.items()])


@bench.command("teacher")
def bench_teacher(
    tables: Annotated[bool, typer.Option("--tables", help="also few-shot and bias tables (minutes)")] = False,
    seeds: Annotated[int, typer.Option(min=1, help="seeds of the tables")] = 3,
    json_: JSON = False,
) -> None:
    """Measure the embedding cache and a CLAP fit; with --tables, what few-shot teachers bring and the bias measures."""
    from activekd_lab.bench.teacher import speed
    from activekd_lab.bench.teacher import tables as measure

    with Reporter(quiet=json_) as report:
        found = [speed(say=report), *(measure(seeds=seeds, say=report) if tables else [])]
    print_tables(found, as_json=json_)


@bench.command("training")
def bench_training(
    accuracies: Annotated[bool, typer.Option("--accuracy", help="also train each way over seeds (minutes)")] = False,
    seeds: Annotated[int, typer.Option(min=1, help="seeds of the accuracies")] = 3,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    json_: JSON = False,
) -> None:
    """Measure training steps against the straightforward way: decode, augment by PIL, ask the teacher each step."""
    from activekd_lab.bench.training import accuracy, speed

    with Reporter(quiet=json_) as report:
        found = [speed(device=device, say=report), *([accuracy(seeds=seeds, say=report)] if accuracies else [])]
    print_tables(found, as_json=json_)


@bench.command("students")
def bench_students(
    task: Annotated[list[str] | None, typer.Option(help="only this task (repeatable)")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="seeds a setting")] = 3,
    json_: JSON = False,
) -> None:
    """Measure labels only, teacher only, one head and two heads at 1 to 16 labels a class, and gradient conflict."""
    from activekd_lab.bench.students import accuracy_table, conflict_table, measure

    with Reporter(quiet=json_) as report:
        found = [measure(name, seeds=seeds, say=report) for name in task or ("shapes", "digits")]
    print_tables([table for shots in found for table in (accuracy_table(shots), conflict_table(shots))], as_json=json_)


@app.command()
def lab(
    folder: Annotated[Path, typer.Option(help="the notebooks, outside a checkout")] = Path("notebooks"),
    arguments: Annotated[list[str] | None, typer.Argument(help="passed on to jupyter lab, after --")] = None,
) -> None:
    """Open JupyterLab on the notebooks."""
    from activekd_lab.lab import open_lab

    raise typer.Exit(open_lab(folder, arguments or []))


app.command()(with_config_flags(run))
app.command()(label)
app.command()(compare)
app.command()(grade)
app.command()(sweep)
app.command()(reproduce)

if __name__ == "__main__":
    main()
