"""The notebooks come from their sources, and every notebook has the agreed form."""

import ast
import re
import shutil
import sys

import nbformat
import pytest

from activekd_lab.course.declared import declarations
from activekd_lab.plots.diagram import method_diagram

pytestmark = pytest.mark.quick

OBJECTIVES, LEARNED = "**After this notebook you can**", "## What we learned"


@pytest.fixture
def copied(builder, tmp_path, monkeypatch):
    """The builder, working on a copy of the notebooks' folder."""
    shutil.copytree(builder.FOLDER, tmp_path / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    monkeypatch.setattr(builder, "FOLDER", tmp_path / "notebooks")
    return builder


def test_there_are_notebooks_and_none_differs_from_its_source(builder):
    assert builder.sources()
    assert builder.drifted() == []


@pytest.mark.slow
def test_a_changed_source_a_changed_notebook_and_a_stranger_are_seen(copied):
    source, *_ = copied.sources()
    source.write_text(source.read_text("utf-8") + "\n# %%\n1 + 1\n", "utf-8")
    (copied.FOLDER / "stray.ipynb").write_text("{}")
    strangers = [copied.FOLDER / "instructor" / "stray.ipynb", copied.FOLDER / "stray.ipynb"]
    strangers[0].write_text("{}")
    assert copied.drifted() == sorted([*copied.targets(source), *strangers])
    for path, shown in copied.targets(source).items():
        path.write_text(copied.build(source, solutions=shown), "utf-8")
    assert copied.drifted() == strangers


@pytest.mark.slow
def test_check_exits_with_one_and_names_the_notebook(copied, monkeypatch, capsys):
    notebook = next(iter(copied.targets(copied.sources()[0])))
    notebook.write_text(notebook.read_text("utf-8").replace("print", "prnt"), "utf-8")
    monkeypatch.setattr(sys, "argv", ["build.py", "--check"])
    assert copied.main() == 1
    assert f"{notebook} differs from its source" in capsys.readouterr().out


def test_the_same_cell_twice_gets_two_ids_and_building_twice_gives_the_same(copied, tmp_path):
    source = tmp_path / "twice.py"
    source.write_text("# %%\n1 + 1\n\n# %%\n1 + 1\n")
    cells = nbformat.reads(copied.build(source, solutions=False), as_version=4).cells
    assert cells[0].id != cells[1].id
    assert copied.build(source, solutions=False) == copied.build(source, solutions=False)


EXERCISE = """# %% tags=["exercise"]
def half(x):
    \"\"\"Return half of x.\"\"\"
    ### BEGIN SOLUTION
    y = x / 2
    return y
    ### END SOLUTION

# %%
x = 1  ### BEGIN SOLUTION
"""


def test_a_student_sees_a_stub_and_an_instructor_the_solution(copied, tmp_path):
    (tmp_path / "half.py").write_text(EXERCISE)
    head = 'def half(x):\n    """Return half of x."""\n'
    student, instructor = (
        nbformat.reads(copied.build(tmp_path / "half.py", solutions=shown), as_version=4).cells
        for shown in (False, True)
    )
    assert student[0].source == head + '    raise NotImplementedError("your turn")'
    assert instructor[0].source == head + "    y = x / 2\n    return y"
    assert student[0].id == instructor[0].id
    assert student[1] == instructor[1], "only exercise cells hold solutions"


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("# %% [markdown]\n# # Title", "slide"),
        ("# %% [markdown]\n# ## Part\n# text", "slide"),
        ("# %% [markdown]\n# ## Settings", "skip"),
        ("# %% [markdown]\n# text", "subslide"),
        ('# %% [markdown] tags=["notes"]\n# ## For the teacher', "notes"),
        ("# %%\n1 + 1", "-"),
        ('# %% tags=["fragment"]\n1 + 1', "fragment"),
        ('# %% tags=["parameters"]\nrounds: int = 1', "skip"),
        ('# %%\nnotebooks.start("loop")', "skip"),
    ],
)
def test_a_cell_is_placed_in_the_slides_by_its_tag_or_by_what_it_is(copied, tmp_path, cell, expected):
    (tmp_path / "slides.py").write_text(cell + "\n")
    found = nbformat.reads(copied.build(tmp_path / "slides.py", solutions=False), as_version=4)
    assert found.cells[0].metadata.slideshow.slide_type == expected


