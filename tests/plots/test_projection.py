import numpy as np
import pytest
from runs import probabilities

from activekd_lab.errors import SettingError, UnknownNameError
from activekd_lab.plots.projection import fit_projection, umap_layout


def test_three_classes_give_the_exact_ternary_diagram():
    projection = fit_projection(probabilities(50, 3, 2.0, 0))
    assert projection.name == "ternary"
    corners = projection.corners
    np.testing.assert_allclose(corners[0], [0, 1], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1), np.sqrt(3), rtol=1e-6)
    middle = projection.positions(np.array([[1, 1, 1], [0.75, 0.25, 0]], dtype=np.float32) / [[3], [1]])
    np.testing.assert_allclose(middle, [[0, 0], 0.75 * corners[0] + 0.25 * corners[1]], atol=1e-6)


def test_the_wheel_seats_confused_classes_side_by_side():
    pairs = np.array([(0, 3), (3, 1), (1, 4), (4, 2), (2, 5), (5, 0)])  # a ring of confusions: 0 3 1 4 2 5
    p = np.zeros((600, 6), dtype=np.float32)
    rows = np.repeat(np.arange(6), 100)
    share = np.tile(np.linspace(0, 1, 100, dtype=np.float32), 6)
    p[np.arange(600), pairs[rows, 0]], p[np.arange(600), pairs[rows, 1]] = share, 1 - share
    corners = fit_projection(p).corners
    gaps = np.linalg.norm(corners[pairs[:, 0]] - corners[pairs[:, 1]], axis=1)
    np.testing.assert_allclose(gaps, 1, rtol=1e-5)  # the side of a regular hexagon: all six pairs are neighbours


def test_the_rim_goes_around_the_corners_once_and_only_where_they_bound_the_map():
    p = probabilities(50, 6, 2.0, 0)
    rim = fit_projection(p).rim
    np.testing.assert_array_equal(rim[0], rim[-1])
    np.testing.assert_allclose(np.linalg.norm(np.diff(rim, axis=0), axis=1), 1, rtol=1e-5)  # a regular hexagon
    assert fit_projection(p, "pca").rim.shape == (0, 2)


def test_pca_agrees_with_a_singular_value_decomposition():
    p = probabilities(200, 6, 2.0, 1)
    projection = fit_projection(p, "pca")
    _, values, axes = np.linalg.svd(p - p.mean(axis=0), full_matrices=False)
    expected = (p - p.mean(axis=0)) @ axes[:2].T
    np.testing.assert_allclose(np.abs(projection.positions(p)), np.abs(expected), atol=1e-5)
    assert projection.explained == pytest.approx((values[:2] ** 2).sum() / (values**2).sum(), rel=1e-5)


def test_a_stored_layout_stays_where_it_is():
    p, layout = probabilities(20, 4, 1.0, 0), np.random.default_rng(0).random((20, 2), dtype=np.float32)
    projection = fit_projection(p, "umap", layout=layout)
    assert projection.positions(p[::-1]) is projection.layout
    np.testing.assert_array_equal(projection.layout, layout)


@pytest.mark.slow  # UMAP compiles itself on its first use
def test_umap_keeps_neighbours_together_and_its_layout_can_be_stored(tmp_path):
    p = np.eye(3, dtype=np.float32)[np.arange(90) % 3] * 0.9 + probabilities(90, 3, 1.0, 0) * 0.1
    layout = umap_layout(p)
    away = np.linalg.norm(layout[:, None] - layout, axis=2) + 1e9 * np.eye(90)
    assert (away.argmin(axis=1) % 3 == np.arange(90) % 3).all()
    np.save(tmp_path / "layout.npy", layout)
    again = fit_projection(p, "umap", layout=np.load(tmp_path / "layout.npy"))
    np.testing.assert_array_equal(again.positions(p[:5]), layout)


def test_unfit_requests_are_refused():
    p = probabilities(20, 4, 1.0, 0)
    with pytest.raises(UnknownNameError, match="Known, nearest first: wheel"):
        fit_projection(p, "whel")
    with pytest.raises(SettingError, match="needs 3 classes, but there are 4"):
        fit_projection(p, "ternary")
    with pytest.raises(SettingError, match=r"\(20, 2\) and goes with projection='umap'"):
        fit_projection(p, "pca", layout=np.zeros((20, 2)))
