"""Many runs: in this process, or in a few local ones that share the store and the caches on disk."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from pathlib import Path
from typing import NamedTuple

from activekd_lab.active.begin import start
from activekd_lab.config import RunConfig
from activekd_lab.device import cores, share_of_cores
from activekd_lab.errors import ConnectionLostError, SettingError
from activekd_lab.io.arguments import checked
from activekd_lab.progress import silent
from activekd_lab.runs.records import RunResult
from activekd_lab.runs.stored import load_run

_PROCESSES = 2  # each holds its own models and caches, most of a gigabyte


class ManyRuns(NamedTuple):
    """What many runs found.

    Attributes:
        results: in the order of the configurations.
        seconds: time spent on preparing, training, …, summed over the processes; rounds read from disk cost nothing.
        processes: how many worked.
    """

    results: list[RunResult]
    seconds: dict[str, float]
    processes: int


class _Finished(NamedTuple):
    folder: Path
    seconds: dict[str, float]


@checked()
def run_all(
    configs: Sequence[RunConfig],
    store: str | Path,
    *,
    processes: int | None = None,
    say: Callable[[str], None] = silent,
) -> ManyRuns:
    """Run every configuration into `store`; what lies there already is read instead.

    Training on cached features does not get faster with threads, so two processes do twice as much as one. They are
    started afresh: a script of your own calls this below `if __name__ == "__main__":`, as Python asks.

    Args:
        configs: the runs, all different.
        store: folder of run folders.
        processes: how many at once; 1 runs here, None takes two where there are two cores.
        say: called with a line before the first run and after each.

    Raises:
        UnknownNameError: an unknown task, teacher, selector or backbone, before anything is computed.
        SettingError: a configuration that stands there twice, or processes below 1.
        RunFolderError: a store that cannot be written.
        ConnectionLostError: a process was killed, by the system where memory ran out.
    """
    _check(configs, processes)
    count = min(processes or min(_PROCESSES, cores()), len(configs))
    tasks = list(dict.fromkeys(config.task for config in configs))
    say(f"{len(configs)} runs in {count} process(es), after preparing images and teacher of {' and '.join(tasks)}")
    done: dict[int, _Finished] = {}
    try:
        for index, finished in (_here if count == 1 else _elsewhere)(configs, Path(store), count):
            done[index] = finished
            c = configs[index]
            say(f"{len(done)} of {len(configs)} runs done: {c.task}, {c.selector}, {c.method}, seed {c.seed}")
    except KeyboardInterrupt:
        say(f"stopped; finished rounds are in {store}, and the same command continues from there")
        raise
    results = [load_run(done[i].folder) for i in range(len(configs))]
    return ManyRuns(results, _sum(finished.seconds for finished in done.values()), count)


def _check(configs: Sequence[RunConfig], processes: int | None) -> None:
    if processes is not None and processes < 1:
        raise SettingError(f"processes must be 1 or more, but got {processes}.")
    names = [config.resolve().run_name for config in configs]
    repeated = [f"{name} twice" for name in names if names.count(name) > 1]
    if repeated or not configs:
        raise SettingError(f"configs must hold different runs, but got {repeated[0] if repeated else 'none'}.")


def order(configs: Sequence[RunConfig]) -> list[int]:
    """Return the indices in the order of starting: one run of each task, then the others, the last task first.

    The first run of a task renders its images and encodes them, the others read the caches; by the time that the first
    task's turn comes again, it is prepared.
    """
    first = {config.task: index for index, config in reversed(list(enumerate(configs)))}
    leaders = sorted(first.values())
    return [*leaders, *(i for i in reversed(range(len(configs))) if i not in leaders)]


def _here(configs: Sequence[RunConfig], store: Path, count: int) -> Iterator[tuple[int, _Finished]]:
    for index, config in enumerate(configs):
        yield index, _run(config, store)


def _elsewhere(configs: Sequence[RunConfig], store: Path, count: int) -> Iterator[tuple[int, _Finished]]:
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")  # a forked torch may hang
    pool = ProcessPoolExecutor(count, context, _start_process, (share_of_cores(count),))
    try:
        futures = {pool.submit(_run, configs[index], store): index for index in order(configs)}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise ConnectionLostError(
            f"A process of the runs was killed, as happens where memory runs out; finished rounds are in {store}: run "
            "the same again, with fewer processes."
        ) from error
    except BaseException:
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()  # files are written whole or not at all
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _start_process(threads: int) -> None:
    import torch  # noqa: PLC0415  (slow import)

    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent answers Ctrl-C, and ends this process
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when its parent is gone, killed or not: files are written whole or not at all."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _run(config: RunConfig, store: Path) -> _Finished:
    """Run what is not on disk yet."""
    since = time.perf_counter()
    active = start(config, store=store).open()
    preparing = {"prepare": time.perf_counter() - since}
    finished = len(active.records)
    seconds = _sum([preparing, *(record.seconds for record in active if record.round >= finished)])
    folder = active.result().folder
    assert folder is not None  # there is a store
    return _Finished(folder, seconds)


def _sum(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for part in parts:
        for stage, seconds in part.items():
            total[stage] = total.get(stage, 0.0) + seconds
    return total
