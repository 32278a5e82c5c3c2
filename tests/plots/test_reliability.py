import numpy as np
import pytest

from activekd_lab.errors import SettingError
from activekd_lab.plots.reliability import reliability_data, reliability_diagram

P = np.array([[0.6, 0.4], [0.65, 0.35], [0.9, 0.1], [0.05, 0.95], [1.0, 0.0]])
LABELS = np.array([0, 1, 0, 1, 0])


def test_bins_and_error_agree_with_a_count_by_hand():
    data = reliability_data(P, LABELS, bins=5)
    np.testing.assert_allclose(data.confidence, [0.625, 0.95])  # a confidence of 1 belongs to the last bin
    np.testing.assert_allclose(data.accuracy, [0.5, 1.0])
    assert data.predictions.tolist() == [2, 3]
    assert data.error == pytest.approx((2 * 0.125 + 3 * 0.05) / 5)


def test_the_figure_says_the_error():
    fig = reliability_diagram(P, LABELS, bins=5, name="teacher")
    assert fig.layout.title.text == "Reliability of the teacher"
    assert "8.0 points" in fig.to_html(include_plotlyjs=False)


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(SettingError, match="2 labels for 5 rows"):
        reliability_data(P, LABELS[:2])
