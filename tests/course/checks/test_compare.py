import math

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from activekd_lab import stats
from activekd_lab.course.checks import check

pytestmark = pytest.mark.quick


def interpolated(labels, accuracy, target, *, never=math.inf):
    for i, value in enumerate(accuracy):
        if value >= target:
            return labels[0] if i == 0 else float(np.interp(target, accuracy[i - 1 : i + 1], labels[i - 1 : i + 1]))
    return never


def test_the_librarys_own_functions_pass():
    assert check("07.label_cost", stats.label_cost).status == "passed"
    assert check("07.label_cost", interpolated).status == "passed"
    assert check("07.holm", stats.holm).status == "passed"
    assert check("07.holm", lambda p: stats.holm(p).tolist()).status == "passed"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda n, a, t: next((n[i] for i, v in enumerate(a) if v >= t), math.inf), "the round after"),
        (lambda n, a, t: interpolated(n, a, t, never=n[-1]), "never reaches 0.7"),
        (lambda n, a, t: interpolated(n, a, t, never=None), "returns None there; never is infinity: `math.inf`"),
        (lambda n, a, t: None, "returns None; the last line"),
        (lambda n, a, t: n[-1] if a[-1] >= t else math.inf, "a second time"),
        (lambda n, a, t: 1 / 0, "ZeroDivisionError"),
        (lambda n, a, t: [1], "one number is expected, but got list"),
        (lambda n, a, t: interpolated(n, a, t) + 1, "is reached at 15 labels, but got 16"),
        (lambda x, y, t: float(np.interp(t, y, x)), "whole curve was interpolated"),
    ],
)
def test_mistakes_in_the_label_cost_are_named(wrong, words):
    result = check("07.label_cost", wrong)
    assert result.status == "failed"
    assert words in result.message


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda p: [min(1, len(p) * x) for x in p], "Bonferroni"),
        (false_discovery_control, "Benjamini and Hochberg"),
        (lambda p: sorted(stats.holm(p)), "sorted order"),
        (lambda p: np.array(p) * (len(p) - np.argsort(np.argsort(p))), "smaller than one before"),
        (lambda p: np.array(p) * (1 + np.argsort(np.argsort(p))), "Start with the smallest"),
        (lambda p: p, "as they came"),
        (lambda p: stats.holm(p)[:2], "a corrected value for each"),
        (lambda p: stats.holm(p) * (1.2 if max(p) > 0.5 else 1), "cap the corrected values at 1"),
    ],
)
def test_mistakes_in_holms_correction_are_named(wrong, words):
    result = check("07.holm", wrong)
    assert result.status == "failed"
    assert words in result.message


def test_an_exercise_that_was_not_started_is_no_failure():
    def later(*arguments):
        raise NotImplementedError("your turn")

    assert check("07.holm", later).status == check("07.label_cost", later).status == "not started"
