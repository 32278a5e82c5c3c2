"""Coverage against distances computed at once."""

import math

import pytest
import torch

from activekd_lab.active import coverage as geometry
from activekd_lab.errors import NonFiniteError, SettingError, UnknownNameError
from activekd_lab.selectors import k_center_greedy

pytestmark = pytest.mark.quick


def probabilities(n, seed):
    return torch.softmax(torch.randn(n, 6, generator=torch.Generator().manual_seed(seed)), 1)


X, C = probabilities(500, 0), probabilities(40, 1)


def test_line_by_hand():
    points, centers = torch.tensor([[0.0], [3.0], [10.0]]), torch.tensor([[0.0], [4.0]])
    assert geometry.nearest_distances(points, centers).tolist() == [0.0, 1.0, 6.0]
    assert geometry.covering_radius(points, centers) == 6.0
    assert geometry.mean_nearest_distance(points, centers) == pytest.approx(7 / 3)
    assert geometry.share_within(points, centers, 1.0) == pytest.approx(2 / 3)
    curve = geometry.coverage_curve(points, centers, [1, 2])
    assert curve == ([1, 2], [10.0, 6.0], [pytest.approx(13 / 3), pytest.approx(7 / 3)])


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "hellinger"])
@pytest.mark.parametrize("piece", [16, 64, 1 << 20])  # of centres, of points, none
def test_pieces_change_nothing(metric, piece, monkeypatch):
    monkeypatch.setattr(geometry, "PIECE", piece)
    x, c = X.double()[:, None], C.double()[None]
    expected = {
        "euclidean": (x - c).norm(dim=2),
        "cosine": 1 - torch.nn.functional.cosine_similarity(x, c, dim=2),
        "hellinger": (x.sqrt() - c.sqrt()).norm(dim=2) / math.sqrt(2),
    }[metric].amin(1)
    torch.testing.assert_close(geometry.nearest_distances(X, C, metric=metric), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "hellinger"])
def test_radii_of_the_selector_are_covering_radii(metric):
    result = k_center_greedy(X, C, 12, metric=metric)
    curve = geometry.coverage_curve(X, torch.cat([C, X[result.indices]]), [40, 41, 46, 52], metric=metric)
    torch.testing.assert_close(torch.tensor(curve.radii), result.radii[[0, 1, 6, 12]].float())


def test_points_are_read_once_however_many_counts(monkeypatch, g):
    points, centers, read = torch.rand(40, 3, generator=g), torch.rand(30, 3, generator=g), []
    transformed = geometry._transformed

    def counting(rows, metric, name):
        read.append(len(rows) if name == "points" else 0)
        return transformed(rows, metric, name)

    monkeypatch.setattr(geometry, "_transformed", counting)
    curve = geometry.coverage_curve(points, centers, range(1, 31))
    assert sum(read) == 40
    nearest = torch.cdist(points.double(), centers.double()).cummin(1).values
    assert curve.radii == pytest.approx(nearest.amax(0).tolist())
    assert curve.means == pytest.approx(nearest.mean(0).tolist())


def test_class_coverage():
    assert geometry.class_coverage(torch.tensor([0, 0, 3]), 4) == 0.5
    assert geometry.class_coverage(torch.tensor([], dtype=torch.long), 4) == 0.0
    with pytest.raises(SettingError, match=r"\[0, 3\)"):
        geometry.class_coverage(torch.tensor([3]), 3)


def test_refusals():
    assert geometry.nearest_distances(X, C[:0]).isinf().all()
    with pytest.raises(UnknownNameError, match="Unknown metric 'manhattan'"):
        geometry.nearest_distances(X, C, metric="manhattan")
    with pytest.raises(SettingError, match=r"\(500, 6\) and \(40, 5\)"):
        geometry.nearest_distances(X, C[:, :5])
    for counts in ([], [0, 2], [3, 3], [41]):
        with pytest.raises(SettingError, match="rising"):
            geometry.coverage_curve(X, C, counts)
    with pytest.raises(NonFiniteError, match="centers"):
        geometry.nearest_distances(X, -C, metric="hellinger")


def test_centres_lie_on_themselves_and_an_offset_changes_nothing():
    p = torch.randn(200, 64, generator=torch.Generator().manual_seed(0)).softmax(1)
    assert geometry.share_within(p, p, 0.0) == 1.0
    assert geometry.coverage_curve(p, p, [100, 200]).radii[1] == 0.0
    x = torch.randn(100, 256, generator=torch.Generator().manual_seed(1)).double() * 1e-3
    expected = torch.cdist(x, x[:30] + 1e-4, compute_mode="donot_use_mm_for_euclid_dist").amin(1)
    found = geometry.nearest_distances(x + 1e5, x[:30] + 1e5 + 1e-4)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)
