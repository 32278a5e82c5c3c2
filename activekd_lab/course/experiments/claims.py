"""Measure what the claims ledger needs beyond stored runs: clusters, their inheritance, gradients, features, costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from activekd_lab.active.prepare import prepare
from activekd_lab.active.prepared import Prepared
from activekd_lab.compare.claims import Evidence, interval
from activekd_lab.config import RunConfig
from activekd_lab.course.experiments import students
from activekd_lab.course.experiments.ceilings import mix_on_halves
from activekd_lab.progress import silent
from activekd_lab.rng import generator
from activekd_lab.students.student import DualHeadStudent, StudentOutput
from activekd_lab.teachers.bias import agreement, choose_count, find_clusters, random_sentences, shuffle_classes

Say = Callable[[str], None]


class StudentFinding(NamedTuple):
    """One trained student.

    Attributes:
        accuracy, teacher_accuracy: on the test split, fractions.
        cosine: between the gradients of labels and teacher, mean of the last third of training; NaN without both.
        probe: test accuracy of a linear (ridge) probe on the student's features, fitted on the pool with all labels.
        inherited: adjusted Rand index between its clusters of the pool's predictions and the teacher's.
        tuned: gain of the mix chosen on one half of the test split, on the other half; NaN for one head.
        seconds, tuning_seconds: processor time of the training, and of choosing and measuring that mix.
        weights, trained_weights: how many the student has, and how many of them the training moves.
    """

    method: str
    seed: int
    accuracy: float
    teacher_accuracy: float | None
    cosine: float
    probe: float
    inherited: float
    tuned: float
    seconds: float
    tuning_seconds: float
    weights: int
    trained_weights: int


EQUAL = "ce, as accurate"
"""Labels only at the accuracy of DHO, between two label counts."""


def measure_students(
    task: str, *, shots: int = 4, seeds: int = 3, say: Say = silent, **settings: object
) -> list[StudentFinding]:
    """Train every method on the same labels for each seed, then `EQUAL`, and measure; `settings` are RunConfig's."""
    found = []
    prepared = {method: prepare(RunConfig(task=task, method=method, **settings)) for method in students.METHODS}
    teacher = prepared["dho"].teacher_probabilities.cpu()
    count = choose_count(teacher, _counts(teacher.shape[1]))
    students.train(prepared["dho"], shots, 0)  # the first training of a process pays for starting up
    for seed in range(seeds):
        reference = find_clusters(teacher, count, seed=seed).assignment
        for method, parts in prepared.items():  # methods take turns, so that a slow minute hits them all
            say(f"{task}: {method}, seed {seed}")
            found.append(_measure(parts, shots, seed, reference, count))
        alone = {f.method: f for f in found if f.seed == seed}
        found.append(_as_accurate(alone["ce"], alone["dho"].accuracy, prepared["ce"], shots, reference, count))
    return found


def _as_accurate(
    alone: StudentFinding, wanted: float, prepared: Prepared, shots: int, reference: Tensor, count: int
) -> StudentFinding:
    """Double the labels a class until labels only is as accurate as wanted; interpolate between the last two.

    Where the rarest class has no more, the last stands as it is, less accurate than wanted.
    """
    rarest = int(prepared.task.train.labels.bincount(minlength=prepared.task.num_classes).min())
    fewer = alone
    while alone.accuracy < wanted and (shots := 2 * shots) <= rarest:
        fewer, alone = alone, _measure(prepared, shots, alone.seed, reference, count)
    if fewer.accuracy < wanted <= alone.accuracy:
        ends = (fewer.accuracy, alone.accuracy), (fewer.inherited, alone.inherited)
        alone = alone._replace(accuracy=wanted, inherited=float(np.interp(wanted, *ends)))
    return alone._replace(method=EQUAL)


