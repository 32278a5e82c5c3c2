"""Whether a teacher knows more than guessing would, judged by the labels that there are anyway."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

LEVEL = 0.05
"""Guessing that does as well in more than this share of cases cannot be told from the teacher."""


class Guessed(NamedTuple):
    """How often a teacher was right on some labels, and what guessing would be right on.

    Attributes:
        right: labels that the teacher's likeliest class agrees with.
        labels: how many there are.
        chance: the larger of 1 / C and the share of the commonest class among these labels, which is what always
            naming that class is right on (1 / C where all are of one class); in (0, 1).
    """

    right: int
    labels: int
    chance: float

    @classmethod
    def of(cls, predicted: Sequence[int], labels: Sequence[int], num_classes: int) -> Guessed:
        """Count: `predicted` and `labels` are class indices, one a label."""
        right = sum(p == y for p, y in zip(predicted, labels, strict=True))
        counts = Counter(labels)
        commonest = max(counts.values()) / len(labels) if len(counts) > 1 else 0
        return cls(right, len(labels), max(1 / num_classes, commonest))

    @property
    def p_value(self) -> float:
        """The exact binomial probability that guessing is right on as many labels, or more."""
        from scipy.stats import binom  # noqa: PLC0415  (slow import)

        return float(binom.sf(self.right - 1, self.labels, self.chance))

    @property
    def remark(self) -> str:
        """One sentence where the teacher cannot be told from guessing, and what to do; "" where it can.

        Also "" where the labels are so few, or so much of one class, that no teacher could be told from it.
        """
        if self.chance**self.labels > LEVEL or (p := self.p_value) <= LEVEL:
            return ""
        return (
            f"The teacher is right on {self.right} of {self.labels} labels, and guessing, which is right on "
            f"{self.chance:.0%} (the larger of 1/C and the commonest class's share), does as well in {p:.0%} of cases "
            "(exact binomial test); what it teaches may be noise: look at the class names and templates that it is "
            "prompted with, take another teacher, or learn from labels alone (method='ce')."
        )
