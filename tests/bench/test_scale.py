import numpy as np
import pytest
import torch

from activekd_lab.bench.scale import Looks, compare_rounding, growth, plain_picks, select_from, sizes, write_pool
from activekd_lab.errors import SettingError
from activekd_lab.selectors import k_center_greedy


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return write_pool(tmp_path_factory.mktemp("pool"), 6000, 20, 30)


def test_the_pool_is_mapped_probabilities(pool):
    points, centers = pool
    assert isinstance(points, np.memmap)
    assert (points.shape, points.dtype, centers.dtype) == ((6000, 20), np.float16, torch.float16)
    np.testing.assert_allclose(points[:100].astype(np.float64).sum(1), 1, atol=3e-3)


def test_a_selection_counts_what_it_reads(pool):
    found = select_from(*pool, 40)
    expected = k_center_greedy(*pool, 40)
    assert torch.equal(found.indices, expected.indices)
    assert found.moved == round(found.reads * 6000) * 20 * 2
    assert found.plain == 41 * 6000 * 20 * 2
    assert 1 <= found.reads < 41


def test_growth_ends_with_the_whole_pool(pool):
    found = growth(*pool, 40, parts=3)
    assert [s.rows for s in found] == [1500, 3000, 6000]
    assert torch.equal(found[-1].indices, select_from(*pool, 40).indices)
    with pytest.raises(SettingError, match="smallest, but got 9 of 6000"):
        growth(*pool, 40, parts=9)


def test_rounding_is_compared_with_the_numbers_that_were_rounded(pool):
    found = compare_rounding(*pool, 40)
    assert found.rows == 6000
    assert 0 < found.largest_error <= 2**-12  # half a step of float16 just below 1
    assert 0 <= found.same <= 1
    assert found.radius_ratio == pytest.approx(1, abs=0.01)


def test_the_plain_way_covers_as_well(pool):
    found, seconds = plain_picks(*pool, 5)  # in float32, so that a near tie may fall otherwise
    left = select_from(pool[0], torch.cat([pool[1], torch.from_numpy(pool[0][found])]), 1).radii[0]
    assert float(left) == pytest.approx(float(select_from(*pool, 5).radii[-1]), abs=1e-4)
    assert seconds > 0


def test_looks_are_counted():
    looks = Looks(torch.tensor([0.5, 0.25]))
    assert (looks(1), looks(0), looks.count) == (0.25, 0.5, 2)


def test_sizes_in_the_unit_that_suits_them():
    shapes = [("digits", 1097, 10, 32), ("ImageNet", 1_281_167, 1000, 224)]
    assert sizes(shapes) == [
        ("digits", "43.88 kB", "21.94 kB", "3.37 MB"),
        ("ImageNet", "5.12 GB", "2.56 GB", "192.85 GB"),
    ]