def _measure(prepared: Prepared, shots: int, seed: int, reference: Tensor, count: int) -> StudentFinding:
    started = time.process_time()
    student, shot = students.train(prepared, shots, seed)
    seconds = time.process_time() - started
    pool, test = prepared.predict(student)
    last = shot.cosines[len(shot.cosines) * 2 // 3 :]
    own = find_clusters(pool.probabilities().cpu(), count, seed=seed).assignment
    started = time.process_time()
    tuned = _tuning_gain(student, test, prepared.task.test.labels)
    return StudentFinding(
        method=prepared.config.method,
        seed=seed,
        accuracy=shot.accuracy,
        teacher_accuracy=prepared.teacher_accuracy,
        cosine=float(np.mean(last)) if last else float("nan"),
        probe=_probe(pool.features, prepared.task.train.labels, test.features, prepared.task.test.labels),
        inherited=agreement(own, reference)[0],
        tuned=tuned,
        seconds=seconds,
        tuning_seconds=time.process_time() - started,
        weights=sum(p.numel() for p in student.parameters()),
        trained_weights=sum(p.numel() for p in student.parameters() if p.requires_grad),
    )


def _probe(features: Tensor, labels: Tensor, test_features: Tensor, test_labels: Tensor) -> float:
    from sklearn.linear_model import RidgeClassifier  # noqa: PLC0415  (slow import)
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    probe = make_pipeline(StandardScaler(), RidgeClassifier()).fit(features.cpu().numpy(), labels.numpy())
    return float(probe.score(test_features.cpu().numpy(), test_labels.numpy()))


def _tuning_gain(student: DualHeadStudent, output: StudentOutput, labels: Tensor) -> float:
    if student.kd_head is student.ce_head:
        return float("nan")
    fixed, chosen = mix_on_halves(output, labels)
    return chosen - fixed


def from_students(task: str, found: Sequence[StudentFinding]) -> list[Evidence]:
    """Return what trained students say about the claims, a piece of evidence a claim."""

    def values(method: str, name: str) -> np.ndarray:
        return np.array([getattr(f, name) for f in found if f.method == method])

    rival = max(("single_head", "kd"), key=lambda method: values(method, "accuracy").mean())
    accuracy = values("dho", "accuracy")
    numbers = {
        "inheritance": values("dho", "inherited") - values(EQUAL, "inherited"),
        "conflict": values("single_head", "cosine"),
        "resolved": values("dho", "cosine"),
        "features": 100 * (values("dho", "probe") - values("single_head", "probe")),
        "baselines": 100 * (accuracy - values(rival, "accuracy")),
        "teacher": 100 * (accuracy - values("dho", "teacher_accuracy")),
        "overhead": 100 * (values("dho", "trained_weights") / values("single_head", "trained_weights") - 1),
        "tuning": 100 * values("dho", "tuning_seconds") / values("dho", "seconds"),
    }
    return [interval(claim, task, list(number)) for claim, number in numbers.items()]


def teacher_clusters(task: str, *, repeats: int = 5, **settings: object) -> list[Evidence]:
    """Compare the teacher's share of mass within its clusters of the pool with that of both controls of 01_teacher.

    The teacher is one, so its seeds are those of k-means and of the controls; 01_teacher prints the same shares.
    """
    prepared = prepare(RunConfig(task=task, **settings))
    images, answers = prepared.embeddings.cpu(), prepared.teacher_probabilities.cpu()
    count = choose_count(answers, _counts(answers.shape[1]))
    gaps: dict[str, list[float]] = {"shuffled": [], "random sentences": []}
    for seed in range(repeats):
        ours = find_clusters(answers, count, seed=seed).mass_within_radius
        shuffled = shuffle_classes(answers, generator=generator(0, "shuffle", seed))
        unmeant = random_sentences(images, answers, generator=generator(0, "sentences", seed))
        for several, control in zip(gaps.values(), (shuffled, unmeant), strict=True):
            several.append(ours - find_clusters(control, count, seed=seed).mass_within_radius)
    return [interval("clusters", f"{task} less {name}", several) for name, several in gaps.items()]


def _counts(classes: int) -> list[int]:
    """Return the numbers of clusters to choose from: quarters of the number of classes, up to twice it."""
    return sorted({max(2, classes * k // 4) for k in range(1, 9)})
