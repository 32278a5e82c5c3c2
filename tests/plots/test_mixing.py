import numpy as np
import pytest

from activekd_lab.errors import SettingError
from activekd_lab.plots.mixing import mixing_surface
from activekd_lab.students.mixing import mixed, mixing_data

pytestmark = pytest.mark.quick

CE, KD, LABELS = np.array([[2.0, 0], [0, 2]]), np.array([[0, 1.0], [0, 1]]), np.array([0, 1])


def test_the_mix_follows_the_equation():
    sigma = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    p = mixed(CE, KD, ce_weight=0.25, kd_temperature=2.0)
    np.testing.assert_allclose(p[0], [0.25 * sigma(2) + 0.75 * sigma(-0.5), 0.25 * sigma(-2) + 0.75 * sigma(0.5)])


def test_the_surface_has_each_heads_accuracy_at_its_ends():
    data = mixing_data(CE, KD, LABELS)
    assert data.accuracy.shape == (7, 21)
    assert data.accuracy[:, 0].tolist() == [0.5] * 7
    assert data.accuracy[:, -1].tolist() == [1.0] * 7
    assert data.best[2] == 1.0
    expected = (mixed(CE, KD, ce_weight=0.3, kd_temperature=0.5).argmax(1) == LABELS).mean()
    assert data.accuracy[0, 6] == expected


def test_the_figure_marks_the_best_point_and_the_fixed_choice():
    fig = mixing_surface(mixing_data(CE, KD, LABELS))
    assert [trace.name for trace in fig.data[1:]] == ["best on these images", "ActiveKD's choice, ten data sets"]
    assert fig.data[2].x[0] == 0.5
    assert fig.layout.yaxis.ticktext[int(fig.data[2].y[0])] == "1"
    assert "100.0 %" in fig.to_html(include_plotlyjs=False)


def test_values_outside_their_range_are_refused():
    with pytest.raises(SettingError, match="kd_temperatures as a list, each a finite number 0.001"):
        mixing_data(CE, KD, LABELS, kd_temperatures=[0.0])
    with pytest.raises(SettingError, match="kd_logits as .* with N = 2, C = 2"):
        mixing_data(CE, KD[:1], LABELS)
