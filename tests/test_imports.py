"""Who may import whom inside the package, and what a bare `import activekd_lab` may load."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import activekd_lab

ROOT = Path(activekd_lab.__file__).parent

BASE = {"errors", "config", "rng", "results"}
DATA = BASE | {"data", "progress"}
TABLE: dict[str, set[str]] = {
    "errors": set(),
    "_version": set(),
    "config": {"errors"},
    "rng": {"errors"},
    "records": {"errors"},
    "results": {"errors", "records"},
    "variants": {"results"},
    "stats": {"errors"},
    "comparison": {"errors", "results", "stats", "variants"},
    "reference": set(),
    "progress": set(),
    "tables": {"comparison", "errors", "reference", "results", "stats", "variants"},
    "data": BASE | {"progress"},  # pool.py keeps its ledger in results.Label
    "teacher": DATA,
    "fewshot": DATA | {"teacher"},
    "backbones": {"errors"},
    "student": {"errors", "config", "backbones"},
    "losses": {"errors", "config", "student"},
    "mixing": {"errors"},
    "claims": {"comparison", "errors", "results", "stats", "variants"},
    "checkpoint": {"errors", "student", "data"},
    "export": {"errors", "student", "checkpoint"},
    "gradients": {"losses", "student"},
    "training_options": {"errors"},
    "training": DATA | {"teacher", "fewshot", "student", "losses", "training_options"},
    "selectors": {"errors", "rng"},
    "geometry": {"errors", "rng"},
    "bias": {"errors", "rng", "stats"},
    "bench": DATA
    | {"teacher", "view_cache", "training", "fewshot", "bias", "selectors", "geometry", "loop", "rounds", "widgets"}
    | {"student", "prepare", "gradients", "claims", "mixing"},
    "view_cache": DATA | {"teacher", "student"},
    "prepare": DATA | {"backbones", "view_cache", "teacher", "fewshot", "student", "losses", "training"},
    "rounds": BASE | {"geometry", "mixing", "selectors", "student", "training"},
    "loop": DATA
    | {"checkpoint", "fewshot", "losses", "prepare", "rounds", "selectors", "student", "teacher", "training"}
    | {"training_options"},
    "label_files": DATA,
    "labeling": DATA | {"checkpoint", "label_files", "prepare", "rounds", "selectors", "student", "training"},
    "parallel": {"errors", "config", "results", "loop", "workers"},
    "job": {"config", "results", "prepare", "notebooks"},  # what the processes of a sweep do
    "grid": {"errors", "config", "lab", "notebooks", "selectors", "loop", "_version"},
    "workers": {"errors", "job", "notebooks"},
    "cluster": {"errors", "workers"},
    "sweep": {"errors", "results", "data", "notebooks", "job", "grid", "workers"},
    "pools": {"errors", "results", "data", "plots", "variants"},
    "sweep_report": {"results", "plots", "pools", "grid", "sweep"},
    "cli_sweep": {"cli_flags", "cli_output", "errors", "grid", "sweep", "sweep_report", "cluster"},
    "plots": {"errors", "results", "stats", "variants", "comparison", "tables", "mixing", "claims"},
    "widgets": {"errors", "config", "results", "plots", "mixing"},
    "widgets.runner": {
        "errors",
        "config",
        "results",
        "plots",
        "mixing",
        "selectors",
        "loop",
    },  # the runner that others may replace
    "checks": {"errors", "data", "teacher", "student", "losses", "selectors", "geometry", "bias", "stats", "mixing"},
    "grading": {"errors", "checks"},
    "widgets.clustering": {"errors", "bias"},  # the clusterer that others may replace
    "notebooks": BASE | {"teacher"},  # the device it will run on
    "demo": {"errors", "config", "results", "pools", "loop", "parallel", "plots"},
    "lab": {"errors"},
    "doctor": {"errors", "data", "teacher", "backbones"},
    "pretrain": DATA | {"teacher"},
    "cli_output": {"progress"},
    "cli_flags": {"errors", "config"},
    "shift": {"errors", "data", "checkpoint"},
    "cli_data": {"cli_output", "data", "checkpoint", "shift"},
    "cli_grade": {"cli_flags", "cli_output", "errors", "grading"},
    "cli_compare": {"cli_output", "errors", "results", "tables", "plots"},
    "cli_label": {"cli_flags", "cli_output", "config", "errors", "labeling"},
    "cli": {
        "progress",
        "pools",
        "cli_compare",
        "cli_flags",
        "cli_data",
        "cli_grade",
        "cli_label",
        "cli_output",
        "errors",
        "config",
        "results",
        "loop",
        "cli_sweep",
        "plots",
        "data",
        "selectors",
        "demo",
        "doctor",
        "lab",
        "checkpoint",
        "export",
        "variants",
    }
    | {"bench"},
}
"""DESIGN 2: what each module may import from the package, beside its own siblings. `__init__` is the front door."""

HEAVY = ("torch", "plotly", "umap", "IPython", "open_clip", "pandas", "ipywidgets", "sklearn")


def allowed(module: str) -> set[str]:
    """Return the row of a module: of the file where it has one of its own, else of the package's part."""
    part = module.partition(".")[0]
    row = TABLE.get(module, TABLE.get(part))
    assert row is not None, f"{module} has no row in TABLE; add it there and in DESIGN 2"
    return row | {part}


