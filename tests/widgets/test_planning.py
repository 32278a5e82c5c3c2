import numpy as np
import pytest
from runs import make_run

from activekd_lab.errors import SettingError
from activekd_lab.widgets.mixing import MixingExplorer
from activekd_lab.widgets.planner import BudgetPlanner


@pytest.fixture
def heads():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 60)
    ce, kd = (rng.normal(size=(60, 4)) + scale * np.eye(4)[labels] for scale in (1.0, 2.0))
    return ce, kd, labels


def test_a_slider_moves_the_mark_and_the_words(heads):
    explorer = MixingExplorer(*heads)
    sliders, text, surface, _ = explorer.view.children
    sliders.children[0].value = 1.0
    assert explorer.accuracy == (heads[0].argmax(1) == heads[2]).mean()
    sliders.children[0].value = 0.0
    sliders.children[1].value = 2.0
    assert explorer.accuracy == (heads[1].argmax(1) == heads[2]).mean()
    assert (surface.data[-1].x[0], surface.data[-1].y[0]) == (0.0, 5)
    assert text.value.count(f"kd_temperature 2: {100 * explorer.accuracy:.1f} %") == 1


def test_a_plan_costs_labels_and_minutes_and_is_compared_with_stored_runs():
    planner = BudgetPlanner([make_run(), make_run("random", gain=0.2)], seconds_per_label=6)
    planner.budget, planner.rounds = 7, 1
    plan = planner.plan()
    assert (plan.labels, plan.minutes) == (12, 1.2)
    assert plan.accuracy == pytest.approx({"pcoreset": 0.44, "random": 0.58})  # 2/5 of the way from 10 to 15 labels
    assert "random 58.0 %, pcoreset 44.0 %" in planner.takeaway()


def test_nothing_is_promised_beyond_what_was_measured():
    planner = BudgetPlanner([make_run()])
    planner.view.children[0].children[2].value = 30
    assert planner.plan() == (155, 155 * 4 / 60, {"pcoreset": None})
    assert "they have 5 to 15), so no accuracy is promised" in planner.view.children[1].value
    assert planner.view.children[2].data[-1].x == (155, 155)


def test_free_labels_are_refused():
    with pytest.raises(SettingError, match="seconds_per_label must be above 0, but got 0"):
        BudgetPlanner([make_run()], seconds_per_label=0)


def test_mix_sliders_begin_where_the_mix_is(heads):
    explorer = MixingExplorer(*heads)
    explorer.ce_weight, explorer.kd_temperature = 0.33, 2.0
    weight, heat = explorer.view.children[0].children
    assert (weight.value, heat.value) == (0.33, 2.0)
    weight.value = 1.0
    assert explorer.kd_temperature == 2.0
    explorer.kd_temperature = 1.75  # no entry of the grid: half-way between 1.5 and 2
    assert explorer.figure().data[-1].y[0] == 4.5


def test_plan_sliders_reach_as_far_as_the_plan():
    planner = BudgetPlanner([make_run()], seconds_per_label=120)
    planner.budget, planner.rounds = 500, 40
    assert [slider.value for slider in planner.view.children[0].children] == [1, 500, 40, 120]
    planner.view.children[0].children[0].value = 2
    assert (planner.budget, planner.rounds, planner.seconds_per_label) == (500, 40, 120)
