import numpy as np
import pytest
import torch

from activekd_lab.errors import SettingError
from activekd_lab.plots.reliability import reliability_diagram
from activekd_lab.teachers.bias import calibration

pytestmark = pytest.mark.quick

P = np.array([[0.6, 0.4], [0.65, 0.35], [0.9, 0.1], [0.05, 0.95], [1.0, 0.0]])
LABELS = np.array([0, 1, 0, 1, 0])


def test_the_figure_says_the_error():
    fig = reliability_diagram(P, LABELS, bins=5, name="teacher")
    assert fig.layout.title.text == "Reliability of the teacher"
    assert "24.0 points" in fig.to_html(include_plotlyjs=False)
    assert fig.data[1].x == pytest.approx([0.6, 0.65, 0.95])  # .6 is the closed end of a bin, empty ones are not drawn
    assert fig.data[1].y == pytest.approx([1, 0, 1])
    assert fig.data[1].customdata.tolist() == [1, 1, 3]


def test_the_figure_and_the_bias_measures_find_the_same_error():
    error = calibration(torch.from_numpy(P), torch.from_numpy(LABELS)).ece
    assert f"{100 * error:.1f} points" in reliability_diagram(P, LABELS).to_html(include_plotlyjs=False)


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(SettingError, match="labels as .* with N = 5, but got int64 \\(2,\\)"):
        reliability_diagram(P, LABELS[:2])
