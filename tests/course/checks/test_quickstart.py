"""Wrong solutions of 00_quickstart get the sentence that helps."""

import pytest

from activekd_lab.course.checks import check

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda p, y: (p.argmax(1) == y).sum(), "counts the right answers"),
        (lambda p, y: 100 * (p.argmax(1) == y).float().mean(), "percentage"),
        (lambda p, y: (p.argmax(1) != y).float().mean(), "share of wrong answers"),
        (lambda p, y: p[range(5), y].mean(), "mean probability of the true class"),
        (lambda p, y: (p[range(5), y] >= 0.5).float().mean(), "may have less than one half"),
        (lambda p, y: (p.argmax(1) == y).mean(), "`.float()` first"),
        (lambda p, y: p.argmax(1) == y, "Expected shape (), one number"),
        (lambda p, y: 0.5, "should give 0.6, but got 0.5"),
        (lambda p, y: 0.6, "the accuracy of drawn rows, other inputs than before, should give"),
    ],
)
def test_accuracy(function, message):
    found = check("00.accuracy", function)
    assert found.status == "failed"
    assert message in found.message


def test_the_share_of_right_answers_passes():
    assert check("00.accuracy", lambda p, y: (p.argmax(1) == y).float().mean()).status == "passed"


def answers(p):
    return p.argmax(1).bincount(minlength=4)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda p, y: y.bincount(minlength=4) - answers(p), "sign"),
        (lambda p, y: answers(p), "counts the answers"),
        (lambda p, y: p.mean(0), "should give 2"),
        (lambda p, y: p.sum(0) - y.bincount(minlength=4), "sums probabilities"),
        (lambda p, y: y.bincount(), "minlength"),
        (lambda p, y: p.argmax(1).bincount() - y.bincount(), "minlength"),
        (lambda p, y: answers(p) - y.bincount(), "different lengths"),
    ],
)
def test_surplus(function, message):
    found = check("00.surplus", function)
    assert found.status == "failed"
    assert message in found.message
