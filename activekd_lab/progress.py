"""How far a long stage is: a text like any other, that also carries its two numbers for those who draw a bar."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Say = Callable[[str], None]
Count = Callable[[int, int], None]


class Counted(str):
    """The text "what: done of total"."""

    done: int
    total: int

    def __new__(cls, what: str, done: int, total: int) -> Counted:
        """Make the text of two counts."""
        text = super().__new__(cls, f"{what}: {done:,} of {total:,}")
        text.done, text.total = done, total
        return text


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
