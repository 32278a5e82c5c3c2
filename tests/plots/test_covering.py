import numpy as np
import pytest
from runs import make_run

from activekd_lab.plots.covering import coverage, coverage_data

pytestmark = pytest.mark.quick


def test_radius_and_distance_follow_the_records():
    data = coverage_data([make_run(), make_run(seed=1)])
    np.testing.assert_allclose(data.radius[0].mean, [1.0, 0.9, 0.8])
    np.testing.assert_allclose(data.mean_distance[0].mean, [0.5, 0.4, 0.3])


def test_the_path_runs_along_the_picks_and_breaks_between_rounds():
    labels, radii = coverage_data([make_run(c=3, rounds=2)]).paths["pcoreset"]
    np.testing.assert_allclose(labels, [3, 4, 5, 6, 3, 6, 7, 8, 9, 6])
    np.testing.assert_allclose(radii, [1, 0.98, 0.96, 0.94, np.nan, 0.9, 0.88, 0.86, 0.84, np.nan], rtol=1e-6)


def test_each_selector_stands_once_in_the_legend():
    fig = coverage([make_run(), make_run("random"), make_run("random", seed=1)])
    assert [trace.name for trace in fig.data if trace.showlegend is True] == ["pcoreset", "random"]
    assert fig.layout.title.text == "How well the labels cover the pool"
    assert "along the picks" in fig.to_html(include_plotlyjs=False)
