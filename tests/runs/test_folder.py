import errno
import io
import json
import os
import sys
from dataclasses import replace

import numpy as np
import pytest

from activekd_lab.errors import RunFolderError
from activekd_lab.runs.folder import RunFolder
from activekd_lab.runs.records import Label, RoundRecord, RunResult, prediction_path
from activekd_lab.runs.stored import find_runs, load_run, load_runs

pytestmark = pytest.mark.quick

RECORD = RoundRecord(
    round=0, labels=2, accuracy=0.5, ce_accuracy=0.4, kd_accuracy=0.3, class_accuracy=(0.5, 0.5), classes_covered=2,
    covering_radius=0.9, mean_distance=0.4, picks=(3, 1), pick_radii=(0.9, 0.8, 0.7), loss=1.25, seconds={"train": 0.5},
)  # fmt: skip
CONFIG = {"task": "t", "selector": "s", "method": "dho", "seed": 0, "rounds": 9, "teacher": "bundled"}
LATER = [replace(RECORD, round=i, labels=2 + 2 * i, picks=(6 + 2 * i, 7 + 2 * i)) for i in range(4)]
HEADER = {"teacher_accuracy": 0.4, "class_names": ["a", "b"], "provenance": {"device": "cpu"}}


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path / "run", CONFIG, HEADER)
    bought = [Label(i, i % 2, r, "selector") for i, r in ((3, 1), (1, 1), (8, 2), (9, 2))]
    made.write_labels([Label(5, 0, 0, "initial"), Label(6, 1, 0, "initial"), *bought])
    made.append(RECORD)
    made.append(LATER[1])
    return made


def test_a_record_survives_json_without_its_wall_times():
    assert RoundRecord.from_json(RECORD.to_json()) == replace(RECORD, seconds={})


@pytest.mark.parametrize(
    "change",
    [lambda d: d.pop("loss"), lambda d: d.update(extra=1), lambda d: d.update(seconds={}), lambda d: d.clear()],
)
def test_a_line_of_other_fields_is_no_record(change):
    fields = json.loads(RECORD.to_json())
    change(fields)
    for line in (json.dumps(fields), "[]", "3"):
        with pytest.raises(ValueError, match="not a round record"):
            RoundRecord.from_json(line)


@pytest.mark.parametrize("accuracy", ["NaN", "Infinity", "-0.1", "55.0"])
def test_an_accuracy_that_is_no_share_is_no_record(accuracy):
    line = RECORD.to_json().replace(f'"accuracy": {RECORD.accuracy}', f'"accuracy": {accuracy}', 1)
    with pytest.raises(ValueError, match="accuracy is"):
        RoundRecord.from_json(line)


def test_a_result_sums_up_its_rounds_and_tells_training_from_validation_labels():
    records = tuple(replace(RECORD, round=i, accuracy=a) for i, a in enumerate((0.2, 0.9, 0.4)))
    sources = ((7, 0, "initial"), (2, 0, "validation"), (5, 1, "selector"), (1, 2, "selector"))
    labels = tuple(Label(i, 0, r, source) for i, r, source in sources)
    kept = {0: np.full((4, 2), 0.5, np.float16)}
    result = RunResult({}, records, labels, 0.4, ("a", "b"), _kept=kept)
    assert (result.final_accuracy, result.mean_accuracy) == (0.4, pytest.approx(0.5))
    assert [result.labeled_ids(r) for r in range(3)] == [[7], [7, 5], [7, 5, 1]]
    assert result.keeps_predictions
    assert result.probabilities(0).dtype == np.float32
    assert not replace(result, _kept={}).keeps_predictions


def test_what_was_written_is_read_back(folder):
    assert folder.records()[0] == RECORD
    assert [label.id for label in folder.labels()] == [5, 6, 3, 1, 8, 9]
    result = load_run(folder.path)
    assert result.labeled_ids(0) == [5, 6]
    assert result.labeled_ids(1) == [5, 6, 3, 1]
    assert result.teacher_accuracy == 0.4
    assert result.provenance == {"device": "cpu"}
    assert not result.keeps_predictions


