"""The ActiveKD loop (arXiv:2506.00910): train a fresh student, measure it, let a selector pick, label, repeat.

The loop never asks which strategy it has. A round is determined by the configuration and the labels so far, so a run
that was killed continues exactly where it stood.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from activekd_lab.checkpoint import SavedStudent
from activekd_lab.config import RunConfig
from activekd_lab.data import check_task
from activekd_lab.data.pool import Pool, initial_ids
from activekd_lab.data.prompts import build_prompts
from activekd_lab.errors import NonFiniteError, PoolError, SettingError
from activekd_lab.prepare import Prepared, backbone_fingerprint, prepare, provenance, resolve_backbone
from activekd_lab.progress import counted
from activekd_lab.results import RoundRecord, RunFolder, RunResult
from activekd_lab.rng import generator
from activekd_lab.rounds import measure_round, pool_view, training_plan, tuned_mixing
from activekd_lab.selectors import PoolView, Selector, SelectorFunction, resolve
from activekd_lab.student import DualHeadStudent, StudentOutput
from activekd_lab.teacher import check_teacher
from activekd_lab.training import History, fit
from activekd_lab.training_options import make_accelerator

Progress = Callable[[str], None]


class ActiveRun:
    """One run of ActiveKD. Iterate over it to get a `RoundRecord` a round, as it happens.

    Args:
        config: the settings.
        selector: who picks, if not `config.selector`: a function `(view, budget, *, generator) -> ids` (see `select`),
            whose name the run then bears.
        store: a folder for run folders; an existing one of the same configuration resumes. None keeps all in memory.
        progress: called with a short text whenever a new stage begins.
        cancel: asked between training steps; True raises `Cancelled`, and finished rounds stay on disk.

    Attributes:
        view: what the selector saw in the last round trained here (a `PoolView`), for plots and widgets.
        student: the student of the last round trained here; `saved_student()` makes it something to take home.
        mixing: ce_weight and kd_temperature of that round.

    Raises:
        UnknownNameError: an unknown task, teacher, selector or backbone, before anything is computed.
        SettingError: a store beside a selector function.
        PoolError: rounds × budget beyond the pool, before training, with the numbers.
        RunFolderError: a store that cannot be written, belongs to another configuration, was begun on other images or
            weights, or in which another process writes this run.
    """

    def __init__(
        self,
        config: RunConfig,
        *,
        selector: Selector | SelectorFunction | None = None,
        store: str | Path | None = None,
        progress: Progress | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> None:
        self._accelerator = make_accelerator()
        self._writes = self._accelerator is None or self._accelerator.is_main_process
        self._say, self._cancel = (progress if self._writes else None) or (lambda text: None), cancel
        self._selector, config = _strategy(selector, config, store)
        check_names(config, self._selector)
        self.config = config = resolve_backbone(config)
        self._say("preparing task and teacher")
        self.prepared: Prepared = self._prepare()
        self.budget = config.budget or self.prepared.task.num_classes
        self._check_budget()
        self.folder = self._open(store)
        self.records: list[RoundRecord] = self.folder.records() if self.folder else []
        self.view: PoolView | None = None
        self.student: DualHeadStudent | None = None
        self.mixing: dict[str, float] = {}
        self._kept: dict[int, np.ndarray] = {}
        self.pool = self._restore_pool()
        if not self._writes:
            self.folder = None  # read to continue from; the first process writes it

    def _prepare(self) -> Prepared:
        """Prepare what rounds share; of several processes the first fills the caches."""
        with self._first_process_first():
            return prepare(self.config, self._say)

    def _first_process_first(self) -> AbstractContextManager[None]:
        return nullcontext() if self._accelerator is None else self._accelerator.main_process_first()

    def _check_budget(self) -> None:
        config, task = self.config, self.prepared.task
        start, size = config.initial_per_class * task.num_classes + config.validation_labels, len(task.train)
        if start + config.rounds * self.budget > size:
            raise PoolError(
                f"{start} initial labels and {config.rounds} rounds × {self.budget} exceed the pool of {size} images; "
                f"at most {max(0, (size - start) // self.budget)} rounds fit."
            )

    def _open(self, store: str | Path | None) -> RunFolder | None:
        if store is None:
            return None
        with self._first_process_first():
            return RunFolder(Path(store).expanduser() / self.config.run_name, self.config.identity(), self._header())

    def _header(self) -> dict[str, object]:
        return {
            "teacher_accuracy": self.prepared.teacher_accuracy,
            "class_names": self.prepared.task.class_names,
            "task_fingerprint": self.prepared.task.fingerprint,
            "teacher_fingerprint": self.prepared.teacher.fingerprint,
            "backbone_fingerprint": backbone_fingerprint(self.config, self.prepared.device),
            "provenance": provenance(self.prepared.device),
        }

    def _restore_pool(self) -> Pool:
        """Return the pool as it stood before the next round; labels of an unfinished round are dropped."""
        train, g = self.prepared.task.train, generator(self.config.seed, "initial")
        pool = Pool(train, self.folder.labels_of(self.records) if self.folder and self.records else [])
        if not self.records:
            ids = initial_ids(train, self.prepared.task.num_classes, self.config.initial_per_class, g)
            pool.buy(ids, round_index=0, source="initial")
            order = torch.randperm(len(pool.unlabeled_ids), generator=generator(self.config.seed, "validation"))
            held_out = pool.unlabeled_ids[order[: self.config.validation_labels]]
            pool.buy(held_out, round_index=0, source="validation")
            with self._writing():
                self._write_labels(pool)
        return pool

    def _write_labels(self, pool: Pool) -> None:
        if self.folder and self._writes:
            self.folder.write_labels(pool.ledger)

    def __iter__(self) -> Iterator[RoundRecord]:
        yield from list(self.records)
        if len(self.records) > self.config.rounds:
            return
        with self._writing():
            while len(self.records) <= self.config.rounds:
                yield self._round(len(self.records))

    def _writing(self) -> AbstractContextManager[None]:
        return self.folder.writing(len(self.records)) if self.folder and self._writes else nullcontext()

    def _round(self, index: int) -> RoundRecord:
        seconds: dict[str, float] = {}
        with _timed(seconds, "train"):
            self._refit_teacher(index)
            student, history = self._train(index)
        with _timed(seconds, "predict"):
            count = counted(self._say, f"round {index}: looking at every image")
            train_output, test_output = self.prepared.predict(student, count)
            probabilities = self._mixed(train_output, index)
            self.view = self._make_view(index, train_output, probabilities)
        with _timed(seconds, "select"):
            picks = self._select(index)
        with _timed(seconds, "measure"):
            record = measure_round(
                index,
                self.view,
                picks,
                test_output,
                self.prepared.task.test.labels,
                labels=len(self.pool.ledger),
                loss=history.final_loss,
                **self.mixing,
            )
        self.student = student
        return self._keep(replace(record, seconds=seconds), probabilities)

    def _refit_teacher(self, index: int) -> None:
        """Fit the few-shot teacher on the labels so far; the released code's order leaves it one round behind.

        It is determined by the ledger, so a resumed run refits the same teacher.
        """
        config, last = self.config, index - (self.config.protocol == "released")
        if config.few_shot == "none" or last < 0:
            return
        self._say(f"round {index}: refitting the teacher")
        known = [label for label in self.pool.ledger if label.round <= last and label.source != "validation"]
        ids, labels = (torch.tensor([getattr(label, name) for label in known]) for name in ("id", "label"))
        self.prepared = self.prepared.with_labels(config, ids, labels, generator(config.seed, "teacher", last))

    def _train(self, index: int) -> tuple[DualHeadStudent, History]:
        config = self.config
        labels = len(self.pool.labeled_ids)
        self._say(what := f"round {index}: training on {labels} labels")
        plan, count = training_plan(config, labels), counted(self._say, what + ", step")
        student = self.prepared.new_student(config, generator(config.seed, "student", index))
        history = fit(
            student,
            self.prepared.inputs,
            self.pool.labeled_ids,
            self.pool.labeled_labels,
            self.pool.unlabeled_ids,
            plan,
            generator=generator(config.seed, "train", index),
            on_loss=lambda step, loss: count(step + 1, plan.steps),
            cancel=self._cancel,
            accelerator=self._accelerator,
        )
        return student, history

    def _mixed(self, output: StudentOutput, index: int) -> Tensor:
        """Return the mixed probabilities of the whole training split, (N, C), or stop the run."""
        ids, labels = self.pool.validation
        self.mixing = tuned_mixing(self.config, output[ids], labels)
        probabilities = output.probabilities(**self.mixing)
        bad = (~probabilities.isfinite().all(1)).nonzero().flatten()
        if len(bad):
            raise NonFiniteError(f"Round {index}: the probabilities of ids {bad[:5].tolist()} are not finite.")
        return probabilities

    def _make_view(self, index: int, output: StudentOutput, probabilities: Tensor) -> PoolView:
        pool = self.pool
        return pool_view(
            output,
            probabilities,
            self.prepared.teacher_probabilities,
            pool.unlabeled_ids,
            pool.labeled_ids,
            pool.labeled_labels,
            round=index,
        )

    def _select(self, index: int) -> Tensor:
        if index == self.config.rounds:
            return torch.empty(0, dtype=torch.int64)
        assert self.view is not None
        g = generator(self.config.seed, "select", index)
        return self._selector(self.view, self.budget, generator=g, **self.config.selector_options)

    def _keep(self, record: RoundRecord, probabilities: Tensor) -> RoundRecord:
        """Store the round: first what it bought, then its predictions, then the record that declares it finished."""
        if record.picks:
            self.pool.buy(record.picks, round_index=record.round + 1, source="selector")
            self._write_labels(self.pool)
        if self.config.save_predictions:
            kept = probabilities.numpy().astype(np.float16)
            if self.folder:
                self.folder.write_predictions(record.round, kept)
            else:
                self._kept[record.round] = kept
        if self.folder:
            self.folder.append(record)
        self.records.append(record)
        return record

    def saved_student(self) -> SavedStudent:
        """Return the last round's student with its class names and mix, ready to `save`.

        Where that round was only read from disk, it is trained once more: settings and ledger determine it.

        Raises:
            SettingError: there is no round yet.
        """
        if self.student is None:
            self._train_last_again()
        assert self.student is not None
        return SavedStudent(self.student, self.prepared.task.class_names, **self.mixing)

    def _train_last_again(self) -> None:
        if not self.records:
            raise SettingError("There is no student yet; iterate over the run first.")
        last, pool = self.records[-1], self.pool
        known = [label for label in pool.ledger if label.round <= last.round]  # without what that round bought
        self.pool = Pool(self.prepared.task.train, known)
        try:
            self._refit_teacher(last.round)
            self.student, _ = self._train(last.round)
        finally:
            self.pool = pool
        self.mixing = {"ce_weight": last.ce_weight, "kd_temperature": last.kd_temperature}

    def result(self) -> RunResult:
        """Return what the run has found so far."""
        return RunResult(
            config=self.config.identity(),
            records=tuple(self.records),
            labels=tuple(self.pool.ledger),
            teacher_accuracy=self.prepared.teacher_accuracy,
            class_names=self.prepared.task.class_names,
            folder=self.folder.path if self.folder else None,
            provenance=provenance(self.prepared.device),
            _kept=self._kept,
        )


def iterate(
    config: RunConfig,
    *,
    selector: Selector | SelectorFunction | None = None,
    store: str | Path | None = None,
    progress: Progress | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Iterator[RoundRecord]:
    """Yield a `RoundRecord` a round, as it happens; stored rounds come first. See `ActiveRun`."""
    yield from ActiveRun(config, selector=selector, store=store, progress=progress, cancel=cancel)


def run(
    config: RunConfig,
    *,
    selector: Selector | SelectorFunction | None = None,
    store: str | Path | None = None,
    progress: Progress | None = None,
    cancel: Callable[[], bool] | None = None,
) -> RunResult:
    """Run all rounds and return the `RunResult`; an existing folder in `store` resumes. See `ActiveRun`."""
    active = ActiveRun(config, selector=selector, store=store, progress=progress, cancel=cancel)
    for _ in active:
        pass
    return active.result()


def check_names(config: RunConfig, selector: Selector | None = None) -> None:
    """Refuse unknown names, options, templates and a backbone that cannot be frozen before anything is loaded.

    Args:
        config: the settings.
        selector: takes `config.selector_options` in the place of the selector that `config` names.
    """
    check_task(config.task, dict(config.task_options))
    check_teacher(config.teacher)
    resolve_backbone(config)
    if config.templates is not None:
        build_prompts(("a class",), config.templates)
    (selector or resolve(config.selector)).check_options(dict(config.selector_options))


def _strategy(
    selector: Selector | SelectorFunction | None, config: RunConfig, store: str | Path | None
) -> tuple[Selector, RunConfig]:
    """Return who picks, and the settings that bear its name."""
    if selector is None:
        return resolve(config.selector), config
    found = resolve(selector)
    if store is not None:
        raise SettingError(
            f"A store cannot tell {found.name!r} from a later function of that name; leave store out, or publish the "
            "selector under the entry point activekd_lab.selectors."
        )
    return found, config.with_(selector=found.name)


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[name] = round(time.perf_counter() - started, 4)
