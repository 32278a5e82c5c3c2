"""The table of answers only grows, and says which line is wrong."""

import os
import sys

import pytest

from activekd_lab.errors import RunFolderError
from activekd_lab.labeling.journal import REJECT, SKIP, Answer, Identity, Journal, State

pytestmark = pytest.mark.quick

IMAGES = ["a/0.png", "a/1.png", 'b/"2".png', "b/3,\n.png"]
CLASSES = ["red", "skip", "grün, hell"]
STATE = State(identity=Identity(class_names=CLASSES, seed=0), batch=3, queue=["a/0.png"])


def journal(folder, images=IMAGES, classes=CLASSES):
    return Journal(folder, images, classes)


@pytest.fixture
def begun(tmp_path):
    """Two answers by a first session."""
    first = journal(tmp_path)
    first.add(Answer(0, 0, 1))
    first.add(Answer(1, 1, 1))
    first.write_state(STATE)
    return tmp_path


def test_answers_are_read_back_as_they_were_given_and_the_table_only_grows(tmp_path):
    first, before = journal(tmp_path / "new" / "session"), b""
    acts = [Answer(0, SKIP, 1), Answer(1, 2, 1), None, Answer(3, REJECT, 2), Answer(0, 1, 2), Answer(2, 0, 3)]
    for act in acts:
        first.take_back() if act is None else first.add(act)
        now = first.table.read_bytes()
        assert now.startswith(before)
        assert len(now) > len(before)
        before = now
        assert journal(first.folder).answers == first.answers
    assert first.answers == [Answer(3, REJECT, 2), Answer(0, 1, 2), Answer(2, 0, 3)]


def test_the_state_is_read_back_and_can_be_spared(begun):
    assert journal(begun).state == STATE
    (begun / "session.json").unlink()
    assert (journal(begun).state, journal(begun).answers) == (None, [Answer(0, 0, 1), Answer(1, 1, 1)])


def test_new_images_more_classes_and_joined_tables_are_no_trouble(begun):
    table = begun / "answers.csv"
    table.write_bytes(b"\xef\xbb\xbf" + (table.read_text() * 2).replace("\n", "\r\n").encode())  # by an office program
    found = journal(begun, ["000.png", *IMAGES], ["more", *CLASSES])
    assert found.answers == [Answer(1, 1, 1), Answer(2, 2, 1)]
    found.add(Answer(0, 0, 2))
    assert journal(begun, ["000.png", *IMAGES], ["more", *CLASSES]).answers == found.answers


def test_columns_in_another_order_stay_so(begun):
    (begun / "answers.csv").write_text("batch,answer,who,path\n1,red,me,a/0.png\n")
    journal(begun).add(Answer(1, 1, 2))
    assert (begun / "answers.csv").read_text().splitlines()[-1] == "2,skip,,a/1.png"
    assert journal(begun).answers == [Answer(0, 0, 1), Answer(1, 1, 2)]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("9,a/9.png,red,1", r"has 1 answers for images that are not in the pool .*: a/9\.png; put them back"),
        ("9,9,red,1\n9,8,red,1\n9,7,red,1\n9,6,red,1", r"has 4 answers for .*: 9, 8, 7 …; put"),
        ("0,a/0.png,skip,2", r"Lines 2 and 4 of .* give a/0\.png the answers 'red' and 'skip'; remove one of them"),
        ("0,a/0.png,(reject),2", r"Lines 2 and 4 of .* the answers 'red' and '\(reject\)'; remove one"),
        ("2,a/1.png,violet,1", r"Line 4 of .* has the answer 'violet' for a/1\.png, but answers are red, skip, "),
        ("2,a/1.png,skip", r"Line 4 of .* is damaged \(3 values for 4 columns\); mend that line, or remove it"),
        ("2,a/1.png,skip,one", r"Line 4 of .* is damaged \(.*'one'\); mend"),
        ("2,a/1.png,skip,-1", r"Line 4 of .* is damaged \(batch -1, bytes none\); mend"),
        ("2,a/1.png,skip," + "9" * 5000, "Line 4 of .* is damaged"),
        ('2,"a"/1.png,skip,1', r"Line 4 of .* is damaged \(.+\); mend"),
        ("\n\n\xff", "Line 6 of .* has|Line 6 of .* is damaged"),
    ],
)
def test_lines_that_cannot_stand_are_named_and_nothing_is_changed(begun, lines, said):
    table = begun / "answers.csv"
    table.write_text(table.read_text() + lines + "\n", "latin-1" if "\xff" in lines else "utf-8")
    before = table.read_bytes()
    with pytest.raises(RunFolderError, match=said) as told:
        journal(begun)
    assert str(told.value).isprintable()
    assert table.read_bytes() == before


