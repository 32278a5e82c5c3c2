"""The ActiveKD loop (arXiv:2506.00910): train a fresh student, measure it, let a selector pick, label, repeat.

The loop never asks which strategy it has. A round is determined by the configuration and the labels so far, so a run
that was killed continues exactly where it stood.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from activekd_lab.geometry import coverage_curve
from activekd_lab.mixing import mixing_data
from activekd_lab.prepare import Prepared, prepare, provenance, resolve_backbone
from activekd_lab.results import RoundRecord, RunFolder, RunResult
from activekd_lab.rng import generator
from activekd_lab.selectors import PoolView, resolve, select
from activekd_lab.student import DualHeadStudent, StudentOutput
from activekd_lab.training import History, TrainingPlan, fit
from activekd_lab.training_options import make_accelerator

Progress = Callable[[str], None]


class ActiveRun:
    """One run of ActiveKD. Iterate over it to get a `RoundRecord` a round, as it happens.

    Args:
        config: the settings.
        store: a folder for run folders; an existing one of the same configuration resumes. None keeps all in memory.
        progress: called with a short text whenever a new stage begins.
        cancel: asked between training steps; True raises `Cancelled`, and finished rounds stay on disk.

    Attributes:
        view: what the selector saw in the last round trained here (a `PoolView`), for plots and widgets.
        student: the student of the last round trained here; `saved_student()` makes it something to take home.
        mixing: ce_weight and kd_temperature of that round.

    Raises:
        UnknownNameError: an unknown task, teacher, selector or backbone, before anything is computed.
        PoolError: rounds × budget beyond the pool, before training, with the numbers.
        RunFolderError: a store that cannot be written or belongs to another configuration.
    """

    def __init__(
        self,
        config: RunConfig,
        *,
        store: str | Path | None = None,
        progress: Progress | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> None:
        self._accelerator = make_accelerator()
        self._writes = self._accelerator is None or self._accelerator.is_main_process
        self._say, self._cancel = (progress if self._writes else None) or (lambda text: None), cancel
        check_names(config)
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
        if self._accelerator is None:
            return prepare(self.config, self._say)
        with self._accelerator.main_process_first():
            return prepare(self.config, self._say)

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
        folder = Path(store).expanduser() / self.config.run_name
        if self._accelerator is None:
            return RunFolder(folder, self.config.identity(), self._header())
        with self._accelerator.main_process_first():
            return RunFolder(folder, self.config.identity(), self._header())

    def _header(self) -> dict[str, object]:
        return {
            "teacher_accuracy": self.prepared.teacher_accuracy,
            "class_names": self.prepared.task.class_names,
            "provenance": provenance(self.prepared.device),
        }

    def _restore_pool(self) -> Pool:
        """Return the pool as it stood before the next round; labels of an unfinished round are dropped."""
        train, g = self.prepared.task.train, generator(self.config.seed, "initial")
        stored = [label for label in (self.folder.labels() if self.folder else []) if label.round <= len(self.records)]
        pool = Pool(train, stored)
        if not stored:
            ids = initial_ids(train, self.prepared.task.num_classes, self.config.initial_per_class, g)
            pool.buy(ids, round_index=0, source="initial")
            order = torch.randperm(len(pool.unlabeled_ids), generator=generator(self.config.seed, "validation"))
            held_out = pool.unlabeled_ids[order[: self.config.validation_labels]]
            pool.buy(held_out, round_index=0, source="validation")
            self._write_labels(pool)
        return pool

    def _write_labels(self, pool: Pool) -> None:
        if self.folder and self._writes:
            self.folder.write_labels(pool.ledger)

    def __iter__(self) -> Iterator[RoundRecord]:
        yield from list(self.records)
        while len(self.records) <= self.config.rounds:
            yield self._round(len(self.records))

    def _round(self, index: int) -> RoundRecord:
        seconds: dict[str, float] = {}
        labels_used = self.pool.labeled_ids
        with _timed(seconds, "train"):
            self._refit_teacher(index)
            student, history = self._train(index)
        with _timed(seconds, "predict"):
            train_output, test_output = self.prepared.predict(student)
            probabilities = self._mixed(train_output, index)
            self.view = self._make_view(index, train_output, probabilities)
        with _timed(seconds, "select"):
            picks = self._select(index)
        with _timed(seconds, "measure"):
            record = self._measure(index, test_output, probabilities[labels_used], picks, history)
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
        self._say(f"round {index}: training on {labels} labels")
        student = self.prepared.new_student(config, generator(config.seed, "student", index))
        history = fit(
            student,
            self.prepared.inputs,
            self.pool.labeled_ids,
            self.pool.labeled_labels,
            self.pool.unlabeled_ids,
            training_plan(config, labels),
            generator=generator(config.seed, "train", index),
            cancel=self._cancel,
            accelerator=self._accelerator,
        )
        return student, history

    def _mixed(self, output: StudentOutput, index: int) -> Tensor:
        """Return the mixed probabilities of the whole training split, (N, C), or stop the run."""
        self.mixing = self._tuned_mixing(output)
        probabilities = output.probabilities(**self.mixing)
        bad = (~probabilities.isfinite().all(1)).nonzero().flatten()
        if len(bad):
            raise NonFiniteError(f"Round {index}: the probabilities of ids {bad[:5].tolist()} are not finite.")
        return probabilities

    def _tuned_mixing(self, output: StudentOutput) -> dict[str, float]:
        """Return the mix of the two heads: the configured one, or the best on the validation labels."""
        ids, labels = self.pool.validation
        if len(ids) == 0:
            return {"ce_weight": self.config.ce_weight, "kd_temperature": self.config.kd_temperature}
        held_out = output[ids]
        ce_weight, kd_temperature, _ = mixing_data(
            held_out.ce_logits.numpy(), held_out.kd_logits.numpy(), labels.numpy()
        ).best
        return {"ce_weight": ce_weight, "kd_temperature": kd_temperature}

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
        return select(self.config.selector, self.view, self.budget, generator=g, **self.config.selector_options)

    def _measure(
        self, index: int, test: StudentOutput, centers: Tensor, picks: Tensor, history: History
    ) -> RoundRecord:
        view, task = self.view, self.prepared.task
        assert view is not None
        predicted = test.probabilities(**self.mixing).argmax(1)
        correct = (predicted == task.test.labels).float()
        radii, mean_distance = _coverage(view, centers, picks)
        return RoundRecord(
            round=index,
            labels=len(self.pool.ledger),
            accuracy=float(correct.mean()),
            ce_accuracy=float((test.ce_logits.argmax(1) == task.test.labels).float().mean()),
            kd_accuracy=float((test.kd_logits.argmax(1) == task.test.labels).float().mean()),
            class_accuracy=_class_means(correct, task.test.labels, task.num_classes),
            classes_covered=len(self.pool.labeled_labels.unique()),
            covering_radius=radii[0],
            mean_distance=mean_distance,
            picks=tuple(picks.tolist()),
            pick_radii=tuple(radii) if len(picks) else (),
            loss=history.final_loss,
            ce_weight=self.mixing["ce_weight"],
            kd_temperature=self.mixing["kd_temperature"],
        )

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

        Raises:
            SettingError: no round was trained here, as when a finished run was only read.
        """
        if self.student is None:
            raise SettingError("No student was trained here: the run was read from disk. Run it in a new store.")
        return SavedStudent(self.student, self.prepared.task.class_names, **self.mixing)

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
    store: str | Path | None = None,
    progress: Progress | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Iterator[RoundRecord]:
    """Yield a `RoundRecord` a round, as it happens; stored rounds come first. See `ActiveRun`."""
    yield from ActiveRun(config, store=store, progress=progress, cancel=cancel)


