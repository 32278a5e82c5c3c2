"""What names a job beside its settings: the version of the package, the notebook's code, what lies in files.

Not the sources: a mended docstring does not run a study again, a changed result asks for a new version.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from activekd_lab import __version__
from activekd_lab.config import RunConfig
from activekd_lab.course.declared import read_notebook
from activekd_lab.data.walk import find_images
from activekd_lab.io.files import regular

_BUNDLED = Path(__file__).parents[1] / "assets" / "teacher"


def code_version(notebook: Path) -> str:
    """Return the package's version and a hash of what the notebook's code means."""
    code = [_meaning(cell["source"]) for cell in job_notebook(notebook)["cells"] if cell["cell_type"] == "code"]
    return f"{__version__}-{hashlib.sha256(json.dumps(code).encode()).hexdigest()[:10]}"


def files_version(config: RunConfig) -> str:
    """Return a hash of what may change in files: teacher, backbone's weights, one's own folder and its table."""
    teacher = str(_BUNDLED) if config.teacher == "bundled" else config.teacher.removeprefix("local-dir:")
    files = sorted(Path(teacher).glob("*.safetensors")) + sorted(Path(teacher).glob("open_clip_config.json"))
    files += [Path(config.teacher.removeprefix("given:"))] if config.teacher.startswith("given:") else []
    files += [Path(config.backbone_weights)] if config.backbone_weights else []
    own = config.task_options if config.task == "folder" else {}
    files += [Path(str(own["labels"]))] if own.get("labels") else []
    content = [*map(_hash, files), *([_listing(Path(str(own["path"])))] if own.get("path") else [])]
    return hashlib.sha256("".join(content).encode()).hexdigest()[:10]


def _hash(path: Path) -> str:
    """Return a file's hash; one that is not there is told by the run itself."""
    try:
        path = path.expanduser()
        found = path.stat()
        return _hash_now(path, found.st_mtime_ns, found.st_size)
    except OSError:
        return ""


@lru_cache
def _hash_now(path: Path, changed: int, size: int) -> str:
    with regular(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _listing(folder: Path) -> str:
    """Return a hash of the images' paths and sizes in a folder, as a copy of it elsewhere has them too."""
    try:
        rows = [(path.relative_to(folder).as_posix(), path.stat().st_size) for path in find_images(folder).files]
    except (OSError, ValueError):
        return ""
    return hashlib.sha256(repr(rows).encode("utf-8", "surrogateescape")).hexdigest()


def _meaning(source: str) -> str:
    """Return a cell's code without comments, docstrings and layout; as it stands where it is not plain Python."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return source
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) and ast.get_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree)


def job_notebook(notebook: Path) -> dict[str, Any]:
    """Return the notebook as a job executes it: without exercises and their checks."""
    content = read_notebook(notebook)
    content["cells"] = [cell for cell in content["cells"] if not _is_exercise(cell)]
    return content


def _is_exercise(cell: Mapping[str, Any]) -> bool:
    tagged = {"exercise", "exercise-text"} & set(cell["metadata"].get("tags", []))
    return bool(tagged) or cell["source"].startswith("akd.course.check(")
