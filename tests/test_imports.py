"""Who may import whom (the contract in pyproject.toml), and what a bare `import activekd_lab` may load."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import activekd_lab

ROOT = Path(activekd_lab.__file__).parent
HEAVY = ("torch", "plotly", "umap", "IPython", "open_clip", "pandas", "ipywidgets", "sklearn")


def lint(folder):
    """Hold the package in `folder` against the contract and return what import-linter prints."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def copy(tmp_path):
    """A copy of the sources beside their contract, to plant imports in."""
    shutil.copytree(ROOT, tmp_path / "activekd_lab", ignore=shutil.ignore_patterns("assets", "__pycache__"))
    shutil.copy(ROOT.parent / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_contract_holds(copy):
    code, text = lint(copy)
    assert code == 0, text
    assert "2 kept, 0 broken" in text


@pytest.mark.parametrize(
    ("file", "statement"),
    [
        ("runs/records.py", "from activekd_lab.active.begin import run"),
        ("selectors/random.py", "def f():\n    import activekd_lab.data"),
        ("students/losses.py", "from activekd_lab import teachers"),
        ("rng.py", "from activekd_lab.plots import theme"),
        ("newroom/__init__.py", '"""A room that no layer names."""'),
    ],
)
def test_a_planted_import_breaks_it(copy, file, statement):
    path = copy / "activekd_lab" / file
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as sources:
        sources.write(f"\n\n{statement}\n")
    code, text = lint(copy)
    assert code != 0, text


def test_eight_files_at_most_stand_on_the_ground_floor():
    assert len(list(ROOT.glob("*.py"))) <= 8


def _loaded_after(statement: str) -> list[str]:
    code = f"import sys, json; {statement}; print(json.dumps(sorted(m for m in {HEAVY!r} if m in sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("statement", "loaded"),
    [
        ("import activekd_lab", []),
        ("import activekd_lab as akd; akd.RunConfig()", []),
        ("import activekd_lab.runs.folder, activekd_lab.cli", []),
        ("import activekd_lab.plots, activekd_lab.widgets, activekd_lab.active, activekd_lab.students", []),
        ("from activekd_lab.course.checks import names; names()", []),
        ("import torch, activekd_lab", ["torch"]),  # the probe sees what is there
    ],
)
def test_importing_the_front_door_loads_nothing_heavy(statement, loaded):
    assert _loaded_after(statement) == loaded


def test_every_public_name_is_there():
    rooms = [
        activekd_lab,
        *(getattr(activekd_lab, name) for name in ("active", "plots", "runs", "students", "teachers")),
    ]
    assert [f"{room.__name__}.{name}" for room in rooms for name in room.__all__ if not hasattr(room, name)] == []


def test_importing_the_package_leaves_the_environment_alone():
    code = "import os; before = dict(os.environ); import activekd_lab; print(dict(os.environ) == before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
