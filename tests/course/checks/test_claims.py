import numpy as np
import pytest
from scipy import stats

from activekd_lab.course.checks import check

pytestmark = pytest.mark.quick


def interval(values, *, ddof=1, df=1, level=0.975, root=True):
    sd, n = np.std(values, ddof=ddof), len(values)
    half = stats.t.ppf(level, n - df) * sd / (n**0.5 if root else 1)
    return np.mean(values) - half, np.mean(values) + half


def test_students_interval_passes():
    assert check("08.interval", interval).status == "passed"


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"ddof": 0}, "n − 1"),
        ({"df": 0}, "degrees"),
        ({"level": 0.95}, "97.5%"),
        ({"root": False}, "√n"),
    ],
)
def test_known_mistakes_are_named(wrong, word):
    result = check("08.interval", lambda values: interval(values, **wrong))
    assert result.status == "failed"
    assert word in result.message


def test_normal_intervals_and_bare_deviations_are_named():
    normal = check("08.interval", lambda v: np.mean(v) + np.array([-1.96, 1.96]) * np.std(v, ddof=1) / len(v) ** 0.5)
    bare = check("08.interval", lambda v: np.mean(v) + np.array([-1, 1]) * np.std(v, ddof=1))
    assert "1.96" in normal.message
    assert "scatter" in bare.message


def side(low, high, threshold, above):
    if not above:
        low, high, threshold = -high, -low, -threshold
    return "for" if low > threshold else "against" if high < threshold else "open"


def test_sides():
    assert check("08.side", side).status == "passed"
    assert "below 0" in check("08.side", lambda low, high, t, above: side(low, high, t, True)).message
    assert "open" in check("08.side", lambda low, high, t, above: low > t).message


def for_or_against(low, high, threshold, above):
    """Never open where a small number speaks for the claim."""
    found = side(low, high, threshold, above)
    return "for" if not above and found == "open" else found


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (for_or_against, "8.0 … 14.0, with numbers below 10"),
        (lambda low, high, t, above: side(low, high, 0 if above else t, above), "0.2 … 0.5, with numbers above 0.999"),
    ],
)
def test_sides_that_forget_the_threshold_or_the_open_interval_are_refused(wrong, words):
    result = check("08.side", wrong)
    assert result.status == "failed"
    assert words in result.message
