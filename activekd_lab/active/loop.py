"""The ActiveKD loop (arXiv:2506.00910): train a fresh student, measure it, let a selector pick, label, repeat.

The loop never asks which strategy it has. A round is determined by the configuration and the labels so far, so a run
that was killed continues exactly where it stood.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from activekd_lab.active.opening import checked_store, first_ids, refuse_edited, teacher_start
from activekd_lab.active.pool import Pool, beyond
from activekd_lab.active.prepared import Prepared
from activekd_lab.active.protocols import for_provenance
from activekd_lab.active.rounds import measure_round, pool_view, train_student, tuned_mixing
from activekd_lab.errors import NonFiniteError, SettingError
from activekd_lab.io.arguments import checked
from activekd_lab.progress import Remark, Say, counted, silent
from activekd_lab.rng import generator
from activekd_lab.runs.folder import RunFolder
from activekd_lab.runs.guessing import Guessed
from activekd_lab.runs.images import images_csv
from activekd_lab.runs.provenance import provenance
from activekd_lab.runs.records import PredictedSplit, RoundRecord, RunResult
from activekd_lab.selectors import PoolView, Selector, SelectorFunction, resolve
from activekd_lab.students.checkpoint import SavedStudent
from activekd_lab.students.options import main_process_first, make_accelerator
from activekd_lab.students.student import DualHeadStudent, StudentOutput
from activekd_lab.students.training import History


@checked()
class ActiveRun:
    """One run of ActiveKD. Iterate over it to get a `RoundRecord` a round, as it happens.

    The constructor loads and writes nothing; the first step of an iteration, or `open`, reads what the store holds.

    Args:
        prepared: the settings, and what `prepare` computed for them.
        selector: who picks, if not `config.selector`: a function `(view, budget, *, generator) -> ids` (see `select`),
            whose name the run then bears.
        store: a folder for run folders; an existing one of the same configuration resumes. None keeps all in memory.
        progress: called with a short text whenever a new stage begins.
        cancel: asked between training steps; True raises `Cancelled`, and finished rounds stay on disk.

    Attributes:
        config: the resolved settings.
        records: finished rounds.
        pool: what is labelled.
        view: what the selector saw in the last round trained here (a `PoolView`), for plots and widgets.
        student: the student of the last round trained here; `saved_student()` makes it something to take home.
        mixing: ce_weight and kd_temperature of that round.

    Raises:
        SettingError: a store beside a selector's or a method's function.
        PoolError: rounds × budget beyond the pool, with the numbers.
    """

    def __init__(
        self,
        prepared: Prepared,
        *,
        selector: Selector | SelectorFunction | None = None,
        store: str | Path | None = None,
        progress: Say | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> None:
        self._accelerator = make_accelerator()
        self._writes = self._accelerator is None or self._accelerator.is_main_process
        self._say, self._cancel = (progress if self._writes else None) or silent, cancel
        self._selector = resolve(prepared.config.selector if selector is None else selector)
        self._store = checked_store(store, selector, prepared.method)
        self.prepared, self.config = prepared, prepared.config
        self.budget = self.config.budget_in(len(prepared.task.train), prepared.task.num_classes)
        self.folder: RunFolder | None = None
        self.records: list[RoundRecord] = []
        self.pool = Pool(prepared.task.train)
        self.view: PoolView | None = None
        self.student: DualHeadStudent | None = None
        self.mixing: dict[str, float] = {}
        self._kept: dict[PredictedSplit, dict[int, np.ndarray]] = {"train": {}, "test": {}}
        self._fitted = -1  # the round up to whose labels the few-shot teacher is fitted
        self._opened = False

    @cached_property
    def teacher_start(self) -> Guessed | None:
        """How the teacher does on the initial labels, None where nothing is learned from it."""
        return teacher_start(self.prepared)

    def open(self) -> ActiveRun:
        """Read the finished rounds of the store, or draw the initial labels; iterating does so by itself.

        Raises:
            RunFolderError: a store that cannot be written, belongs to another configuration, was begun on other images
                or weights, or in which another process writes this run.
        """
        if self._opened:
            return self
        if self._store is not None:
            with main_process_first(self._accelerator):
                self.folder = RunFolder(self._store / self.config.run_name, self.config.identity(), self._header())
            self.records = self.folder.records()
        self.pool = self._restore_pool()
        if self.teacher_start is not None and self.teacher_start.remark:
            self._say(Remark(self.teacher_start.remark))
        if not self._writes:
            self.folder = None  # read to continue from; the first process writes it
        self._opened = True
        return self

    def _header(self) -> dict[str, object]:
        return {
            "teacher_accuracy": self.prepared.teacher_accuracy,
            "teacher_start": self.teacher_start and self.teacher_start._asdict(),
            "class_names": self.prepared.task.class_names,
            **{f"{name}_fingerprint": found for name, found in self.prepared.content.items()},
            "provenance": provenance(self.prepared.device) | for_provenance(self.config.deviations),
        }

    def _restore_pool(self) -> Pool:
        """Return the pool as it stood before the next round; labels of an unfinished round are dropped."""
        train, seed = self.prepared.task.train, self.config.seed
        known = self.folder.labels_of(self.records) if self.folder and self.records else []
        refuse_edited(self.prepared, known, self.folder)
        pool = Pool(train, known)
        if not self.records:
            pool.buy(first_ids(self.prepared), round_index=0, source="initial")
            order = torch.randperm(len(pool.unlabeled_ids), generator=generator(seed, "validation"))
            held_out = pool.unlabeled_ids[order[: self.config.validation_labels]]
            pool.buy(held_out, round_index=0, source="validation")
            with self._writing():
                self._write_labels(pool)
                if self.folder and self._writes and train.files is not None:
                    self.folder.write_images(images_csv(self.prepared.task))
        if (limit := self.config.pool_limit) is not None:
            pool = Pool(train, pool.ledger, beyond(pool, limit, generator(seed, "pool limit")))
        return pool

    def _write_labels(self, pool: Pool) -> None:
        if self.folder and self._writes:
            self.folder.write_labels(pool.ledger)

    def __iter__(self) -> Iterator[RoundRecord]:
        yield from list(self.open().records)
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
            student, history = self._train(self.pool, index)
        with _timed(seconds, "predict"):
            count = counted(self._say, f"round {index}: looking at every image")
            views = generator(self.config.seed, "query views", index) if self.config.query_views else None
            train_output, test_output = self.prepared.predict(student, count, views)
            probabilities = self._mixed(train_output, index, history.mixing)
            teacher, ids = taught.probabilities if (taught := self.prepared.taught) else None, self.pool.unlabeled_ids
            self.view = pool_view(train_output, probabilities, teacher, self.pool, ids, round=index)
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
        return self._keep(
            replace(record, seconds=seconds),
            {"train": probabilities, "test": test_output.probabilities(**self.mixing)},
        )

    def _refit_teacher(self, index: int) -> None:
        """Fit the few-shot teacher on the labels so far; the released code's order leaves it one round behind.

        It is determined by the ledger, so a resumed run refits the same teacher.
        """
        config = self.config
        last = max(0, index - 1) if config.protocol == "released" else index  # both start from the initial labels
        if config.few_shot == "none" or last == self._fitted:
            return
        self._say(f"round {index}: refitting the teacher")
        known = [label for label in self.pool.ledger if label.round <= last and label.source != "validation"]
        ids, labels = (torch.tensor([getattr(label, name) for label in known]) for name in ("id", "label"))
        self.prepared = self.prepared.with_labels(ids, labels, generator(config.seed, "teacher", last))
        self._fitted = last

    def _train(self, pool: Pool, index: int) -> tuple[DualHeadStudent, History]:
        return train_student(
            self.prepared,
            pool,
            seed=self.config.seed,
            key=index,
            last=index == self.config.rounds,
            what=f"round {index}: ",
            progress=self._say,
            cancel=self._cancel,
            accelerator=self._accelerator,
        )

    def _mixed(self, output: StudentOutput, index: int, chosen: dict[str, float] | None) -> Tensor:
        """Return the mixed probabilities of the whole training split to select by, (N, C), or stop the run."""
        ids, labels = self.pool.validation
        self.mixing = chosen or tuned_mixing(self.config, output[ids], labels)
        ce_weight, kd_temperature = self.config.query_mix or self.mixing.values()
        probabilities = output.probabilities(ce_weight=ce_weight, kd_temperature=kd_temperature)
        bad = (~probabilities.isfinite().all(1)).nonzero().flatten()
        if len(bad):
            raise NonFiniteError(f"Round {index}: the probabilities of ids {bad[:5].tolist()} are not finite.")
        return probabilities

    def _select(self, index: int) -> Tensor:
        if index == self.config.rounds:
            return torch.empty(0, dtype=torch.int64)
        assert self.view is not None
        g = generator(self.config.seed, "select", index)
        return self._selector(self.view, self.budget, generator=g, **self.config.selector_options)

    def _keep(self, record: RoundRecord, probabilities: dict[PredictedSplit, Tensor]) -> RoundRecord:
        """Store the round: first what it bought, then its predictions, then the record that declares it finished."""
        if record.picks:
            self.pool.buy(record.picks, round_index=record.round + 1, source="selector")
            self._write_labels(self.pool)
        for split, values in probabilities.items() if self.config.save_predictions else ():
            kept = values.numpy().astype(np.float16)
            if self.folder:
                self.folder.write_predictions(record.round, kept, split)
            else:
                self._kept[split][record.round] = kept
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
            self.open()
            self._train_last_again()
        assert self.student is not None
        task = self.prepared.task
        return SavedStudent(self.student, task.class_names, **self.mixing, source_size=task.train.images.shape[-1])

    def _train_last_again(self) -> None:
        if not self.records:
            raise SettingError("There is no student yet; iterate over the run first.")
        last = self.records[-1]
        self._refit_teacher(last.round)
        self.student, _ = self._train(self.pool.until(last.round), last.round)  # without what that round bought
        self.mixing = {"ce_weight": last.ce_weight, "kd_temperature": last.kd_temperature}

    def result(self) -> RunResult:
        """Return what the run has found so far."""
        self.open()
        return RunResult(
            config=self.config.identity(), records=tuple(self.records), labels=tuple(self.pool.ledger),
            teacher_accuracy=self.prepared.teacher_accuracy, teacher_start=self.teacher_start,
            class_names=self.prepared.task.class_names, folder=self.folder.path if self.folder else None,
            provenance=provenance(self.prepared.device) | for_provenance(self.config.deviations),
            content=self.prepared.content, _kept=self._kept["train"], _kept_test=self._kept["test"],
        )  # fmt: skip


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[name] = round(time.perf_counter() - started, 4)
