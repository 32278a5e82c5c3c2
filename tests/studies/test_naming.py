"""A job's name: renamed by what changes a result, and by nothing else."""

import json
import shutil

import pytest

from activekd_lab.config import RunConfig
from activekd_lab.course.lab import USUAL, find_notebooks
from activekd_lab.errors import DataError
from activekd_lab.studies import grid, naming

pytestmark = pytest.mark.quick
NOTEBOOK = find_notebooks(USUAL) / grid.NOTEBOOK


def changed(folder, change):
    """Return the version of the notebook after a change of its cells."""
    content = json.loads(NOTEBOOK.read_text("utf-8"))
    change(content["cells"])
    (folder / "n.ipynb").write_text(json.dumps(content))
    return naming.code_version(folder / "n.ipynb")


def code(cells):
    return next(cell for cell in cells if cell["cell_type"] == "code")


def with_source(*lines):
    return lambda cells: code(cells).update(source=[*lines, *code(cells)["source"]])


def tagged(tag):
    """Return a change of the first cell of a tag."""
    return lambda cells: next(cell for cell in cells if tag in cell["metadata"].get("tags", ())).update(source="odd(")


@pytest.mark.parametrize(
    "change",
    [
        lambda cells: cells[0].update(source="# Other prose"),
        lambda cells: cells.append({"cell_type": "markdown", "metadata": {}, "source": "more"}),
        with_source("# a comment\n", "\n\n"),
        lambda cells: code(cells).update(source="".join(code(cells)["source"]).replace("(", "( ")),
        lambda cells: code(cells)["metadata"].update(collapsed=True),
        tagged("exercise"),  # jobs leave it out
    ],
)
def test_prose_comments_layout_and_exercises_rename_nothing(tmp_path, change):
    assert changed(tmp_path, change) == naming.code_version(NOTEBOOK)


@pytest.mark.parametrize("change", [with_source("1 + 1\n"), with_source("%time\n"), tagged("parameters")])
def test_code_renames(tmp_path, change):
    assert changed(tmp_path, change) != naming.code_version(NOTEBOOK)


def test_a_docstring_renames_nothing_but_its_function_does(tmp_path):
    one = changed(tmp_path, with_source("def f():\n    'one'\n    return 1\n"))
    assert one == changed(tmp_path, with_source("def f():\n    'two'\n    return 1\n"))
    assert one != changed(tmp_path, with_source("def f():\n    'one'\n    return 2\n"))


def test_the_version_renames_and_the_package_s_sources_do_not(tmp_path, monkeypatch):
    before = naming.code_version(NOTEBOOK)
    copy = tmp_path / "elsewhere" / "studies" / "naming.py"
    copy.parent.mkdir(parents=True)
    copy.write_text("# another comment\n")
    monkeypatch.setattr(naming, "__file__", str(copy))
    assert naming.code_version(NOTEBOOK) == before
    monkeypatch.setattr(naming, "__version__", "99.0")
    assert naming.code_version(NOTEBOOK) != before


def test_other_weights_of_the_teacher_or_the_backbone_rename(tmp_path, monkeypatch):
    bundled = naming.files_version(RunConfig())
    assert bundled == naming.files_version(RunConfig(seed=3))
    copy = tmp_path / "teacher"
    shutil.copytree(naming._BUNDLED, copy)
    local = RunConfig(teacher=f"local-dir:{copy}")
    assert naming.files_version(local) == bundled  # the same bytes
    (copy / "README.md").write_text("other words")
    assert naming.files_version(local) == bundled
    with (copy / "open_clip_model.safetensors").open("ab") as file:
        file.write(b" ")
    assert naming.files_version(local) != bundled
    (tmp_path / "backbone.safetensors").write_bytes(b"1")
    assert naming.files_version(RunConfig(backbone_weights=str(tmp_path / "backbone.safetensors"))) != bundled


def test_other_photos_labels_or_teacher_outputs_rename(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"one")
    for name in ("labels.csv", "said.npz"):
        (tmp_path / name).write_bytes(b"1")
    own = RunConfig(
        task="folder", task_options={"path": str(tmp_path / "photos"), "labels": str(tmp_path / "labels.csv")},
        teacher=f"given:{tmp_path / 'said.npz'}",
    )  # fmt: skip
    seen = [naming.files_version(own)]
    for change in ("photos/b.png", "photos/a.png", "labels.csv", "said.npz"):
        (tmp_path / change).write_bytes(b"another")
        seen.append(naming.files_version(own))
    assert len(set(seen)) == 5
    assert naming.files_version(own.with_(seed=1)) == seen[-1]


def test_a_notebook_without_its_tag_or_no_notebook_is_refused(tmp_path):
    """Papermill would set values that the cells do not use."""
    content = json.loads(NOTEBOOK.read_text("utf-8"))
    for cell in content["cells"]:
        cell["metadata"] = {}
    path = tmp_path / grid.NOTEBOOK
    path.write_text(json.dumps(content))
    (tmp_path / "g.yaml").write_text("grid: {seed: 0}")
    with pytest.raises(DataError, match=r"must hold one cell with the tag parameters, but holds 0; give it back"):
        grid.read_grid(tmp_path / "g.yaml", notebooks=tmp_path)
    path.write_text("{}")
    with pytest.raises(DataError, match=r"is damaged \(cells: Field required\); give a notebook as Jupyter"):
        grid.read_grid(tmp_path / "g.yaml", notebooks=tmp_path)
    path.write_bytes(NOTEBOOK.read_bytes().replace(b"\n", b"\r\n"))
    assert naming.code_version(path) == naming.code_version(NOTEBOOK)
    path.write_text(NOTEBOOK.read_text("utf-8"), encoding="utf-8-sig")
    assert naming.code_version(path) == naming.code_version(NOTEBOOK)
