"""A learner's notebook is graded as Jupyter would show it: solved, untouched, broken, tags and checks lost."""

import json
from pathlib import Path

import nbformat
import pytest

from activekd_lab.course import grading
from activekd_lab.course.grading import Grader, grade
from activekd_lab.errors import DataError, SettingError

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
STUDENT, INSTRUCTOR = NOTEBOOKS / "00_quickstart.ipynb", NOTEBOOKS / "instructor" / "00_quickstart.ipynb"
RIGHT = "def accuracy(p, y):\n    return (p.argmax(1) == y).double().mean()"


def statuses(grades):
    return [(g.result.status, g.points, g.of) for g in grades]


def test_solved_half_solved_and_untouched(grader, handed_in):
    assert statuses(grader.grade(INSTRUCTOR)) == [("passed", 1, 1)] * 2
    assert statuses(grader.grade(STUDENT)) == [("not started", 0, 1)] * 2
    assert statuses(grader.grade(handed_in(accuracy=RIGHT))) == [("passed", 1, 1), ("not started", 0, 1)]


def test_every_solution_of_the_course_earns_its_points_by_plain_values(grader):
    """Views of the pool, generators, arrays, functions to ask: all arguments reach the enclosed process."""
    for stem in ("03_selectors", "04_activekd", "05_your_images", "06_reproduce", "09_scale"):
        found = grader.grade(NOTEBOOKS / "instructor" / f"{stem}.ipynb")
        assert [g.result for g in found if g.points != g.of or g.flags] == []


@pytest.mark.parametrize(
    ("source", "status", "message"),
    [
        ("def accuracy(p, y)\n    return 1", "failed", "The cell itself raised SyntaxError"),
        ("def accuracy(p, y):\n    return p @ y", "failed", "at line 2 of the cell (`return p @ y`)"),
        ("def acuracy(p, y):\n    return 1", "failed", "The cell defines no function accuracy, but acuracy"),
        ("accuracy = 0.6", "failed", "A function is expected, but got float"),
        ("def accuracy(p, y=pool): ...", "failed", "The cell itself raised NameError: name 'pool' is not defined"),
        ("def accuracy(p, y):\n    p[0] = 0\n    return 0.6", "failed", "changes its input in place"),
        ("def accuracy(p, y): pass", "failed", "returns None"),
        ("def accuracy(p, y):\n    return 'x'", "failed", "Expected a tensor of shape (), one number, but got str"),
        ("class T: pass\ndef accuracy(p, y):\n    return T()", "failed", "but got T"),
        (None, "failed", "No cell defines the function accuracy, and the tag `exercise` of its cell is missing"),
    ],
)
def test_a_broken_cell_is_named_and_costs_only_its_own_points(grader, handed_in, source, status, message):
    first, second = grader.grade(handed_in(solved=True, accuracy=source))
    assert first.result.status == status
    assert message in first.result.message
    assert second.result.status == "passed"


JUPYTER = {
    "magics and shell commands": f"%matplotlib inline\n!ls\nfiles = !ls\n{RIGHT}",
    "a cell magic": f"%%time\n{RIGHT}",
    "a question mark": f"len?\n{RIGHT}",
    "a magic inside": "def accuracy(p, y):\n    %pylab\n    return (p.argmax(1) == y).double().mean()",
    "a helper, a class, constants, an import": (
        "import math as m\nSCALE = float(m.gcd(2, 4)) / 2\nclass Top:\n    @staticmethod\n    def of(p):\n"
        "        return p.argmax(1)\nclass Best(Top): pass\ndef hit(p, y): return Best.of(p) == y\n"
        "def accuracy(p, y):\n    return SCALE * hit(p, y).double().mean()"
    ),
    "the last definition": f"def accuracy(p, y):\n    return 0.1\n{RIGHT}",
    "a lambda": "accuracy = lambda p, y: (p.argmax(1) == y).double().mean()",
    "an object": (
        "class A:\n    def __call__(self, p, y):\n        return (p.argmax(1) == y).double().mean()\naccuracy = A()"
    ),
    "a decorator and a cache": (
        "import functools\nseen = {}\ndef noted(f):\n    @functools.wraps(f)\n    def g(p, y):\n"
        "        seen['n'] = seen.get('n', 0) + 1\n        return f(p, y)\n    return g\n@noted\n" + RIGHT
    ),
    "other work in the cell": f"{RIGHT}\nprint(pool)\naccuracy(teacher, pool.labels)",
    "a global named as an argument": (
        "labels = pool.labels\ndef accuracy(p, labels):\n    return (p.argmax(1) == labels).double().mean()"
    ),
    "defined where needed": f"if True:\n    {RIGHT.replace(chr(10), chr(10) + '    ')}",
    "a test of one's own": f"{RIGHT}\nassert 0 < accuracy(teacher[:9], pool.labels[:9]) <= 1",
}  # fmt: skip


