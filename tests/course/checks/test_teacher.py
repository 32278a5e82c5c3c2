"""Wrong solutions of 01_teacher get the sentence that helps; other right ones pass."""

import pytest
import torch
from torch.nn.functional import normalize

from activekd_lab.course.checks import check
from activekd_lab.teachers.bias import Clusters

pytestmark = pytest.mark.quick


def naive(z, t):
    powers = (z / t).exp()
    return powers / powers.sum(1, keepdim=True)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda z, t: (z / t).softmax(1), ""),
        (lambda z, t: torch.exp(torch.log_softmax(z / t, 1)), ""),
        (lambda z, t: z.softmax(1), "no effect"),
        (lambda z, t: (z * t).softmax(1), "less* sure"),
        (lambda z, t: (z / t).softmax(0), "classes are dimension 1"),
        (lambda z, t: z.softmax(1) / t, "divide the logits"),
        (lambda z, t: (z / t).exp(), "sum to 1"),
        (lambda z, t: (z / t).exp() / (z / t).exp().sum(1), "keepdim=True"),
        (naive, "subtract each row's largest"),
        (lambda z, t: naive(z - z.max(), t), "subtract each row's largest"),
    ],
)
def test_softmax(function, message):
    agrees("01.softmax", function, message)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda raw: normalize(normalize(raw, dim=2).sum(0), dim=1), ""),
        (lambda raw: normalize(raw, dim=2).mean(0), "length 1 at the end"),
        (lambda raw: normalize(raw.mean(0), dim=1), "outvote"),
        (lambda raw: raw.mean(0), "plain mean"),
        (lambda raw: (raw / raw.norm()).mean(0), "one norm for all"),
        (lambda raw: normalize(raw, dim=2).mean(0) / normalize(raw, dim=2).mean(0).norm(), "one norm for all"),
        (lambda raw: normalize(raw, dim=2).mean(1), "averages over the classes"),
        (lambda raw: normalize(raw, dim=2)[0], "should give"),
    ],
)
def test_ensemble(function, message):
    agrees("01.ensemble", function, message)


def inside(points, centers, assignment, *, half=2.0, self_distance=float("inf"), count=False, common=None):
    radii = torch.cdist(centers, centers).fill_diagonal_(self_distance).amin(1) / half
    radii = radii if common is None else common(radii).expand(len(radii))
    hits = ((points - centers[assignment]).norm(dim=1) <= radii[assignment]).double()
    return hits.sum() if count else hits.mean()


def by_the_library(points, centers, assignment):
    radii = torch.cdist(centers, centers).fill_diagonal_(float("inf")).amin(1) / 2
    distances = (points - centers[assignment]).norm(dim=1)
    return Clusters(assignment, centers, radii, distances).mass_within_radius


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (by_the_library, ""),
        (inside, ""),
        (lambda p, c, a: inside(p, c, a, half=1.0), "too large"),
        (lambda p, c, a: inside(p, c, a, self_distance=0.0), "diagonal"),
        (lambda p, c, a: inside(p, c, a, count=True), "counts the points"),
        (lambda p, c, a: 1 - inside(p, c, a), "share outside"),
        (lambda p, c, a: inside(p, c, a, common=torch.mean), "one radius for all"),
        (lambda p, c, a: inside(p, c, a, common=torch.max), "one radius for all"),
        (lambda p, c, a: inside(p, c, a, common=torch.min), "smallest radius for all"),
    ],
)
def test_share_inside(function, message):
    agrees("01.share_inside", function, message)


def agrees(name, function, message):
    """The check passes where no message is expected, else it fails with those words."""
    found = check(name, function)
    assert found.status == ("failed" if message else "passed"), found
    assert message in found.message
