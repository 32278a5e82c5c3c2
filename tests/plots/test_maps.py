import json

import numpy as np
import pytest
from runs import make_run

from activekd_lab.errors import RunFolderError, SettingError
from activekd_lab.plots.map_data import probability_map_data, sample
from activekd_lab.plots.maps import probability_map, shorten
from activekd_lab.plots.theme import VERMILLION, use_theme


def test_a_round_shows_its_own_labels_picks_and_predictions():
    run = make_run(c=4)
    data = probability_map_data(run)
    first, last = data.rounds[0], data.rounds[-1]
    assert first.labeled.tolist() == run.labeled_ids(0)
    assert last.labeled.tolist() == run.labeled_ids(2)
    assert last.labeled_round.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert first.picks.tolist() == list(run.records[0].picks)
    assert last.picks.tolist() == []
    p = run.probabilities(1)
    np.testing.assert_array_equal(data.rounds[1].predicted, p.argmax(1))
    np.testing.assert_allclose(data.rounds[1].confidence, p.max(1))
    np.testing.assert_allclose(data.rounds[1].entropy, -(p * np.log(p)).sum(1) / np.log(4), rtol=1e-5)


def test_one_projection_serves_all_rounds():
    run = make_run(c=5)
    data = probability_map_data(run, projection="pca")
    for shown in data.rounds:
        np.testing.assert_allclose(shown.positions, data.projection.positions(run.probabilities(shown.round)))


def test_a_large_pool_is_sampled_and_only_part_of_it_answers_the_mouse():
    hovered, backdrop = sample(100_000)
    assert (len(hovered), len(backdrop)) == (5_000, 15_000)
    assert len(np.unique(np.concatenate([hovered, backdrop]))) == 20_000
    small, rest = sample(300)
    assert (len(small), len(rest)) == (300, 0)
    with pytest.raises(SettingError, match=r"1 … 20000"):
        sample(10, max_points=30_000)


def test_every_round_is_a_frame_that_moves_the_same_traces():
    fig = probability_map(make_run(c=4), labels=np.arange(120) % 4)
    assert [frame.name for frame in fig.frames] == ["0", "1", "2"]
    assert all(len(frame.data) == len(frame.traces) == 5 for frame in fig.frames)
    assert fig.data[0].hoverinfo == "skip"
    assert {trace.type for trace in fig.data[:4]} == {"scattergl"}
    assert fig.data[1].hovertext[0].endswith("true: class a")
    assert [step.label for step in fig.layout.sliders[0].steps] == ["0", "1", "2"]
    assert (
        fig.frames[0].data[4].text[0].removeprefix("<br>" * 4)
        == "round 0: 4 labelled, 4 picks<br>covering radius 1.000 → 0.920"
    )
    assert fig.layout.title.text == "Probability map: pcoreset, seed 0"


def test_lines_lead_to_the_nearest_labelled_or_picked_image():
    run = make_run(c=4)
    shown = probability_map_data(run, lines=True).rounds[1]
    p, centers = run.probabilities(1), np.array([*run.labeled_ids(1), *run.records[1].picks])
    expected = centers[np.linalg.norm(p[:, None] - p[centers], axis=2).argmin(axis=1)]
    np.testing.assert_array_equal(shown.links, np.stack([np.arange(120), expected], axis=1))
    fig = probability_map(run, lines=True)
    assert all(len(frame.data) == len(frame.traces) == 6 for frame in fig.frames)
    np.testing.assert_array_equal(fig.frames[1].data[5].x.reshape(-1, 3)[:, :2], shown.positions[shown.links, 0])


def test_balls_have_the_covering_radius_around_labels_and_picks():
    run = make_run(c=3)
    fig = probability_map(run, balls=True)
    for number, radius, count in ((0, 0.94, 6), (2, 0.8, 9)):  # the last round picks nothing
        balls, shown = fig.frames[number].data[5], probability_map_data(run).rounds[number]
        x, y = (np.reshape(values, (count, 50))[:, :49] for values in (balls.x, balls.y))
        middle = shown.positions[[*shown.labeled, *shown.picks]]
        away = np.hypot(x - middle[:, :1], y - middle[:, 1:])
        np.testing.assert_allclose(away, np.sqrt(1.5) * radius, rtol=1e-5)
    with pytest.raises(SettingError, match="'wheel', where a ball has no true size"):
        probability_map(make_run(c=4), balls=True)


def test_true_labels_stay_hidden_unless_given():
    fig = probability_map(make_run(c=4), rounds=[0])
    assert not fig.frames
    assert not any("true" in text for trace in fig.data[1:4] for text in trace.hovertext)


def test_arrays_travel_as_float32_and_not_as_lists():
    points = json.loads(probability_map(make_run(c=4), rounds=[0]).to_json())["data"][1]
    assert points["x"]["dtype"] == points["y"]["dtype"] == points["marker"]["color"]["dtype"] == "f4"
    assert points["customdata"]["dtype"] == "i4"


def test_names_stand_outside_the_wheel_until_there_are_too_many():
    assert len(probability_map(make_run(c=20), rounds=[0]).layout.annotations) == 20
    assert len(probability_map(make_run(c=61, rounds=0, n=200)).layout.annotations) == 0
    assert shorten("a" * 30) == "a" * 15 + "…"


def test_what_cannot_be_shown_is_refused():
    run = make_run()
    with pytest.raises(SettingError, match=r"0 … 2, but got \[3\]"):
        probability_map(run, rounds=[3])
    with pytest.raises(SettingError, match=r"one class an image \(120\), but got 3"):
        probability_map(run, labels=np.zeros(3, int))
    with pytest.raises(RunFolderError, match="save_predictions=True"):
        probability_map(type(run)(run.config, run.records, run.labels, 0.2, run.class_names))


def test_the_dark_theme_changes_ink_and_scale_only():
    fig = probability_map(make_run(c=4), rounds=[0])
    light = fig.layout.template.layout.font.color
    assert use_theme(fig, "dark").layout.template.layout.font.color != light
    assert fig.data[3].marker.color == VERMILLION
