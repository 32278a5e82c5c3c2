"""The command line: `activekd-lab COMMAND`. It parses, calls the library, and prints; nothing is computed here."""

from __future__ import annotations

import inspect
import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from rich.console import Console
from rich.table import Table

from activekd_lab.config import RunConfig
from activekd_lab.errors import ActiveKDError, SettingError

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Learn and reproduce active learning with distillation from vision-language models.",
)  # fmt: skip
bench = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Measure speed: both sides of a ratio in one run."
)
app.add_typer(bench, name="bench")
cache = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
app.add_typer(cache, name="cache")
Kind = Annotated[str | None, typer.Option(help="only this kind, such as embeddings")]
Json = Annotated[bool, typer.Option("--json", help="print JSON for scripts")]
SaveStudent = Annotated[Path | None, typer.Option(help="folder to save the last round's student to, for predict")]
Store = Annotated[Path, typer.Option(help="folder of run folders; an existing run of the same settings resumes")]


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
    json_: Json = False,
) -> None:
    """Run ActiveKD for real on the bundled tasks: four selectors and a baseline, a table and report.html."""
    from activekd_lab.demo import TASKS, run_demo

    with _Reporter(quiet=json_) as report:
        outcome = run_demo(out, tasks=tuple(task or TASKS), seeds=seeds, rounds=rounds, say=report)
    if json_:
        print(json.dumps(outcome.summary, indent=2))
        return
    for table in outcome.tables:
        _print_table(*table)
    print(f"\n{outcome.seconds:.0f} s in all ({outcome.split}). Report: {outcome.report}")


def run(**options: Any) -> None:
    """Run one ActiveKD configuration, a line a round; every setting is a flag."""
    store, as_json, student = options.pop("store"), options.pop("json_"), options.pop("save_student")
    config = RunConfig(**_settings(options))
    from activekd_lab.loop import ActiveRun  # after the settings are checked: torch takes a second

    with _Reporter(quiet=as_json) as report:
        active = ActiveRun(config, store=store, progress=report)
        for record in active:
            if not as_json:
                times = ", ".join(f"{name} {value:.2f} s" for name, value in record.seconds.items())
                report.line(
                    f"round {record.round:>2}  labels {record.labels:>5}  accuracy {record.accuracy:.3f}  "
                    f"(CE head {record.ce_accuracy:.3f}, KD head {record.kd_accuracy:.3f}; {times})"
                )
    result = active.result()
    if student is not None:
        active.saved_student().save(student)
    if as_json:
        print(json.dumps({"folder": str(result.folder), "rounds": [json.loads(r.to_json()) for r in result.records]}))
    else:
        print(f"teacher, zero-shot: {result.teacher_accuracy:.3f}\nstored in {result.folder}")


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="run folders, or stores that hold some")],
    out: Annotated[Path, typer.Option(help="the page to write")] = Path("report.html"),
) -> None:
    """Write one offline, interactive HTML page about stored runs."""
    from activekd_lab.data import load_task
    from activekd_lab.plots import Pool, write_report
    from activekd_lab.results import find_runs, load_run

    results = [load_run(folder) for folder in find_runs(runs)]
    tasks = {str(r.config["task"]): load_task(str(r.config["task"]), **r.config["task_options"]) for r in results}
    pools = {name: Pool(task.train.images.numpy(), task.train.labels.numpy()) for name, task in tasks.items()}
    print(f"{len(results)} runs: {write_report(results, out, pools=pools)}")


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="folder that a student was saved to")],
    images: Annotated[list[Path], typer.Argument(help="image files")],
    top: Annotated[int, typer.Option(min=1, help="classes to name for each image")] = 3,
    json_: Json = False,
) -> None:
    """Classify image files with a saved student."""
    from activekd_lab.checkpoint import load_student, read_images

    saved = load_student(model)
    probabilities = saved.predict(read_images(images, saved.student.image_size))
    best = probabilities.topk(min(top, len(saved.class_names)))
    named = [
        [(saved.class_names[c], p) for p, c in zip(*row, strict=True)]
        for row in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]
    if json_:
        print(json.dumps({str(path): dict(row) for path, row in zip(images, named, strict=True)}, ensure_ascii=False))
        return
    rows = [[str(path), *(f"{name} {p:.2f}" for name, p in row)] for path, row in zip(images, named, strict=True)]
    _print_table("", ["image", "prediction", *[""] * (len(named[0]) - 1)], rows)


@app.command()
def tasks(json_: Json = False) -> None:
    """List the tasks."""
    from activekd_lab.data import list_tasks

    _print_registry(list_tasks(), as_json=json_)


@app.command()
def selectors(json_: Json = False) -> None:
    """List the selectors, with their source."""
    from activekd_lab.selectors import list_selectors

    _print_registry({s.name: f"{s.help} [{s.citation}]" for s in list_selectors()}, as_json=json_)


