"""What a call costs: wall-clock and processor seconds, and the peak of memory beyond what was there."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class Cost:
    """Wall-clock seconds, processor seconds over all threads, and peak bytes beyond the input."""

    seconds: float
    cpu: float
    extra_bytes: int


def measure(work: Callable[[], Any], *, repeat_for: float = 0.0) -> tuple[Cost, Any]:
    """Return the cost of a call and its result; memory is sampled from the process's anonymous pages, or the GPU's.

    A call that takes less than `repeat_for` seconds is repeated for so long, and the quickest counts.
    """
    best, result = _measure_once(work)
    end = time.perf_counter() + repeat_for - best.seconds
    while time.perf_counter() < end:
        cost, result = _measure_once(work)
        best = min(best, cost, key=lambda c: c.seconds)
    return best, result


def _measure_once(work: Callable[[], Any]) -> tuple[Cost, Any]:
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.memory_allocated() if cuda else 0
    with _Peak() as peak:
        start, cpu = time.perf_counter(), time.process_time()
        result = work()
        if cuda:
            torch.cuda.synchronize()
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    extra = max(peak.extra, torch.cuda.max_memory_allocated() - held if cuda else 0)
    return Cost(seconds, cpu, extra), result


@contextmanager
def empty_cache() -> Iterator[Path]:
    """Point the cache at an empty folder for a while, so that whatever is cached is really computed; return it."""
    before = os.environ.get("ACTIVEKD_LAB_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ACTIVEKD_LAB_CACHE"] = folder
        try:
            yield Path(folder)
        finally:
            os.environ.pop("ACTIVEKD_LAB_CACHE") if before is None else os.environ.update(ACTIVEKD_LAB_CACHE=before)


class _Peak:
    """Samples the process's anonymous resident memory every 5 ms; `extra` is the peak above the start."""

    def __enter__(self) -> _Peak:
        self.start, self.extra, self._stop = _anonymous_bytes(), 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            self.extra = max(self.extra, _anonymous_bytes() - self.start)


def _anonymous_bytes() -> int:
    """Return resident bytes that are no file pages (Linux), 0 elsewhere."""
    try:
        resident, shared = Path("/proc/self/statm").read_text().split()[1:3]
    except OSError:
        return 0
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")
