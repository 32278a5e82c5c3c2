"""Work in the background, a step at a time, that can be paused and cancelled; no front end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Generic, Literal, TypeVar

from activekd_lab.errors import Cancelled, SettingError
from activekd_lab.runs.records import RoundRecord

T = TypeVar("T")
Status = Literal["ready", "running", "paused", "done", "cancelled", "failed"]
Iterate = Callable[[Callable[[], bool]], Iterator[RoundRecord]]
"""`iterate(cancel)` yields a record a round and raises `Cancelled` soon after `cancel()` is True."""


class Worker(Generic[T]):
    """Runs `iterate` in a thread, a round, or whatever it yields, at a time.

    Args:
        iterate: for example `lambda cancel: akd.iterate(config, cancel=cancel)`, which yields RoundRecords.
        on_change: called, in the worker's thread, after every round and every change of status.

    Attributes:
        status: where it stands.
        records: the rounds so far.
        error: what made it fail, or None.
    """

    def __init__(
        self, iterate: Callable[[Callable[[], bool]], Iterator[T]], on_change: Callable[[], None] = lambda: None
    ) -> None:
        self._iterate, self.on_change = iterate, on_change
        self.status: Status = "ready"
        self.records: list[T] = []
        self.error: Exception | None = None
        self._cancel, self._go = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def run(self) -> None:
        """Start, or go on after a pause. A finished, cancelled or failed run starts again from its beginning."""
        if self.status == "running":
            raise SettingError("The run is going on already; pause or cancel it.")
        self._go.set()
        if self.status == "paused":
            self._become("running")
            return
        self.records, self.error = [], None
        self._cancel.clear()
        self._become("running")
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def pause(self) -> None:
        """Stop before the next round; the round that is going on is finished first."""
        if self.status == "running":
            self._go.clear()
            self._become("paused")

    def cancel(self) -> None:
        """Stop within the round; finished rounds stay."""
        self._cancel.set()
        self._go.set()

    def reset(self) -> None:
        """Forget a run that has ended, and be ready again; one that goes on is left alone."""
        if self.status not in ("running", "paused"):
            self.records, self.error = [], None
            self._become("ready")

    def join(self, timeout: float | None = None) -> None:
        """Wait for the worker to end."""
        if self._thread is not None:
            self._thread.join(timeout)

    def _work(self) -> None:
        try:
            for record in self._iterate(self._cancel.is_set):
                self.records.append(record)
                self.on_change()
                self._go.wait()
                if self._cancel.is_set():
                    raise Cancelled("The run was cancelled.")
        except Cancelled:
            self._become("cancelled")
        except Exception as error:
            self.error = error
            self._become("failed")
        else:
            self._become("done")

    def _become(self, status: Status) -> None:
        self.status = status
        self.on_change()