def run(
    config: RunConfig,
    *,
    store: str | Path | None = None,
    progress: Progress | None = None,
    cancel: Callable[[], bool] | None = None,
) -> RunResult:
    """Run all rounds and return the `RunResult`; an existing folder in `store` resumes. See `ActiveRun`."""
    active = ActiveRun(config, store=store, progress=progress, cancel=cancel)
    for _ in active:
        pass
    return active.result()


def pool_view(
    output: StudentOutput,
    probabilities: Tensor,
    teacher: Tensor,
    ids: Tensor,
    labeled: Tensor,
    labels: Tensor,
    *,
    round: int,
) -> PoolView:
    """Return what a selector may see: rows of the (N, …) outputs on the training split, by id."""
    ce, kd = output.ce_logits.softmax(1), output.kd_logits.softmax(1)
    return PoolView(
        ids=ids,
        probabilities=probabilities[ids],
        features=output.features[ids],
        labeled_ids=labeled,
        labeled_labels=labels,
        labeled_probabilities=probabilities[labeled],
        labeled_features=output.features[labeled],
        teacher_probabilities=teacher[ids],
        ce_probabilities=ce[ids],
        kd_probabilities=kd[ids],
        labeled_teacher_probabilities=teacher[labeled],
        labeled_ce_probabilities=ce[labeled],
        labeled_kd_probabilities=kd[labeled],
        round=round,
    )


def check_names(config: RunConfig) -> None:
    """Refuse unknown names, options and templates before anything is loaded."""
    check_task(config.task, dict(config.task_options))
    if config.templates is not None:
        build_prompts(("a class",), config.templates)
    selector = resolve(config.selector)
    selector.check_options(dict(config.selector_options))


def training_plan(config: RunConfig, labels: int) -> TrainingPlan:
    """Return the training of a round with `labels` labels."""
    ce_share = {"dho": config.ce_share, "single_head": config.ce_share, "ce": 1.0, "kd": 0.0}[config.method]
    return TrainingPlan(
        steps=config.training_steps(labels),
        batch_labeled=config.batch_labeled,
        batch_unlabeled=config.batch_unlabeled,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        warmup=config.warmup,
        temperature=config.temperature,
        ce_share=ce_share,
        distill=config.method != "ce",
        precision=config.precision,
        clip_norm=config.clip_norm,
        ema=config.ema,
        deterministic=config.deterministic,
    )


def _class_means(correct: Tensor, labels: Tensor, num_classes: int) -> tuple[float, ...]:
    hits = torch.bincount(labels, weights=correct, minlength=num_classes)
    return tuple((hits / torch.bincount(labels, minlength=num_classes).clamp_min(1)).tolist())


def _coverage(view: PoolView, centers: Tensor, picks: Tensor) -> tuple[list[float], float]:
    """Return the covering radius before and after each pick, and the mean distance before any."""
    if len(view) == 0:
        return [0.0], 0.0
    picked = view.probabilities[torch.searchsorted(view.ids, picks)]
    counts = range(len(centers), len(centers) + len(picks) + 1)
    curve = coverage_curve(view.probabilities, torch.cat([centers, picked]), counts)
    return curve.radii, curve.means[0]


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[name] = round(time.perf_counter() - started, 4)