def test_the_same_configuration_reopens_and_another_is_refused(folder):
    RunFolder(folder.path, CONFIG, HEADER)
    before = (folder.path / "config.json").read_bytes()
    with pytest.raises(RunFolderError, match=r"another configuration \(seed=0 there, 1 here\)"):
        RunFolder(folder.path, CONFIG | {"seed": 1}, HEADER)
    assert (folder.path / "config.json").read_bytes() == before


def test_a_folder_of_other_images_is_refused_where_both_know_theirs(tmp_path):
    known = [RunFolder(tmp_path / name, {}, HEADER | more) for name, more in
             (("new", {"task_fingerprint": "a"}), ("old", {}))]  # fmt: skip
    for made in known:
        for fingerprint in ({}, {"task_fingerprint": "a"}):
            RunFolder(made.path, {}, HEADER | fingerprint)
    with pytest.raises(RunFolderError, match="was begun on other images, labels, class names or prompts"):
        RunFolder(known[0].path, {}, HEADER | {"task_fingerprint": "b"})


def test_a_setting_that_only_the_stored_configuration_has_is_a_difference(folder):
    with pytest.raises(RunFolderError, match=r"another configuration \(seed=0 there, None here\)"):
        RunFolder(folder.path, {key: CONFIG[key] for key in CONFIG if key != "seed"}, HEADER)


def test_a_folder_that_another_process_began_meanwhile_is_left_as_it_is(folder):
    before = (folder.path / "config.json").read_bytes()
    folder._start({"task": "other"}, HEADER)
    assert (folder.path / "config.json").read_bytes() == before


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(RunFolderError, match=r"holds holiday\.jpg but no config\.json"):
        RunFolder(tmp_path, {}, HEADER)


def test_only_one_writes_a_folder_at_a_time(folder):
    other = RunFolder(folder.path, CONFIG, HEADER)
    with folder.writing(2):
        with pytest.raises(RunFolderError, match="is being written already"), other.writing(2):
            pass
        folder.append(LATER[2])
    with pytest.raises(RunFolderError, match="holds 3 finished rounds, not the 2"), other.writing(2):
        pass
    with other.writing(3):
        other.append(LATER[3])


@pytest.mark.parametrize("number", [1, 3])
def test_only_the_next_round_can_be_appended(folder, number):
    before = [(folder.path / name).read_bytes() for name in ("rounds.jsonl", "seconds.json")]
    with pytest.raises(RunFolderError, match=f"holds 2 finished rounds, not the {number}"):
        folder.append(replace(RECORD, round=number, seconds={"train": 9.0}))
    assert [(folder.path / name).read_bytes() for name in ("rounds.jsonl", "seconds.json")] == before


def test_a_kill_before_the_first_file_is_whole_leaves_a_folder_to_start_in(tmp_path, monkeypatch):
    monkeypatch.setattr("os.replace", lambda *_: sys.exit())
    with pytest.raises(SystemExit):
        RunFolder(tmp_path, {}, HEADER)
    monkeypatch.undo()
    RunFolder(tmp_path, {}, HEADER)


def test_a_kill_while_a_file_is_written_leaves_the_old_one(folder, monkeypatch):
    folder.write_predictions(0, np.full((4, 2), 0.5))
    before = {path: path.read_bytes() for path in folder.path.rglob("*.*") if path.is_file()}
    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, lambda *_: sys.exit())
        with pytest.raises(SystemExit):
            folder.append(LATER[2])
        with pytest.raises(SystemExit):
            folder.write_labels([])
        monkeypatch.undo()
    monkeypatch.setattr("os.replace", lambda *_: sys.exit())
    with pytest.raises(SystemExit):
        folder.write_predictions(0, np.zeros((4, 2)))
    assert {path: path.read_bytes() for path in before} == before


