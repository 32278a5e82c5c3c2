"""The engine against brute force: every distance, in float64 differences."""

import dataclasses
from contextlib import suppress

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activekd_lab.errors import Cancelled, NonFiniteError, PoolError, SettingError, UnknownNameError
from activekd_lab.selectors import k_center_greedy, kcenter
from activekd_lab.selectors.engine import rows
from activekd_lab.selectors.kcenter import plain_k_center

pytestmark = pytest.mark.quick


def tuned(monkeypatch, **numbers):
    monkeypatch.setattr(kcenter, "TUNING", dataclasses.replace(kcenter.TUNING, **numbers))


@pytest.fixture(autouse=True, params=["products", "differences"])
def engine(request, monkeypatch):
    """Every test here runs twice: with products that settle close calls, and as if products told nothing apart."""
    if request.param == "differences":
        tuned(monkeypatch, rough=1e300)
    return request.param


def transformed(rows, metric):
    rows = rows.double()
    if metric == "cosine":
        return torch.nn.functional.normalize(rows, dim=1, eps=1e-30)
    return rows.sqrt() if metric == "hellinger" else rows


def squared(points, centers):
    """(N, Q) float64 squared differences, summed row by row as the engine sums them."""
    return torch.stack([torch.linalg.vecdot(points - c, points - c) for c in centers], dim=1)


def brute_force(points, centers, budget, metric="euclidean", weights=None):
    """Indices and radii by definition; ties go to the lowest index."""
    x, c = transformed(points, metric), transformed(centers, metric)
    if weights is None:
        found = plain_k_center(x, c, budget)
        scale = {"euclidean": lambda r: r, "cosine": lambda r: r**2 / 2, "hellinger": lambda r: r / 2**0.5}[metric]
        return found.indices.tolist(), scale(found.radii)
    picks, radii, nearest = [], [], squared(x, c).amin(1)
    for _ in range(budget + 1):
        scores = nearest * weights.double() ** 2
        scores[picks] = -1.0
        radii.append(scores.max().clamp_min(0))
        picks.append(int(scores.argmax()))
        nearest = torch.minimum(nearest, squared(x, x[picks[-1:]])[:, 0])
    return picks[:budget], torch.stack(radii).sqrt()