@pytest.mark.parametrize("case", JUPYTER)
@pytest.mark.parametrize("tags", [True, False])
def test_what_runs_in_jupyter_earns_its_points(grader, handed_in, case, tags):
    path = handed_in(solved=True, accuracy=JUPYTER[case])
    if not tags:
        change(path, lambda notebook: [cell.metadata.clear() for cell in notebook.cells])
    found = grader.grade(path)[0]
    assert found.result.status == "passed", found.result


def change(path, edit):
    notebook = nbformat.read(path, as_version=4)
    edit(notebook)
    nbformat.write(notebook, path)


def insert(place, source):
    """Return an edit that puts a code cell before the first cell that holds a text."""

    def edit(notebook):
        at = next(i for i, cell in enumerate(notebook.cells) if place in cell.source)
        notebook.cells.insert(at, nbformat.v4.new_code_cell(source))

    return edit


def test_the_stub_may_stay_above_and_the_answer_stand_in_a_cell_of_its_own(grader, handed_in):
    path = handed_in()
    change(path, insert('check("00.accuracy"', RIGHT))
    assert grader.grade(path)[0].points == 1


def test_the_last_check_counts_and_may_be_given_another_name_or_an_expression(grader, handed_in):
    for given in ("mine", "lambda p, y: mine(p, y)", "name='00.accuracy', function=mine"):
        path = handed_in()
        call = given if given.startswith("name") else f'"00.accuracy", {given}'
        change(path, insert("### Exercise 2", RIGHT.replace("accuracy", "mine") + f"\nakd.course.check({call})"))
        assert grader.grade(path)[0].points == 1, given


def test_an_answer_below_its_check_or_without_any_check_is_found_by_its_name(grader, handed_in):
    path = handed_in(solved=True)

    def turn(notebook):
        cells = notebook.cells
        at = next(i for i, cell in enumerate(cells) if "def accuracy" in cell.source)
        cells[at], cells[at + 1] = cells[at + 1], cells[at]

    change(path, turn)
    assert statuses(grader.grade(path)) == [("passed", 1, 1)] * 2

    def no_checks(notebook):
        notebook.cells = [cell for cell in notebook.cells if "course.check" not in cell.source]

    change(path, no_checks)
    assert statuses(grader.grade(path)) == [("passed", 1, 1)] * 2


def test_deleted_exercises_still_count(grader, handed_in):
    path = handed_in(accuracy=None)
    change(path, lambda n: n.update(cells=[cell for cell in n.cells if "00.accuracy" not in cell.source]))
    found = {g.result.name: g.result for g in grader.grade(path)}
    assert sorted(found) == ["00.accuracy", "00.surplus"]
    assert found["00.accuracy"].status == "not started"


@pytest.mark.parametrize(
    ("source", "flag"),
    [
        ("from activekd_lab.active.rounds import accuracy", "calls the library"),
        ("import activekd_lab as lab\ndef accuracy(p, y):\n    return lab.stats.area(p, y)", "lab.stats.area"),
        ("def accuracy(p, y):\n    return akd.active.rounds.accuracy(p, y)", "akd.active.rounds.accuracy"),
        ("import os\ndef accuracy(p, y):\n    return os.getpid()", "uses os"),
        ("def accuracy(p, y):\n    return accuracy.__globals__", "uses __globals__"),
    ],
)  # fmt: skip
def test_answers_that_call_the_library_or_odd_things_are_flagged(grader, handed_in, source, flag):
    found = grader.grade(handed_in(solved=True, accuracy=source))[0]
    assert any(flag in text for text in found.flags), found


