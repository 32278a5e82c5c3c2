import numpy as np
import pytest
from runs import probabilities

from activekd_lab.errors import SettingError
from activekd_lab.plots.bias import prediction_bias, prediction_bias_data

pytestmark = pytest.mark.quick

TEACHER = np.array([[1, 0, 0], [0.8, 0.2, 0], [0, 0, 1], [0, 0, 1]], dtype=np.float32)
STUDENT = 0.5 * TEACHER[:, [1, 0, 2]] + 1 / 6  # half as far from the middle
CLUSTERS = np.array([0, 0, 1, 1])


def test_radii_are_mean_distances_to_the_groups_centre():
    data = prediction_bias_data(TEACHER, STUDENT, CLUSTERS)
    np.testing.assert_allclose(data.teacher_radius, [0.1 * np.sqrt(2), 0], atol=1e-6)
    np.testing.assert_allclose(data.student_radius, data.teacher_radius / 2, atol=1e-6)
    spread = np.linalg.norm(STUDENT - STUDENT.mean(axis=0), axis=1).mean()
    assert data.overall_radius == pytest.approx(spread)


def test_both_panels_share_projection_and_colours():
    p = probabilities(60, 5, 3.0, 0)
    fig = prediction_bias(p, p[::-1], p.argmax(1) // 2, tuple("abcde"))
    panels = [
        [t.marker.color for t in fig.data if t.type == "scattergl" and t.legendgroup and t.xaxis == axis]
        for axis in ("x", "x2")
    ]
    assert panels[0] == panels[1]
    assert len(panels[0]) == 3
    assert fig.layout.title.text == "Does the student inherit the teacher's clusters?"
    assert "mean radius" in fig.to_html(include_plotlyjs=False)


def test_centres_carry_their_radius_and_the_exact_map_draws_it():
    fig = prediction_bias(TEACHER, STUDENT, CLUSTERS, tuple("abc"))
    centers = [t for t in fig.data if t.name == "centres"]
    assert centers[0].hovertext[0] == "centre of cluster 1: mean radius 0.141"
    np.testing.assert_allclose(
        [centers[1].x[1], centers[1].y[1]], [np.sqrt(3) / 4, -0.25] * np.array([-1, 1]), atol=1e-6
    )
    (circle,) = [t for t in fig.data if t.line.dash == "dot" and t.xaxis == "x"]
    away = np.hypot(circle.x[:49] - centers[0].x[0], circle.y[:49] - centers[0].y[0])
    np.testing.assert_allclose(away, 0.1 * np.sqrt(2) * np.sqrt(1.5), rtol=1e-5)
    p = probabilities(60, 5, 3.0, 0)
    wheel = prediction_bias(p, p, p.argmax(1), tuple("abcde"))
    assert not [t for t in wheel.data if t.line.dash == "dot"]


def test_other_images_are_refused():
    with pytest.raises(SettingError, match="same images"):
        prediction_bias(TEACHER, STUDENT[:3], CLUSTERS, tuple("abc"))
