"""Open JupyterLab on the notebooks, from a checkout or from a fresh folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from activekd_lab.errors import DataError


def find_notebooks(folder: Path) -> Path:
    """Return the folder that holds the notebooks: `folder`, or the one beside the installed package.

    Raises:
        DataError: neither holds a notebook.
    """
    for candidate in (folder, Path(__file__).parents[1] / "notebooks"):
        if any(candidate.glob("*.ipynb")):
            return candidate
    raise DataError(f"No notebooks in {folder}; run this from a checkout of activekd_lab, or pass --folder.")


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
