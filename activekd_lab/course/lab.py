"""Open JupyterLab on the notebooks: those of a checkout, or copies that an installation writes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from activekd_lab.course.handout import kept_notebooks, write_notebooks
from activekd_lab.errors import DataError
from activekd_lab.io.files import there

USUAL = Path("notebooks")


def find_notebooks(folder: Path) -> Path:
    """Return the folder that holds the notebooks: `folder`; for the usual one also those of a checkout or installation.

    Raises:
        DataError: there is no notebook.
    """
    if there(folder, "give the folder of the notebooks", kind=DataError) and any(folder.glob("*.ipynb")):
        return folder.resolve()
    if folder == USUAL:
        return kept_notebooks().resolve()
    raise DataError(f"There are no notebooks in {folder}; `activekd-lab notebooks {folder}` writes them there.")


def open_lab(folder: Path, arguments: Sequence[str]) -> int:
    """Start JupyterLab on the notebooks, those of an installation copied to `folder`, and return its exit code.

    On POSIX it takes the place of this process.
    """
    notebooks = find_notebooks(folder)
    if not (notebooks / "build.py").exists() and notebooks != folder.resolve():
        notebooks = write_notebooks(folder)[0].parent.resolve()
    first = sorted(notebooks.glob("*.ipynb"))[0].name
    flags = [f"--notebook-dir={notebooks}", f"--LabApp.default_url=/lab/tree/{first}"]
    command = [sys.executable, "-m", "jupyterlab", *flags, *arguments]
    if os.name == "posix":  # signals then reach JupyterLab itself, which ends its kernels
        sys.stdout.flush()
        os.execv(sys.executable, command)
    return subprocess.call(command)
