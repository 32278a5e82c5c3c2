"""The walk of a configuration from the command line to a selector, followed by a tracer and told in the README."""

import ast
import statistics
import sys
from pathlib import Path

import pytest

import activekd_lab
from activekd_lab.config import RunConfig
from activekd_lab.runs.stored import find_runs, load_run

ROOT = Path(activekd_lab.__file__).parent
README = ROOT.parent / "README.md"
WALK = (
    "cli/run.py", "active/begin.py", "config.py", "active/resolve.py", "active/prepare.py", "active/rounds.py",
    "selectors/pcoreset.py",
)  # fmt: skip
IDEAS = {  # an idea of the papers -> the one file whose name says it
    "structured prediction bias": "teachers/bias.py",
    "dual head": "students/student.py",
    "mixing": "students/mixing.py",
    "PCoreSet": "selectors/pcoreset.py",
    "the ledger": "active/pool.py",
    "CLAP": "teachers/clap.py",
    "gradient conflict": "students/conflict.py",
    "coverage": "active/coverage.py",
}
SITTING = (
    "teachers/zero_shot", "students/student", "students/losses", "students/mixing", "students/training",
    "selectors/kcenter", "selectors/pcoreset", "active/pool", "active/rounds", "active/loop",
)  # fmt: skip


class Walk:
    """Notes each file in which a function is handed a configuration, until a selector is asked.

    What the configuration answers about itself is no visit, except `resolve`, which hands it on.
    """

    def __init__(self):
        self.files = []

    def __call__(self, frame, event, arg):
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(str(ROOT)) or self.files[-1:] == [WALK[-1]]:
            return
        file = Path(code.co_filename).relative_to(ROOT).as_posix()
        given = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        handed = any(isinstance(frame.f_locals.get(name), RunConfig) for name in given)
        if file in ("io/arguments.py", "io/values.py"):
            return  # a look at what was handed over, in passing
        if file == "config.py":
            handed = code.co_name == "resolve" and file not in self.files
        if (handed or (file, code.co_name) in {("cli/run.py", "run"), (WALK[-1], "pcoreset")}) and self.files[-1:] != [
            file
        ]:
            self.files.append(file)


def test_a_configuration_walks_to_its_selector_without_turning_back(call, tmp_path):
    walk = Walk()
    sys.setprofile(walk)
    try:
        done = call("run", "--task", "digits", "--rounds", 1, "--steps", 2, "--device", "cpu", "--store", tmp_path)
    finally:
        sys.setprofile(None)
    assert done.returncode == 0, done.stderr
    assert walk.files == list(WALK)  # at most eight, none twice
    assert len(load_run(*find_runs([tmp_path])).records) == 2


@pytest.mark.quick
def test_the_readme_tells_the_same_walk():
    text = README.read_text("utf-8")
    hops = text[text.index("## How a run flows") :].split("\n## ")[0]
    places = [hops.index(f"`{file}`") for file in WALK]
    assert places == sorted(places)


@pytest.mark.quick
def test_each_idea_of_the_papers_has_a_file_and_the_sitting_is_in_order():
    assert [file for file in IDEAS.values() if not (ROOT / file).exists()] == []
    text = README.read_text("utf-8")
    part = text[text.index("one sitting") :]
    places = [part.index(f"activekd_lab/{name}.py") for name in SITTING]
    assert places == sorted(places)


@pytest.mark.quick
def test_the_sitting_is_fifteen_hundred_lines_at_most():
    lines = {name: len((ROOT / f"{name}.py").read_text("utf-8").splitlines()) for name in SITTING}
    assert sum(lines.values()) <= 1500, lines


def test_no_file_and_no_function_is_longer_than_one_reads_at_a_time():
    files = {path: path.read_text("utf-8") for path in ROOT.rglob("*.py")}
    assert len([path for path in files if path.parent == ROOT]) <= 8
    assert [f"{path.relative_to(ROOT)}" for path, text in files.items() if text.count("\n") > 320] == []
    functions = [
        (f"{path.relative_to(ROOT)}:{node.lineno}", node.end_lineno - node.lineno + 1)
        for path, text in files.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert [name for name, lines in functions if lines > 60] == []
    assert statistics.median(lines for _, lines in functions) <= 8
