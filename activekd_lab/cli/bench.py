"""The `bench` commands: both sides of a ratio in one run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from activekd_lab.cli.flags import JSON
from activekd_lab.cli.output import Reporter, print_table, print_tables

bench = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Measure speed: both sides of a ratio in one run."
)


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
    else:
        print_tables(tables(found), as_json=False)


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


@bench.command("images")
def bench_images(
    images: Annotated[int, typer.Option(min=100, help="JPEGs to write, in a folder that is removed again")] = 2000,
    side: Annotated[int, typer.Option(min=32, help="side of the JPEGs, pixels")] = 256,
    size: Annotated[int, typer.Option(min=32, help="side of the images in the store, pixels")] = 224,
    json_: JSON = False,
) -> None:
    """Measure decoding once against streaming from JPEGs: images/s, private memory, and what a GPU needs of each."""
    from activekd_lab.bench.images import tables

    with Reporter(quiet=json_) as report:
        found = tables(images, side=side, size=size, say=report)
    print_tables(found, as_json=json_)


@bench.command("students")
def bench_students(
    task: Annotated[list[str] | None, typer.Option(help="only this task (repeatable)")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="seeds a setting")] = 3,
    json_: JSON = False,
) -> None:
    """Measure labels only, teacher only, one head and two heads at 1 to 16 labels a class, and gradient conflict."""
    from activekd_lab.course.experiments.students import accuracy_table, conflict_table, measure

    with Reporter(quiet=json_) as report:
        found = [measure(name, seeds=seeds, say=report) for name in task or ("shapes", "digits")]
    print_tables([table for shots in found for table in (accuracy_table(shots), conflict_table(shots))], as_json=json_)


@bench.command("reports")
def bench_reports(
    runs: Annotated[int, typer.Option(min=1, help="made-up run folders, at least so many")] = 1000,
    json_: JSON = False,
) -> None:
    """Measure `compare` and `report` on many runs, each in a process of its own."""
    from activekd_lab.bench.reports import measure

    with Reporter(quiet=json_) as report:
        found = measure(runs, say=report)
    print_tables([found], as_json=json_)
