"""What learners get: the notebooks without solutions, as a folder, a zip, or assignments for nbgrader."""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from activekd_lab.errors import DataError, FileError, SettingError
from activekd_lab.io.arguments import checked
from activekd_lab.io.files import disk, read_text, regular, shown, write_atomic

SHARE = "share/activekd_lab/notebooks"
"""Where an installation keeps the student copies, below its prefix."""
PAGES = ("GLOSSARY.md",)
"""What goes with the notebooks."""
_SEED = re.compile(r"^seed: int = \d+", re.MULTILINE)
_CHECK = re.compile(r"^(akd\.course\.check\(.*\))$", re.DOTALL)


def student_copies() -> dict[str, str]:
    """Return every student notebook and page by file name, as text.

    Raises:
        DataError: neither a checkout nor this installation holds them.
    """
    folder = kept_notebooks()
    files = [*sorted(folder.glob("*.ipynb")), *(folder / page for page in PAGES)]
    return {file.name: read_text(file, "install activekd_lab again", kind=DataError) for file in files}


def kept_notebooks() -> Path:
    """Return the folder in which a checkout or an installation keeps the notebooks.

    Raises:
        DataError: there is none.
    """
    beside = Path(__file__).parents[2] / "notebooks"  # in a checkout
    if (beside / "build.py").exists():
        return beside
    try:
        files = importlib.metadata.files("activekd_lab") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if SHARE in file.as_posix() and file.suffix == ".ipynb":
            return Path(str(file.locate())).resolve().parent
    raise DataError("This installation of activekd_lab holds no notebooks; install its wheel, or work in a checkout.")


@checked()
def write_notebooks(folder: str | Path, *, seed: int | None = None) -> list[Path]:
    """Write the student copies into a folder; none that is there already is touched.

    Args:
        folder: made if needed.
        seed: of the notebooks' `seed` parameter, so that a student's numbers are nobody else's.

    Raises:
        FileError: a file of that name, with another content, is there.
    """
    copies = {Path(folder) / name: _seeded(text, seed) for name, text in student_copies().items()}
    with disk(folder, "read", "choose another folder"):
        worked = [
            path
            for path, text in copies.items()
            if path.exists() and regular(path).read_text("utf-8", "replace") != text
        ]
    if worked:
        raise FileError(
            f"{shown(worked[0])} is there already, with other content; choose another folder, or move it away."
        )
    for path, text in copies.items():
        write_atomic(path, text, "choose another folder")
    return list(copies)


def _seeded(text: str, seed: int | None) -> str:
    """Return a notebook with another seed in its parameters cell, where it has one."""
    if seed is None or not text.lstrip().startswith("{"):
        return text
    if seed < 0:
        raise SettingError(f"seed must be at least 0, but got {seed}.")
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        if "parameters" in cell["metadata"].get("tags", []):
            source = _SEED.sub(f"seed: int = {seed}", "".join(cell["source"]))
            cell["source"] = source.splitlines(keepends=True)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def seed_of(student: str) -> int:
    """Return a seed that depends on a student's name and on nothing else."""
    return int(hashlib.sha256(student.encode()).hexdigest()[:6], 16)


@checked()
def pack(out: str | Path, *, students: Sequence[str] = ()) -> list[str]:
    """Write a zip of what students get: no solutions, sources or instructor pages; the same content, the same bytes.

    Args:
        out: the zip file; replaced.
        students: names, each of which gets a folder of its own in the zip, with its own seed (`seed_of`).

    Returns:
        the names in the zip.

    Raises:
        SettingError: a student's name that can be no folder, or is there twice.
    """
    for student in students:
        if not re.fullmatch(r"[\w@.+ -]+", student) or student.strip(". ") != student or students.count(student) > 1:
            raise SettingError(f"students must be different names of letters, digits and @.+-, but got {student!r}.")
    copies = student_copies()
    owners: list[tuple[str, int | None]] = [(f"{student}/", seed_of(student)) for student in students]
    files = {
        f"{place}{name}": _seeded(text, seed) for place, seed in owners or [("", None)] for name, text in copies.items()
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), text, zipfile.ZIP_DEFLATED)
    write_atomic(out, buffer.getvalue(), "give another file")
    return list(files)


@checked()
def write_nbgrader(folder: str | Path) -> list[Path]:
    """Write the notebooks as nbgrader's source assignments, `FOLDER/source/00_quickstart/00_quickstart.ipynb`.

    Each exercise becomes an answer cell, and each check a locked test that raises until it passes: nbgrader gives a
    cell's points whenever it runs without an error, so that a check which only says what is wrong would earn them.

    Raises:
        FileError: one of them is there already, with other content.
    """
    written = {}
    for name, text in student_copies().items():
        if name.endswith(".ipynb"):
            stem = name.removesuffix(".ipynb")
            written[Path(folder) / "source" / stem / name] = _for_nbgrader(text)
    for path, text in written.items():
        with disk(path, "written", "choose another folder"):
            if path.exists() and regular(path).read_text("utf-8", "replace") != text:
                raise FileError(
                    f"{shown(path)} is there already, with other content; choose another folder, or move it away."
                )
        write_atomic(path, text, "choose another folder")
    return list(written)


def _for_nbgrader(text: str) -> str:
    from activekd_lab.course.checks.base import points_of  # noqa: PLC0415  (loads every check)

    notebook = json.loads(text)
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if "exercise" in cell["metadata"].get("tags", []):
            name = re.findall(r"^def (\w+)", source, re.MULTILINE)[-1]
            cell["metadata"]["nbgrader"] = _nbgrader(f"answer-{name}", solution=True)
            stub = re.compile(r"^( *)raise NotImplementedError\(.*\)$", re.MULTILINE)
            cell["source"] = stub.sub(r"\1### BEGIN SOLUTION\n\g<0>\n\1### END SOLUTION", source)
        elif cell["cell_type"] == "code" and (found := _CHECK.match(source.strip())):
            name = re.findall(r'check\("([\w.]+)"', source)[0]
            cell["source"] = f'result = {found[1]}\nassert result.status == "passed", result'
            cell["metadata"]["nbgrader"] = _nbgrader(f"check-{name}", points=points_of(name))
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _nbgrader(name: str, *, solution: bool = False, points: int = 0) -> dict[str, Any]:
    found = {"grade_id": name.replace(".", "-"), "schema_version": 3, "solution": solution, "grade": not solution}
    return found | {"locked": not solution, "task": False} | ({} if solution else {"points": points})