def test_labels_are_those_that_the_finished_rounds_started_from_and_bought(tmp_path):
    folder = RunFolder(tmp_path / "run", {}, HEADER)
    start = [Label(5, 0, 0, "initial"), Label(6, 1, 0, "validation")]
    bought = [Label(3, 1, 1, "selector"), Label(1, 0, 1, "selector")]
    folder.write_labels([*start, *bought, Label(8, 0, 2, "selector")])
    assert folder.labels_of([RECORD]) == [*start, *bought]
    last = replace(RECORD, round=1, labels=4, picks=(8,))
    assert [label.id for label in folder.labels_of([RECORD, last])] == [5, 6, 3, 1, 8]
    for wrong in ([*start, *bought[::-1]], [start[0], *bought], [*start, bought[0]], bought):
        folder.write_labels(wrong)
        with pytest.raises(RunFolderError, match="does not hold the 4 labels that rounds.jsonl says were bought"):
            folder.labels_of([RECORD])


def test_rounds_out_of_order_are_refused(folder):
    path = folder.path / "rounds.jsonl"
    first, second = path.read_text().splitlines(keepends=True)
    for text, number in (
        (second + first, 1),
        (first + first, 2),
        (first + second.replace('"round": 1', '"round": 2'), 2),
    ):
        path.write_text(text)
        with pytest.raises(RunFolderError, match=rf"Line {number} of .*rounds\.jsonl is damaged"):
            folder.records()


def test_runs_are_found_below_folders_in_order_and_a_place_without_any_is_refused(folder, tmp_path):
    for name in ("z", "b/c", "a/deep/er"):
        RunFolder(tmp_path / "more" / name, {}, HEADER)
    RunFolder(folder.path / "predictions", {}, HEADER)  # a run holds no other run
    more = tmp_path / "more"
    expected = [more / "a/deep/er", more / "b/c", more / "z", folder.path]
    assert find_runs([folder.path, tmp_path, more / "z"]) == sorted(expected)
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunFolderError, match="empty is no run folder and holds none"):
        find_runs([more, tmp_path / "empty"])
    with pytest.raises(RunFolderError, match=r"is not a run folder: it has no config\.json"):
        load_run(more)


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
    folder.append(LATER[2])
    assert folder.records()[2].seconds == RECORD.seconds


@pytest.mark.parametrize(
    ("found", "put"), [('"format": 1', '"format": "1"'), ('"config": {', '"config": null, "x": {')]
)
def test_a_config_of_another_form_is_refused(folder, found, put):
    path = folder.path / "config.json"
    path.write_text(path.read_text().replace(found, put))
    with pytest.raises(RunFolderError, match="is no run of this format"):
        load_run(folder.path)


ROUND = json.loads(LATER[1].to_json())


@pytest.mark.parametrize(
    "change",
    [{"picks": [10**40, 9]}, {"picks": [-1, 9]}, {"picks": [8, 8]}, {"pick_radii": [0.9]},
     {"pick_radii": [0.9, 9, 0.1]},
     {"covering_radius": float("nan")}, {"mean_distance": float("inf")}, {"loss": float("nan")}, {"kd_temperature": 0},
     {"ce_weight": 2}, {"labels": 10**30}, {"labels": 2}, {"labels": 5}, {"classes_covered": -5},
     {"classes_covered": 3},
     {"class_accuracy": []}, {"class_accuracy": [0.5]}, {"class_accuracy": [7.0] * 2},
     {"class_accuracy": [0.5, float("nan")]}],
)  # fmt: skip
def test_a_round_that_no_run_has_is_one_sentence_with_file_line_and_reason(folder, change):
    lines = [RECORD.to_json(), json.dumps(ROUND | change)]
    (folder.path / "rounds.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(
        RunFolderError, match=rf"Line 2 of .*rounds\.jsonl is damaged .*\({next(iter(change))[:5]}.* is"
    ):
        load_run(folder.path)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"rounds": "x"}, "config.json is damaged .rounds:"), ({"rounds": None}, "rounds:"),
     ({"teacher": None}, "teacher:"),
     ({"rounds": 0}, "Line 2 of .*round is 1, which is not the next")],
)  # fmt: skip
def test_settings_that_tables_read_are_part_of_the_schema(folder, change, said):
    header = json.loads((folder.path / "config.json").read_text())
    header["config"] |= change
    (folder.path / "config.json").write_text(json.dumps(header))
    with pytest.raises(RunFolderError, match=said):
        load_run(folder.path)


