"""Wrong solutions of 05_your_images get the sentence that helps."""

import pytest
import torch

from activekd_lab.course.checks import check

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda labels, names: [names[c] for c in sorted(set(labels))], "that have a label"),
        (lambda labels, names: [c for c in range(4) if c not in labels], "class numbers"),
        (lambda labels, names: ["owl", "cat"], "another order"),
        (lambda labels, names: {"cat", "owl"}, "a set, which keeps no order"),
        (lambda labels, names: [], "the answer is ['cat', 'owl'], but got []"),
        (lambda labels, names: ["cat", "owl"], "Without any label"),
    ],
)
def test_without_label(function, message):
    found = check("05.without_label", function)
    assert found.status == "failed"
    assert message in found.message


def mistakes_first(p, y, count):
    """Return what the student would answer otherwise, then the rest, each as they come."""
    return (p.argmax(1) == y).int().argsort(stable=True)[:count]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda p, y, n: p[torch.arange(4), y].argsort(descending=True)[:n], "most probable; the least"),
        (lambda p, y, n: p[torch.arange(4), y].argsort()[:n].flip(0), "worst should come first"),
        (lambda p, y, n: p.max(1).values.argsort()[:n], "unsure the student is of anything"),
        (lambda p, y, n: [0, 3], "0.90, 0.70, 0.02 and 0.30"),
        (lambda p, y, n: [2, 2], "picked twice"),
        (lambda p, y, n: [2, 3], "3 positions"),
        (mistakes_first, "[2, 3, 1], not [2, 3, 0]"),
    ],
)
def test_suspects(function, message):
    found = check("05.suspects", function)
    assert found.status == "failed"
    assert message in found.message


def test_the_least_probable_labels_pass():
    assert check("05.suspects", lambda p, y, n: p[torch.arange(len(y)), y].argsort()[:n]).status == "passed"


def error(a, n):
    return (a * (1 - a) / n) ** 0.5


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda a, n: (a - error(a, n), a + error(a, n)), "one standard error"),
        (lambda a, n: (a - 1.96 * error(a, n), a + 1.96 * error(a, n)), "takes 1.96 standard errors"),
        (lambda a, n: (a + 2 * error(a, n), a - 2 * error(a, n)), "swapped"),
        (lambda a, n: (a - 2 * error(a, n) ** 2, a + 2 * error(a, n) ** 2), "square root"),
        (lambda a, n: (a - 2 * error(a, n), a + 2 * error(a, n)), "cannot pass 1"),
        (lambda a, n: (a - 2 * error(a, n), min(1.0, a + 2 * error(a, n))), "cannot be below 0"),
        (error, "low and high, but got ()"),
        (lambda a, n: (0.0, 1.0), "80% on 100 images should give 0.72, but got 0"),
    ],
)
def test_interval(function, message):
    found = check("05.interval", function)
    assert found.status == "failed"
    assert message in found.message


def test_an_interval_cut_at_both_ends_passes():
    right = lambda a, n: (max(0.0, a - 2 * error(a, n)), min(1.0, a + 2 * error(a, n)))  # noqa: E731
    assert check("05.interval", right).status == "passed"
