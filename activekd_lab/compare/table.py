"""The one table of text: as plain text, Markdown, LaTeX, HTML, CSV and JSON; and the pages' templates."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from activekd_lab.errors import printable

if TYPE_CHECKING:
    from jinja2 import Environment
    from rich.table import Table as RichTable

_TEMPLATES = Path(__file__).parents[1] / "assets" / "templates"
_LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}"}
    | {">": r"\textgreater{}", "±": r"$\pm$", "—": "--", "·": r"$\cdot$", "…": r"\dots{}", "≥": r"$\geq$"}
)


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        title: what it shows, with units and what stands behind ±.
        columns: their heads.
        rows: as many cells each; a shorter row ends in empty cells.
        notes: sentences below it.
        best: (row, column) positions to print in bold.

    Example:
        >>> print(Table("accuracy (%)", ["selector", "mean"], [["random", "49.0"]]).markdown())
        **accuracy (%)**
        <BLANKLINE>
        | selector | mean |
        | --- | --- |
        | random | 49.0 |
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: tuple[str, ...] = ()
    best: frozenset[tuple[int, int]] = frozenset()

    def __post_init__(self) -> None:
        wide = len(self.columns)
        rows = tuple((*map(_text, row), *[""] * (wide - len(row))) for row in self.rows)
        plain = {"title": _text(self.title), "columns": tuple(map(_text, self.columns)), "rows": rows}
        for name, value in {**plain, "notes": tuple(map(_text, self.notes))}.items():
            object.__setattr__(self, name, value)

    def rich(self) -> RichTable:
        """Return columns and rows for a rich console; print them with `markup=False`: all of it is text."""
        from rich.table import Table as RichTable  # noqa: PLC0415  (not everybody prints)

        table = RichTable(*self.columns, box=None, pad_edge=False, header_style="bold")
        for row in self.rows:
            table.add_row(*row)
        return table

    def text(self, width: int = 160) -> str:
        """Return plain text of at most `width` characters a line: longer cells are wrapped."""
        from rich.console import Console  # noqa: PLC0415  (not everybody prints)

        file = io.StringIO()
        console = Console(
            file=file, width=width, highlight=False, markup=False, emoji=False, color_system=None,
            force_jupyter=False,  # in a notebook rich would display the table and leave the file empty
        )  # fmt: skip
        console.print(self.rich())
        lines = [line.rstrip() for line in file.getvalue().splitlines()]
        return (
            "\n".join([*([self.title, ""] if self.title else []), *lines, *(["", *self.notes] if self.notes else [])])
            + "\n"
        )

    def markdown(self) -> str:
        """Return Markdown with the best in bold."""
        said = [text.replace("<", "&lt;") for text in (*([f"**{self.title}**"] if self.title else []), *self.notes)]
        rows = [
            list(map(_marked_down, self.columns)),
            ["---"] * len(self.columns),
            *self._marked("**{}**", _marked_down),
        ]
        body = "\n".join("| " + " | ".join(row) + " |" for row in rows)
        return "\n\n".join([*said[: bool(self.title)], body, *said[bool(self.title) :]])

    def latex(self) -> str:
        """Return a LaTeX table for the package booktabs, with the best in bold."""
        head = [column.translate(_LATEX) for column in self.columns]
        lines = self._marked("\\textbf{{{}}}", lambda cell: cell.translate(_LATEX))
        top, *body = [" & ".join(row) + r" \\" for row in (head, *lines)]
        caption = " ".join([f"{self.title}.", *self.notes]).translate(_LATEX)
        begin = [r"\begin{table}", f"\\caption{{{caption}}}", f"\\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}"]
        end = [r"\bottomrule", r"\end{tabular}", r"\end{table}", ""]
        return "\n".join([*begin, r"\toprule", top, r"\midrule", *body, *end])

    def _marked(self, bold: str, escape: Any) -> list[list[str]]:
        return [
            [bold.format(escape(c)) if (i, j) in self.best else escape(c) for j, c in enumerate(row)]
            for i, row in enumerate(self.rows)
        ]

    def html(self) -> str:
        """Return an HTML fragment, every text escaped, the best of class "best"."""
        return render("table.html.j2", table=self)

    def csv(self) -> str:
        """Return the heads and rows as CSV."""
        file = io.StringIO()
        csv.writer(file, lineterminator="\n").writerows([self.columns, *self.rows])
        return file.getvalue()

    def data(self) -> dict[str, Any]:
        """Return title, columns, rows and notes as JSON types."""
        return {"title": self.title, "columns": self.columns, "rows": self.rows, "notes": self.notes}

    def json(self) -> str:
        """Return `data` as JSON."""
        return json.dumps(self.data(), ensure_ascii=False)


def _text(value: object) -> str:
    """Return a text that no terminal takes for a command; spaces of any width stay."""
    return printable(str(value), but="\n\xa0\u2009\u202f")


def _marked_down(cell: str) -> str:
    return cell.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def render(template: str, **values: Any) -> str:
    """Fill a template of `assets/templates`; whatever is put in is escaped, a missing value is an error."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415  (slow import)
    from markupsafe import Markup  # noqa: PLC0415  (comes with jinja2)

    loader = FileSystemLoader(_TEMPLATES)
    found = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    found.globals["asset"] = lambda name: Markup((_TEMPLATES / name).read_text("utf-8"))  # our own style and script
    return found
