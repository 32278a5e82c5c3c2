"""Commands that use a saved student: `predict` and `export`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from activekd_lab.cli.flags import JSON
from activekd_lab.cli.output import Reporter, print_table
from activekd_lab.errors import UnknownNameError


def predict(
    model: Annotated[Path, typer.Argument(help="file or folder that a student was saved to")],
    images: Annotated[list[Path], typer.Argument(help="image files, or folders of some")],
    top: Annotated[int, typer.Option(min=1, help="classes to name for each image")] = 3,
    unreadable: Annotated[str, typer.Option(help="raise, or skip what is no readable image")] = "raise",
    json_: JSON = False,
) -> None:
    """Classify image files, and all below folders, with a saved student."""
    from activekd_lab.active.predict import predict_files
    from activekd_lab.data.walk import find_files, show
    from activekd_lab.progress import counted
    from activekd_lab.students.checkpoint import load_student

    if unreadable not in ("raise", "skip"):
        raise UnknownNameError("answer to unreadable files", unreadable, ["raise", "skip"])
    saved, inputs = load_student(model), find_files(images)
    with Reporter(quiet=json_) as report:
        found = predict_files(saved, inputs.files, unreadable=unreadable, progress=counted(report, "images"))  # type: ignore[arg-type]
    files, probabilities = found.files, found.probabilities
    inputs.left_out.merge(found.left_out)
    if inputs.left_out:
        print(inputs.left_out, file=sys.stderr)
    best = probabilities.topk(min(top, len(saved.class_names)))
    named = [
        [(saved.class_names[c], p) for p, c in zip(*row, strict=True)]
        for row in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]
    if json_:
        print(json.dumps({show(path): dict(row) for path, row in zip(files, named, strict=True)}, ensure_ascii=False))
        return
    rows = [[show(path), *(f"{name} {p:.2f}" for name, p in row)] for path, row in zip(files, named, strict=True)]
    print_table("", ["image", "prediction", *[""] * (best.indices.shape[1] - 1)], rows)


def export(
    model: Annotated[Path, typer.Argument(help="file or folder that a student was saved to")],
    out: Annotated[Path, typer.Option(help="the file to write")] = Path("student.onnx"),
    format_: Annotated[str, typer.Option("--format", help="onnx")] = "onnx",
) -> None:
    """Turn a saved student into one ONNX file, mixing included, and check it against onnxruntime."""
    from activekd_lab.students.checkpoint import load_student
    from activekd_lab.students.export import SNIPPET, export_onnx

    if format_ != "onnx":
        raise UnknownNameError("format", format_, ["onnx"])
    print(
        f"{export_onnx(load_student(model), out)}: probabilities agree with the student. It takes photos as they are:"
    )
    print(SNIPPET.format(path=str(out)))