def test_cells_are_short_and_carry_no_output(notebook):
    for cell in _read(notebook).cells:
        if cell.cell_type == "code":
            assert len(cell.source.splitlines()) <= 15, cell.source
            assert cell.outputs == []
            assert cell.execution_count is None


def test_there_is_no_logic_in_the_cells(notebook):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.While, ast.Try)
    for cell in _code(notebook):
        if "exercise" in _tags(cell):
            continue  # see test_exercises
        assert not [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, kinds)], cell.source


def test_header_and_footer_have_the_agreed_parts(notebook):
    texts = [cell.source for cell in _read(notebook).cells if cell.cell_type == "markdown"]
    for part in ("**Question.**", OBJECTIVES, "**You need**", "**Time and memory**"):
        assert part in texts[0]
    assert "MEASURED" not in texts[0]
    assert LEARNED in texts[-1]
    assert "**Next.**" in texts[-1]
    assert _points(texts[0], OBJECTIVES) == _points(texts[-1], LEARNED) > 1


def test_a_notebook_names_its_papers_an_open_problem_and_what_code_and_paper_say(notebook):
    text = "\n".join(cell.source for cell in _read(notebook).cells if cell.cell_type == "markdown")
    for part in ("## Paper, code, and here", "**Open problem.**", "**Read on.**", "https://arxiv.org/abs/2506.00910"):
        assert part in text or (part.startswith("https") and "2505.07675" in text), part
    assert "](GLOSSARY.md)" in text


def test_the_method_is_drawn_at_the_head_in_the_text_and_live_with_the_same_part_lit(notebook):
    cells = _read(notebook).cells
    (still,) = [cell.source for cell in cells if cell.cell_type == "markdown" and "akd-still" in cell.source]
    part = re.search(r'notebooks\.start\("(\w+)"\)', cells[2].source)[1]
    assert still == cells[1].source == method_diagram(part).image()


def test_two_predictions_or_more_are_asked_and_each_is_revealed(notebook):
    code = "\n".join(cell.source for cell in _code(notebook))
    keys = re.findall(r'Predict\(\s*f?"(\d\d)\.', code)
    assert len(keys) >= 2 or "for key in" in code
    assert set(keys) == {notebook.stem[:2]}
    asked = re.findall(r"^(\w+) = (?:\{.*)?akd\.widgets\.Predict\(", code, re.MULTILINE)
    assert [name for name in asked if f"{name}.reveal(" not in code and f"in {name}.items()" not in code] == []


def test_an_exercise_says_how_long_and_how_hard_it_is(notebook):
    texts = [cell.source for cell in _read(notebook).cells if "exercise-text" in _tags(cell)]
    said = re.compile(r"### Exercise \d — [^\n]+\n\n\*About \d+ minutes, (easy|medium|hard)\.\*\n\n")
    assert [text[:80] for text in texts if not said.match(text)] == []


def test_parameters_are_builtin_types_with_help_and_a_profile(notebook):
    (cell,) = [cell for cell in _code(notebook) if "parameters" in _tags(cell)]
    found = declarations(cell.source)
    assert len(found) == len(cell.source.splitlines()), "every line is a parameter"
    assert all(parameter.help for parameter in found)
    assert "profile" in {parameter.name for parameter in found}


def test_the_notebook_starts_the_clock_reads_its_parameters_and_writes_its_result(notebook):
    sources = [cell.source for cell in _code(notebook)]
    assert re.search(r'notebooks\.start\("\w+"\)', sources[0])
    assert "notebooks.read_parameters(globals()" in sources[2]
    assert "notebooks.finish(" in sources[-1]


def _read(notebook):
    return nbformat.read(notebook, as_version=4)


def _code(notebook):
    return [cell for cell in _read(notebook).cells if cell.cell_type == "code"]


def _tags(cell):
    return cell.metadata.get("tags", [])


def _points(text, heading):
    """Count the numbered points below a heading."""
    return len(re.findall(r"^\d+\. ", text.split(heading)[1], re.MULTILINE))
