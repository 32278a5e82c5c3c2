"""What a check says about functions that raise, loop over types, or change their input; and how results look."""

import sys

import pytest
import torch

from activekd_lab import checks
from activekd_lab.checks.base import CHECKS, CheckResult, Wrong, call, distinct_positions, register, same, tensor_like
from activekd_lab.errors import UnknownNameError


@pytest.fixture
def doubled():
    """A check for a function that doubles a tensor."""

    @register("99.doubled", points=2)
    def examine(function):
        found = tensor_like(call(function, torch.tensor([1.0, 2.0])), (2,), "one number an entry")
        same(found, torch.tensor([2.0, 4.0]), "twice 1 and 2")
        return "Well done."

    yield lambda function: checks.check("99.doubled", function)
    del CHECKS["99.doubled"]


def raising(x):
    return x + torch.zeros(3)


@pytest.mark.parametrize(
    ("function", "status", "message"),
    [
        (lambda x: 2 * x, "passed", "Well done."),
        (lambda x: (2 * x).numpy(), "passed", "Well done."),
        (lambda x: [2, 4], "passed", "Well done."),
        (lambda x: x, "failed", "twice 1 and 2 should give 2, but got 1 (number 0 of 2)"),
        (lambda x: x.mul_(2), "failed", "changes its input in place"),
        (lambda x: None, "failed", "returns None"),
        (lambda x: 2 * x[:, None], "failed", "Expected shape (2,), one number an entry, but got (2, 1)"),
        (lambda x: x / 0, "failed", "NaN or infinity"),
        (lambda x: "4", "failed", "Expected a tensor of shape (2,), one number an entry, but got str"),
        (lambda x, y: x, "failed", "TypeError"),
        (raising, "failed", f"line {raising.__code__.co_firstlineno + 1} of the cell (`return x + torch.zeros(3)`)"),
        (lambda x: sys.exit(3), "failed", "SystemExit: 3"),
        (7, "failed", "A function is expected, but got int"),
    ],
)
def test_a_wrong_answer_is_named_and_nothing_is_raised(doubled, function, status, message):
    found = doubled(function)
    assert found.status == status
    assert message in found.message


def test_a_stub_is_not_started(doubled):
    def stub(x):
        raise NotImplementedError("your turn")

    assert doubled(stub).status == "not started"


@pytest.mark.parametrize(
    ("picks", "message"),
    [([0, 0], "picked twice: [0, 0]"), ([0, 5], "from 0 to 4"), ([0.5, 1], "whole numbers"), ([1], "2 positions")],
)
def test_picks_are_distinct_positions(picks, message):
    with pytest.raises(Wrong, match=message.replace("[", r"\[").replace("]", r"\]")):
        distinct_positions(picks, 2, 5)


def test_an_unknown_exercise_is_refused_with_the_nearest_first():
    with pytest.raises(UnknownNameError, match=r"Unknown exercise '00\.acuracy'\. Known, nearest first: 00\.accuracy"):
        checks.check("00.acuracy", len)


def test_a_result_reads_in_a_terminal_and_in_a_notebook():
    found = CheckResult("03.entropy", "failed", "x < 0")
    assert repr(found) == "✗ 03.entropy: failed. x < 0"
    assert "x &lt; 0" in found._repr_html_()
    assert 'role="status"' in found._repr_html_()
