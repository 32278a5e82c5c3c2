"""Every exercise has the agreed form; solutions pass their checks, and stubs are not started."""

import ast
import re

import nbformat
import pytest

from activekd_lab.course.answers import read_exercises
from activekd_lab.course.checks import check, names
from activekd_lab.course.checks.base import functions
from activekd_lab.course.exercise_process import make


def test_an_exercise_is_a_text_a_function_and_its_check(notebook):
    cells = nbformat.read(notebook, as_version=4).cells
    found = [i for i, cell in enumerate(cells) if "exercise" in cell.metadata.get("tags", [])]
    for number, i in enumerate(found, start=1):
        text, cell, checked = cells[i - 1 : i + 2]
        assert "exercise-text" in text.metadata.tags
        assert text.source.startswith(f"### Exercise {number} — ")
        assert "**Predict first**" in text.source.replace("\n", " ")
        *imports, function = ast.parse(cell.source).body
        assert isinstance(function, ast.FunctionDef)
        assert all(isinstance(node, ast.Import | ast.ImportFrom) for node in imports)
        assert ast.get_docstring(function)
        assert cell.source.endswith('    raise NotImplementedError("your turn")')
        call = rf'akd\.course\.check\("{notebook.stem[:2]}\.\w+", {function.name}\)'
        assert re.fullmatch(call, checked.source)


def test_there_are_two_to_four_exercises_and_a_check_for_each(notebook):
    number = notebook.stem[:2]
    expected = [name for name in names() if name.startswith(f"{number}.")]
    assert sorted(e.name for e in read_exercises(notebook, functions()) if e.pieces) == expected
    assert 2 <= len(expected) <= 4


def test_the_check_of_no_notebook_is_not_kept(builder):
    numbers = {path.stem[:2] for path in builder.sources()}
    assert {name[:2] for name in names()} <= numbers


@pytest.mark.parametrize(("folder", "status"), [("instructor", "passed"), (".", "not started")])
def test_solutions_pass_and_stubs_are_not_started(notebook, folder, status):
    """In this process: `test_grading` shows what happens in one of its own, which takes seconds to start."""
    path = notebook.parent / folder / notebook.name
    exercises = read_exercises(path, functions())
    results = [check(exercise.name, make(exercise.pieces)[0]) for exercise in exercises]
    assert [result.message for result in results if result.status != status] == []
    assert [exercise.flags for exercise in exercises if exercise.flags] == []
