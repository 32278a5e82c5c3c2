"""Open JupyterLab on the notebooks of a checkout; an installed package holds none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from activekd_lab.errors import DataError

USUAL = Path("notebooks")


def find_notebooks(folder: Path) -> Path:
    """Return the folder that holds the notebooks: `folder`; for the usual one also that beside the package.

    Raises:
        DataError: there is no notebook.
    """
    beside = Path(__file__).parents[1] / USUAL  # in a checkout
    for candidate in (folder, beside) if folder == USUAL else (folder,):
        if any(candidate.glob("*.ipynb")):
            return candidate.resolve()
    raise DataError(
        f"There are no notebooks in {folder}, and a package without its checkout holds none; give the notebooks folder "
        "of a checkout of activekd_lab."
    )


def open_lab(folder: Path, arguments: Sequence[str]) -> int:
    """Start JupyterLab on the notebooks and return its exit code."""
    notebooks = find_notebooks(folder)
    first = sorted(notebooks.glob("*.ipynb"))[0].name
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--notebook-dir={notebooks}",
        f"--LabApp.default_url=/lab/tree/{first}",
    ]
    return subprocess.call([*command, *arguments])
