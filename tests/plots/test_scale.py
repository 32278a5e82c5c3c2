import pytest

from activekd_lab.errors import SettingError
from activekd_lab.plots.scale import selection_scale, selection_scale_data

pytestmark = pytest.mark.quick


def test_bytes_become_gigabytes():
    data = selection_scale_data([10, 20], [10**9, 2 * 10**9], [10**10, 10**11])
    assert data == ((10, 20), (1.0, 2.0), (10.0, 100.0))
    with pytest.raises(SettingError, match="as long as each other and not empty, but got 2, 1 and 2"):
        selection_scale_data([1, 2], [1], [1, 2])


def test_the_figure_says_what_bounds_spare():
    figure = selection_scale([10, 20], [10**9, 2 * 10**9], [10**10, 10**11])
    assert "at N = 20, bounds spare 98.0% of the bytes" in figure.layout.title.subtitle.text
    assert (figure.layout.xaxis.type, figure.layout.yaxis.type) == ("log", "log")
    assert figure.layout.yaxis.title.text == "read from the pool (GB)"
    assert [trace.name for trace in figure.data] == ["one pass a pick", "with bounds, same picks"]
