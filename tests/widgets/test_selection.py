import numpy as np
import pytest
from scipy.spatial.distance import cdist

from activekd_lab.errors import PoolError, SettingError, UnknownNameError
from activekd_lab.selectors import Selector
from activekd_lab.widgets.runner import PoolArrays, run_selector
from activekd_lab.widgets.selection import SelectionState
from activekd_lab.widgets.sources import array_source, run_source

LABELS = np.arange(120) % 5


def first_free(view, budget, *, generator):
    return view.ids[:budget]


FIRST = Selector("first_free", "the first ones", "", first_free, features=False)


@pytest.fixture
def state(run):
    return SelectionState(run_source(run, LABELS, None), LABELS, [0, 1, 2], round=1, budget=4, selector=FIRST)


def test_coverage_agrees_with_brute_force(state):
    p, known, picks = state.arrays.probabilities, state.arrays.labeled_ids, state.selection.picks
    free = np.setdiff1d(np.arange(120), known)
    for count in range(5):
        near = cdist(p[free], p[[*known, *picks[:count]]]).min(axis=1)
        np.testing.assert_allclose(state.selection.radii[count], near.max(), atol=1e-6)
        np.testing.assert_allclose(state.selection.means[count], near.mean(), atol=1e-6)


def test_a_round_brings_its_own_labels_and_probabilities(state, run):
    state.update(round=2)
    assert state.arrays.labeled_ids.tolist() == sorted(run.labeled_ids(2))
    np.testing.assert_allclose(state.arrays.probabilities, run.probabilities(2), atol=1e-3)
    assert not set(state.selection.picks) & set(run.labeled_ids(2))


def test_classes_count_the_picks_true_labels(state):
    known = {i % 5 for i in state.arrays.labeled_ids.tolist()}
    assert state.selection.classes_before == len(known)
    assert state.selection.classes_after == len(known | {i % 5 for i in state.selection.picks.tolist()})


def test_the_takeaway_gives_the_numbers(state):
    text = state.takeaway()
    assert text.startswith("Round 1, 10 labels: first_free picks 4. The covering radius goes from ")
    assert f"to {state.selection.radii[-1]:.3f}" in text


def test_a_failed_change_leaves_the_state_as_it_was(run):
    state = SelectionState(run_source(run, LABELS, None), LABELS, [0, 1, 2], budget=4)
    before = state.selection
    with pytest.raises(PoolError, match="only 105 are left"):
        state.update(budget=110, round=2)
    with pytest.raises(UnknownNameError, match="nearest first: pcoreset"):
        state.update(selector="pcorset", round=0)
    with pytest.raises(SettingError, match="one of 0, 1, 2, but got 7"):
        state.update(round=7)
    assert (state.budget, state.selector, state.round, state.selection) == (4, "pcoreset", 2, before)


def test_the_default_runner_asks_the_registry_and_repeats_itself(run):
    arrays = run_source(run, LABELS, None)(1)
    picks = run_selector("pcoreset", arrays, 6, seed=3)
    assert len(set(picks)) == 6
    assert not set(picks) & set(arrays.labeled_ids)
    np.testing.assert_array_equal(picks, run_selector("pcoreset", arrays, 6, seed=3))
    assert run_selector("random", arrays, 6, seed=3).tolist() != run_selector("random", arrays, 6, seed=4).tolist()


def test_features_are_never_made_up(run):
    arrays = run_source(run, LABELS, None)(1)
    with pytest.raises(SettingError, match=r"pass features=\(N, D\)"):
        run_selector("coreset", arrays, 3, seed=0)
    features = np.random.default_rng(0).random((120, 8), dtype=np.float32)
    assert len(run_selector("coreset", arrays._replace(features=features), 3, seed=0)) == 3


def test_unlabelled_ids_are_the_rest():
    arrays = PoolArrays(np.ones((5, 1)), None, np.array([1, 3]), np.array([0, 0]), 0)
    assert arrays.unlabeled_ids.tolist() == [0, 2, 4]


def test_logits_are_not_taken_for_probabilities():
    with pytest.raises(SettingError, match="row 1 sums to 7; pass probabilities, not logits"):
        array_source(np.array([[0.5, 0.5], [3, 4]]), None, LABELS, None)
