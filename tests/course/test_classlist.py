"""A folder of submissions becomes a CSV: every file has a row, whatever it is."""

import csv
import io

import nbformat
import pytest

from activekd_lab.course import classlist
from activekd_lab.errors import DataError, SettingError

ENDLESS = "def accuracy(p, y):\n    while True: pass"
CHEAT = "from activekd_lab.compare.tables import compare\ndef accuracy(p, y):\n    return compare(p, y)"


@pytest.fixture
def started(monkeypatch, grader):
    """Folders are graded by the process that has started already."""

    class Started:
        missing = ()
        __init__ = lambda self, **settings: None  # noqa: E731
        __enter__ = lambda self: grader  # noqa: E731
        __exit__ = lambda self, *error: None  # noqa: E731

    monkeypatch.setattr(classlist, "Grader", Started)
    monkeypatch.setattr(grader, "_seconds", 4.0)


def rows(text):
    return {row["file"]: row for row in csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))}


def test_every_file_is_answered(started, handed_in, tmp_path, call):
    handed_in("class/ada.ipynb", solved=True)
    handed_in("class/empty.ipynb")
    handed_in("class/grace/00_quickstart/Kopie von 00 (1).ipynb", solved=True)
    handed_in("class/grace/00_quickstart/00_quickstart.ipynb", solved=True)
    handed_in("class/endless.ipynb", solved=True, accuracy=ENDLESS)
    handed_in("class/cheat.ipynb", solved=True, accuracy=CHEAT)
    handed_in("class/renamed.txt.ipynb", solved=True).rename(tmp_path / "class" / "renamed.json")
    for name, text in (
        ("broken.ipynb", '{"cells": [}'),
        ("zero.ipynb", ""),
        ("=cmd().ipynb", "[]"),
        ("notes.txt", "hi"),
    ):
        (tmp_path / "class" / name).write_text(text)
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "class" / "other.ipynb")
    (tmp_path / "class" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "class" / ".ipynb_checkpoints" / "ada.ipynb").write_text("{}")
    done = call("grade", tmp_path / "class", "--csv", tmp_path / "out.csv", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    found = rows((tmp_path / "out.csv").read_text("utf-8"))
    scores = {name: (row["status"], row["score"], row["max_score"]) for name, row in found.items()}
    assert scores == {
        "ada.ipynb": ("graded", "2", "2"),
        "empty.ipynb": ("not started", "0", "2"),
        "grace/00_quickstart/Kopie von 00 (1).ipynb": ("graded", "2", "2"),
        "grace/00_quickstart/00_quickstart.ipynb": ("graded", "2", "2"),
        "endless.ipynb": ("graded", "1", "2"),
        "cheat.ipynb": ("graded", "1", "2"),
        "renamed.json": ("graded", "2", "2"),
        "broken.ipynb": ("unreadable", "0", "0"),
        "zero.ipynb": ("unreadable", "0", "0"),
        "'=cmd().ipynb": ("unreadable", "0", "0"),
        "other.ipynb": ("unreadable", "0", "0"),
    }
    assert "stopped after 4 seconds" in found["endless.ipynb"]["message"]
    assert "calls the library" in found["cheat.ipynb"]["flags"]
    assert "one of 2 files of this student" in found["grace/00_quickstart/00_quickstart.ipynb"]["flags"]
    assert found["grace/00_quickstart/00_quickstart.ipynb"]["student_id"] == "grace"
    assert found["ada.ipynb"]["assignment"] == "00_quickstart"
    assert found["ada.ipynb"]["00.surplus"] == "1"
    assert "no exercise of this package" in found["other.ipynb"]["message"]
    assert float(found["ada.ipynb"]["seconds"]) > 0


def test_no_file_costs_the_others_their_row(started, handed_in, tmp_path):
    """What is too deep for Python, a message with half a character, a link to the solution, endless definitions."""
    honest = handed_in("class/ada.ipynb", solved=True)
    (tmp_path / "class" / "link.ipynb").symlink_to(honest)
    handed_in("class/deep.ipynb", solved=True, accuracy=f"def accuracy(p, y):\n    return {'1+' * 600}1")
    handed_in("class/check.ipynb", solved=True, surplus=f"akd.course.check('00.accuracy', {'f' + '()' * 600})")
    handed_in("class/chain.ipynb", solved=True, accuracy="\n".join(f"a{i} = a{i + 1}" for i in range(30_000)))
    odd = "def accuracy(p, y):\n    raise ValueError('\\ud800 \\x1b[2J')"
    handed_in("class/odd.ipynb", solved=True, accuracy=odd)
    found, _ = classlist.grade_folder(tmp_path / "class")
    classlist.write_csv(found, tmp_path / "out.csv")
    read = rows((tmp_path / "out.csv").read_text("utf-8"))
    assert {name: row["score"] for name, row in read.items()} == {
        "ada.ipynb": "2", "chain.ipynb": "1", "check.ipynb": "1", "deep.ipynb": "1", "link.ipynb": "0", "odd.ipynb": "1"
    }  # fmt: skip
    assert "is a link, not a notebook" in read["link.ipynb"]["message"]
    assert r"\ud800 \x1b[2J" in read["odd.ipynb"]["message"]
    assert "RecursionError" in read["deep.ipynb"]["message"]
    assert "more than 200,000 characters" in read["chain.ipynb"]["message"]


def test_folders_and_settings_that_do_not_fit_are_refused(tmp_path, call):
    with pytest.raises(DataError, match="There is no notebook below"):
        classlist.grade_folder(tmp_path)
    with pytest.raises(SettingError, match="jobs must be at least 1, but got 0"):
        classlist.grade_folder(tmp_path, jobs=0)
    assert call("grade", tmp_path).returncode == 2