@app.command()
def doctor(json_: Json = False) -> None:
    """Check this installation: versions, device, write access, teacher, backbone weights, widgets."""
    from activekd_lab.doctor import examine

    findings = examine()
    if json_:
        print(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        _print_table("", ["", "check", "finding"], [["ok" if f.ok else "FAIL", f.check, f.finding] for f in findings])
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


@cache.callback()
def cache_list(context: typer.Context, kind: Kind = None, json_: Json = False) -> None:
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
    _print_table("", ["kind", "MB", "what it holds"], lines)
    print(f"{len(entries)} files, {total / 1e6:.1f} MB in {cache_dir()}")


@cache.command("clear")
def cache_clear(kind: Kind = None) -> None:
    """Delete what is cached; it is computed again when it is needed."""
    from activekd_lab.data.cache import clear_cache

    count, size = clear_cache(kind)
    print(f"deleted {count} files, {size / 1e6:.1f} MB")


@bench.command("teacher")
def bench_teacher(
    tables: Annotated[bool, typer.Option("--tables", help="also few-shot and bias tables (minutes)")] = False,
    seeds: Annotated[int, typer.Option(min=1, help="seeds of the tables")] = 3,
    json_: Json = False,
) -> None:
    """Measure the embedding cache and a CLAP fit; with --tables, what few-shot teachers bring and the bias measures."""
    from activekd_lab.bench.teacher import speed
    from activekd_lab.bench.teacher import tables as measure

    with _Reporter(quiet=json_) as report:
        found = [speed(say=report), *(measure(seeds=seeds, say=report) if tables else [])]
    if json_:
        print(json.dumps([table._asdict() for table in found]))
        return
    for table in found:
        _print_table(*table)
        print()


@app.command()
def lab(
    folder: Annotated[Path, typer.Option(help="where the notebooks are, or are to be copied")] = Path("notebooks"),
    arguments: Annotated[list[str] | None, typer.Argument(help="passed on to jupyter lab, after --")] = None,
) -> None:
    """Open JupyterLab on the notebooks."""
    from activekd_lab.lab import open_lab

    raise typer.Exit(open_lab(folder, arguments or []))


class _Reporter:
    """Progress: one line that rewrites itself on a terminal, plain lines elsewhere, nothing when quiet."""

    def __init__(self, *, quiet: bool) -> None:
        self.console, self.quiet = Console(stderr=True, highlight=False), quiet
        self.status = self.console.status("") if self.console.is_terminal and not quiet else None

    def __enter__(self) -> _Reporter:
        if self.status is not None:
            self.status.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.status is not None:
            self.status.stop()

    def __call__(self, text: str) -> None:
        if self.status is not None:
            self.status.update(text)
        elif not self.quiet:
            print(text, file=sys.stderr, flush=True)

    def line(self, text: str) -> None:
        """Print a line that stays."""
        self.console.print(text, markup=False) if self.status is not None else print(text, flush=True)


def _print_registry(entries: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(entries, indent=2))
    else:
        _print_table("", ["name", "what it is"], [[name, text] for name, text in entries.items()])


def _print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    table = Table(*columns, title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=160)
    console.print(table)


def _settings(options: dict[str, Any]) -> dict[str, Any]:
    """Drop flags that were not given and turn repeated name=value flags into dictionaries."""
    given = {name: value for name, value in options.items() if value is not None and value != []}
    return {name: _list_setting(name, value) if isinstance(value, list) else value for name, value in given.items()}


def _list_setting(name: str, texts: list[str]) -> Any:
    return _pairs(name, texts) if _is_mapping(name) else tuple(texts)


def _is_mapping(name: str) -> bool:
    return get_origin(RunConfig.model_fields[name].annotation) is dict


def _pairs(option: str, texts: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise SettingError(f"--{option.replace('_', '-')} expected name=value, but got {text!r}.")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _flag(name: str) -> inspect.Parameter:
    """Return the CLI flag of one RunConfig field; None means not given, so that RunConfig keeps its default."""
    field = RunConfig.model_fields[name]
    kind = _flag_type(field.annotation)
    text = f"{field.description} [default: {field.default}]" if field.default not in (None, {}) else field.description
    metavar = "NAME=VALUE" if _is_mapping(name) else None
    optional: Any = kind | None
    annotation = Annotated[optional, typer.Option(help=text, show_default=False, metavar=metavar)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _flag_type(annotation: Any) -> Any:
    """Map a field's type to what typer parses; RunConfig checks the value itself."""
    origin = get_origin(annotation)
    if origin in (dict, tuple):
        return list[str]
    if origin is Annotated:
        return _flag_type(get_args(annotation)[0])
    if origin is Literal:
        return str
    if origin in (Union, types.UnionType):
        options = [option for option in get_args(annotation) if option is not type(None)]
        return str if len(options) > 1 else _flag_type(options[0])
    return annotation


def _with_config_flags(function: Callable[..., None]) -> Callable[..., None]:
    """Give `function` one flag for every field of RunConfig, `--store`, `--save-student` and `--json`."""
    fields = [_flag(name) for name in RunConfig.model_fields]
    keyword = inspect.Parameter.KEYWORD_ONLY
    fields.append(inspect.Parameter("store", keyword, default=Path("runs"), annotation=Store))
    fields.append(inspect.Parameter("save_student", keyword, default=None, annotation=SaveStudent))
    fields.append(inspect.Parameter("json_", keyword, default=False, annotation=Json))
    function.__signature__ = inspect.Signature(fields)  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in fields}
    return function


app.command()(_with_config_flags(run))

if __name__ == "__main__":
    main()
