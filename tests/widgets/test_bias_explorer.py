import numpy as np
import pytest
from controls import control

from activekd_lab.errors import SettingError, UnknownNameError
from activekd_lab.widgets.bias import BiasExplorer, BiasState
from activekd_lab.widgets.clustering import Clusterer

NAMES = tuple("abcdef")


def blobs(n=180, spread=0.3, seed=0):
    """Logits of three groups of two confusable classes each: group g has classes 2g and 2g + 1."""
    rng = np.random.default_rng(seed)
    group = np.arange(n) % 3
    logits = rng.normal(size=(n, 6)) * spread
    for c in (0, 1):
        logits[np.arange(n), 2 * group + c] += 4
    return logits.astype(np.float32), group


def probabilities(logits):
    p = np.exp(logits)
    return p / p.sum(1, keepdims=True)


@pytest.fixture
def explorer():
    teacher = {"plain": blobs()[0], "noisy": blobs(spread=3)[0]}
    return BiasExplorer(teacher, probabilities(blobs(seed=1)[0]), NAMES, count=3)


def test_groups_that_are_there_are_found_and_inherited(explorer):
    c, (_, group) = explorer.state.comparison, blobs()
    assert c.agreement == 1
    assert (c.teacher_within, c.student_within) == (1, 1)
    assert c.control_within < 0.5
    np.testing.assert_array_equal(c.teacher, c.student)  # the student's clusters bear the teacher's numbers
    assert len({(a, b) for a, b in zip(c.teacher, group, strict=True)}) == 3


def test_a_student_of_other_groups_agrees_by_chance_only():
    teacher, group = blobs()
    other = np.random.default_rng(0).permutation(len(group))
    c = Clusterer(probabilities(teacher), probabilities(blobs(seed=1)[0])[other], most=3, seed=0).compare(
        probabilities(teacher), 3
    )
    assert abs(c.agreement) < 0.05
    assert (c.teacher == c.student).mean() > 1 / 3  # numbered for the largest overlap there is


def test_temperature_prompt_and_count_are_moved_and_drawn(explorer):
    bar, text, picture, _ = explorer.view.children
    before = picture.data[0].x.copy()
    control(bar, "temperature").value = 8.0
    assert "teacher at temperature 8 with “plain”" in text.value
    assert len(before) != len(picture.data[0].x) or not np.allclose(before, picture.data[0].x)
    np.testing.assert_allclose(picture.data[0].x, explorer.figure().data[0].x)
    control(bar, "prompt").value = "noisy"
    control(bar, "clusters").value = 5
    assert text.value.count("5 clusters of 180 images") == 1
    assert [int(t) for t in picture.data[7].text] == [1, 2, 3, 4, 5]
    looks = [{(color, trace.marker.symbol) for color in trace.marker.color} for trace in picture.data[:6]]
    assert len(set().union(*looks)) == 5
    assert sum(len(trace.x) for trace in picture.data[:6]) == 180
    for mine, yours in zip(picture.data[:6], picture.data[8:14], strict=True):
        np.testing.assert_array_equal(mine.marker.color, yours.marker.color)  # the teacher's colours


def test_circles_are_mean_distances_to_the_centre_on_the_map(explorer):
    fig, c = explorer.figure(), explorer.state.comparison
    here = explorer.projection.positions(explorer.state.teacher)[c.teacher == 0]
    center = here.mean(axis=0)
    np.testing.assert_allclose([fig.data[7].x[0], fig.data[7].y[0]], center, atol=1e-6)
    circle = np.stack([fig.data[6].x[:49], fig.data[6].y[:49]], axis=1)
    radius = np.linalg.norm(here - center, axis=1).mean()
    np.testing.assert_allclose(np.linalg.norm(circle - center, axis=1), radius, atol=1e-5)


def test_a_comparison_is_computed_once_and_a_failed_change_changes_nothing():
    teacher, _ = blobs()
    state = BiasState({"plain": teacher}, probabilities(teacher), count=3, seed=0)
    first = state.comparison
    assert state.update(count=4) is not first
    assert state.update(count=3) is first
    for change, said in (
        ({"prompt": "plian"}, "nearest first: plain"),
        ({"temperature": 0.0}, "above 0, but got 0.0"),
        ({"count": 181}, "2 … 30"),
    ):
        with pytest.raises((SettingError, UnknownNameError), match=said):
            state.update(**change)
    assert (state.prompt, state.temperature, state.count) == ("plain", 1.0, 3)


def test_one_teacher_shows_no_prompt_menu_and_sliders_wait_for_the_mouse():
    teacher, _ = blobs()
    explorer = BiasExplorer(teacher, probabilities(teacher), NAMES, count=3)
    assert control(explorer.view, "prompt").layout.display == "none"
    assert not control(explorer.view, "clusters").continuous_update
    assert not control(explorer.view, "temperature").continuous_update


def test_other_images_classes_and_logits_are_refused():
    teacher, _ = blobs()
    p = probabilities(teacher)
    with pytest.raises(SettingError, match=r"\(N, 6\).*\(180, 6\) for .* and \(100, 6\)"):
        BiasExplorer(teacher, p[:100], NAMES)
    with pytest.raises(SettingError, match=r"\(N, 5\)"):
        BiasExplorer(teacher, p, NAMES[:5])
    with pytest.raises(SettingError, match="pass probabilities, not logits"):
        BiasExplorer(teacher, np.abs(teacher), NAMES)
    with pytest.raises(SettingError, match="finite"):
        BiasExplorer({"broken": np.full_like(teacher, np.nan)}, p, NAMES)
    with pytest.raises(SettingError, match="at least one prompt"):
        BiasExplorer({}, p, NAMES)


@pytest.mark.parametrize("temperature", [4.0, 1.1])
def test_the_sliders_begin_where_the_state_is(explorer, temperature):
    explorer.state.update(temperature=temperature)
    assert control(explorer.view, "temperature").value == temperature
    control(explorer.view, "clusters").value = 4
    assert explorer.state.temperature == temperature


def test_clusters_do_not_depend_on_the_way_to_a_setting_and_keep_their_numbers():
    teacher, _ = blobs(n=600, spread=1.0)
    states = [BiasState({"plain": teacher}, probabilities(teacher), count=k, seed=0) for k in (3, 5)]
    for temperature in (4.0, 0.5, 1.5):
        states[0].update(temperature=temperature)
    states[0].update(count=6)
    for state in states:
        state.update(temperature=1.0, count=4)
    np.testing.assert_array_equal(states[0].comparison.teacher, states[1].comparison.teacher)
    before = states[0].update(count=3).teacher
    assert (states[0].update(temperature=1.25).teacher == before).mean() > 0.95
