"""What a check says about functions that raise, loop over types, or change their input; and how results look."""

import sys
from collections import Counter

import nbformat
import pytest
import torch

from activekd_lab.course import checks
from activekd_lab.course.checks import base
from activekd_lab.course.checks.base import CHECKS, CheckResult, call, register
from activekd_lab.course.checks.values import Wrong, distinct_positions, same, tensor_like
from activekd_lab.errors import UnknownNameError

pytestmark = pytest.mark.quick


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


def test_an_exercise_is_solved_as_long_as_its_last_check_passed(doubled):
    assert not checks.solved("99.doubled")
    doubled(lambda x: 2 * x)
    assert checks.solved("99.doubled")
    doubled(lambda x: x)
    assert not checks.solved("99.doubled")
    with pytest.raises(UnknownNameError):
        checks.solved("99.dubled")


def test_the_second_failure_offers_the_solution_where_it_lies_beside_and_a_first_one_does_not(
    doubled, tmp_path, monkeypatch
):
    (tmp_path / "instructor").mkdir()
    sources = ["def doubled(x):\n    return 2 * x < 5", 'akd.course.check("99.doubled", doubled)']
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    nbformat.write(notebook, tmp_path / "instructor" / "99_new.ipynb")
    monkeypatch.setattr(base, "_failures", Counter())
    monkeypatch.chdir(tmp_path)
    assert doubled(lambda x: x).solution == ""
    second = doubled(lambda x: x)
    assert second.solution == sources[0]
    assert "<details><summary>A solution</summary><pre>def doubled(x):\n    return 2 * x &lt; 5" in second._repr_html_()
    assert doubled(lambda x: 2 * x).solution == ""
    monkeypatch.chdir(tmp_path / "instructor")  # as in a class, which gets none
    assert doubled(lambda x: x).solution == ""


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
