"""Every claim of both abstracts: what it says, what is published, and the one number that would show it here."""

from __future__ import annotations

from typing import NamedTuple

ACTIVEKD, DHO = "arXiv:2506.00910", "arXiv:2505.07675"
_REPRODUCE = "activekd-lab reproduce {} --profile paper --out runs/{}"


class Claim(NamedTuple):
    """One claim of an abstract.

    Attributes:
        key: short name.
        paper: arXiv number.
        says: the claim, in our words.
        published: the paper's figure, or "" if the abstract gives none.
        number: what is measured here; "" if nothing here can speak for or against.
        threshold: the number's boundary.
        above: whether a number above the boundary speaks for the claim.
        runs: the runs on real data to start from, or that no study measures it yet.
        unit: of the number and the boundary; "points" are those of accuracy.
    """

    key: str
    paper: str
    says: str
    published: str
    number: str
    runs: str
    threshold: float = 0.0
    above: bool = True
    unit: str = "points"


_ZERO_SHOT, _FEW_SHOT, _IMAGENET, _LABELS_ONLY = (
    _REPRODUCE.format(name, name)
    for name in ("activekd-zero-shot", "dho-few-shot", "dho-low-shot-imagenet", "no-distillation")
)
_TEN = "ten data sets; activekd-imagenet adds ImageNet, where the control without a teacher is a grid of your own"
_BY_HAND = 'not by a study yet; in Python activekd_lab.course.experiments.claims.{}("eurosat", teacher="RN50/openai")'
_CLUSTERS, _STUDENTS = _BY_HAND.format("teacher_clusters"), _BY_HAND.format("measure_students")
CLAIMS = (
    Claim(
        "clusters", ACTIVEKD, "The teacher's predictions form clusters in the probability space.", "",
        "share of the teacher's predictions inside their cluster's ball, less that of a control: classes shuffled in "
        "each prediction, or random sentences as the classes; over starts of k-means and controls", _CLUSTERS,
        unit="of the pool",
    ),
    Claim(
        "inheritance", ACTIVEKD, "The student inherits that structure.", "",
        "adjusted Rand index with the teacher's clusters, DHO less labels only at the same accuracy, interpolated "
        "between label counts", _STUDENTS, unit="of the index",
    ),
    Claim(
        "distillation", ACTIVEKD, "Distillation improves active learning with every selector.",
        "+29.07 points on ImageNet, mean over selectors",
        "mean accuracy over the rounds, DHO less labels only, with the selector that gains least",
        f"{_ZERO_SHOT} and {_LABELS_ONLY} ({_TEN})",
    ),
    Claim(
        "first", ACTIVEKD, "PCoreSet ranks first.", "64 of 73 settings",
        "mean accuracy over the rounds, PCoreSet less the best other selector", _ZERO_SHOT,
    ),
    Claim(
        "later_rounds", ACTIVEKD, "PCoreSet is always best after the first two query rounds.", "always",
        "share of the rounds after query round 2 in which PCoreSet has the highest mean", _ZERO_SHOT, threshold=0.999,
        unit="of the rounds",
    ),
    Claim(
        "space", ACTIVEKD, "What to cover is the probability space, not the feature space.", "",
        "mean accuracy over the rounds, PCoreSet less CoreSet", _ZERO_SHOT,
    ),
    Claim(
        "breadth", ACTIVEKD, "All of this on 11 data sets, with 5 students and 3 teachers.", "11, 5 and 3", "",
        f"{_ZERO_SHOT} (10 data sets, 3 students; activekd-few-shot adds CLAP, activekd-imagenet the eleventh)",
    ),
    Claim(
        "conflict", DHO, "On one head, the gradients of labels and teacher conflict.", "",
        "cosine between them on the shared layers, one head, last third of training", _STUDENTS, above=False,
        unit="(cosine)",
    ),
    Claim(
        "resolved", DHO, "Two heads resolve the conflict.", "", "the same cosine, two heads", _STUDENTS, threshold=-0.1,
        unit="(cosine)",
    ),
    Claim(
        "features", DHO, "Two heads learn better features than one.", "",
        "accuracy of a linear probe on the student's features, DHO less one head", _STUDENTS,
    ),
    Claim(
        "baselines", DHO, "DHO beats distillation on one head.", "15 data sets (abstract of version 2)",
        "test accuracy, DHO less the better of one head (CE + KD) and teacher only", _FEW_SHOT,
    ),
    Claim(
        "teacher", DHO, "The student, though smaller, often beats its teacher.", "",
        "test accuracy, DHO less the zero-shot teacher (which is the smaller one here)", _FEW_SHOT,
    ),
    Claim(
        "overhead", DHO, "The second head costs next to nothing.", "",
        "weights to train, DHO over one head; 10% more counts as next to nothing", _STUDENTS,
        threshold=10.0, above=False, unit="% more",
    ),
    Claim(
        "tuning", DHO, "The mix of the heads can be tuned at test time, without training again.", "",
        "processor time of choosing the mix on half of the test images", _STUDENTS, threshold=100.0, above=False,
        unit="% of a training",
    ),
    Claim(
        "imagenet", DHO, "State of the art on ImageNet with 1% and 10% of the labels.",
        "81.6% and 82.8% (ViT-B/16)", "", _IMAGENET,
    ),
    Claim(
        "shift", DHO, "State of the art on ImageNet's variants (V2, Sketch, A, R).", "", "",
        "activekd-lab data shift STUDENT --root R, with a student that `run --task imagenet --save-student` kept",
    ),
)  # fmt: skip
"""Every claim of both abstracts, in their order."""
