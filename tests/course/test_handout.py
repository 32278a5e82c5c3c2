"""What learners get: no solution, no source, from a checkout or an installation; in nbgrader a blank earns nothing."""

import json
import zipfile
from pathlib import Path

import nbformat
import pytest

from activekd_lab.course import handout
from activekd_lab.course.answers import read_exercises
from activekd_lab.course.checks.base import functions
from activekd_lab.errors import DataError, FileError, SettingError

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def test_copies_are_the_notebooks_without_solutions_and_work_is_not_touched(call, tmp_path):
    folder = tmp_path / "mine"
    assert call("notebooks", folder).returncode == 0
    names = {path.name for path in folder.iterdir()}
    assert names == {path.name for path in NOTEBOOKS.glob("*.ipynb")} | {"GLOSSARY.md"}
    assert call("notebooks", folder).returncode == 0, "the same files again are no matter"
    (folder / "01_teacher.ipynb").write_text("my work")
    with pytest.raises(FileError, match=r"01_teacher.ipynb is there already, with other content"):
        handout.write_notebooks(folder)
    assert (folder / "01_teacher.ipynb").read_text() == "my work"


def test_a_seed_goes_into_the_settings_and_nowhere_else(tmp_path):
    handout.write_notebooks(tmp_path, seed=17)
    changed = {}
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        ours, plain = (nbformat.read(p, as_version=4).cells for p in (tmp_path / path.name, path))
        changed[path.stem] = [a.source for a, b in zip(ours, plain, strict=True) if a != b]
    assert all(len(cells) <= 1 for cells in changed.values())
    seeded = {stem for stem, cells in changed.items() if cells and "\nseed: int = 17  # " in cells[0]}
    assert seeded >= {"00_quickstart", "01_teacher", "03_selectors", "04_activekd"}


def test_a_pack_holds_no_solution_and_gives_each_student_a_seed(call, tmp_path):
    (tmp_path / "names.txt").write_text("ada\n\ngrace.h@x.org\n")
    for arguments in ([], ["--students", tmp_path / "names.txt"]):
        assert call("course", "pack", tmp_path / "out.zip", *arguments).returncode == 0
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert {name.split("/")[0] for name in texts} == {"ada", "grace.h@x.org"}
    assert not any("BEGIN SOLUTION" in text or "INSTRUCTORS" in name for name, text in texts.items())
    assert all("instructor/" not in name and "src/" not in name for name in texts)
    stubs = [text.count("NotImplementedError") for name, text in texts.items() if name.endswith("ipynb")]
    assert min(stubs) >= 2
    assert texts["ada/00_quickstart.ipynb"] != texts["grace.h@x.org/00_quickstart.ipynb"]
    first = (tmp_path / "out.zip").read_bytes()
    handout.pack(tmp_path / "out.zip", students=["ada", "grace.h@x.org"])
    assert (tmp_path / "out.zip").read_bytes() == first, "the same content, the same bytes"


@pytest.mark.parametrize("students", [["../ada"], ["a/b"], ["ada", "ada"], [".."], ["x\ny"]])
def test_names_that_can_be_no_folder_are_refused(tmp_path, students):
    with pytest.raises(SettingError, match="students must be different names"):
        handout.pack(tmp_path / "out.zip", students=students)
    assert not (tmp_path / "out.zip").exists()


def test_an_installation_keeps_them_below_its_prefix(monkeypatch, tmp_path):
    class Installed(type(Path())):
        def locate(self):
            return tmp_path / self

    share = tmp_path / handout.SHARE
    share.mkdir(parents=True)
    (share / "00_a.ipynb").write_text("{}")
    (share / "GLOSSARY.md").write_text("words")
    monkeypatch.setattr(handout, "__file__", str(tmp_path / "site-packages" / "activekd_lab" / "course" / "handout.py"))
    monkeypatch.setattr(handout.importlib.metadata, "files", lambda name: [Installed(f"{handout.SHARE}/00_a.ipynb")])
    assert handout.student_copies() == {"00_a.ipynb": "{}", "GLOSSARY.md": "words"}
    monkeypatch.setattr(handout.importlib.metadata, "files", lambda name: None)
    with pytest.raises(DataError, match="holds no notebooks; install its wheel"):
        handout.student_copies()


def run(cells):
    """Run an exercise's cells as nbgrader does, on through errors, and return the points by its rule."""
    import activekd_lab as akd

    namespace, points = {"akd": akd}, 0
    for cell in cells:
        try:
            exec(cell.source, namespace)
        except Exception:
            continue
        points += cell.metadata.nbgrader.get("points", 0)
    return points


def test_in_nbgrader_a_blank_notebook_earns_nothing_and_a_solution_all(tmp_path):
    earned, of = [], []
    for path in handout.write_nbgrader(tmp_path):
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        cells = [cell for cell in notebook.cells if "nbgrader" in cell.metadata]
        assert len({cell.metadata.nbgrader.grade_id for cell in cells}) == len(cells)
        assert run(cells) == 0, path
        solved = {e.function: e.pieces for e in read_exercises(NOTEBOOKS / "instructor" / path.name, functions())}
        for cell in cells:
            name = cell.metadata.nbgrader.grade_id.removeprefix("answer-")
            if name in solved:
                cell.source = "\n".join(piece.source for piece in solved[name] if "def " in piece.source)
        earned.append(run(cells))
        of.append(sum(cell.metadata.nbgrader.get("points", 0) for cell in cells))
    assert len(earned) == 10
    assert earned == of


def test_an_nbgrader_cell_is_an_answer_or_a_locked_test(tmp_path):
    path = next(p for p in handout.write_nbgrader(tmp_path) if p.name.startswith("00"))
    assert path == tmp_path / "source" / "00_quickstart" / "00_quickstart.ipynb"
    cells = [c for c in json.loads(path.read_text())["cells"] if "nbgrader" in c["metadata"]]
    kinds = [(c["metadata"]["nbgrader"]["solution"], c["metadata"]["nbgrader"]["locked"]) for c in cells]
    assert kinds == [(True, False), (False, True)] * 2
    assert "### BEGIN SOLUTION\n    raise" in "".join(cells[0]["source"])
