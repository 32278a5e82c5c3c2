"""A prediction is locked once, revealed with its explanation, and scored."""

import json

import numpy as np
import pytest
from controls import control

from activekd_lab.errors import DataError, SettingError
from activekd_lab.widgets.predict import Predict


@pytest.fixture
def store(tmp_path):
    return tmp_path / "predictions.json"


def test_the_first_answer_counts_and_survives_the_cell(store):
    ask, late = (Predict("00.coin", "Heads or tails?", ["heads", "tails"], store=store) for _ in range(2))
    control(ask.view, "Lock it").click()
    assert ask.answer is None, "nothing was chosen"
    control(ask.view, "your answer").value, control(ask.view, "how sure, %").value = "tails", 80
    control(ask.view, "Lock it").click()
    assert control(ask.view, "your answer").disabled
    again = Predict("00.coin", "Heads or tails?", ["heads", "tails"], store=store)
    again.lock("heads", 1.0)
    late.lock("heads", 1.0)
    assert late.answer.said == "tails", "the other view was first"
    assert (again.answer.said, again.answer.sure) == ("tails", 0.8)
    assert control(again.view, "your answer").value == "tails"
    assert control(again.view, "Lock it").disabled
    assert "Locked: tails, 80% sure." in again.view.children[-2].value


def test_revealing_scores_a_prediction_once(store):
    ask = Predict("00.coin", "Heads or tails?", ["heads", "tails"], store=store)
    ask.lock("tails", 0.8)
    said = ask.reveal("heads", "It was loaded.")
    told = "You said tails, 80% sure; the answer is heads: not this time. It was loaded. Right so far: 0 of 1"
    assert said.startswith(told)
    assert "Brier score 0.64" in said
    assert "the answer is tails: not this time, by the first run, which counts." in ask.reveal("tails")
    assert json.loads(store.read_text())["predictions"]["00.coin"]["right"] is False


@pytest.mark.parametrize(("truth", "right"), [(95.0, True), (100, True), (84.9, False)])
def test_a_number_is_right_within_its_margin(store, truth, right):
    ask = Predict("00.final", "Which share?", (0, 100), within=5, unit=" %", store=store)
    ask.lock(95, 0.5)
    assert (": right." in ask.reveal(truth)) is right
    assert f"the answer is {truth:g} %" in ask.reveal(truth)
    assert "the answer is 98.8 %" in ask.reveal(98.8346), "digits that a test set does not carry are left out"


def test_five_predictions_tell_how_sure_one_may_be(store):
    for number in range(5):
        ask = Predict(f"0{number}.x", "Which?", ["a", "b"], store=store)
        ask.lock("a", 0.9)
        said = ask.reveal("a" if number < 2 else "b")
        assert ("too sure" in said) is (number == 4)
    assert "Right so far: 2 of 5, 90% sure" in said


def test_without_an_answer_nothing_is_written_or_scored(store):
    ask = Predict("00.coin", "Heads or tails?", ["heads", "tails"], store=store)
    assert ask.reveal("heads", "Because.") == "You locked no prediction; the answer is heads. Because."
    assert not store.exists()
    assert "Not locked yet" in repr(ask)


def test_an_answer_to_other_options_is_asked_again(store):
    Predict("00.x", "Which?", ["a", "b"], store=store).lock("a", 0.5)
    assert Predict("00.x", "Which?", ["b", "c"], store=store).answer is None
    assert Predict("00.x", "How many?", (0, 9), store=store).answer is None


def test_bad_options_answers_and_files_are_refused(store):
    for options in (["a"], ["a", "a"], (5, 1), (1, 2, 3)):
        with pytest.raises(
            SettingError, match="options must be|options as a list, each a text or a list of 2, each a finite number"
        ):
            Predict("x", "?", options, store=store)
    with pytest.raises(SettingError, match="said must be one of"):
        Predict("x", "?", (0, 1), store=store).lock(2, 0.5)
    with pytest.raises(SettingError, match="sure as a finite number 0 … 1, but got int 90"):
        Predict("x", "?", ["a", "b"], store=store).lock("a", 90)
    assert Predict("x", "?", (np.int64(0), np.int64(10)), store=store).number
    store.write_text('{"predictions": {"x": 3}}')
    with pytest.raises(DataError, match="delete it, and predict anew"):
        Predict("x", "?", ["a", "b"], store=store)
