"""What keeps a student below its teacher: each suspect measured alone, on the same labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from activekd_lab.active.pool import Pool
from activekd_lab.active.prepare import prepare
from activekd_lab.active.rounds import accuracy, train_student
from activekd_lab.config import RunConfig
from activekd_lab.students.mixing import mixed, mixing_data
from activekd_lab.students.student import StudentOutput


class Ceilings(NamedTuple):
    """Accuracies on the test split, fractions; the students have the same labels unless it says otherwise.

    Attributes:
        teacher: zero-shot.
        two_heads: DHO, both heads mixed half and half.
        label_head, teacher_head: each of these heads alone.
        best_mix: of the two, chosen on every second test image and measured on the others.
        one_head: labels and teacher on one head.
        copy: no label, the teacher alone: how well this network can imitate it.
        all_labels: no teacher, every label of the pool: what this network can learn.
    """

    teacher: float
    two_heads: float
    label_head: float
    teacher_head: float
    best_mix: float
    one_head: float
    copy: float
    all_labels: float

    def margin(self, images: int) -> float:
        """Return two standard errors of the teacher's accuracy on that many test images."""
        return 2 * math.sqrt(self.teacher * (1 - self.teacher) / images)

    def advice(self, images: int) -> str:
        """Return the row of notebook `04_activekd`'s decision rule that applies; in the order of asking.

        Args:
            images: in the test split. What differs from the teacher by less than `margin(images)` counts as level;
                for `best_mix`, which half of them measured, by less than `margin(images / 2)`.
        """
        half = self.margin(images // 2)
        margins = {"two_heads": self.margin(images), "best_mix": half, "one_head": self.margin(images)}
        over = {name: float(getattr(self, name)) - self.teacher - margin for name, margin in margins.items()}
        best = max(over, key=lambda name: over[name])
        if over[best] > 0:
            return f"overtaken, by {best}: the next labels are worth more than the teacher"
        level = [name for name, margin in margins.items() if over[name] + 2 * margin >= 0]
        if level:
            return f"level with its teacher ({', '.join(level)}), as far as {images} test images can tell"
        if self.all_labels < self.teacher - self.margin(images):
            return "the network cannot learn the task: train longer, then the backbone"
        if self.copy < self.teacher - self.margin(images):
            return "the network cannot imitate its teacher: train longer, then the backbone; heads and mix come later"
        return "labels are missing: answer with the teacher for now, and go on buying"


def ceilings(config: RunConfig, ids: Sequence[int], *, seed: int = 0) -> Ceilings:
    """Train a student each way on the labels of `ids`, training images of the config's task, and measure it.

    Example:
        >>> found = ceilings(RunConfig(task="digits", steps=20), range(20))
        >>> 0 < found.copy < 1
        True
    """
    prepared = prepare(config.with_(method="dho"))
    assert prepared.taught is not None
    y, everything = prepared.task.test.labels, range(len(prepared.task.train))
    two, one, copy = (_answers(config.with_(method=method), ids, seed) for method in ("dho", "single_head", "kd"))
    return Ceilings(
        teacher=prepared.taught.accuracy,
        two_heads=accuracy(two.probabilities(), y),
        label_head=accuracy(two.ce_logits, y),
        teacher_head=accuracy(two.kd_logits, y),
        best_mix=mix_on_halves(two, y)[1],
        one_head=accuracy(one.probabilities(), y),
        copy=accuracy(copy.probabilities(), y),
        all_labels=accuracy(_answers(config.with_(method="ce"), everything, seed).probabilities(), y),
    )


def _answers(config: RunConfig, ids: Sequence[int], seed: int) -> StudentOutput:
    """Return what a student trained on the labels of `ids` says of the test images."""
    prepared = prepare(config)
    pool = Pool(prepared.task.train)
    pool.buy(ids, round_index=0, source="initial")
    student, _ = train_student(prepared, pool, seed=seed, key=0)
    return prepared.predict(student)[1]


def mix_on_halves(output: StudentOutput, labels: Tensor) -> tuple[float, float]:
    """Return the accuracy on every second image of the fixed mix, and of the one chosen on the other images."""
    ce, kd, y = (part.cpu().numpy() for part in (output.ce_logits, output.kd_logits, labels))
    weight, temperature, _ = mixing_data(ce[::2], kd[::2], y[::2]).best

    def measure(ce_weight: float, kd_temperature: float) -> float:
        mix = mixed(ce[1::2], kd[1::2], ce_weight=ce_weight, kd_temperature=kd_temperature)
        return float((mix.argmax(1) == y[1::2]).mean())

    return measure(0.5, 1.0), measure(weight, temperature)
