"""Make the .ipynb files from `src/*.py`: `python notebooks/build.py`, or `--check` to only compare.

The sources are py:percent. The notebooks carry no outputs, and a cell's id comes from its text, so that the same source
gives the same file and a small change a small diff.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

import jupytext
import nbformat

FOLDER = Path(__file__).parent
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def sources() -> list[Path]:
    """Return the sources in their order."""
    return sorted((FOLDER / "src").glob("*.py"))


def target(source: Path) -> Path:
    """Return the notebook that belongs to a source."""
    return FOLDER / f"{source.stem}.ipynb"


def build(source: Path) -> str:
    """Return a source's notebook as the text of its file."""
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = nbformat.from_dict(_METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    taken: set[str] = set()
    for cell in notebook.cells:
        cell.id = _unused_id(cell.source, taken)
    nbformat.validate(notebook)
    return str(nbformat.writes(notebook)) + "\n"


def _unused_id(text: str, taken: set[str]) -> str:
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    while digest in taken:  # the same text a second time
        digest = hashlib.sha256(digest.encode()).hexdigest()[:12]
    taken.add(digest)
    return digest


def drifted() -> list[Path]:
    """Return the notebooks that differ from what their source gives, and those without a source."""
    expected = {target(source): build(source) for source in sources()}
    strangers = set(FOLDER.glob("*.ipynb")) - expected.keys()
    return sorted(strangers | {p for p, text in expected.items() if not p.exists() or p.read_text("utf-8") != text})


def main() -> int:
    """Write the notebooks, or with --check say which of them differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a notebook differs")
    if parser.parse_args().check:
        for path in drifted():
            print(f"{path} differs from its source; run: python notebooks/build.py")
        return int(bool(drifted()))
    for source in sources():
        target(source).write_text(build(source), encoding="utf-8")
        print(target(source))
    return 0


if __name__ == "__main__":
    sys.exit(main())
