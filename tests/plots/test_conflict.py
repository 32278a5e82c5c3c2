import numpy as np
import pytest

from activekd_lab.errors import SettingError
from activekd_lab.plots.conflict import gradient_conflict, gradient_conflict_data

pytestmark = pytest.mark.quick


def test_smoothing_shortens_at_the_ends_and_conflict_is_counted():
    data = gradient_conflict_data(np.arange(4), {"one head": np.array([-1, -0.1, 1, 0.5])}, window=3)
    np.testing.assert_allclose(data.smooth["one head"], [-0.55, -0.1 / 3, 1.4 / 3, 0.75])
    assert data.conflicting == {"one head": 0.25}


def test_the_figure_has_a_line_a_model_and_refuses_what_is_no_cosine():
    fig = gradient_conflict(np.arange(3), {"one head": np.zeros(3), "two heads": np.ones(3)})
    assert [trace.name for trace in fig.data if trace.name] == ["one head", "two heads"]
    assert fig.layout.title.text == "Gradient conflict"
    assert "two heads 0%" in fig.to_html(include_plotlyjs=False)
    with pytest.raises(SettingError, match="3 values in -1 … 1"):
        gradient_conflict(np.arange(3), {"one head": np.array([0, 2, 0])})
