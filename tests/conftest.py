"""Shared fixtures: a cache of its own for the whole session, and settings small enough for a laptop."""

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import pytest
import torch

HERE = Path(__file__).parent
LONGEST = ("browser", "studies", "battery", "course", "cli", "teachers")


def pytest_configure(config):
    """What is slow is no part of the quick run, whatever else its file says."""
    if config.option.markexpr == "quick":
        config.option.markexpr = "quick and not slow"


def pytest_collection_modifyitems(config, items):
    """Where pytest-xdist shares out groups (`.ci/run`), a file is one, and so are all that share JupyterLab.

    The longest come first, so that no worker waits long for another at the end.
    """
    if config.getoption("dist", "no") != "loadgroup":
        return
    place = {name: i for i, name in enumerate(LONGEST)}
    for item in items:
        parts = item.path.relative_to(HERE).with_suffix("").parts
        item.add_marker(pytest.mark.xdist_group("browser" if parts[0] == "browser" else "/".join(parts)))
    items.sort(key=lambda item: place.get(item.path.relative_to(HERE).with_suffix("").parts[0], len(LONGEST)))


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Tests neither read nor fill the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("ACTIVEKD_LAB_CACHE")
    os.environ["ACTIVEKD_LAB_CACHE"] = str(folder)
    yield folder
    os.environ.pop("ACTIVEKD_LAB_CACHE") if before is None else os.environ.update(ACTIVEKD_LAB_CACHE=before)


@pytest.fixture
def g():
    return torch.Generator().manual_seed(0)


TINY_TASK = {"num_classes": 4, "pool_size": 80, "test_per_class": 5, "val_per_class": 2}


@pytest.fixture
def tiny():
    """Settings of a run that takes about a second."""
    return {"task": "shapes", "task_options": TINY_TASK, "rounds": 3, "budget": 5, "steps": 10, "device": "cpu"}


@pytest.fixture(scope="session")
def call():
    """Return the command line as a function of its arguments, run in this process: a new one imports for seconds."""
    from activekd_lab.cli.app import main

    def run(*arguments):
        out, err, code = io.StringIO(), io.StringIO(), 0
        argv = ["activekd-lab", *map(str, arguments)]
        with redirect_stdout(out), redirect_stderr(err), mock.patch.object(sys, "argv", argv):
            try:
                main()
            except SystemExit as end:
                code = end.code or 0
        return subprocess.CompletedProcess(argv, code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="session")
def tiny_study():
    """Return a function (folder, selectors, seeds, steps) that writes tiny.yaml there and reads it as a study."""
    from activekd_lab.course.lab import USUAL, find_notebooks
    from activekd_lab.studies import grid

    def make(folder, *, selectors="random", seeds="[0, 1, 2]", steps=10):
        path = folder / "tiny.yaml"
        settings = f"selector: {selectors}, seed: {seeds}, rounds: 1, task: shapes, task_options: {TINY_TASK}"
        options = f"options: {{steps: {steps}, device: cpu, save_predictions: false}}"
        path.write_text(f"title: A tiny grid\ngrid: {{{settings}, {options}}}\n".replace("'", ""))
        return grid.read_grid(path, notebooks=find_notebooks(USUAL))

    return make
