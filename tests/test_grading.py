"""A learner's notebook is graded exercise by exercise: solved, half solved, untouched, broken, endless."""

import json
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

from activekd_lab import grading
from activekd_lab.errors import DataError, SettingError
from activekd_lab.grading import grade, read_exercises

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
STUDENT, INSTRUCTOR = NOTEBOOKS / "00_quickstart.ipynb", NOTEBOOKS / "instructor" / "00_quickstart.ipynb"


@pytest.fixture
def one_process(monkeypatch):
    """Gradings happen in this process; another takes seconds to start."""

    def grader(seconds, definitions):
        shared = grading.define(definitions)
        return SimpleNamespace(examine=lambda exercise: grading.examine(exercise, shared), close=lambda: None)

    monkeypatch.setattr(grading, "_Grader", grader)


@pytest.fixture
def handed_in(tmp_path):
    """Return a function that writes the student's notebook with some exercise cells replaced; None deletes the cell."""

    def write(**sources):
        notebook = nbformat.read(STUDENT, as_version=4)
        functions = {f"def {e.function}(": e.function for e in read_exercises(STUDENT)}
        for cell in list(notebook.cells):
            function = next((name for head, name in functions.items() if cell.source.startswith(head)), None)
            if function in sources:
                cell.source = sources[function] or ""
                if sources[function] is None:
                    notebook.cells.remove(cell)
        nbformat.write(notebook, tmp_path / "handed_in.ipynb")
        return tmp_path / "handed_in.ipynb"

    return write


def solution(function):
    return next(e.source for e in read_exercises(INSTRUCTOR) if e.function == function)


def statuses(grades):
    return [(g.result.status, g.points, g.of) for g in grades]


def test_solved_half_solved_and_untouched(one_process, handed_in):
    assert statuses(grade(INSTRUCTOR)) == [("passed", 1, 1)] * 2
    assert statuses(grade(STUDENT)) == [("not started", 0, 1)] * 2
    assert statuses(grade(handed_in(surplus=solution("surplus")))) == [("not started", 0, 1), ("passed", 1, 1)]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("while True:\n        pass", "stopped after 2 seconds: look for a loop that does not end"),
        ("import os\n    os._exit(0)", "It ended the Python process"),
    ],
)
def test_the_next_exercise_is_graded_after_one_that_took_its_process_down(handed_in, body, message):
    first, second = grade(
        handed_in(accuracy=f"def accuracy(p, y):\n    {body}", surplus=solution("surplus")), seconds=2
    )
    assert (first.result.status, first.points) == ("failed", 0)
    assert message in first.result.message
    assert second.result.status == "passed"


@pytest.mark.parametrize(
    ("source", "status", "message"),
    [
        ("def accuracy(p, y)\n    return 1", "failed", "The cell itself raised SyntaxError"),
        ("def accuracy(p, y):\n    return p @ y", "failed", "at line 2 of the cell (`return p @ y`)"),
        ("def acuracy(p, y):\n    return 1", "failed", "defines no function accuracy"),
        ("print(pool)\ndef accuracy(p, y): ...", "failed", "NameError: name 'pool' is not defined"),
        (None, "not started", "cell is missing"),
    ],
)
def test_a_broken_cell_is_named_and_costs_only_its_own_points(one_process, handed_in, source, status, message):
    first, second = grade(handed_in(accuracy=source, surplus=solution("surplus")))
    assert first.result.status == status
    assert message in first.result.message
    assert second.result.status == "passed"


AREA = """def area(labels, accuracy):
    return np.trapezoid(accuracy, labels) / (labels[-1] - labels[0])
"""
PCORESET = """def pcoreset(view, budget):
    centers, picks = view.labeled_probabilities, []
    for _ in range(budget):
        picks.append(farthest(view.probabilities, centers))
        centers = torch.cat([centers, view.probabilities[picks[-1:]]])
    return view.ids[picks]
"""


@pytest.mark.parametrize(
    ("stem", "function", "answer"), [("04_activekd", "area", AREA), ("03_selectors", "pcoreset", PCORESET)]
)
def test_an_answer_may_use_what_the_notebook_imports_and_defines(stem, function, answer, tmp_path):
    notebook = nbformat.read(NOTEBOOKS / "instructor" / f"{stem}.ipynb", as_version=4)
    cell = next(cell for cell in notebook.cells if f"def {function}(" in cell.source)
    cell.source = answer
    for source in ("%matplotlib inline\nimport math", "import no_such_package, sys\nsys.exit(1)"):
        notebook.cells.insert(0, nbformat.v4.new_code_cell(source))  # neither of them may disturb
    nbformat.write(notebook, tmp_path / "handed_in.ipynb")
    found = {g.result.name: g.result for g in grade(tmp_path / "handed_in.ipynb")}
    assert found[f"{stem[:2]}.{function}"].status == "passed", found


def test_deleted_exercises_still_count(one_process, tmp_path):
    notebook = nbformat.read(STUDENT, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if "00.accuracy" not in cell.source]
    nbformat.write(notebook, tmp_path / "short.ipynb")
    assert sorted(g.result.name for g in grade(tmp_path / "short.ipynb")) == ["00.accuracy", "00.surplus"]


def test_the_command_prints_a_table_or_json_and_exits_with_2_on_another_file(call, one_process, handed_in, tmp_path):
    half = handed_in(accuracy="def accuracy(p, y):\n    print('noise')\n    return (p.argmax(1) == y).sum()")
    done = call("grade", half)
    assert "This counts the right answers" in done.stdout
    assert done.stdout.endswith("0 of 2 points\n")
    found = json.loads(call("grade", half, "--json").stdout)
    assert [e["status"] for e in found["exercises"]] == ["failed", "not started"]
    assert (found["points"], found["of"]) == (0, 2)
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")]), tmp_path / "other.ipynb")
    for path, message in ((tmp_path / "other.ipynb", "no exercise of this package"), (Path(__file__), "NotJSONError")):
        refused = call("grade", path)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert message in refused.stderr


def test_files_and_settings_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"none\.ipynb cannot be read as a notebook \(FileNotFoundError"):
        grade(tmp_path / "none.ipynb")
    with pytest.raises(SettingError, match="seconds must be above 0, but got 0"):
        grade(STUDENT, seconds=0)
