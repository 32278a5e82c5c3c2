"""What a round of ActiveKD is made of, as plain functions: its training, its mix, its selector's view, its measures."""

from __future__ import annotations

import torch
from torch import Tensor

from activekd_lab.config import RunConfig
from activekd_lab.geometry import coverage_curve
from activekd_lab.mixing import mixing_data
from activekd_lab.results import RoundRecord
from activekd_lab.selectors import PoolView
from activekd_lab.student import StudentOutput
from activekd_lab.training import TrainingPlan


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
    predicted = test.probabilities(ce_weight=ce_weight, kd_temperature=kd_temperature).argmax(1)
    correct = (predicted == test_labels).float()
    radii, mean_distance = _coverage(view, picks)
    return RoundRecord(
        round=round,
        labels=labels,
        accuracy=float(correct.mean()),
        ce_accuracy=float((test.ce_logits.argmax(1) == test_labels).float().mean()),
        kd_accuracy=float((test.kd_logits.argmax(1) == test_labels).float().mean()),
        class_accuracy=_class_means(correct, test_labels, view.num_classes),
        classes_covered=len(view.labeled_labels.unique()),
        covering_radius=radii[0],
        mean_distance=mean_distance,
        picks=tuple(picks.tolist()),
        pick_radii=tuple(radii) if len(picks) else (),
        loss=loss,
        ce_weight=ce_weight,
        kd_temperature=kd_temperature,
    )


def _class_means(correct: Tensor, labels: Tensor, num_classes: int) -> tuple[float, ...]:
    hits = torch.bincount(labels, weights=correct, minlength=num_classes)
    return tuple((hits / torch.bincount(labels, minlength=num_classes).clamp_min(1)).tolist())


def _coverage(view: PoolView, picks: Tensor) -> tuple[list[float], float]:
    """Return the covering radius before and after each pick, and the mean distance before any."""
    if len(view) == 0:
        return [0.0], 0.0
    picked = view.probabilities[torch.searchsorted(view.ids, picks)]
    centers = torch.cat([view.labeled_probabilities, picked])
    counts = range(len(centers) - len(picks), len(centers) + 1)
    curve = coverage_curve(view.probabilities, centers, counts)
    return curve.radii, curve.means[0]
