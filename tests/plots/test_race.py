import numpy as np
import pytest
from runs import make_run

from activekd_lab.plots.race import selector_race, selector_race_data

pytestmark = pytest.mark.quick


def runs():
    return [make_run("random", gain=0.2), make_run("pcoreset", gain=0.3), make_run("pcoreset", 2, gain=0.3, rounds=1)]


def test_only_label_counts_that_all_reached_are_raced():
    data = selector_race_data([make_run("random", rounds=1), make_run("pcoreset")])
    assert data.labels.tolist() == [5, 10]
    np.testing.assert_allclose(data.accuracy, [[0.3, 0.4], [0.3, 0.4]])


def test_the_winner_ends_at_the_top_and_every_count_is_a_frame():
    fig = selector_race(runs())
    assert fig.data[0].y == ("random", "pcoreset")
    assert [frame.name for frame in fig.frames] == ["5", "10", "15"]
    np.testing.assert_allclose(fig.frames[1].data[0].x, [50, 62])
    np.testing.assert_allclose(fig.frames[1].data[0].error_x.array, [0, 100 * 0.04 / np.sqrt(2)])
    assert fig.layout.title.text == "Selector race"
    assert "labels spent" in fig.to_html(include_plotlyjs=False)
