"""How fast a slider is: kernel time, bytes sent and first display of SelectionExplorer; a move of BiasExplorer.

Run it as `python -m activekd_lab.bench.widgets`. The time is from the slider's new value to the last message handed to
the transport, all of the kernel's work; drawing in the browser comes on top. Targets: 150 ms a move at N 5,000 and
C 48, first display within 2 s with all imports it needs. Of the first bytes, 5 MB are Plotly's own script.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from activekd_lab.widgets.bias import TEMPERATURES, BiasExplorer
from activekd_lab.widgets.explorer import SelectionExplorer, View


class WidgetTimes(NamedTuple):
    """What a reader waits for.

    Attributes:
        size, classes: of the pool.
        move_ms: median milliseconds of a budget move; move_cpu_ms the processor time in it.
        move_bytes: median bytes sent a move.
        bias_ms: median milliseconds of a move of BiasExplorer's temperature: three k-means of 12 clusters.
        first_s: seconds from the arrays to the finished widget; first_bytes sent for it.
    """

    size: int
    classes: int
    move_ms: float
    move_cpu_ms: float
    move_bytes: int
    bias_ms: float
    first_s: float
    first_bytes: int


class _Sent:
    """Counts the bytes of messages to the page: JSON and binary buffers."""

    def __init__(self) -> None:
        self.bytes = 0

    def add(self, data: Any, buffers: Any) -> None:
        self.bytes += len(json.dumps(data, default=str)) + sum(memoryview(b).nbytes for b in buffers or ())

    def take(self) -> int:
        sent, self.bytes = self.bytes, 0
        return sent


@contextmanager
def _counting() -> Iterator[_Sent]:
    """Open every widget's channel on a counter instead of a page."""
    import comm  # noqa: PLC0415  (comes with ipywidgets)
    from comm.base_comm import BaseComm  # noqa: PLC0415

    sent, before = _Sent(), comm.create_comm

    class Counter(BaseComm):  # type: ignore[misc, unused-ignore]
        def publish_msg(self, msg_type: str, data: Any = None, *args: Any, buffers: Any = None, **more: Any) -> None:
            sent.add(data, buffers or (args[1] if len(args) > 1 else None))

    comm.create_comm = Counter
    try:
        yield sent
    finally:
        comm.create_comm = before


def measure(size: int = 5000, classes: int = 48, moves: int = 21, selector: str = "pcoreset") -> WidgetTimes:
    """Time a SelectionExplorer on a random pool of (size, classes) probabilities, labelled once a class.

    Args:
        size: N.
        classes: C.
        moves: budget moves, between 10 and 100 picks.
        selector: who picks.
    """
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.full(classes, 0.1), size).astype(np.float32)
    images = rng.integers(0, 255, (size, 3, 32, 32), dtype=np.uint8)
    train = SimpleNamespace(images=images, labels=rng.integers(0, classes, size))
    task = SimpleNamespace(class_names=tuple(f"class {i}" for i in range(classes)), train=train)
    with _counting() as sent:
        SelectionExplorer(task, probabilities[:], labeled_ids=np.arange(classes))  # imports and caches
        started = time.perf_counter()
        view = View(SelectionExplorer(task, probabilities, labeled_ids=np.arange(classes), selector=selector))
        first, first_bytes = time.perf_counter() - started, sent.take()
        rows = [_move(view.budget, 10 + (37 * i) % 91, sent) for i in range(moves)]
        bias = BiasExplorer(np.log(probabilities + 1e-6), probabilities, task.class_names)
        heat = bias.view.children[0].children[0]
        heats = [1000 * _move(heat, temperature, sent)[0] for temperature in TEMPERATURES if temperature != heat.value]
    wall, cpu, size_sent = (statistics.median(column) for column in zip(*rows, strict=True))
    return WidgetTimes(
        size, classes, 1000 * wall, 1000 * cpu, int(size_sent), statistics.median(heats), first, first_bytes
    )


def _move(slider: Any, value: float, sent: _Sent) -> tuple[float, float, int]:
    wall, cpu = time.perf_counter(), time.process_time()
    slider.value = value
    return time.perf_counter() - wall, time.process_time() - cpu, sent.take()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure()._asdict(), indent=2) + "\n")
