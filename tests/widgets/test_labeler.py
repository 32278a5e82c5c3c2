"""Labeler without a front end: keys act on a real session."""

from types import SimpleNamespace

import pytest

from activekd_lab.config import RunConfig
from activekd_lab.data import load_task
from activekd_lab.labeling.session import LabelSession
from activekd_lab.widgets.labeler import Labeler

OPTIONS = {"num_classes": 4, "pool_size": 80, "test_per_class": 5, "val_per_class": 2}


@pytest.fixture
def labeler(tmp_path):
    task = load_task("shapes", **OPTIONS)
    return Labeler(LabelSession(task, tmp_path, batch=3, config=RunConfig(device="cpu", steps=2)))


def test_keys_label_undo_put_off_and_reject(labeler):
    session, asked = labeler.session, []
    for key in "4sx":
        asked.append(session.current)
        labeler.press(key)
    assert session.labels == {asked[0]: 3}
    assert session.progress[:4] == (1, 1, 1, 77)
    labeler.press("u")
    assert session.current == asked[2]
    labeler.choose(0)
    assert session.labels == {asked[0]: 3, asked[2]: 0}
    assert labeler.takeaway().startswith("2 labelled, 1 put off, 0 in no class, 77 not asked yet.")


def test_the_models_opinion_is_hidden_until_asked(labeler):
    assert "model" not in labeler.takeaway()
    labeler.press("?")
    c, probability = labeler.session.suggestion(labeler.session.current)
    assert f"The model says {labeler.class_names[c]}, {probability:.0%}." in labeler.takeaway()
    labeler.press("1")
    assert "model" not in labeler.takeaway()


def test_keys_that_do_not_fit_say_why_and_lose_nothing(labeler):
    for key, said in (("u", "nothing to undo"), ("9", "The key 9 has no class"), ("²", "The key ² has no class")):
        labeler.press(key)
        assert said in labeler.takeaway()
    labeler.choose(7)
    assert "0 … 3, but got 7" in labeler.takeaway()
    assert labeler.session.labels == {}


def test_the_front_end_sends_keys_and_gets_pictures(labeler):
    (view,) = labeler.view.children
    first = view.image
    assert first.startswith("data:image/png;base64,")
    view._handle_custom_msg({"key": "2", "id": view.image_id}, [])
    assert view.image != first
    assert (view.done, view.total) == (1, 80)
    view._handle_custom_msg({"label": 0, "id": view.image_id}, [])
    assert list(labeler.session.labels.values()) == [1, 0]
    assert view.words == labeler.takeaway()


@pytest.mark.parametrize("what", [{"key": "1"}, {"label": 1}, {"key": "s"}, {"key": "x"}, {"key": "u"}])
def test_a_message_counts_only_for_the_image_on_the_screen(labeler, what):
    """A held key, a double click, keys typed while the kernel was busy: each names the image that was there."""
    (view,) = labeler.view.children
    seen = view.image_id
    view._handle_custom_msg({"key": "3", "id": seen}, [])
    before, turn = list(labeler.session.answers), view.turn
    for late in (what | {"id": seen}, what, what | {"id": None}):
        view._handle_custom_msg(late, [])
    assert labeler.session.answers == before
    assert view.turn == turn + 3  # the front end is told, or it would wait for ever


def test_every_view_of_a_session_is_told_of_an_answer(labeler):
    (one,), (two,) = labeler.view.children, Labeler(labeler.session).view.children
    seen = two.image_id
    one._handle_custom_msg({"key": "1", "id": one.image_id}, [])
    assert two.image_id == one.image_id == labeler.session.current != seen
    assert (two.image, two.done) == (one.image, 1)


def test_where_classes_are_numbers_the_key_is_the_class():
    keys = [Labeler(SimpleNamespace(task=SimpleNamespace(class_names=names))).keys
            for names in (["7", "0", "10"], list("abcdefghijk"))]  # fmt: skip
    assert keys == [["7", "0", ""], [*"1234567890", "a"]]


def test_a_key_is_given_once_and_never_to_two_meanings():
    many = Labeler(SimpleNamespace(task=SimpleNamespace(class_names=[f"class {i}" for i in range(40)]))).keys
    given = [key for key in many if key]
    assert len(many) == 40
    assert len(given) == len(set(given)) == 33
    assert not set(given) & set("usx?")


def test_the_static_picture_is_the_current_image(labeler):
    (image,) = labeler.figure().layout.images
    assert image.source == labeler.picture()
