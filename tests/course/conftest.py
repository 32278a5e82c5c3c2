"""A grader that has started, and notebooks as learners hand them in."""

from pathlib import Path

import nbformat
import pytest

from activekd_lab.course.grading import Grader

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture(scope="session")
def grader():
    """One process for all gradings: starting it takes seconds."""
    with Grader(seconds=20) as started:
        yield started


@pytest.fixture
def handed_in(tmp_path):
    """Return a function that writes 00_quickstart with some exercise cells replaced; None deletes the cell."""

    def write(name="handed_in.ipynb", *, solved=False, **sources):
        folder = NOTEBOOKS / "instructor" if solved else NOTEBOOKS
        notebook = nbformat.read(folder / "00_quickstart.ipynb", as_version=4)
        for cell in list(notebook.cells):
            function = next((f for f in sources if cell.source.startswith(f"def {f}(")), None)
            if function and sources[function] is None:
                notebook.cells.remove(cell)
            elif function:
                cell.source = sources[function]
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, tmp_path / name)
        return tmp_path / name

    return write
