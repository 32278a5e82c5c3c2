"""Begin a run: `start` gives the `ActiveRun`, `iterate` its rounds as they happen, `run` its result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from activekd_lab.active.loggers import Logger, logged
from activekd_lab.active.loop import ActiveRun
from activekd_lab.active.opening import checked_store
from activekd_lab.active.prepare import check_task_for_run, prepare
from activekd_lab.config import RunConfig
from activekd_lab.io.arguments import checked
from activekd_lab.progress import Say, shown
from activekd_lab.runs.records import RoundRecord, RunResult
from activekd_lab.selectors import Selector, SelectorFunction
from activekd_lab.students.options import main_process_first, make_accelerator


@checked()
def start(
    config: RunConfig,
    *,
    selector: Selector | SelectorFunction | None = None,
    store: str | Path | None = None,
    progress: Say | None = None,
    cancel: Callable[[], bool] | None = None,
    **given: Any,
) -> ActiveRun:
    """Resolve the settings, prepare, and return the `ActiveRun`; of several processes the first fills the caches.

    `given` holds a `task`, `teacher`, `backbone` or `method` of one's own, see `prepare`.
    """
    config, accelerator = config.resolve(selector=selector, **given), make_accelerator()
    if given.get("task") is not None:
        check_task_for_run(config, given["task"])
    checked_store(store, selector, given.get("method"))
    if progress is not None and (accelerator is None or accelerator.is_main_process):
        progress("preparing task and teacher")
    with main_process_first(accelerator):
        prepared = prepare(config, progress=progress, **given)
    return ActiveRun(prepared, selector=selector, store=store, progress=progress, cancel=cancel)


@checked()
def iterate(
    config: RunConfig,
    *,
    selector: Selector | SelectorFunction | None = None,
    store: str | Path | None = None,
    logger: Logger | None = None,
    progress: Say | None = None,
    cancel: Callable[[], bool] | None = None,
    **given: Any,
) -> Iterator[RoundRecord]:
    """Yield a `RoundRecord` a round, as it happens; stored rounds come first. See `run`."""
    active = start(config, selector=selector, store=store, progress=progress, cancel=cancel, **given)
    yield from logged(active, logger)


@checked()
def run(
    config: RunConfig,
    *,
    selector: Selector | SelectorFunction | None = None,
    store: str | Path | None = None,
    logger: Logger | None = None,
    progress: Say | None = None,
    cancel: Callable[[], bool] | None = None,
    **given: Any,
) -> RunResult:
    """Run all rounds and return the `RunResult`; an existing folder in `store` resumes. See `ActiveRun`.

    Args:
        config: the settings.
        selector: who picks, in the place of the one that is named.
        store: a folder for run folders. Runs of a selector's or a method's function stay in memory.
        logger: is told of every round (`active.loggers`).
        progress: called with a short text whenever a new stage begins; without one a notebook's cell shows a line that
            rewrites itself (`progress=activekd_lab.progress.silent` for none).
        cancel: asked between training steps; True raises `Cancelled`.
        given: a `task`, `teacher`, `backbone` or `method` of one's own, see `prepare`.

    Example:
        >>> result = akd.run(akd.RunConfig(task="digits", rounds=2), store="runs/")
        >>> result.frame()[["round", "labels", "accuracy"]]
    """
    with shown(progress) as say:
        active = start(config, selector=selector, store=store, progress=say, cancel=cancel, **given)
        for _ in logged(active, logger):
            pass
    return active.result()
