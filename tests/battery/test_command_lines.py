# ruff: noqa: E501  (tables)
"""Bad values for each option and argument of each command: exit code 1 or 2 with one sentence, never a traceback.

The command line runs in this process. What it accepts (exit code 0) is right or refused by the library's own battery;
here it may neither end in another exception nor take more than ten seconds of computing.
"""

import contextlib
import io
import os
import re
import sys
from functools import partial

import pytest
import typer
from bad_input import in_workers, odd_paths, report, sample
from valid_calls import Valid

from activekd_lab.cli.app import app, main

pytestmark = [pytest.mark.battery, pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")]
TEXTS = {"empty": "", "x": "x", "-1": "-1", "0": "0", "nan": "nan", "inf": "inf", "1e400": "1e400", "2.5": "2.5",
         "10**11": "100000000000", "10**30": "1" + "0" * 30, "a line break": "a\nb", "a quote": "it's \"x\"", "=": "=",
         "a=b=c": "a=b=c", "markup": "[red]<b>{}", "a surrogate": "\udc80", "long": "y" * 5000, "JSON": '{"a": [1]}'}  # fmt: skip
PATHS = "out|folder|store|root|session|runs|images|model|grid|notebook|csv|checks|export|sources|student|weights"
WITHOUT = {
    "demo": "runs for a minute, tests/cli/test_demo.py", "lab": "starts JupyterLab", "doctor": "no arguments",
    "tasks": "no arguments", "selectors": "no arguments", "methods": "no arguments", "bench": "minutes; bench tests",
}  # fmt: skip


def lines(place):
    """Return a valid command line of every command, with the file of each argument."""
    w = Valid(place)
    run, student = str(w.stored), str(w.saved.save(place / "student"))
    (grid := place / "grid.yaml").write_text("title: t\ngrid: {task: digits, selector: random, seed: 0}\n")
    (notebook := place / "n.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    for who in ("alice", "bob"):
        (place / f"{who}.csv").write_text("path,label\n1.png,a\n")
    tiny = [
        "--task",
        "shapes",
        "--device",
        "cpu",
        "--backbone",
        "small_cnn",
        "--freeze-backbone",
        "false",
        "--steps",
        "1",
    ]
    for option in ("num_classes=3", "pool_size=30", "test_per_class=2", "val_per_class=1"):
        tiny += ["--task-options", option]
    tiny += ["--image-size", "16", "--rounds", "0", "--store", str(place / "store")]
    return {
        "run": tiny,
        "report": [run, "--no-images", "--out", str(place / "r.html")],
        "compare": [run],
        "sweep": [str(grid), "--dry-run", "--out", str(place / "sweep")],
        "reproduce": ["dho-low-shot", "--dry-run", "--out", str(place / "study"), "--profile", "smoke"],
        "label": [str(w.photos), "--classes", "a,b", "--session", str(place / "session")],
        "merge": [str(place / "alice.csv"), str(place / "bob.csv")],
        "predict": [student, str(w.png)],
        "export": [student, "--out", str(place / "s.onnx")],
        "grade": [str(notebook)],
        "notebooks": [str(place / "books")],
        "data check": [str(w.photos)],
        "data prepare": ["eurosat", "--root", str(place)],
        "data shift": [student, "imagenet_v2", "--root", str(place)],
        "cache": [],
        "cache clear": ["--kind", "none such"],
        "course pack": [str(place / "course.zip")],
        "course nbgrader": [str(place / "nbgrader")],
    }


def commands():
    """Yield every command, as (name, click command), of typer's tree."""
    root = typer.main.get_command(app)
    for name in root.list_commands(None):
        command = root.get_command(None, name)
        inner = getattr(command, "commands", {})
        yield from ((f"{name} {n}", c) for n, c in inner.items())
        if command.params or not inner:
            yield name, command


def spoilt(given, parameter, value):
    """Return a command line with a value in the place of an argument's or an option's own."""
    if parameter.param_type_name == "argument":
        return [value, *given[1:]]
    return [*given, f"{max(parameter.opts, key=len)}={value}"]  # of a flag given twice, the last one counts


def call(name, arguments):
    """Run a command line; raise ValueError where it does not end as it should."""
    err, argv = io.StringIO(), sys.argv
    sys.argv = ["activekd-lab", *name.split(), *arguments]
    sys.stdin = io.StringIO("q\n")
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        said = [line for line in err.getvalue().splitlines() if line.strip()]
        if end.code not in (0, 1, 2, None) or "Traceback" in err.getvalue() or (end.code and not said):
            raise ValueError(f"exit code {end.code}, {said[-1:]}") from None
        if end.code == 1 and name not in ("data check", "sweep", "reproduce") and not said[-1].startswith("error: "):
            raise ValueError(f"no sentence: {said[-3:]}") from None
    finally:
        sys.argv = argv


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    os.chdir(tmp_path_factory.mktemp("here"))
    return lines(tmp_path_factory.mktemp("lines"))


def test_every_command_has_a_valid_line(given):
    there = [name for name, _ in commands() if name not in WITHOUT and name.split()[0] not in WITHOUT]
    assert sorted(there) == sorted(given)


def test_bad_values_on_the_command_line(given, tmp_path, capsys):
    cases = []
    paths = odd_paths(tmp_path)
    for name, command in commands():
        for parameter in command.params if name in given else ():
            if getattr(parameter, "is_flag", False) or parameter.name == "help":
                continue
            values = TEXTS | (paths if re.search(PATHS, parameter.name) else {})
            for what, value in values.items():
                line = spoilt(given[name], parameter, value)
                cases.append((f"{name} {parameter.name}={what}", partial(call, name, line), True))
    cases += [
        (f"{name} --no-such-flag", partial(call, name, [*line, "--no-such-flag"]), True) for name, line in given.items()
    ]
    cases = sample(cases, 17)
    assert not report("command lines", cases, in_workers(cases), capsys)
