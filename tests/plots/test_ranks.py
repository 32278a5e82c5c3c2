import numpy as np
import pytest
from runs import make_run

from activekd_lab.errors import SettingError
from activekd_lab.plots.ranks import critical_difference, rank_data

pytestmark = pytest.mark.quick


def runs(seeds=4):
    gains = {"pcoreset": 0.2, "random": 0.1, "entropy": 0.15}
    return [make_run(name, seed, gain=gain) for name, gain in gains.items() for seed in range(seeds)]


def test_ranks_and_critical_difference_agree_with_demsars_table():
    data = rank_data([*runs(), make_run("pcoreset", seed=9)])
    assert data.names == ("pcoreset", "entropy", "random")
    assert data.ranks.tolist() == [1, 2, 3]
    assert data.blocks == 4  # seed 9 was not run by all
    assert data.critical == pytest.approx(2.343 * np.sqrt(3 * 4 / (6 * 4)), rel=1e-3)  # q of table 5(a), k = 3
    assert data.p_value == pytest.approx(np.exp(-4))  # chi-square of 8 with 2 degrees of freedom


def test_the_figure_names_every_selector_with_its_rank():
    fig = critical_difference(runs())
    assert [trace.text for trace in fig.data if trace.text] == ["pcoreset 1.00", "entropy 2.00", "random 3.00"]
    assert fig.layout.title.text == "Mean ranks and critical difference"
    assert "by area under the learning curve" in fig.to_html(include_plotlyjs=False)
    assert "Friedman\u00a0p\u00a0=\u00a00.0183" in fig.layout.title.subtitle.text
    assert "or alike by t tests (Holm)" in fig.layout.title.subtitle.text.replace("<br>", " ")


def test_too_little_to_rank_is_refused():
    with pytest.raises(SettingError, match="but got 1 and 4"):
        rank_data([make_run(seed=s) for s in range(4)])
    with pytest.raises(SettingError, match="but got 3 and 1"):
        rank_data(runs(seeds=1))
