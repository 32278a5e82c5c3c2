"""Cells run without a kernel: outputs as Jupyter would keep them, in order; nothing is left for the next notebook."""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

import nbformat
import papermill
import plotly.io
import pytest
from papermill.exceptions import PapermillExecutionError

from activekd_lab.course import engine


@pytest.fixture(autouse=True)
def only_here(monkeypatch):
    """Give the test process its own `__main__` back, and no running IPython."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    yield
    engine._Shell.clear_instance()


def run(folder, *cells, **parameters):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    nbformat.write(notebook, folder / "in.ipynb")
    return papermill.execute_notebook(
        folder / "in.ipynb", folder / "out.ipynb", parameters, engine_name=engine.NAME, kernel_name="none of these",
        language="python", progress_bar=False,
    )  # fmt: skip


def kinds(cell):
    return [output.output_type for output in cell.outputs]


def test_outputs_stand_in_the_order_in_which_they_came_and_the_count_beside_the_value(tmp_path):
    source = (
        "import sys\nprint('a', end='')\nprint('b')\ndisplay('shown')\nprint('e', file=sys.stderr)\nprint('c')\n1 + 1"
    )
    notebook = run(tmp_path, "x = 1", source)
    cell = notebook.cells[1]
    assert kinds(cell) == ["stream", "display_data", "stream", "stream", "execute_result"]
    assert [o.text for o in cell.outputs if o.output_type == "stream"] == ["ab\n", "e\n", "c\n"]
    assert cell.outputs[1].data == {"text/plain": "'shown'"}
    assert (cell.outputs[-1].data["text/plain"], cell.outputs[-1].execution_count, cell.execution_count) == ("2", 2, 2)
    stored = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    nbformat.validate(stored)
    assert stored.cells[1].outputs == cell.outputs
    assert stored.metadata.language_info.name == "python"


def test_the_first_error_ends_the_notebook_and_is_papermill_s(tmp_path):
    with pytest.raises(PapermillExecutionError) as caught:
        run(tmp_path, "print('before')", "def f():\n    raise ValueError('odd')\nf()", "print('never')")
    assert (caught.value.ename, caught.value.evalue, caught.value.exec_count) == ("ValueError", "odd", 2)
    stored = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    assert "raise ValueError('odd')" in str(caught.value)
    assert [cell.execution_count for cell in stored.cells if cell.cell_type == "code"] == [1, 2, None]


@pytest.mark.parametrize(("source", "name"), [("1 +", "SyntaxError"), ("import sys\nsys.exit(3)", "SystemExit")])
def test_what_is_no_python_and_an_exit_are_errors_too(tmp_path, source, name):
    with pytest.raises(PapermillExecutionError, match=name):
        run(tmp_path, source)


def test_a_notebook_finds_nothing_of_the_one_before(tmp_path):
    run(tmp_path, "left = 1\nfrom IPython.display import display", "left")
    notebook = run(tmp_path, "'left' in globals(), len(In), __name__", "_")
    assert notebook.cells[0].outputs[0].data["text/plain"] == "(False, 2, '__main__')"
    assert notebook.cells[0].execution_count == 1
    assert notebook.cells[1].outputs[0].data["text/plain"] == "(False, 2, '__main__')"


def test_parameters_magics_await_and_a_quiet_last_line_work(tmp_path):
    source = "%precision 2\nimport asyncio\nawait asyncio.sleep(0)\nseed;"
    notebook = run(tmp_path, source, "print(In[1].splitlines()[0], seed)", "1 / 3", seed=3)
    assert notebook.cells[0].source == "# Parameters\nseed = 3\n"
    assert kinds(notebook.cells[1]) == []
    assert notebook.cells[2].outputs[0].text == "# Parameters 3\n"
    assert notebook.cells[3].outputs[0].data["text/plain"] == "0.33"


def test_a_cell_may_await_below_a_loop_that_runs_already(tmp_path):
    async def inside_jupyter():
        return run(tmp_path, "import asyncio\nprint(await asyncio.sleep(0, 'awaited'))")

    with ThreadPoolExecutor(1) as thread:  # where no other test has left a loop
        found = thread.submit(asyncio.run, inside_jupyter()).result()
    assert found.cells[0].outputs[0].text == "awaited\n"


def test_a_display_is_updated_in_place_and_cleared_before_the_next(tmp_path):
    first = "handle = display('one', display_id=True)\nhandle.update('two')"
    second = "from IPython.display import clear_output\nhandle.update('three')\nprint('x')\nclear_output(wait=True)"
    cells = run(
        tmp_path, first, second, "print('x')\nclear_output(wait=True)\nprint('y')", "print('z')\nclear_output()"
    ).cells
    assert [o.data["text/plain"] for o in cells[0].outputs] == ["'three'"]
    assert [o.text for o in cells[1].outputs] == ["x\n"]
    assert [o.text for o in cells[2].outputs] == ["y\n"]
    assert cells[3].outputs == []


def test_plotly_figures_and_widgets_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(plotly.io.renderers, "default", "plotly_mimetype")  # as in a process of its own
    source = "import plotly.graph_objects as go, ipywidgets\nfigure = go.Figure(go.Scatter(y=[1, 2]))"
    for _ in range(2):  # the second in the same process
        cells = run(tmp_path, source, "figure", "ipywidgets.IntSlider()").cells
        assert "application/vnd.plotly.v1+json" in cells[1].outputs[-1].data
        assert "application/vnd.jupyter.widget-view+json" in cells[2].outputs[0].data