@pytest.mark.parametrize("header", ["id;path;answer;batch", "path,label", "a\tb", "path,answer,batch,answer"])
def test_a_table_of_another_form_is_refused(begun, header):
    (begun / "answers.csv").write_text(header + "\n1,2\n")
    with pytest.raises(
        RunFolderError, match=r"Line 1 of .* \(expected the columns id,path,answer,batch, each once, but got"
    ):
        journal(begun)


@pytest.mark.parametrize("tail", ["3,b/3", '3,"b/3', "3,a/1.png,re", "3,a/1.png,red,"])
def test_a_line_cut_short_is_left_out_and_the_file_as_it_was_is_kept(begun, tail):
    """A power cut in the middle of an append: that answer was never acknowledged."""
    table = begun / "answers.csv"
    whole = table.read_text()
    table.write_text(whole + tail)
    with pytest.warns(UserWarning, match=r"cut short, so it is left out; the file as it was is answers\.1\.csv"):
        assert len(journal(begun).answers) == 2
    assert (table.read_text(), (begun / "answers.1.csv").read_text()) == (whole, whole + tail)


def test_a_last_line_without_its_end_is_an_answer(begun):
    table = begun / "answers.csv"
    table.write_text(table.read_text() + '2,"b/""2"".png",red,2')  # by hand
    again = journal(begun)
    assert again.answers[-1] == Answer(2, 0, 2)
    again.add(Answer(3, 0, 2))
    assert journal(begun).answers == again.answers


def test_an_answer_that_somebody_else_gave_meanwhile_is_not_lost(begun):
    one, two = journal(begun), journal(begun)
    one.add(Answer(2, 0, 2))
    for act in (lambda: two.add(Answer(3, 0, 2)), two.take_back, lambda: two.write_state(STATE)):
        with pytest.raises(RunFolderError, match="was changed by another session since this one wrote it"):
            act()
    assert two.answers == [Answer(0, 0, 1), Answer(1, 1, 1)]
    assert journal(begun).answers == one.answers


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Line 1 of .* is damaged"),
        ("[]", "its value: "),
        ("{}", "identity: Field required"),
        (STATE.model_dump_json().replace("3", "-3"), "batch: .*, but it is -3"),
        (STATE.model_dump_json().replace('"seed":0', '"seed":"0"'), "identity.seed: .*, but it is '0'"),
        (STATE.model_dump_json().replace('["a/0.png"]', "null"), "queue: .*, but it is None"),
        ("[" * 10**5, "recursion"),
    ],
)
def test_a_damaged_state_is_one_sentence_and_answers_stay(begun, text, said):
    (begun / "session.json").write_text(text)
    before = (begun / "answers.csv").read_bytes()
    with pytest.raises(RunFolderError, match=rf"{said}.*mend it, or move it away: the answers stand in answers\.csv"):
        journal(begun)
    assert (begun / "answers.csv").read_bytes() == before


def test_folders_in_the_place_of_files_are_a_sentence(tmp_path):
    for name in ("answers.csv", "session.json"):
        (folder := tmp_path / name).mkdir()
        (folder / name).mkdir()
        (folder / "answers.csv").exists() or (folder / "answers.csv").write_text("id,path,answer,batch\n")
        with pytest.raises(RunFolderError, match=rf"{name} cannot be read \(Is a directory\); "):
            journal(folder)


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_disk_that_refuses_keeps_what_was_kept(begun, monkeypatch, call):
    mine, before = journal(begun), {p.name: p.read_bytes() for p in begun.iterdir()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, full)
    if call != "replace":
        for act in (lambda: mine.add(Answer(2, 0, 2)), mine.take_back):
            with pytest.raises(RunFolderError, match=r"\(No space left on device\); nothing was kept; make room"):
                act()
    if call != "write":
        with pytest.raises(RunFolderError, match=r"\(No space left on device\); every answer is kept"):
            mine.write_state(STATE)
    monkeypatch.undo()
    assert {p.name: p.read_bytes() for p in begun.iterdir()} == before
    assert journal(begun).answers == mine.answers
    mine.add(Answer(2, 0, 2))  # room was made


def test_a_kill_between_two_writes_loses_nothing(begun, monkeypatch):
    monkeypatch.setattr(os, "replace", lambda *_: sys.exit())
    mine = journal(begun)
    mine.add(Answer(2, 0, 4))
    with pytest.raises(SystemExit):
        mine.write_state(STATE)
    monkeypatch.undo()
    assert journal(begun).answers == mine.answers
