"""Three classes in the triangle: positions by hand, what a temperature does, and refusals."""

import numpy as np
import pytest

from activekd_lab.errors import SettingError
from activekd_lab.plots.triangle import simplex, simplex_data

pytestmark = pytest.mark.quick

LOGITS = np.array([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 3.0, 1.0]])
LABELS = np.array([0, 1, 2])


def test_a_prediction_lies_at_the_weighted_mean_of_the_corners():
    data = simplex_data(LOGITS, LABELS, (1.0,))
    weights = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(data.positions[0], weights @ data.corners, atol=1e-6)
    np.testing.assert_allclose(data.positions[0][1], [0, 0], atol=1e-6)  # undecided: the centre


def test_a_low_temperature_moves_to_the_corners_and_changes_no_answer():
    data = simplex_data(LOGITS, LABELS, (0.01, 1.0, 100.0))
    np.testing.assert_allclose(data.positions[0][0], data.corners[0], atol=1e-6)
    np.testing.assert_allclose(data.positions[2], 0, atol=0.03)
    assert data.confidence[0] > data.confidence[1] > data.confidence[2]
    assert data.accuracy == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("logits", "labels", "temperatures", "message"),
    [
        (np.zeros((2, 4)), np.zeros(2, int), (1.0,), r"shows \(N, 3\) logits .* got \(2, 4\)"),
        (np.zeros((2, 3)), np.zeros(3, int), (1.0,), r"choose three classes"),
        (np.zeros((2, 3)), np.array([0, 5]), (1.0,), r"labels must be 0, 1 or 2, .* got \[0, 5\]"),
        (np.zeros((2, 3)), np.zeros(2, int), (1.0, 0.0), r"temperatures must be above 0"),
    ],
)
def test_what_does_not_fit_a_triangle_is_refused(logits, labels, temperatures, message):
    with pytest.raises(SettingError, match=message):
        simplex_data(logits, labels, temperatures)


def test_the_figure_starts_at_temperature_one_and_has_a_frame_for_each():
    fig = simplex(LOGITS, LABELS, ("ring", "star", "cross"), temperatures=(0.5, 1.0, 2.0))
    assert [frame.name for frame in fig.frames] == ["0.5", "1", "2"]
    assert fig.layout.sliders[0].active == 1
    np.testing.assert_allclose(fig.data[0].x, fig.frames[1].data[0].x)
    assert {a.text for a in fig.layout.annotations} == {"ring", "star", "cross"}
    assert "33%" in fig.layout.title.subtitle.text
