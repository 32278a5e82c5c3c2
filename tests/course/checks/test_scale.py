"""Wrong solutions of 09_scale get the sentence that helps."""

import pytest
import torch

from activekd_lab.course.checks import check

pytestmark = pytest.mark.quick


def by_bounds(bounds, exact, stop=True):
    best, place = -1.0, -1
    for i in bounds.argsort(descending=True).tolist():
        if stop and bounds[i] <= best:
            break
        if (distance := exact(i)) > best:
            best, place = distance, i
    return place


def in_order(bounds, exact):
    best, place = -1.0, -1
    for i in range(len(bounds)):
        if bounds[i] > best and (distance := exact(i)) > best:
            best, place = distance, i
    return place


def asks_first(bounds, exact):
    best, place = -1.0, -1
    for i in bounds.argsort(descending=True).tolist():
        distance = exact(i)
        if bounds[i] <= best:
            break
        if distance > best:
            best, place = distance, i
    return place


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda b, e: b.argmax(), "largest bound; its true distance may be smaller"),
        (lambda b, e: min(range(len(b)), key=e), "nearest point"),
        (lambda b, e: 0.9, "a whole number, but got 0.9. Is that the distance?"),
        (lambda b, e: 6, "Point 6 is at 0.6, but another is at 0.9"),
        (lambda b, e: 3, "never called"),
        (lambda b, e: by_bounds(b, e, stop=False), "every point was asked for"),
        (in_order, "4 distances were asked for where 3 do"),
        (asks_first, "before* you ask"),
        (lambda b, e: by_bounds(b, lambda i: max(e(i), e(i))), "asked for twice"),
        (lambda b, e: by_bounds(b, e) if b[1] > 1 else [e(3), e(1)] and 3, "one look is enough"),
    ],
)
def test_lazy_farthest(function, message):
    found = check("09.lazy_farthest", function)
    assert found.status == "failed"
    assert message in found.message


def test_the_lazy_way_passes():
    assert check("09.lazy_farthest", by_bounds).status == "passed"


def in_blocks(x, y, w, P):
    return sum(share(a, b, w, 0, 1) for a, b in zip(x.chunk(P), y.chunk(P), strict=True)) / P


def share(x, y, w, r, P):
    return 2 * x[r::P].T @ (x[r::P] @ w - y[r::P]) / len(x[r::P])


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x, y, w, P: sum(share(x, y, w, r, P) for r in range(P)), "sum over the processes"),
        (lambda x, y, w, P: sum(share(x, y, w, r, P) * len(x) / P for r in range(P)) / P, "mean over its own images"),
        (lambda x, y, w, P: share(x, y, w, 0, P), "one process's share"),
        (lambda x, y, w, P: x.T @ (x @ w - y) / len(x), "derivative of"),
        (lambda x, y, w, P: 2 * x.T @ (x @ w - y) / len(x), "3, 3 and 2 images"),
        (lambda x, y, w, P: sum(share(x, y, w, r, 4) for r in range(4)) / 4, "3, 3 and 2 images"),
        (lambda x, y, w, P: sum(share(x[: 8 // P * P], y[: 8 // P * P], w, r, P) for r in range(P)) / P, "3, 3 and 2"),
        (in_blocks, "blocks of neighbours"),
        (lambda x, y, w, P: torch.zeros(3), "four processes with two images each should give"),
    ],
)
def test_shared_gradient(function, message):
    found = check("09.shared_gradient", function)
    assert found.status == "failed"
    assert message in found.message


def test_the_mean_of_the_shares_passes():
    found = check("09.shared_gradient", lambda x, y, w, P: sum(share(x, y, w, r, P) for r in range(P)) / P)
    assert found.status == "passed"
