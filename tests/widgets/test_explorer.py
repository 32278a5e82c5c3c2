import numpy as np
import pytest
from controls import control

from activekd_lab.errors import SettingError
from activekd_lab.plots.page import missing_front_end
from activekd_lab.widgets.explorer import DISTANCE, SelectionExplorer


@pytest.fixture
def explorer(task, run):
    return SelectionExplorer(task, run)


def map_of(explorer):
    return explorer.view.children[2].children[0].children[0]


def test_it_opens_on_the_last_round_that_picked_with_one_label_a_class(explorer):
    assert (explorer.state.round, explorer.state.budget, len(explorer.picks().ids)) == (1, 5, 5)
    assert "pcoreset picks 5" in repr(explorer)


def test_moving_the_budget_redraws_picks_words_and_radii(explorer):
    control(explorer.view, "budget").value = 9
    figure, picks = map_of(explorer), explorer.state.selection.picks
    assert figure.data[3].customdata.tolist() == picks.tolist()
    assert len(picks) == 9
    positions = explorer.projection.positions(explorer.state.arrays.probabilities)
    np.testing.assert_allclose(figure.data[3].x, positions[picks, 0])
    assert "pcoreset picks 9" in figure.layout.title.text
    assert "picks 9." in explorer.view.children[1].value
    assert figure.data[-2].y.tolist() == pytest.approx(explorer.state.selection.radii.tolist())
    assert explorer.view.children[2].children[1].children[1].value.count("role=") == 9


def test_moving_the_round_moves_the_pool(explorer, run):
    before = map_of(explorer).data[1].x.copy()
    control(explorer.view, "round").value = 2
    assert explorer.state.round == 2
    assert not np.allclose(before, map_of(explorer).data[1].x)
    assert map_of(explorer).data[2].customdata.tolist() == sorted(run.labeled_ids(2))


def test_colour_shows_the_distance_to_the_nearest_label(explorer):
    control(explorer.view, "colour").value = DISTANCE
    control(explorer.view, "budget").value = 20
    np.testing.assert_allclose(map_of(explorer).data[1].marker.color, explorer.state.selection.distance, atol=1e-6)


def test_an_impossible_request_is_said_and_changes_nothing(task, run):
    def fussy(view, budget, *, generator):
        if budget > 6:
            raise SettingError("Six is enough.")
        return view.ids[:budget]

    explorer = SelectionExplorer(task, run, selector=fussy, features=np.ones((120, 3)))
    assert explorer.selectors["fussy"].function is fussy
    control(explorer.view, "budget").value = 8
    assert "Six is enough." in explorer.view.children[1].value
    assert len(map_of(explorer).data[3].x) == 5


def test_selectors_on_features_are_offered_only_with_features(task, run):
    assert "coreset" not in SelectionExplorer(task, run).selectors
    assert "coreset" in SelectionExplorer(task, run, features=np.ones((120, 3))).selectors


def test_sliders_wait_for_the_mouse_to_be_released(explorer):
    assert not control(explorer.view, "budget").continuous_update
    assert not control(explorer.view, "round").continuous_update


def test_probabilities_alone_are_enough(task, run):
    explorer = SelectionExplorer(task, run.probabilities(2), labeled_ids=[3, 1], budget=2)
    assert explorer.state.arrays.labeled_ids.tolist() == [1, 3]
    assert explorer.state.arrays.labeled_labels.tolist() == [1, 3]
    assert control(explorer.view, "round").layout.display == "none"


def test_the_static_figure_is_the_same_picture(explorer):
    assert explorer.figure().layout.title.text == "Probability map: pcoreset picks 5"
    assert explorer.figure().data[3].customdata.tolist() == explorer.state.selection.picks.tolist()


def test_settings_that_do_not_fit_are_refused(task, run):
    with pytest.raises(SettingError, match="labeled_ids has no effect beside a run"):
        SelectionExplorer(task, run, labeled_ids=[1])
    with pytest.raises(SettingError, match=r"shape \(120, 5\)"):
        SelectionExplorer(task, run.probabilities(0)[:, :4] * 0 + 0.25)
    for ids, shown in (([-1, 3], "-1 … 3"), ([5, 120], "5 … 120")):
        with pytest.raises(SettingError, match=f"labeled_ids must lie in 0 … 119, but got {shown}"):
            SelectionExplorer(task, run.probabilities(0), labeled_ids=ids)
    with pytest.raises(SettingError, match="one of 0, 1, 2, but got 5"):
        SelectionExplorer(task, run, round=5)


def test_outside_a_notebook_it_says_so(explorer, capsys):
    assert missing_front_end() == (
        "No controls: this is not a notebook kernel. Open it in JupyterLab (activekd-lab lab)."
    )
