"""How far a long stage is: a text like any other, that also carries its two numbers for those who draw a bar."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from html import escape
from typing import Any, ClassVar

Say = Callable[[str], None]
Count = Callable[[int, int], None]


def silent(text: str) -> None:
    """Say nothing."""


class Counted(str):
    """The text "what: done of total"."""

    done: int
    total: int

    def __new__(cls, what: str, done: int, total: int) -> Counted:
        """Make the text of two counts."""
        text = super().__new__(cls, f"{what}: {done:,} of {total:,}")
        text.done, text.total = done, total
        return text


class Remark(str):
    """A text that should stay on the screen: what was left out, what else the user should know."""


def counted(say: Say, what: str, *, every: float = 1.0) -> Count:
    """Return a function of (done, total) that says `what` is going on, at most once in `every` seconds.

    The end is not said: what comes next is. So a stage of less than `every` seconds says nothing.
    """
    last = time.monotonic()

    def count(done: int, total: int) -> None:
        nonlocal last
        if done < total and time.monotonic() - last >= every:
            last = time.monotonic()
            say(Counted(what, done, total))

    return count


class CellLine:
    """A line below a notebook's cell that rewrites itself, with a bar for a count; remarks stay beside it.

    Nothing shows up for what takes less than half a second. All work of a cell shares one line.
    """

    handles: ClassVar[dict[int, Any]] = {}  # the last cell's number -> its line

    def __init__(self, cell: int) -> None:
        self.cell, self.began, self.last = cell, time.monotonic(), float("-inf")

    def __call__(self, text: str) -> None:
        """Show the text, at most five times a second."""
        now = time.monotonic()
        if isinstance(text, Remark):
            _display({"text/plain": text})
        elif now - self.began >= 0.5 and now - self.last >= 0.2:
            self.last = now
            self.show(text)

    def show(self, text: str) -> None:
        """Show the text now."""
        bar = f' <progress value="{text.done}" max="{text.total}"></progress>' if isinstance(text, Counted) else ""
        shown = {"text/plain": str(text), "text/html": f'<div role="status">{escape(text)}{bar}</div>'}
        if self.cell in self.handles:
            self.handles[self.cell].update(shown, raw=True)
        else:
            self.handles.clear()
            self.handles[self.cell] = _display(shown, display_id=True)

    def end(self) -> None:
        """Say how long it took, if anything was shown."""
        if self.last > 0:
            self.show(f"done in {time.monotonic() - self.began:.1f} s")


def _display(data: dict[str, str], **options: Any) -> Any:
    from IPython.display import display  # noqa: PLC0415  (only where it is loaded)

    return display(data, raw=True, **options)  # type: ignore[no-untyped-call]


@contextmanager
def shown(progress: Say | None) -> Iterator[Say]:
    """Give `progress`; without one a `CellLine` where a notebook's cell runs, and silence elsewhere."""
    shell: Any = sys.modules["IPython"].get_ipython() if progress is None and "IPython" in sys.modules else None
    if not hasattr(shell, "kernel") or threading.current_thread() is not threading.main_thread():
        yield progress or silent
        return
    line = CellLine(shell.execution_count)
    yield line
    line.end()


_WATCHER: ContextVar[Count | None] = ContextVar("watcher", default=None)


@contextmanager
def watched(count: Count) -> Iterator[None]:
    """Count what is decoded inside: tasks are made by name from plain options, so that nobody can hand it to them."""
    token = _WATCHER.set(count)
    try:
        yield
    finally:
        _WATCHER.reset(token)


def watcher() -> Count | None:
    """Return the function that `watched` set, None outside of it."""
    return _WATCHER.get()
