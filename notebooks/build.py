"""Make the .ipynb files from `src/*.py`: `python notebooks/build.py`, or `--check` to only compare.

The sources are py:percent. Each gives the student's notebook, where `raise NotImplementedError` stands for the lines of
an exercise between BEGIN SOLUTION and END SOLUTION, and the same with those lines in `instructor/`. The notebooks carry
no outputs, and a cell's id comes from its text: the same source gives the same file, a small change a small diff.

`<!-- badges: Colab and Binder -->` becomes badges once pyproject.toml has `[project.urls] Repository`, on GitHub;
`<!-- diagram: teacher -->` becomes the drawing of the method with that part lit.

Slides come from the cells' tags slide, subslide, fragment, skip and notes. A cell without one is placed by what it is:
a heading begins a slide, other text one below it, code stays with its text, and settings are left out.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
import tomllib
from pathlib import Path

import jupytext
import nbformat

from activekd_lab.plots.diagram import method_diagram

FOLDER = Path(__file__).parent
PROJECT = FOLDER.parent / "pyproject.toml"
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
BADGES = "<!-- badges: Colab and Binder -->"
SLIDE_TYPES = ("slide", "subslide", "fragment", "skip", "notes")
_DIAGRAM = re.compile(r"<!-- diagram: (?P<part>\w+) -->")
STUB = r'\g<indent>raise NotImplementedError("your turn")\n'
_SOLUTION = re.compile(r"(?P<indent> *)### BEGIN SOLUTION\n(?P<lines>.*?) *### END SOLUTION(\n|$)", re.DOTALL)


def sources() -> list[Path]:
    """Return the sources in their order."""
    return sorted((FOLDER / "src").glob("*.py"))


def targets(source: Path) -> dict[Path, bool]:
    """Return the notebooks that belong to a source, and for each whether it shows the solutions."""
    return {FOLDER / f"{source.stem}.ipynb": False, FOLDER / "instructor" / f"{source.stem}.ipynb": True}


def build(source: Path, *, solutions: bool) -> str:
    """Return a source's notebook as the text of its file, with the exercises' solutions or with stubs."""
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = nbformat.from_dict(_METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    taken: set[str] = set()
    for cell in notebook.cells:
        cell.id = _unused_id(cell.source, taken)
        cell.source = _DIAGRAM.sub(_drawn, cell.source.replace(BADGES, badges(source.stem)))
        cell.metadata.pop("lines_to_next_cell", None)  # jupytext's note on blank lines in the source
        cell.metadata["slideshow"] = {"slide_type": slide_type(cell)}
        if "exercise" in cell.metadata.get("tags", []):
            cell.source = _SOLUTION.sub(r"\g<lines>" if solutions else STUB, cell.source).rstrip()
    nbformat.validate(notebook)
    return str(nbformat.writes(notebook)) + "\n"


def _drawn(found: re.Match[str]) -> str:
    return method_diagram(found["part"]).image()


def repository() -> str | None:
    """Return the repository's address, or None where pyproject.toml gives none."""
    project = tomllib.loads(PROJECT.read_text("utf-8"))["project"]
    address: str | None = project.get("urls", {}).get("Repository")
    return address


def badges(name: str) -> str:
    """Return the badges that open a notebook elsewhere, or the place for them where there is no address."""
    address = repository()
    if address is None:
        return BADGES
    project, path = address.removeprefix("https://github.com/"), f"notebooks/{name}.ipynb"
    colab = f"https://colab.research.google.com/github/{project}/blob/main/{path}"
    binder = f"https://mybinder.org/v2/gh/{project}/main?labpath={path}"
    return (
        f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({colab})\n"
        f"[![Open in Binder](https://mybinder.org/badge_logo.svg)]({binder})\n\n"
        f"In Colab, first run `%pip install git+{address}` in a cell of its own."
    )


def slide_type(cell: nbformat.NotebookNode) -> str:
    """Return where a cell stands in the slides, as nbconvert names it; "-" continues what came before."""
    tags = cell.metadata.get("tags", [])
    for kind in SLIDE_TYPES:
        if kind in tags:
            return kind
    if cell.cell_type == "code":
        return "skip" if "parameters" in tags or "notebooks." in cell.source else "-"
    if cell.source.startswith(("# ", "## ")):
        return "skip" if cell.source.startswith("## Settings") else "slide"
    return "subslide"


def _unused_id(text: str, taken: set[str]) -> str:
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    while digest in taken:  # the same text a second time
        digest = hashlib.sha256(digest.encode()).hexdigest()[:12]
    taken.add(digest)
    return digest


def built() -> dict[Path, str]:
    """Return every notebook's path and the text that its source gives."""
    found = [(path, source, shown) for source in sources() for path, shown in targets(source).items()]
    return {path: build(source, solutions=shown) for path, source, shown in found}


def drifted() -> list[Path]:
    """Return the notebooks that differ from what their source gives, and those without a source."""
    expected = built()
    strangers = {*FOLDER.glob("*.ipynb"), *FOLDER.glob("instructor/*.ipynb")} - expected.keys()
    return sorted(strangers | {p for p, text in expected.items() if not p.exists() or p.read_text("utf-8") != text})


def main() -> int:
    """Write the notebooks, or with --check say which of them differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a notebook differs")
    if parser.parse_args().check:
        found = drifted()
        for path in found:
            print(f"{path} differs from its source; run: python notebooks/build.py")
        return int(bool(found))
    for path, text in built().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
