"""Wrong solutions of 04_activekd get the sentence that helps; other right ones pass."""

import numpy as np
import pytest

from activekd_lab.checks import check
from activekd_lab.mixing import mixed
from activekd_lab.stats import area


def by_numpy(ce, kd, weight, temperature):
    return mixed(ce.numpy(), kd.numpy(), ce_weight=weight, kd_temperature=temperature)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (by_numpy, ""),
        (lambda c, k, w, t: (1 - w) * c.softmax(1) + w * (k / t).softmax(1), "weights are swapped"),
        (lambda c, k, w, t: w * c.softmax(1) + (1 - w) * k.softmax(1), "no effect"),
        (lambda c, k, w, t: w * (c / t).softmax(1) + (1 - w) * (k / t).softmax(1), "softens both"),
        (lambda c, k, w, t: (w * c + (1 - w) * k / t).softmax(1), "mixes logits"),
        (lambda c, k, w, t: c.softmax(1) + (k / t).softmax(1), "sums to 2"),
    ],
)
def test_mix(function, message):
    agrees("04.mix", function, message)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (area, ""),
        (lambda x, y: np.trapezoid(y, x) / (x[-1] - x[0]), ""),
        (lambda x, y: np.trapezoid(y, x), "whole area"),
        (lambda x, y: np.mean(y), "plain mean"),
        (lambda x, y: np.sum(np.diff(x) * y[:-1]) / (x[-1] - x[0]), "left end"),
        (lambda x, y: np.sum(np.diff(x) * y[1:]) / (x[-1] - x[0]), "right end"),
        (lambda x, y: np.trapezoid(y, x) / x[-1], "not from 0"),
    ],
)
def test_area(function, message):
    agrees("04.area", function, message)


def gaps(view):
    return (view.probabilities - view.teacher_probabilities).abs()


def ranked(view):
    return gaps(view).sum(1).argsort(descending=True)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda view, budget, *, generator: view.ids[ranked(view)][:budget], ""),
        (lambda view, budget, *, generator: ranked(view)[:budget], "positions among the rows"),
        (lambda view, budget, *, generator: view.ids[ranked(view).flip(0)][:budget], "agree most"),
        (lambda view, budget, *, generator: view.ids[ranked(view)[:budget].flip(0)], "not in order"),
        (lambda view, budget, *, generator: view.ids[gaps(view).pow(2).sum(1).topk(budget).indices], "or squares"),
        (lambda view, budget, *, generator: view.ids[gaps(view).max(1).values.topk(budget).indices], "of one class"),
        (lambda view, budget, *, generator: view.ids[:budget], "should give"),
        (lambda view, budget, *, generator: view.ids[ranked(view)][:3], "would refuse it"),
        (lambda view, budget: view.ids[:budget], "unexpected keyword argument 'generator'"),
    ],
)
def test_disagreement(function, message):
    agrees("04.disagreement", function, message)


def agrees(name, function, message):
    """The check passes where no message is expected, else it fails with those words."""
    found = check(name, function)
    assert found.status == ("failed" if message else "passed"), found
    assert message in found.message
