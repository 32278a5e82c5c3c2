"""Checks of 07_compare: the label cost of an accuracy, and Holm's correction."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from activekd_lab import stats
from activekd_lab.course.checks.base import Function, at_random, call, register
from activekd_lab.course.checks.values import Wrong, close, same, tensor_like

if TYPE_CHECKING:
    from torch import Generator


@register("07.label_cost")
def label_cost(function: Function) -> str:
    """Check the number of labels at which a learning curve first reaches a target."""
    labels, accuracy = [10, 20, 40], [0.4, 0.6, 0.5]
    between = _number(call(function, labels, accuracy, 0.5), "a target between two rounds")
    mistakes = {
        20.0: "That is the round after the target is reached. Take the straight line between the two rounds.",
        10.0: "That is the round before the target is reached. Take the straight line between the two rounds.",
        40.0: "The curve reaches 0.5 a second time at 40 labels, but the first time counts.",
    }
    if between in mistakes:
        raise Wrong(mistakes[between])
    if abs(between - 15) > 1e-6:
        raise Wrong(f"From 0.4 at 10 labels to 0.6 at 20, the target 0.5 is reached at 15 labels, but got {between:g}.")
    start = _number(call(function, labels, accuracy, 0.3), "a target below the start")
    if start != 10:
        raise Wrong(f"The curve starts above 0.3, so the answer is its first count, 10, but got {start:g}.")
    exact = _number(call(function, labels, accuracy, 0.6), "a target that a round reaches exactly")
    if exact == labels[-1]:
        raise Wrong("The whole curve was interpolated, but it falls again: look for the first round that gets there.")
    if abs(exact - 20) > 1e-6:
        raise Wrong(f"The target 0.6 is reached exactly at 20 labels, but got {exact:g}. Is it ≥ rather than >?")
    nothing = "The curve never reaches 0.7, and the function returns None there; never is infinity: `math.inf`."
    never = _number(call(function, labels, accuracy, 0.7, none=nothing), "a target that is never reached")
    if not math.isinf(never):
        raise Wrong(f"The curve never reaches 0.7, so the cost is infinite, but got {never:g}.")
    at_random(function, stats.label_cost, _curve, "the cost on a drawn curve")
    return "Right, and a curve that never gets there costs infinitely much, not as much as its last round."


def _curve(generator: Generator) -> tuple[list[int], list[float], float]:
    """Return rising label counts, accuracies, and a target that the last of them reaches."""
    import torch  # noqa: PLC0415  (slow import)

    labels = torch.randint(1, 30, (6,), generator=generator).cumsum(0).tolist()
    accuracy = torch.rand(6, generator=generator).double().tolist()
    return labels, accuracy, accuracy[-1] * 0.9 + 0.01 * accuracy[0]


def _number(found: object, where: str) -> float:
    if isinstance(found, bool) or not hasattr(found, "__float__"):
        raise Wrong(f"For {where}, one number is expected, but got {type(found).__name__}.")
    return float(found)


@register("07.holm")
def holm(function: Function) -> str:
    """Check Holm's step-down correction."""
    import torch  # noqa: PLC0415  (slow import)

    p = [0.04, 0.01, 0.03]
    found = tensor_like(call(function, p), (3,), "a corrected value for each p value")
    mistakes = {
        "Every value is multiplied by m. That is Bonferroni's correction; Holm's multiplies by m, m − 1, … 1.":
            [0.12, 0.03, 0.09],
        "That is Benjamini and Hochberg's correction, which bounds the share of wrong yeses; Holm's does not "
        "divide by the rank, and keeps the values from falling from the smallest up.": [0.04, 0.03, 0.04],
        "The values come in sorted order. Give them back in the order in which they came.": [0.03, 0.06, 0.06],
        "A corrected value is smaller than one before it: keep them from falling, from the smallest p value up.":
            [0.04, 0.03, 0.06],
        "The largest p value is multiplied by m. Start with the smallest.": [0.12, 0.01, 0.06],
        "These are the p values as they came.": p,
    }  # fmt: skip
    for message, wrong in mistakes.items():
        if close(found, wrong):
            raise Wrong(message)
    same(found, [0.06, 0.03, 0.06], "the corrected values of 0.04, 0.01 and 0.03")
    large = tensor_like(call(function, [0.6, 0.9]), (2,), "a corrected value for each p value")
    if float(large.max()) > 1:
        raise Wrong("A p value is a probability: cap the corrected values at 1.")
    same(large, [1.0, 1.0], "the corrected values of 0.6 and 0.9")
    at_random(
        function, stats.holm, lambda g: (torch.rand(5, generator=g).double().pow(3).tolist(),), "the corrected values"
    )
    return "Right: of the three only the smallest stays below 5%."