@pytest.mark.parametrize(
    ("change", "said"),
    [(lambda text: text.replace("5,0,", "5,99,", 1), "Line 2 of .*labels.csv is damaged .class 99 of 2"),
     (lambda text: text.replace("6,1,", "5,1,", 1), "Line 3 of .*labels.csv is damaged .id 5 again"),
     (lambda text: text.replace("3,1,1", "4,1,1", 1), "does not hold the 6 labels that rounds.jsonl says"),
     (None, "6 labels")],
)  # fmt: skip
def test_labels_are_held_against_the_rounds_and_the_classes(folder, change, said):
    path = folder.path / "labels.csv"
    path.write_text(change(path.read_text())) if change else path.unlink()
    with pytest.raises(RunFolderError, match=said):
        load_run(folder.path)


def test_labels_of_a_round_that_is_not_finished_are_no_labels_of_the_run(folder):
    with (folder.path / "labels.csv").open("a") as file:
        file.write("7,0,3,selector\n")
    assert [label.id for label in load_run(folder.path).labels] == [5, 6, 3, 1, 8, 9]


def npy(array):
    np.save(file := io.BytesIO(), array)
    return file.getvalue()


HUGE = npy(np.zeros((2, 2), np.float16)).replace(b"(2, 2), }          ", b"(500000000000, 2), }")


@pytest.mark.parametrize(
    "content",
    [b"", b"\x93NUMPY", HUGE, b"PK\x03\x04", npy(np.zeros((4, 3), np.float16)), npy(np.zeros(4, np.float16)),
     npy(np.zeros((4, 2), "U1")), npy(np.array([{}], object))],
)  # fmt: skip
def test_damaged_predictions_are_named(folder, content):
    folder.write_predictions(0, np.full((10, 2), 0.5, dtype=np.float32))
    (folder.path / "predictions" / "round_000.npy").write_bytes(content)
    with pytest.raises(RunFolderError, match=r"round_000\.npy is damaged"):
        load_run(folder.path).probabilities(0)


@pytest.mark.parametrize("odd", [np.full((10, 2), np.nan), np.full((10, 2), 2.5), np.full((7, 2), 0.5), -np.eye(10, 2)])
def test_predictions_that_are_no_probabilities_of_these_images_are_named(folder, odd):
    folder.write_predictions(0, odd)
    with pytest.raises(RunFolderError, match=r"round_000\.npy is damaged"):
        load_run(folder.path).probabilities(0)


