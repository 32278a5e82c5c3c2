import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from activekd_lab.errors import RunFolderError
from activekd_lab.results import Label, RoundRecord, RunFolder, RunResult, load_run

RECORD = RoundRecord(
    round=0, labels=2, accuracy=0.5, ce_accuracy=0.4, kd_accuracy=0.3, class_accuracy=(0.5, 0.5), classes_covered=2,
    covering_radius=0.9, mean_distance=0.4, picks=(3, 1), pick_radii=(0.9, 0.8, 0.7), loss=1.25, seconds={"train": 0.5},
)  # fmt: skip
HEADER = {"teacher_accuracy": 0.4, "class_names": ["a", "b"], "provenance": {}}


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path / "run", {"task": "t", "seed": 0}, HEADER)
    made.write_labels([Label(5, 0, 0, "initial"), Label(6, 1, 0, "initial"), Label(3, 1, 1, "selector")])
    made.append(RECORD)
    made.append(replace(RECORD, round=1, labels=4, picks=(), pick_radii=()))
    return made


def test_a_record_survives_json_without_its_wall_times():
    assert RoundRecord.from_json(RECORD.to_json()) == replace(RECORD, seconds={})


def test_what_was_written_is_read_back(folder):
    assert folder.records()[0] == RECORD
    assert [label.id for label in folder.labels()] == [5, 6, 3]
    result = load_run(folder.path)
    assert result.labeled_ids(0) == [5, 6]
    assert result.labeled_ids(1) == [5, 6, 3]
    assert result.teacher_accuracy == 0.4


def test_the_same_configuration_reopens_and_another_is_refused(folder):
    RunFolder(folder.path, {"task": "t", "seed": 0}, HEADER)
    before = (folder.path / "config.json").read_bytes()
    with pytest.raises(RunFolderError, match=r"another configuration \(seed=0 there, 1 here\)"):
        RunFolder(folder.path, {"task": "t", "seed": 1}, HEADER)
    assert (folder.path / "config.json").read_bytes() == before


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(RunFolderError, match=r"holds holiday\.jpg but no config\.json"):
        RunFolder(tmp_path, {}, HEADER)


def test_only_one_writes_a_folder_at_a_time(folder):
    other = RunFolder(folder.path, {"task": "t", "seed": 0}, HEADER)
    with folder.writing(2):
        with pytest.raises(RunFolderError, match="is being written already"), other.writing(2):
            pass
        folder.append(replace(RECORD, round=2))
    with pytest.raises(RunFolderError, match="holds 3 finished rounds, not the 2"), other.writing(2):
        pass
    with other.writing(3):
        other.append(replace(RECORD, round=3))


@pytest.mark.parametrize("number", [1, 3])
def test_only_the_next_round_can_be_appended(folder, number):
    before = [(folder.path / name).read_bytes() for name in ("rounds.jsonl", "seconds.json")]
    with pytest.raises(RunFolderError, match=f"holds 2 finished rounds, not the {number}"):
        folder.append(replace(RECORD, round=number, seconds={"train": 9.0}))
    assert [(folder.path / name).read_bytes() for name in ("rounds.jsonl", "seconds.json")] == before


def test_a_kill_before_the_first_file_is_whole_leaves_a_folder_to_start_in(tmp_path, monkeypatch):
    monkeypatch.setattr("activekd_lab.results.os.replace", lambda *_: sys.exit())
    with pytest.raises(SystemExit):
        RunFolder(tmp_path, {}, HEADER)
    monkeypatch.undo()
    RunFolder(tmp_path, {}, HEADER)


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_a_truncated_file_is_refused_and_left_as_it_is(folder, cut):
    path = folder.path / "rounds.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    before = path.read_bytes()
    with pytest.raises(RunFolderError, match=r"Line 2 of .*rounds\.jsonl is damaged or cut short; nothing was changed"):
        folder.records()
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", [b"\x80\xff", b'{"round": 0}\n'])
def test_what_is_no_record_is_refused(folder, text):
    (folder.path / "rounds.jsonl").write_bytes(text)
    with pytest.raises(RunFolderError, match=r"Line 1 of .*rounds\.jsonl is damaged"):
        folder.records()


@pytest.mark.parametrize(
    ("field", "value"), [("accuracy", "high"), ("picks", None), ("picks", [0.5]), ("labels", True)]
)
def test_a_record_with_a_value_of_another_kind_is_refused(folder, field, value):
    wrong = json.loads(RECORD.to_json()) | {field: value}
    (folder.path / "rounds.jsonl").write_text(json.dumps(wrong) + "\n")
    with pytest.raises(RunFolderError, match=r"Line 1 of .*rounds\.jsonl is damaged"):
        folder.records()


@pytest.mark.parametrize("text", ['{"0": {"tr', "[1, 2]"])
def test_damaged_wall_times_cost_nothing_but_themselves(folder, text):
    (folder.path / "seconds.json").write_text(text)
    assert folder.records()[0] == replace(RECORD, seconds={})
    folder.append(replace(RECORD, round=2))
    assert folder.records()[2].seconds == RECORD.seconds


@pytest.mark.parametrize(
    ("found", "put"), [('"format": 1', '"format": "1"'), ('"config": {', '"config": null, "x": {')]
)
def test_a_config_of_another_form_is_refused(folder, found, put):
    path = folder.path / "config.json"
    path.write_text(path.read_text().replace(found, put))
    with pytest.raises(RunFolderError, match="is no run of this format"):
        load_run(folder.path)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY"])
def test_damaged_predictions_are_named(folder, content):
    folder.write_predictions(0, np.full((4, 2), 0.5, dtype=np.float32))
    (folder.path / "predictions" / "round_000.npy").write_bytes(content)
    with pytest.raises(RunFolderError, match=r"round_000\.npy is damaged"):
        load_run(folder.path).probabilities(0)


def test_a_newer_format_is_refused(folder):
    path = folder.path / "config.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(RunFolderError, match="newer activekd_lab"):
        load_run(folder.path)


def test_damaged_labels_are_refused(folder):
    (folder.path / "labels.csv").write_text("id,label,round,source\n5,0,0,nobody\n")
    with pytest.raises(RunFolderError, match="nobody"):
        folder.labels()


def test_a_folder_below_a_file_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match="cannot be written"):
        RunFolder(tmp_path / "file" / "run", {}, HEADER)


def test_predictions_and_frame(folder):
    folder.write_predictions(0, np.full((4, 2), 0.5, dtype=np.float32))
    result = load_run(folder.path)
    assert result.probabilities(0).shape == (4, 2)
    with pytest.raises(RunFolderError, match="save_predictions=True"):
        result.probabilities(1)
    frame = replace(result, config={"task": "t", "selector": "s", "method": "dho", "seed": 0}).frame()
    assert list(frame["labels"]) == [2, 4]
    assert frame["seconds_train"].tolist() == [0.5, 0.5]
    assert isinstance(result, RunResult)