def test_a_byte_order_mark_does_not_disturb(grader, handed_in):
    path = handed_in(solved=True)
    path.write_text(path.read_text("utf-8"), "utf-8-sig")
    assert statuses(grader.grade(path)) == [("passed", 1, 1)] * 2


@pytest.fixture
def one_start(monkeypatch, grader):
    """The command uses the process that has started already."""

    class Started:
        missing = ()
        __init__ = lambda self, **settings: None  # noqa: E731
        __enter__ = lambda self: grader  # noqa: E731
        __exit__ = lambda self, *error: None  # noqa: E731

    monkeypatch.setattr("activekd_lab.course.classlist.Grader", Started)


def test_the_command_prints_a_table_or_json_and_exits_with_2_on_another_file(call, one_start, handed_in, tmp_path):
    half = handed_in(accuracy="def accuracy(p, y):\n    print('noise')\n    return (p.argmax(1) == y).sum()")
    done = call("grade", half)
    assert done.returncode == 0
    assert "counts the right answers" in done.stdout
    assert "0 of 2 points" in done.stdout
    found = json.loads(call("grade", half, "--json").stdout)
    assert [row["status"] for row in found["exercises"]] == ["failed", "not started"]
    assert (found["points"], found["of"]) == (0, 2)
    (tmp_path / "broken.ipynb").write_text("{")
    (tmp_path / "cells.ipynb").write_text('{"cells": [3], "nbformat": 4, "nbformat_minor": 5, "metadata": {}}')
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "other.ipynb")
    for name, message in (
        ("other", "no exercise of this package"),
        ("broken", "cannot be read"),
        ("cells", "cannot be"),
    ):
        refused = call("grade", tmp_path / f"{name}.ipynb")
        assert (refused.returncode, refused.stdout) == (2, "")
        assert message in refused.stderr


def test_what_stops_its_start_ends_the_process(monkeypatch):
    """Ctrl-C and SIGTERM, while PyTorch loads."""
    started = Grader()

    def stop(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(Grader, "_hear", stop)
    with pytest.raises(KeyboardInterrupt), started:
        pass
    assert started._process.poll() is not None


def test_files_and_settings_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"none\.ipynb cannot be read"):
        grade(tmp_path / "none.ipynb")
    for seconds in (0, -1, float("inf"), float("nan"), 3601):
        with pytest.raises(SettingError, match="seconds must be above 0 and at most 3600, but got"):
            grading.Grader(seconds=seconds)


OWN = """from activekd_lab.course.checks.base import Wrong, call, register

@register("50.twice", points=3)
def twice(function):
    if call(function, 4) != 8:
        raise Wrong("Four times two is eight.")
    return "Right."
"""


def test_checks_of_ones_own_are_graded(grader, tmp_path):
    from activekd_lab.course.checks.base import CHECKS, load_checks

    (tmp_path / "own.py").write_text(OWN)
    notebook = nbformat.v4.new_notebook()
    for source in ("def twice(x):\n    return 2 * x", 'akd.course.check("50.twice", twice)'):
        notebook.cells.append(nbformat.v4.new_code_cell(source))
    nbformat.write(notebook, tmp_path / "own.ipynb")
    load_checks(tmp_path / "own.py")
    try:
        assert statuses(grader.grade(tmp_path / "own.ipynb")) == [("passed", 3, 3)]
    finally:
        del CHECKS["50.twice"]
    (tmp_path / "none.py").write_text("1 / 0")
    with pytest.raises(DataError, match=r"cannot be run as a file of checks \(ZeroDivisionError"):
        load_checks(tmp_path / "none.py")
    (tmp_path / "none.py").write_text("x = 1")
    with pytest.raises(DataError, match="registers no check"):
        load_checks(tmp_path / "none.py")
