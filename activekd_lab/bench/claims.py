"""Measure what the claims ledger needs beyond stored runs: clusters, their inheritance, gradients, features, costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from activekd_lab.bench import students
from activekd_lab.bias import agreement, choose_count, find_clusters, shuffle_classes
from activekd_lab.claims import Evidence, interval
from activekd_lab.config import RunConfig
from activekd_lab.mixing import mixed, mixing_data
from activekd_lab.prepare import Prepared, prepare, resolve_backbone
from activekd_lab.rng import generator
from activekd_lab.student import DualHeadStudent

Say = Callable[[str], None]


class StudentFinding(NamedTuple):
    """One trained student.

    Attributes:
        accuracy, teacher_accuracy: on the test split, fractions.
        cosine: between the gradients of labels and teacher, mean of the last third of training; NaN without both.
        probe: test accuracy of a linear (ridge) probe on the student's features, fitted on the pool with all labels.
        inherited: adjusted Rand index between its clusters of the pool's predictions and the teacher's.
        tuned: gain of the mix chosen on one half of the test split, on the other half; NaN for one head.
        seconds: processor time of the training.
    """

    method: str
    seed: int
    accuracy: float
    teacher_accuracy: float
    cosine: float
    probe: float
    inherited: float
    tuned: float
    seconds: float


def measure_students(
    task: str, *, shots: int = 4, seeds: int = 3, say: Say = lambda text: None, **settings: object
) -> list[StudentFinding]:
    """Train every method on the same labels for each seed and measure it; `settings` are RunConfig's."""
    found = []
    configs = {m: resolve_backbone(RunConfig(task=task, method=m, **settings)) for m in students.METHODS}
    prepared = {method: prepare(config) for method, config in configs.items()}
    teacher = prepared["dho"].teacher_probabilities.cpu()
    count = choose_count(teacher, _counts(teacher.shape[1]))
    students.train(prepared["dho"], configs["dho"], shots)  # the first training of a process pays for starting up
    for seed in range(seeds):
        reference = find_clusters(teacher, count, seed=seed).assignment
        for method, config in configs.items():  # methods take turns, so that a slow minute hits them all
            say(f"{task}: {method}, seed {seed}")
            found.append(_measure(prepared[method], config.with_(seed=seed), shots, reference, count))
    return found


def _measure(prepared: Prepared, config: RunConfig, shots: int, reference: Tensor, count: int) -> StudentFinding:
    started = time.process_time()
    student, shot = students.train(prepared, config, shots)
    seconds = time.process_time() - started
    pool, test = prepared.predict(student)
    last = shot.cosines[len(shot.cosines) * 2 // 3 :]
    own = find_clusters(pool.probabilities().cpu(), count, seed=config.seed).assignment
    return StudentFinding(
        method=config.method,
        seed=config.seed,
        accuracy=shot.accuracy,
        teacher_accuracy=prepared.teacher_accuracy,
        cosine=float(np.mean(last)) if last else float("nan"),
        probe=_probe(pool.features, prepared.task.train.labels, test.features, prepared.task.test.labels),
        inherited=agreement(own, reference)[0],
        tuned=_tuning_gain(student, test.ce_logits, test.kd_logits, prepared.task.test.labels),
        seconds=seconds,
    )


def _probe(features: Tensor, labels: Tensor, test_features: Tensor, test_labels: Tensor) -> float:
    from sklearn.linear_model import RidgeClassifier  # noqa: PLC0415  (slow import)
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    probe = make_pipeline(StandardScaler(), RidgeClassifier()).fit(features.cpu().numpy(), labels.numpy())
    return float(probe.score(test_features.cpu().numpy(), test_labels.numpy()))


def _tuning_gain(student: DualHeadStudent, ce_logits: Tensor, kd_logits: Tensor, labels: Tensor) -> float:
    if student.kd_head is student.ce_head:
        return float("nan")
    ce, kd, y = ce_logits.cpu().numpy(), kd_logits.cpu().numpy(), labels.numpy()
    weight, temperature, _ = mixing_data(ce[::2], kd[::2], y[::2]).best

    def accuracy(ce_weight: float, kd_temperature: float) -> float:
        mix = mixed(ce[1::2], kd[1::2], ce_weight=ce_weight, kd_temperature=kd_temperature)
        return float((mix.argmax(1) == y[1::2]).mean())

    return accuracy(weight, temperature) - accuracy(0.5, 1.0)


def from_students(task: str, found: Sequence[StudentFinding]) -> list[Evidence]:
    """Return what trained students say about the claims, a piece of evidence a claim."""

    def values(method: str, name: str) -> np.ndarray:
        return np.array([getattr(f, name) for f in found if f.method == method])

    rival = max(("single_head", "kd"), key=lambda method: values(method, "accuracy").mean())
    accuracy = values("dho", "accuracy")
    seconds = values("dho", "seconds") / values("single_head", "seconds")
    numbers = {
        "inheritance": values("dho", "inherited") - values("ce", "inherited"),
        "conflict": values("single_head", "cosine"),
        "resolved": values("dho", "cosine") - values("single_head", "cosine"),
        "features": 100 * (values("dho", "probe") - values("single_head", "probe")),
        "baselines": 100 * (accuracy - values(rival, "accuracy")),
        "teacher": 100 * (accuracy - values("dho", "teacher_accuracy")),
        "overhead": 100 * (seconds - 1),
        "tuning": 100 * values("dho", "tuned"),
    }
    return [interval(claim, task, list(number)) for claim, number in numbers.items()]


def teacher_clusters(task: str, *, controls: int = 19, sample: int = 1500, **settings: object) -> Evidence:
    """Compare the teacher's share of mass within its clusters with that of shuffled controls.

    The interval is that of the difference to the controls (2.5% … 97.5% of them), not over seeds: the teacher is one.
    """
    prepared = prepare(resolve_backbone(RunConfig(task=task, **settings)))
    draw = generator(0, "claims", "sample")
    rows = torch.randperm(len(prepared.teacher_probabilities), generator=draw)[:sample]
    probabilities = prepared.teacher_probabilities.cpu()[rows]
    count = choose_count(probabilities, _counts(probabilities.shape[1]))
    mass = find_clusters(probabilities, count).mass_within_radius
    shuffled = [shuffle_classes(probabilities, generator=draw) for _ in range(controls)]
    control = [find_clusters(points, count).mass_within_radius for points in shuffled]
    low, high = np.quantile(control, [0.025, 0.975])
    return Evidence("clusters", task, mass - float(np.mean(control)), mass - float(high), mass - float(low), controls)


def _counts(classes: int) -> list[int]:
    """Return the numbers of clusters to choose from: quarters of the number of classes, up to twice it."""
    return sorted({max(2, classes * k // 4) for k in range(1, 9)})
