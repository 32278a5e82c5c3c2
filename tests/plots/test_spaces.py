import numpy as np
import pytest
from runs import make_run, probabilities

from activekd_lab.errors import SettingError
from activekd_lab.plots.spaces import coverage_spaces, coverage_spaces_data

P = probabilities(120, 5, 2.0, 0)
F = np.random.default_rng(1).normal(size=(120, 8)).astype(np.float32)
UNIT = F / np.linalg.norm(F, axis=1, keepdims=True)


def radius(points, ids):
    return np.linalg.norm(points[:, None] - points[ids], axis=2).min(axis=1).max()


def test_both_radii_agree_with_brute_force_after_each_label():
    run = make_run()
    data = coverage_spaces_data([run], P, F)
    order = run.labeled_ids(2)
    for (curve,), points in zip(data, (P, UNIT), strict=True):
        assert curve.labels.tolist() == list(range(5, 16))
        np.testing.assert_allclose(curve.mean, [radius(points, order[:k]) for k in curve.labels], rtol=1e-5)


def test_seeds_are_averaged_and_a_shorter_run_ends_the_line():
    runs = [make_run(seed=0), make_run(seed=1, rounds=1)]
    (curve,) = coverage_spaces_data(runs, P, F).probability
    ends = [radius(P, run.labeled_ids(1)) for run in runs]
    assert (curve.labels[-1], curve.seeds[-1]) == (10, 2)
    assert curve.mean[-1] == pytest.approx(np.mean(ends), rel=1e-5)
    assert curve.sd[-1] == pytest.approx(np.std(ends, ddof=1), rel=1e-3)


def test_the_figure_says_who_covers_which_space():
    runs = [make_run(), make_run("random", seed=3)]
    fig, data = coverage_spaces(runs, P, F), coverage_spaces_data(runs, P, F)
    for curves, space in zip(data, ("probability space", "feature space"), strict=True):
        least = min(curves, key=lambda curve: curve.mean[-1])
        said = fig.layout.title.subtitle.text.replace("<br>", " ")
        assert f"{least.name} {least.mean[-1]:.3f} in {space}" in said
    assert [trace.name for trace in fig.data if trace.showlegend] == ["pcoreset", "random"]
    assert "Which space do the picks cover?" in fig.to_html(include_plotlyjs=False)


def test_other_images_are_refused():
    with pytest.raises(SettingError, match=r"\(at least \d+\), but got 120 and 3 rows"):
        coverage_spaces([make_run()], P, F[:3])
