"""What a round of ActiveKD is made of, as plain functions: its training, its mix, its selector's view, its measures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from activekd_lab.active.choosing import Chooser, pass_steps
from activekd_lab.active.coverage import coverage_curve
from activekd_lab.active.pool import Pool
from activekd_lab.active.prepared import Prepared
from activekd_lab.config import ResolvedConfig, RunConfig
from activekd_lab.io.arguments import checked
from activekd_lab.progress import Say, counted, silent
from activekd_lab.rng import generator
from activekd_lab.runs.records import RoundRecord
from activekd_lab.selectors import PoolView
from activekd_lab.students.losses import DHOLoss
from activekd_lab.students.methods import Method
from activekd_lab.students.mixing import mixing_data
from activekd_lab.students.student import DualHeadStudent, StudentOutput
from activekd_lab.students.training import History, TrainingPlan, fit

if TYPE_CHECKING:
    from accelerate import Accelerator


def training_plan(
    config: ResolvedConfig, method: Method, labels: int, pool: int = 0, *, last: bool = False
) -> TrainingPlan:
    """Return the training of a round, the last or not, with `labels` labels and `pool` other images."""
    return TrainingPlan(
        steps=config.training_steps(labels, pool, last=last, distills=method.distills),
        batch_labeled=config.batch_labeled,
        batch_unlabeled=config.batch_unlabeled,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        warmup=config.warmup,
        temperature=config.temperature,
        ce_share=config.ce_share,
        method=method,
        precision=config.precision,
        clip_norm=config.clip_norm,
        ema=config.ema,
        deterministic=config.deterministic,
        schedule=config.schedule,
        warmup_steps=config.warmup_steps,
        labeled_draw=config.labeled_draw,
        separate=config.passes == "separate",
        loss_weights=config.loss_weights,
    )


@checked()
def train_student(
    prepared: Prepared,
    pool: Pool,
    *,
    seed: int,
    key: int,
    last: bool = False,
    what: str = "",
    progress: Say = silent,
    on_loss: Callable[[DualHeadStudent, int, DHOLoss], None] | None = None,
    cancel: Callable[[], bool] | None = None,
    accelerator: Accelerator | None = None,
) -> tuple[DualHeadStudent, History]:
    """Train a fresh student by the configured method on what the pool knows, and the teacher on the rest.

    Args:
        prepared: task, teacher outputs, features.
        pool: its labels are trained on by name, its other images by what the teacher says of them.
        seed: derives weights and batches, with `key`.
        key: which training of this seed it is: the round, or the number of labels.
        last: whether it is that of the last round, which may be longer.
        what: precedes the progress texts, such as "round 3: ".
        progress: called with a short text at the start and once a second.
        on_loss: called with student, step and loss before each backward pass.
        cancel: asked before each step; True stops the training.
        accelerator: accelerate's, where several processes share every batch.

    Raises:
        NonFiniteError: the loss is NaN or infinite. Cancelled: `cancel` said so.
    """
    ids, others, config = pool.labeled_ids, pool.unlabeled_ids, prepared.config  # (L,), (U,)
    progress(text := f"{what}training on {len(ids)} labels")
    plan, count = (
        training_plan(config, prepared.method, len(ids), len(others), last=last),
        counted(progress, f"{text}, step"),
    )
    student = prepared.new_student(generator(seed, "student", key))
    of = (len(ids), config.batch_labeled) if config.pool_epochs is None else (len(others), config.batch_unlabeled)
    passes = pass_steps(*of)  # over the labels, or over the pool where that sets the length
    chooser = Chooser(prepared, student, passes, plan.steps) if config.choose_on else None

    def each_step(step: int, loss: DHOLoss) -> None:
        count(step + 1, plan.steps)
        if on_loss is not None:
            on_loss(student, step, loss)

    history = fit(
        student,
        prepared.inputs,
        ids,
        pool.labeled_labels,
        others,
        plan,
        generator=generator(seed, "train", key),
        on_loss=each_step,
        after_step=chooser.after_step if chooser else None,
        cancel=cancel,
        accelerator=accelerator,
    )
    return student, history._replace(mixing=chooser.restore().mixing) if chooser else history


def pool_view(
    output: StudentOutput, probabilities: Tensor, teacher: Tensor | None, pool: Pool, ids: Tensor, *, round: int
) -> PoolView:
    """Return what a selector may see of the images it may ask for.

    Args:
        output: the student's, N rows by id, N the whole training split.
        probabilities: (N, C) mixed.
        teacher: (N, C) probabilities, None where none was asked.
        pool: what is labelled.
        ids: (U,) that may be asked for, ascending.
        round: which one asks.
    """
    ce, kd = output.ce_logits.softmax(1), output.kd_logits.softmax(1)  # (N, C)
    labeled = pool.labeled_ids  # (L,)
    return PoolView(
        ids=ids,
        probabilities=probabilities[ids],
        features=output.features[ids],
        labeled_ids=labeled,
        labeled_labels=pool.labeled_labels,
        labeled_probabilities=probabilities[labeled],
        labeled_features=output.features[labeled],
        teacher_probabilities=None if teacher is None else teacher[ids],
        ce_probabilities=ce[ids],
        kd_probabilities=kd[ids],
        labeled_teacher_probabilities=None if teacher is None else teacher[labeled],
        labeled_ce_probabilities=ce[labeled],
        labeled_kd_probabilities=kd[labeled],
        round=round,
    )


@checked(scores="(N, C) finite", labels="(N,) integers")
def accuracy(scores: Tensor, labels: Tensor) -> float:
    """Return the share of (N, C) logits or probabilities whose largest entry is the (N,) int64 label."""
    return float((scores.argmax(1) == labels).float().mean())


def tuned_mixing(config: RunConfig, held_out: StudentOutput, labels: Tensor) -> dict[str, float]:
    """Return the mix of the two heads: the configured one, or the best on the validation images if there are any."""
    if len(labels) == 0:
        return {"ce_weight": config.ce_weight, "kd_temperature": config.kd_temperature}
    ce_weight, kd_temperature, _ = mixing_data(
        held_out.ce_logits.numpy(), held_out.kd_logits.numpy(), labels.numpy()
    ).best
    return {"ce_weight": ce_weight, "kd_temperature": kd_temperature}


def measure_round(
    round: int,
    view: PoolView,
    picks: Tensor,
    test: StudentOutput,
    test_labels: Tensor,
    *,
    labels: int,
    loss: float,
    ce_weight: float,
    kd_temperature: float,
) -> RoundRecord:
    """Measure a trained round and its picks.

    Args:
        round: from 0.
        view: what the selector saw.
        picks: (B,) ids, B = 0 in the last round.
        test: the student's output on the test split.
        test_labels: (T,) int64.
        labels: spent so far.
        loss: of the training's end.
        ce_weight: of the mix of the two heads.
        kd_temperature: of that mix.
    """
    probabilities = test.probabilities(ce_weight=ce_weight, kd_temperature=kd_temperature)  # (T, C)
    radii, mean_distance = _coverage(view, picks)
    return RoundRecord(
        round=round,
        labels=labels,
        accuracy=accuracy(probabilities, test_labels),
        ce_accuracy=accuracy(test.ce_logits, test_labels),
        kd_accuracy=accuracy(test.kd_logits, test_labels),
        class_accuracy=_class_means(probabilities, test_labels),
        classes_covered=len(view.labeled_labels.unique()),
        covering_radius=radii[0],
        mean_distance=mean_distance,
        picks=tuple(picks.tolist()),
        pick_radii=tuple(radii) if len(picks) else (),
        loss=loss,
        ce_weight=ce_weight,
        kd_temperature=kd_temperature,
    )


def _class_means(probabilities: Tensor, labels: Tensor) -> tuple[float, ...]:
    """Return the accuracy within each of the C classes, 0 for one without test images."""
    C = probabilities.shape[1]
    correct = (probabilities.argmax(1) == labels).float()  # (T,)
    hits = torch.bincount(labels, weights=correct, minlength=C)
    return tuple((hits / torch.bincount(labels, minlength=C).clamp_min(1)).tolist())


def _coverage(view: PoolView, picks: Tensor) -> tuple[list[float], float]:
    """Return the covering radius before and after each pick, and the mean distance before any."""
    if len(view) == 0:
        return [0.0], 0.0
    picked = view.probabilities[torch.searchsorted(view.ids, picks)]
    centers = torch.cat([view.labeled_probabilities, picked])
    counts = range(len(centers) - len(picks), len(centers) + 1)
    curve = coverage_curve(view.probabilities, centers, counts)
    return curve.radii, curve.means[0]
