"""Wrong solutions of 04_activekd get the sentence that helps; other right ones pass."""

import numpy as np
import pytest
import torch

from activekd_lab.course.checks import check
from activekd_lab.stats import area

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (area, ""),
        (lambda x, y: np.trapezoid(y, x) / (x[-1] - x[0]), ""),
        (lambda x, y: np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2) / (x[-1] - x[0]), ""),
        (lambda x, y: np.trapezoid(y, x), "whole area"),
        (lambda x, y: np.mean(y), "plain mean"),
        (lambda x, y: np.sum(np.diff(x) * y[:-1]) / (x[-1] - x[0]), "left end"),
        (lambda x, y: np.sum(np.diff(x) * y[1:]) / (x[-1] - x[0]), "right end"),
        (lambda x, y: np.trapezoid(y, x) / x[-1], "not from 0"),
    ],
)
def test_area(function, message):
    agrees("04.area", function, message)


def shares(counts):
    return counts / counts.sum()


def nats(counts):
    return torch.special.entr(shares(counts)).sum()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda n: nats(n) / torch.tensor(float(len(n))).log(), ""),
        (lambda n: -sum(p * np.log(p) for p in shares(n).tolist() if p) / np.log(len(n)), ""),
        (lambda n: (shares(n) * shares(n).log()).sum(), "gives NaN"),
        (lambda n: -nats(n) / np.log(len(n)), "sign is turned"),
        (nats, "in nats; divide"),
        (lambda n: nats(n) / np.log(max(2, int((n > 0).sum()))), "that have labels"),
        (lambda n: nats(n) / np.log(len(n)) / len(n), "a mean over the classes"),
        (lambda n: nats(n) / np.log2(len(n)), "one of them"),
        (lambda n: nats(n) / np.log(4), "evenness of 5, 5, 5 labels should give 1"),
        (lambda n: 1 - shares(n).max(), "evenness of 6, 2, 0 and 0 labels should give 0.4056"),
    ],
)
def test_evenness(function, message):
    agrees("04.evenness", function, message)


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