def imported(source: str) -> set[str]:
    """Return the parts of activekd_lab that a source imports anywhere, in functions and under TYPE_CHECKING too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("activekd_lab.")}
    return found - {"__version__"}


def violations(module: str, source: str) -> set[str]:
    return imported(source) - allowed(module)


def modules() -> dict[str, Path]:
    paths = [path.relative_to(ROOT).with_suffix("") for path in sorted(ROOT.rglob("*.py"))]
    names = {".".join(path.parts).removesuffix(".__init__"): ROOT / path.with_suffix(".py") for path in paths}
    return {name: path for name, path in names.items() if name != "__init__"}


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_what_its_row_allows(module):
    assert violations(module, modules()[module].read_text("utf-8")) == set()


@pytest.mark.parametrize(
    ("module", "source", "found"),
    [
        ("results", "from activekd_lab.loop import run", {"loop"}),
        ("plots.maps", "def f():\n    import activekd_lab.training", {"training"}),
        ("selectors.random", "from activekd_lab import data, errors", {"data"}),
        ("widgets.explorer", "from activekd_lab.selectors import select", {"selectors"}),
        ("widgets.runner", "from activekd_lab.selectors import select", set()),
        ("data.pool", "from activekd_lab.data.task import Split", set()),
    ],
)
def test_the_check_itself_sees_a_wrong_import_and_lets_a_right_one_pass(module, source, found):
    assert violations(module, source) == found


def test_a_module_without_a_row_and_a_relative_import_are_refused():
    with pytest.raises(AssertionError, match="no row in TABLE"):
        violations("shortcuts", "")
    with pytest.raises(AssertionError, match="imports are absolute"):
        violations("loop", "from .errors import PoolError")


def test_the_table_has_no_cycle():
    order: list[str] = []
    rows = {module: row - {module} for module, row in TABLE.items() if "." not in module}
    while len(order) < len(rows):
        ready = [m for m, row in rows.items() if m not in order and row & rows.keys() <= set(order)]
        assert ready, f"a cycle among {sorted(rows.keys() - set(order))}"
        order += ready


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
        ("import activekd_lab.results, activekd_lab.cli", []),
        ("import activekd_lab.plots, activekd_lab.widgets", []),
        ("from activekd_lab.checks import names; names()", []),
        ("import torch, activekd_lab", ["torch"]),  # the probe sees what is there
    ],
)
def test_importing_the_front_door_loads_nothing_heavy(statement, loaded):
    assert _loaded_after(statement) == loaded


def test_every_public_name_is_there():
    assert [name for name in activekd_lab.__all__ if not hasattr(activekd_lab, name)] == []


@pytest.mark.parametrize(
    ("given", "spins"), [({}, "2000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "None")]
)
def test_threads_wait_without_burning_a_core_unless_the_user_says_otherwise(given, spins):
    code = "import activekd_lab, os; print(os.environ.get('GOMP_SPINCOUNT'))"
    bare = {key: value for key, value in os.environ.items() if key not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run([sys.executable, "-c", code], env=bare | given, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == spins
