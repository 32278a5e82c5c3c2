from dataclasses import replace

import numpy as np
import pytest
from runs import make_run

from activekd_lab.compare.comparison import label_costs
from activekd_lab.errors import SettingError
from activekd_lab.plots.learning import learning_curve_data, learning_curves
from activekd_lab.plots.theme import selector_style

pytestmark = pytest.mark.quick


def test_mean_and_spread_are_taken_over_seeds_at_each_label_count():
    data = learning_curve_data([make_run(seed=0), make_run(seed=2), make_run("random", seed=0)])
    pcoreset, random = data.curves
    assert pcoreset.name == "pcoreset"
    assert pcoreset.labels.tolist() == [5, 10, 15]
    np.testing.assert_allclose(pcoreset.mean, [0.32, 0.42, 0.52])
    np.testing.assert_allclose(pcoreset.sd, [0.04 / np.sqrt(2)] * 3)
    assert pcoreset.seeds.tolist() == [2, 2, 2]
    assert random.sd.tolist() == [0, 0, 0]
    assert data.teachers == {"bundled": 0.25}
    assert data.seeds == "1 to 2 seeds"


def test_a_run_that_stopped_early_counts_only_where_it_got_to():
    data = learning_curve_data([make_run(seed=0, rounds=1), make_run(seed=2, rounds=2)])
    assert data.curves[0].seeds.tolist() == [2, 2, 1]
    np.testing.assert_allclose(data.curves[0].mean[-1], 0.54)


def test_methods_are_named_only_where_several_are_compared():
    names = [c.name for c in learning_curve_data([make_run(), make_run(method="ce")]).curves]
    assert names == ["pcoreset · DHO", "pcoreset · labels only"]


def test_runs_under_names_of_ones_own_share_a_line_and_that_name():
    runs = {"all of it": [make_run(seed=0), make_run(seed=2)], "labels only": make_run(method="ce")}
    data = learning_curve_data(runs)
    assert [(c.name, c.method, c.seeds[0]) for c in data.curves] == [("all of it", "dho", 2), ("labels only", "ce", 1)]
    assert (data.seeds, data.task) == ("1 to 2 seeds", "toy")


def test_the_figure_shows_percent_bands_and_the_teachers_level():
    fig = learning_curves([make_run(seed=0), make_run(seed=1), make_run("random")])
    assert fig.layout.title.text == "Accuracy along the labels"
    assert fig.layout.yaxis.title.text == "accuracy (%)"
    lines = {trace.name: trace for trace in fig.data if trace.name}
    assert list(lines) == ["pcoreset", "random", "teacher bundled, zero-shot: 25.0 %"]
    np.testing.assert_allclose(lines["pcoreset"].y, [31, 41, 51])
    assert lines["pcoreset"].line.color == selector_style("pcoreset").color
    assert "25.0 %" in fig.to_html(include_plotlyjs=False)


def test_variants_of_one_selector_do_not_look_alike():
    runs = [make_run(few_shot=name) for name in ("none", "clap", "tip_adapter")] + [make_run("random", few_shot="none")]
    lines = [trace.line for trace in learning_curves(runs).data if trace.mode == "lines+markers"]
    assert len({(line.color, line.dash) for line in lines}) == 4
    assert lines[0].color == selector_style("pcoreset").color


@pytest.mark.parametrize(
    ("results", "sentence"),
    [
        ([], "at least one finished round"),
        ([make_run(), make_run(task="other")], "other, toy; plot one task at a time"),
    ],
)
def test_runs_that_cannot_share_axes_are_refused(results, sentence):
    with pytest.raises(SettingError, match=sentence):
        learning_curves(results)


def test_one_run_needs_no_list_and_one_seed_has_no_band():
    fig = learning_curves(make_run())
    assert [trace.name for trace in fig.data] == ["pcoreset", "teacher bundled, zero-shot: 25.0 %"]
    assert "band" not in fig.layout.title.subtitle.text
    assert list(fig.data[0].customdata) == [" (1 seed)"] * 3
    assert learning_curve_data(make_run()).seeds == learning_curve_data([make_run()]).seeds
    both = learning_curves([make_run(seed=0), make_run(seed=2)])
    assert "bands are ± 1 standard deviation" in both.layout.title.subtitle.text
    assert both.data[0].fill == "toself"


def test_every_method_has_a_look_of_its_own():
    methods = ("dho", "single_head", "ce", "kd")
    lines = [t for t in learning_curves([make_run(method=m) for m in methods]).data if t.mode == "lines+markers"]
    assert len({line.marker.symbol for line in lines}) == 4


def test_names_are_text_and_no_tags():
    run = make_run("<b>x</b>", teacher="<a href='http://x'>t</a>")
    shown = learning_curves(run)
    assert shown.data[0].name == "&lt;b&gt;x&lt;/b&gt;"
    assert all("<" not in (trace.name or "") for trace in shown.data)


def test_two_different_runs_of_one_seed_are_not_drawn_as_two_seeds():
    run = make_run()
    other = replace(run, records=tuple(replace(record, accuracy=0.1) for record in run.records))
    assert learning_curves([run, run]).data
    with pytest.raises(SettingError, match="two runs of pcoreset on toy with seed 0; leave one out"):
        learning_curves([run, other])
    with pytest.raises(SettingError, match="two runs of pcoreset on toy with seed 0; leave one out"):
        label_costs([run, other], 0.4)
    assert learning_curves({"before": [run], "after": [other]}).data, "names of one's own say which is which"
