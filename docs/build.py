"""Build the site: these pages, the executed notebooks with living figures, and the API; offline, into SITE.

    pip install -e ".[docs]" && python docs/build.py SITE [PATTERN of notebooks]

The student notebooks run small and unanswered, two at a time. Sphinx' warnings, a link to nowhere among them, are
errors.
"""

from __future__ import annotations

import inspect
import json
import shutil
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib import import_module
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import papermill
import plotly
from sphinx.cmd.build import build_main

from activekd_lab.course import engine

ROOT = Path(__file__).parents[1]
ROOMS = ("", "data", "selectors", "teachers", "students", "runs", "active", "labeling", "compare", "plots", "widgets")
ROOMS += ("course", "studies", "stats", "errors")
PLOTLY = "application/vnd.plotly.v1+json"
IDS = count()


def main(target: str, pattern: str = "*.ipynb") -> int:
    """Gather the sources beside one another as they are here, and let Sphinx build them."""
    with tempfile.TemporaryDirectory() as place:
        source = Path(place)
        for path in ("docs", "activekd_lab/assets", "notebooks", "CHANGELOG.md"):
            copy = shutil.copytree if (ROOT / path).is_dir() else shutil.copy
            copy(ROOT / path, source / path)
        for page in ("index.md", "conf.py"):
            (source / "docs" / page).rename(source / page)
        (source / "docs/api.md").write_text(api(), "utf-8")
        (source / "static").mkdir()
        shutil.copy(Path(plotly.__file__).parent / "package_data/plotly.min.js", source / "static")
        run = partial(execute, folder=source / "work")
        # a process each: the engine makes the notebook its `__main__`
        with ProcessPoolExecutor(2, get_context("spawn"), max_tasks_per_child=1) as pool:
            list(pool.map(run, sorted((source / "notebooks").glob(pattern))))
        return build_main(["-q", "-W", "--keep-going", str(source), target])


def execute(path: Path, folder: Path) -> None:
    """Fill in a notebook's outputs, in a folder of its own; figures as pages show them."""
    print(f"running {path.name}", flush=True)
    place = folder / path.stem
    place.mkdir(parents=True)
    options: dict[str, Any] = {"engine_name": engine.NAME, "cwd": place, "progress_bar": False}
    notebook = papermill.execute_notebook(path, None, {"profile": "smoke"}, **options)
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if PLOTLY in output.get("data", {}):
                output.data = {"text/html": living(output.data[PLOTLY])}
    path.write_text(nbformat.writes(notebook), "utf-8")


def living(figure: dict[str, Any]) -> str:
    """Return a figure as HTML for a page that has loaded plotly.js."""
    name, height = f"figure-{next(IDS)}", figure["layout"].get("height", 450)
    drawn = {key: figure[key] for key in ("data", "layout", "frames") if key in figure}
    drawn["config"] = {"responsive": True, "displaylogo": False}
    text = json.dumps(drawn).replace("</", "<\\/")
    script = f'addEventListener("load", () => Plotly.newPlot("{name}", {text}))'
    return f'<div id="{name}" style="height:{height}px"></div><script>{script}</script>'


def api() -> str:
    """Return a page that asks Sphinx for every public class and function, room by room."""
    lines = ["# API", ""]
    seen: set[int] = set()
    for room in ROOMS:
        module = import_module(f"activekd_lab.{room}".rstrip("."))
        lines += [f"## {module.__name__}", "", (module.__doc__ or "").strip(), "", "```{eval-rst}"]
        for name in names(module):
            member = getattr(module, name)
            if id(member) not in seen and inspect.isroutine(member) | inspect.isclass(member):
                seen.add(id(member))
                kind = "autoclass" if inspect.isclass(member) else "autofunction"
                lines += [f".. {kind}:: {module.__name__}.{name}", "   :members:" if kind == "autoclass" else "", ""]
        lines += ["```", ""]
    return "\n".join(lines)


def names(module: ModuleType) -> list[str]:
    """Return the public names of a room: its list, or what it defines."""
    own = [n for n, m in vars(module).items() if getattr(m, "__module__", "") == module.__name__ and n[0] != "_"]
    return sorted(getattr(module, "__all__", own))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