def test_the_plain_way_by_hand():
    points = torch.tensor([[0.0], [2.0], [5.0], [5.0], [9.0]])
    found = plain_k_center(points, torch.tensor([[1.0]]), 5)
    assert found.indices.tolist() == [4, 2, 0, 1, 3]
    assert found.radii.tolist() == [8, 4, 1, 1, 0, 0]


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def probabilities(rows, classes, scale=3.0, seed=0):
    return torch.softmax(scale * normal(rows, classes, seed=seed), dim=1)


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "hellinger"])
@pytest.mark.parametrize(("n", "d", "labels", "budget"), [(300, 4, 1, 60), (900, 90, 200, 120), (60, 70, 3, 60)])
def test_same_ids_and_radii_as_brute_force(n, d, labels, budget, metric):
    points, centers = probabilities(n, d), probabilities(labels, d, seed=1)
    result = k_center_greedy(points, centers, budget, metric=metric)
    picks, radii = brute_force(points, centers, budget, metric)
    assert result.indices.tolist() == picks
    assert result.radii.shape == (budget + 1,)
    torch.testing.assert_close(result.radii, radii, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
# Near centres are found by hubs and projection or by hubs first, or all are measured.
@pytest.mark.parametrize(("sketch", "seldom"), [(2, -1), (2, 1), (64, 1)])
@pytest.mark.parametrize("close", [0, 64])  # close calls become differences, or are settled one by one
@pytest.mark.parametrize("cheap", [0, 1 << 22])  # current values by differences, or by products
def test_every_part_of_the_search_is_exercised(sketch, seldom, close, cheap, monkeypatch):
    """A front of 16 points, blocks of 2 to 8 and slices of 8 centres take every branch that a large pool would."""
    small = {"front": 16, "fewest": 2, "most": 8, "first": 0, "short": 0, "pairs": 3, "center_slice": 8}
    tuned(monkeypatch, **small, close=close, cheap=cheap, sketch=sketch, hubs=sketch, seldom=seldom)
    monkeypatch.setitem(rows.PIECE_BYTES, "cpu", 4096)
    for width, labels in ((24, 150), (2, 3)):  # on a plane the radius shrinks manyfold, through many fronts
        points = torch.cat([normal(360, width), normal(10, width).repeat(4, 1)])  # some come four times
        centers = normal(labels, width, seed=1)
        factors = 0.5 + 2 * torch.rand(400, generator=torch.Generator().manual_seed(2))
        for weights in (None, factors):
            result = k_center_greedy(points, centers, 150, weights=weights)
            picks, radii = brute_force(points, centers, 150, weights=weights)
            assert result.indices.tolist() == picks
            torch.testing.assert_close(result.radii, radii, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("most", [8, 2048])  # more ties than a block or the front holds
def test_ties_without_end(most, monkeypatch):
    tuned(monkeypatch, front=2 * most, most=most)
    points = torch.cat([torch.eye(5).repeat(80, 1), torch.zeros(3, 5)])  # every pick is a close call among 80
    for centers in (None, torch.zeros(1, 5), points[:1]):
        result = k_center_greedy(points, centers, 403, generator=torch.Generator().manual_seed(0))
        assert result.indices.sort().values.tolist() == list(range(403))
        assert result.radii[6:].max() == 0


def test_golden_line():
    points = torch.tensor([[0.0], [1.0], [2.0], [4.0], [10.0]])
    result = k_center_greedy(points, torch.tensor([[0.0]]), 3)
    assert result.indices.tolist() == [4, 3, 2]
    assert result.radii.tolist() == [10.0, 4.0, 2.0, 1.0]


def test_weights_scale_the_distance():
    points = torch.tensor([[0.0], [3.0], [4.0]])
    result = k_center_greedy(points, points[:1], 1, weights=torch.tensor([1.0, 2.0, 1.0]))
    assert result.indices.tolist() == [1]
    assert result.radii.tolist() == [6.0, 1.0]
    x, c, w = normal(500, 9), normal(20, 9, seed=1), torch.rand(500, generator=torch.Generator().manual_seed(2)) + 0.1
    assert k_center_greedy(x, c, 80, weights=w).indices.tolist() == brute_force(x, c, 80, weights=w)[0]


def test_first_pick_without_centers_is_nearest_to_the_mean():
    points = torch.tensor([[0.0], [5.0], [11.0], [12.0]])  # mean 7
    for none in (None, points[:0]):
        result = k_center_greedy(points, none, 2)
        assert result.indices.tolist() == [1, 3]
        assert result.radii.tolist() == [torch.inf, 7.0, 5.0]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_small_integer_grids_with_ties(data):
    """Integer points make exact ties and repeats; without a generator the lowest position wins, as in brute force."""
    n, labels = data.draw(st.integers(1, 24)), data.draw(st.integers(1, 6))
    cell = st.lists(st.integers(-2, 2), min_size=2, max_size=2)
    points = torch.tensor(data.draw(st.lists(cell, min_size=n, max_size=n)), dtype=torch.float32)
    centers = torch.tensor(data.draw(st.lists(cell, min_size=labels, max_size=labels)), dtype=torch.float32)
    budget = data.draw(st.integers(1, n))
    result = k_center_greedy(points, centers, budget)
    picks, radii = brute_force(points, centers, budget)
    assert result.indices.tolist() == picks
    torch.testing.assert_close(result.radii, radii, rtol=1e-15, atol=0)  # square roots by two ways: an ulp


def test_near_ties_that_float32_products_confuse():
    """Far from the origin |x|2 + |y|2 - 2xy loses all digits in float32; the picks must not."""
    points = 1000.0 + 0.01 * normal(300, 16)
    centers = 1000.0 + 0.01 * normal(5, 16, seed=1)
    assert k_center_greedy(points, centers, 100).indices.tolist() == brute_force(points, centers, 100)[0]


@pytest.mark.parametrize("weights", [None, torch.ones(3).double()])
def test_close_calls_that_float64_products_cannot_settle(weights):
    """The farther of two points is the second by ten units in the last place, well within the rounding of products."""
    points = torch.tensor([[1.0, 0.0], [0.0, 1.0 + 1e-15], [0.5, 0.5]], dtype=torch.float64)
    result = k_center_greedy(points, points.new_zeros(1, 2), 2, weights=weights)
    assert result.indices.tolist() == [1, 0]


def test_nearly_one_hot_rows_that_float32_products_take_for_ties():
    """Softmax of large logits: rows of one class differ by 1e-9, far below the rounding of a product."""
    logits = normal(500, 12) + 25 * torch.eye(12)[torch.arange(500) % 12]
    points, centers = logits.softmax(1), (normal(9, 12, seed=1) + 25 * torch.eye(12)[:9]).softmax(1)
    result = k_center_greedy(points, centers, 60)
    picks, radii = brute_force(points, centers, 60)
    assert result.radii[-1] < 1e-6
    assert result.indices.tolist() == picks
    torch.testing.assert_close(result.radii, radii, rtol=1e-12, atol=0)


def test_radii_hold_seven_digits_however_close_the_points_lie():
    """Products serve until they would be rougher than that; from there on differences do."""
    for apart in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5):
        points, centers = 1 + apart * normal(300, 16).double(), 1 + apart * normal(5, 16, seed=1).double()
        result = k_center_greedy(points, centers, 100)
        picks, radii = brute_force(points, centers, 100)
        assert result.indices.tolist() == picks
        torch.testing.assert_close(result.radii, radii, rtol=1e-7, atol=0)


def test_ties_follow_the_generator_evenly():
    corners = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    counts = torch.zeros(4)
    for seed in range(400):
        g = torch.Generator().manual_seed(seed)
        counts[k_center_greedy(corners, torch.zeros(1, 2), 1, generator=g).indices[0]] += 1
    assert counts.min() > 60  # 100 expected, standard deviation 8.7


def test_repeated_points_and_centers_beyond_radius_zero():
    points = normal(3, 5).repeat(20, 1)
    g = torch.Generator().manual_seed(0)
    result = k_center_greedy(points, points[:1].repeat(50, 1), 60, generator=g)
    assert result.indices.sort().values.tolist() == list(range(60))
    assert (result.radii[2:] == 0).all()
    assert result.radii[1] > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_measure_their_own_values(dtype):
    points, centers = normal(400, 12).to(dtype), normal(9, 12, seed=1).to(dtype)
    assert k_center_greedy(points, centers, 60).indices.tolist() == brute_force(points, centers, 60)[0]


def test_pool_and_centers_may_differ_in_precision():
    points, centers = normal(200, 6).half(), normal(9, 6, seed=1)
    assert k_center_greedy(points, centers, 30).indices.tolist() == brute_force(points, centers, 30)[0]


def test_memory_map(tmp_path):
    points = normal(500, 20).half()
    np.save(tmp_path / "points.npy", points.numpy())
    mapped = np.load(tmp_path / "points.npy", mmap_mode="r")
    result = k_center_greedy(mapped, normal(4, 20, seed=1).numpy(), 40)
    assert result.indices.tolist() == brute_force(points, normal(4, 20, seed=1), 40)[0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize(("n", "d", "labels"), [(300, 4, 1), (9000, 300, 600)])
def test_a_gpu_picks_what_the_processor_does(n, d, labels):
    points, centers = probabilities(n, d), probabilities(labels, d, seed=1)
    expected = k_center_greedy(points, centers, 60)
    for found in (
        k_center_greedy(points.cuda(), centers.cuda(), 60),
        k_center_greedy(points.numpy(), centers.numpy(), 60, device="cuda"),
    ):
        assert torch.equal(found.indices, expected.indices)
        torch.testing.assert_close(found.radii, expected.radii, rtol=1e-7, atol=0)


def test_radii_never_grow_and_halve_the_best_possible():
    """Gonzalez 1985: greedy's radius is at most twice the optimum, and picks are at least a radius apart."""
    points = normal(200, 3)
    result = k_center_greedy(points, points[:1], 30)
    assert (result.radii.diff() <= 0).all()
    apart = torch.cdist(points[result.indices].double(), points[result.indices].double()) + 1e9 * torch.eye(30)
    assert apart.min() >= result.radii[-1]


def test_progress_and_cancel():
    seen = []
    k_center_greedy(normal(50, 3), None, 4, progress=lambda done, of: seen.append((done, of)))
    assert seen[-1] == (4, 4)
    assert len(seen) == 3  # the first pick needs no search
    with pytest.raises(Cancelled, match="cancelled"):
        k_center_greedy(normal(50, 3), None, 4, cancel=lambda: True)


@pytest.mark.parametrize("cancel", [False, True])
def test_the_threads_of_others_stay_as_they_were(cancel):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with suppress(Cancelled):
            k_center_greedy(normal(50, 3), None, 4, cancel=lambda: cancel)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_cancel_stops_a_memory_map_between_two_picks(tmp_path):
    np.save(tmp_path / "points.npy", normal(500, 20).half().numpy())
    done = []
    with pytest.raises(Cancelled, match="after 7 picks"):
        k_center_greedy(
            np.load(tmp_path / "points.npy", mmap_mode="r"),
            normal(4, 20, seed=1).half().numpy(),
            40,
            progress=lambda picks, budget: done.append(picks),
            cancel=lambda: bool(done) and done[-1] == 7,
        )
    assert done == list(range(1, 8))


@pytest.mark.parametrize("where", ["points", "centers"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_non_finite_rows_are_named(where, value):
    points, centers = normal(30, 3), normal(8, 3)
    (points if where == "points" else centers)[7, 1] = value
    with pytest.raises(NonFiniteError, match=f"{where}.*rows 7"):
        k_center_greedy(points, centers, 2)


def test_refusals():
    x = normal(10, 3)
    for budget in (0, 11):
        with pytest.raises(PoolError, match=rf"budget in \[1, 10\].*{budget}"):
            k_center_greedy(x, None, budget)
    with pytest.raises(PoolError, match="width 3"):
        k_center_greedy(x, normal(4, 2), 1)
    with pytest.raises(UnknownNameError, match="Unknown metric 'manhattan'"):
        k_center_greedy(x, None, 1, metric="manhattan")
    with pytest.raises(SettingError, match="2-d"):
        k_center_greedy(x[0], None, 1)
    with pytest.raises(SettingError, match="10"):
        k_center_greedy(x, None, 1, weights=torch.zeros(10))
    for budget in (True, 2.0, "3", None):
        with pytest.raises(SettingError, match="expected budget as a whole number, but got"):
            k_center_greedy(x, None, budget)
    for points in (None, "x", [["a"]], x.to_sparse(), x.to("meta"), x.to(torch.float8_e5m2), x.long(), 3):
        with pytest.raises(SettingError, match="xpected points"):
            k_center_greedy(points, None, 1)
    for generator in ("0", 0, np.random.default_rng(0)):
        with pytest.raises(SettingError, match="generator"):
            k_center_greedy(x, None, 1, generator=generator)
    with pytest.raises(UnknownNameError, match="device"):
        k_center_greedy(x, None, 1, device="gpu")
    assert k_center_greedy(x.tolist(), x[:1].numpy(), np.int64(2)).indices.tolist() == brute_force(x, x[:1], 2)[0]
    with pytest.raises(SettingError, match="cosine"):
        k_center_greedy(x, None, 1, metric="cosine", weights=torch.ones(10))
