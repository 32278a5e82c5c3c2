"""How the command line prints: progress that rewrites itself on a terminal, plain lines elsewhere, tables."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from activekd_lab.progress import Counted, Remark

if TYPE_CHECKING:
    from activekd_lab.compare.table import Table

_BAR, _PATIENCE = 30, 10.0  # characters; seconds of silence after which a plain line counts


def first_process() -> bool:
    """Tell whether this is the first of the processes that `accelerate launch` started, or the only one: it speaks."""
    return os.environ.get("RANK", "0") == "0"


class Reporter:
    """Progress: one line that rewrites itself on a terminal, plain lines elsewhere, nothing when quiet."""

    def __init__(self, *, quiet: bool) -> None:
        self.console, self.quiet = Console(stderr=True, highlight=False), quiet or not first_process()
        self.stdout = sys.stdout  # the status line turns whatever is printed while it stands to the terminal
        self.status = self.console.status("") if self.console.is_terminal and not self.quiet else None
        self._spoke = float("-inf")  # when the last plain line was printed

    def __enter__(self) -> Reporter:
        if self.status is not None:
            self.status.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.status is not None:
            self.status.stop()

    def __call__(self, text: str) -> None:
        """Say what is going on now; a count is a bar on a terminal, elsewhere a line after ten seconds of silence."""
        if isinstance(text, Remark):
            if not self.quiet:
                self.console.print(text, markup=False, soft_wrap=True)
        elif self.status is not None:
            self.status.update(escape(f"{_bar(text)} {text}" if isinstance(text, Counted) else text))
        elif not self.quiet and (not isinstance(text, Counted) or time.monotonic() - self._spoke >= _PATIENCE):
            print(text, file=sys.stderr, flush=True)
            self._spoke = time.monotonic()

    def line(self, text: str) -> None:
        """Print a line that stays, above the progress where both go to the terminal."""
        if self.quiet:
            return
        if self.status is not None and self.stdout.isatty():
            self.console.print(text, markup=False)
        else:
            print(text, file=self.stdout, flush=True)


def _bar(text: Counted) -> str:
    full = _BAR * text.done // max(1, text.total)
    return "━" * full + "╌" * (_BAR - full)


def print_registry(entries: dict[str, str], *, as_json: bool) -> None:
    """Print names and what they are, as a table or as JSON."""
    if as_json:
        print(json.dumps(entries, indent=2))
    else:
        print_table("", ["name", "what it is"], [[name, text] for name, text in entries.items()])


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table of text, as wide as the terminal, or 160 characters elsewhere."""
    from activekd_lab.compare.table import Table

    show_table(Table(title, columns, rows))


def show_table(table: Table) -> None:
    """Print a table and its notes; all is text, brackets and colons too, as in `photo[a1].jpg`."""
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        print(table.text(), end="")
        return
    console.print(*([table.title, ""] if table.title else []), table.rich(), sep="\n")
    for note in table.notes:
        console.print(f"\n{note}")


def print_tables(tables: Sequence[Table], *, as_json: bool) -> None:
    """Print tables, a blank line between them, or all of them as JSON."""
    if as_json:
        print(json.dumps([table.data() for table in tables]))
        return
    for table in tables:
        show_table(table)
        print()


def warn_left_out(sentences: Sequence[str]) -> None:
    """Name on the error stream each run that could not be read, and count them."""
    for sentence in sentences:
        print(f"warning: left out: {sentence}", file=sys.stderr)
    if sentences:
        print(f"warning: {len(sentences)} runs were left out.", file=sys.stderr)
