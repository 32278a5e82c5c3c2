import pickle

import pytest

from activekd_lab.errors import ActiveKDError, DataError, MissingExtraError, UnknownNameError, nearest_first

pytestmark = pytest.mark.quick


def test_unknown_name_lists_the_nearest_first():
    message = str(UnknownNameError("selector", "pcorset", ["random", "entropy", "coreset", "pcoreset"]))
    assert message.startswith("Unknown selector 'pcorset'. Known, nearest first: pcoreset, coreset")


def test_nearest_first_keeps_every_name():
    assert sorted(nearest_first("x", ["b", "a", "xx"])) == ["a", "b", "xx"]
    assert nearest_first("x", ["b", "a", "xx"])[0] == "xx"


def test_a_missing_extra_says_how_to_install_it():
    error = MissingExtraError("onnx", "export")
    assert 'pip install "activekd_lab[export]"' in str(error)
    assert isinstance(error, ActiveKDError)


@pytest.mark.parametrize("error", [UnknownNameError("task", "x", ["a", "b"]), MissingExtraError("onnx", "export")])
def test_errors_survive_the_way_between_processes(error):
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))


def test_what_a_message_quotes_cannot_steer_a_terminal():
    error = DataError("a\x1b[2Jb\x00 is no class;\nmend it, \u202ebackwards, é")
    assert str(error) == "a\\x1b[2Jb\\x00 is no class;\nmend it, \\u202ebackwards, é"
