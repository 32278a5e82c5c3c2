"""Papermill executes every notebook; only result.json counts as success."""

import json
from pathlib import Path

import nbformat
import pytest
from papermill.exceptions import PapermillExecutionError

from activekd_lab import notebooks
from activekd_lab.errors import RunFolderError

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "00_quickstart.ipynb"


@pytest.fixture(scope="module")
def executed(notebook, tmp_path_factory):
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


def test_widget_state_is_not_stored_and_nothing_was_printed_as_a_warning(executed, notebook):
    folder, _ = executed
    stored = nbformat.read(folder / notebook.name, as_version=4)
    assert "widgets" not in stored.metadata
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
    with pytest.raises(PapermillExecutionError) as caught:
        notebooks.execute(NOTEBOOK, tmp_path, profile="smoke", **{name: value})
    assert message in str(caught.value)
    assert not (tmp_path / notebooks.RESULT_FILE).exists()


def test_odd_parameters_do_what_they_say(tmp_path):
    found = notebooks.execute(NOTEBOOK, tmp_path, profile="smoke", task="digits", budget=3, rounds=2)
    assert [r["labels"] for r in found["rounds"]] == [10, 13, 16]


def test_a_notebook_that_ends_without_a_result_is_no_success(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "silent.ipynb")
    with pytest.raises(RunFolderError, match=r"silent\.ipynb ended without result\.json"):
        notebooks.execute(tmp_path / "silent.ipynb", tmp_path / "out")
