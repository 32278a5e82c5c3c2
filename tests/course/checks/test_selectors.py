"""Wrong solutions of 03_selectors get the sentence that helps."""

import pytest
import torch

from activekd_lab.course.checks import check
from activekd_lab.selectors import k_center_greedy, select

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda p: (p * p.log()).sum(1), "gives NaN: 0 · log 0 counts as 0"),
        (lambda p: -torch.special.entr(p).sum(1), "wrong sign"),
        (lambda p: torch.special.entr(p).sum(1) / torch.tensor(2.0).log(), "bits"),
        (lambda p: torch.special.entr(p).mean(1), "means over the classes"),
        (lambda p: 1 - p.max(1).values, "least confidence"),
        (lambda p: torch.special.entr(p).sum(), "one number an image, but got ()"),
        (lambda p: torch.special.entr(p).sum(0), "one number an image, but got (3,)"),
        (lambda p: p.max(1).values, "should give"),
    ],
)
def test_entropy(function, message):
    found = check("03.entropy", function)
    assert found.status == "failed"
    assert message in found.message


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda p, c: torch.cdist(p, c).max(), "farthest centre"),
        (lambda p, c: torch.cdist(p, c).min(1).values.mean(), "mean distance"),
        (lambda p, c: torch.cdist(p, c).min(), "smallest distance of all"),
        (lambda p, c: torch.cdist(p, c).min(1).values.max() ** 2, "squared"),
        (lambda p, c: torch.cdist(p, c).min(0).values.max(), "dim=1"),
        (lambda p, c: 5.0, "should give 4, but got 5"),
    ],
)
def test_covering_radius(function, message):
    found = check("03.covering_radius", function)
    assert found.status == "failed"
    assert message in found.message


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda p, c: int(torch.cdist(p, c).min(1).values.argmin()), "smallest distance instead of the largest"),
        (lambda p, c: int(torch.cdist(p, c[:1])[:, 0].argmax()), "only 3 from its nearest"),
        (lambda p, c: int(torch.cdist(p, c).mean(1).argmax()), "only 3 from its nearest"),
        (lambda p, c: int(torch.cdist(p, c).max(1).values.argmax()), "only 3 from its nearest"),
        (lambda p, c: int((p - c.mean(0)).norm(dim=1).argmax()), "only 3 from its nearest"),
        (lambda p, c: 3, "√26"),
        (lambda p, c: 7, "from 0 to 5"),
        (lambda p, c: torch.cdist(p, c).min(1).values, "1 positions, but got"),
    ],
)
def test_farthest(function, message):
    found = check("03.farthest", function)
    assert found.status == "failed"
    assert message in found.message


def test_the_point_farthest_from_its_nearest_centre_passes():
    assert check("03.farthest", lambda p, c: int(torch.cdist(p, c).min(1).values.argmax())).status == "passed"


def picks(view, budget, name="pcoreset"):
    return select(name, view, budget, generator=torch.Generator().manual_seed(0))


def greedy(view, budget, points, centers):
    return view.ids[k_center_greedy(points, centers, budget).indices]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda v, b: picks(v, b)[:1].expand(b), "picked twice"),
        (lambda v, b: picks(v, b) - 100, "positions in the pool"),
        (lambda v, b: picks(v, b).sort().values, "another order"),
        (lambda v, b: picks(v, b) + 100, "no ids of the pool"),
        (lambda v, b: greedy(v, b, v.features, v.labeled_features), "compares features"),
        (lambda v, b: greedy(v, b, v.probabilities, None), "do not count as covered"),
        (
            lambda v, b: v.ids[torch.cdist(v.probabilities, v.labeled_probabilities).min(1).values.topk(b).indices],
            "made at once",
        ),
        (lambda v, b: picks(v, b, "entropy"), "Pick 1 should be image"),
        (lambda v, b: picks(v, b + 1), "Expected shape (4,), one id a pick, but got (5,)"),
    ],
)
def test_pcoreset(function, message):
    found = check("03.pcoreset", function)
    assert found.status == "failed"
    assert message in found.message
