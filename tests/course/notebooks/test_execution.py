"""Papermill executes every notebook; only result.json counts as success.

Where ACTIVEKD_LAB_EXECUTED names a folder of smoke executions, STEM/STEM.ipynb beside its result.json, those are read
instead of executing a second time; `.ci/run` does so.
"""

import json
import os
import re
from pathlib import Path

import nbformat
import pytest

from activekd_lab.config import RunConfig
from activekd_lab.course import notebooks
from activekd_lab.data import load_task
from activekd_lab.data.folder import write_images
from activekd_lab.errors import NotebookError
from activekd_lab.labeling.photos import label_folder

NOTEBOOK = Path(__file__).parents[3] / "notebooks" / "00_quickstart.ipynb"


@pytest.fixture(scope="module")
def executed(notebook, tmp_path_factory):
    if given := os.environ.get("ACTIVEKD_LAB_EXECUTED"):
        folder = Path(given) / notebook.stem
        return folder, json.loads((folder / notebooks.RESULT_FILE).read_text("utf-8"))
    folder = tmp_path_factory.mktemp(notebook.stem)
    return folder, notebooks.execute(notebook, folder, profile="smoke")


def test_a_smoke_run_writes_its_result(executed, notebook):
    folder, found = executed
    assert found["profile"] == "smoke"
    if "rounds" in found:  # a run
        assert [r["round"] for r in found["rounds"]] == [0, 1]
    else:
        assert set(found) > {"profile", "parameters", "seconds", "peak_memory_mb"}  # findings of its own
    assert found == json.loads((folder / "result.json").read_text())


def test_the_name_that_is_printed_is_that_of_the_run(executed, notebook):
    folder, found = executed
    cells = nbformat.read(folder / notebook.name, as_version=4).cells
    outputs = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
    text = "".join(output.text for output in outputs if output.get("name") == "stdout")
    printed = re.findall(r"^profile smoke: (\S+-[0-9a-f]{10})$", text, re.MULTILINE)
    if "config" in found:  # a run
        assert printed == [RunConfig(**found["config"]).resolve().run_name]
    if printed and (folder / "runs").exists():
        assert (folder / "runs" / printed[0]).is_dir()


def test_nothing_was_printed_as_a_warning(executed, notebook):
    folder, _ = executed
    stored = nbformat.read(folder / notebook.name, as_version=4)
    outputs = [output for cell in stored.cells if cell.cell_type == "code" for output in cell.outputs]
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("bugdet", 3, "UnknownNameError: Unknown parameter 'bugdet'. Known, nearest first: budget"),
        ("rounds", "three", "SettingError: Parameter rounds (query rounds after the initial labels) must be int"),
        ("selector", "pcorset", "UnknownNameError: Unknown selector 'pcorset'. Known, nearest first: pcoreset"),
    ],
)
def test_a_bad_parameter_stops_the_notebook_with_one_sentence(name, value, message, tmp_path):
    with pytest.raises(NotebookError) as caught:
        notebooks.execute(NOTEBOOK, tmp_path, profile="smoke", **{name: value})
    assert message in str(caught.value)
    assert not (tmp_path / notebooks.RESULT_FILE).exists()


def test_odd_parameters_do_what_they_say(tmp_path):
    found = notebooks.execute(NOTEBOOK, tmp_path, profile="smoke", task="digits", budget=3, rounds=2)
    assert [r["labels"] for r in found["rounds"]] == [10, 13, 16]


def test_ones_own_photos_go_all_the_way_without_a_truth(tmp_path):
    task = load_task("shapes", num_classes=3, pool_size=24, test_per_class=1, val_per_class=1)
    photos, folder = write_images(task.train, tmp_path / "photos"), tmp_path / "out"
    session = label_folder(photos, list(task.class_names), folder / "photos-labels", batch=3)
    for _ in range(6):  # by a person, before the notebook is run again
        session.answer(int(task.train.labels[session.current]))
    notebook, names = NOTEBOOK.with_name("05_your_images.ipynb"), ", ".join(task.class_names)
    found = notebooks.execute(notebook, folder, profile="smoke", photos=str(photos), classes=names)
    assert (found["labels"], found["curve"]) == (6, [])
    assert len((folder / "labels.csv").read_text().splitlines()) == 7


def written(path, source):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)
    return path


def test_widget_state_is_not_stored(tmp_path):
    source = "import ipywidgets\nopen('result.json', 'w').write('{}')\nipywidgets.IntSlider()"
    notebooks.execute(written(tmp_path / "slider.ipynb", source), tmp_path / "out")
    stored = nbformat.read(tmp_path / "out" / "slider.ipynb", as_version=4)
    assert "application/vnd.jupyter.widget-view+json" in stored.cells[-1].outputs[0].data
    assert "widgets" not in stored.metadata