def test_a_run_that_lies_twice_counts_once_and_an_older_copy_is_no_run_of_its_own(folder, tmp_path):
    import shutil

    shutil.copytree(folder.path, tmp_path / "copy")
    whole = (tmp_path / "copy" / "rounds.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "copy" / "rounds.jsonl").write_text(whole[0])
    results, left_out = load_runs([tmp_path])
    assert [result.folder for result in results] == [folder.path]
    assert left_out == [f"{tmp_path / 'copy'} holds the same run as {folder.path}, which counts once."]


def test_a_newer_format_is_refused(folder):
    path = folder.path / "config.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(RunFolderError, match="newer activekd_lab"):
        load_run(folder.path)


@pytest.mark.parametrize("text", ["[]", "{}", '{"format": 0, "config": {}, "teacher_accuracy": 0, "class_names": []}',
                                  '{"format": 1, "config": {}, "class_names": []}'])  # fmt: skip
def test_a_header_of_something_else_is_refused(folder, text):
    (folder.path / "config.json").write_text(text)
    with pytest.raises(RunFolderError, match=r"is no run of this format \(1\)"):
        load_run(folder.path)


@pytest.mark.parametrize(
    ("row", "what"), [("5,0,0,nobody", "nobody"), ("five,0,0,initial", "five"), ("5,0", "damaged")]
)
def test_damaged_labels_are_refused(folder, row, what):
    (folder.path / "labels.csv").write_text(f"id,label,round,source\n{row}\n")
    with pytest.raises(RunFolderError, match=what):
        folder.labels()


def test_one_bad_run_is_named_and_left_out_and_none_at_all_is_an_error(folder, tmp_path):
    for name, change in (
        ("seed", lambda c: c["config"].pop("seed")),
        ("text", lambda c: c.update(teacher_accuracy=".4")),
    ):
        bad = RunFolder(tmp_path / "bad" / name, CONFIG, HEADER).path / "config.json"
        change(content := json.loads(bad.read_text()))
        bad.write_text(json.dumps(content))
    results, left_out = load_runs([tmp_path])
    assert [result.folder for result in results] == [folder.path]
    assert [sentence.partition(" (")[2] for sentence in left_out] == [
        "seed: Field required); delete the folder to start again.",
        "teacher_accuracy: Input should be a valid number, but it is '.4'); delete the folder to start again.",
    ]
    with pytest.raises(RunFolderError, match="No run can be read: .*seed: Field required.* So it is with 1 more"):
        load_runs([tmp_path / "bad"])


@pytest.mark.parametrize("name", ["config.json", "rounds.jsonl", "labels.csv", "seconds.json"])
@pytest.mark.parametrize(
    "content", [b"[" * 999_999, b'{"a": ' + b"9" * 5000 + b"}", b"\xff\xfe", b"\0", b"{}", b'{"0": {"train": "x"}}']
)
def test_any_file_of_another_content_is_one_sentence_or_costs_only_itself(folder, name, content):
    (folder.path / name).write_bytes(content)
    if name == "seconds.json":
        assert load_run(folder.path).records[0].seconds == {}
        return
    with pytest.raises(RunFolderError) as told:
        load_run(folder.path)
    assert str(told.value).isprintable()


@pytest.mark.parametrize("name", ["config.json", "rounds.jsonl", "labels.csv"])
def test_a_folder_or_a_loop_in_the_place_of_a_file_is_one_sentence(folder, name):
    (folder.path / name).unlink()
    (folder.path / name).mkdir()
    with pytest.raises(RunFolderError, match="Is a directory"):
        load_run(folder.path)
    (folder.path / "loop").symlink_to("loop")
    for place in (folder.path / "loop", "null\0byte"):
        with pytest.raises(RunFolderError):
            load_run(place)


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_refuses_is_one_sentence_and_the_old_files_are_there(folder, monkeypatch, call, code):
    folder.write_predictions(0, np.full((4, 2), 0.5))
    before = {path: path.read_bytes() for path in folder.path.rglob("*.*") if path.is_file()}

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, refuse)
    for write in (lambda: folder.append(replace(RECORD, round=2)), lambda: folder.write_labels([]),
                  lambda: folder.write_predictions(0, np.zeros((4, 2)))):  # fmt: skip
        with pytest.raises(RunFolderError, match=rf"\({os.strerror(code)}\); make room, and the same run continues"):
            write()
    assert {path: path.read_bytes() for path in before} == before


def test_a_folder_below_a_file_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match="cannot be written"):
        RunFolder(tmp_path / "file" / "run", {}, HEADER)


def test_predictions_and_frame(folder):
    folder.write_predictions(0, np.full((10, 2), 0.5, dtype=np.float32))
    result = load_run(folder.path)
    assert result.keeps_predictions
    assert result.probabilities(0).shape == (10, 2)
    assert result.probabilities(0).dtype == np.float32
    assert np.load(prediction_path(folder.path, 0)).dtype == np.float16
    assert [path.name for path in (folder.path / "predictions").iterdir()] == ["round_000.npy"]
    with pytest.raises(RunFolderError, match="save_predictions=True"):
        result.probabilities(1)
    frame = result.frame()
    assert list(frame["labels"]) == [2, 4]
    assert frame["seconds_train"].tolist() == [0.5, 0.5]
    assert not {"picks", "pick_radii", "class_accuracy", "seconds"} & set(frame.columns)
    assert isinstance(result, RunResult)
