"""What other programs write that is no answer about the whole image, and files of people that nothing may replace."""

import json

import pytest
from PIL import Image
from typer.testing import CliRunner

import activekd_lab as akd
from activekd_lab.cli.app import app
from activekd_lab.errors import DataError, FileError, RunFolderError, SettingError
from activekd_lab.labeling import LabelSession, export_answers, import_answers
from activekd_lab.labeling.formats import read_answers
from activekd_lab.labeling.merge import merge_answers

pytestmark = pytest.mark.quick


def choice(value, **more):
    results = [{"type": "choices", "value": {"choices": ["dog"], **value}, **more}]
    return [{"id": 1, "data": {"image": "a.png"}, "annotations": [{"result": results}]}]


@pytest.mark.parametrize(
    "value", [{"points": [[1, 2], [3, 4]], "closed": True}, {"format": "rle", "rle": [1]}, {"x": 1, "y": 2}]
)
def test_a_choice_about_a_part_of_an_image_is_no_answer_about_it(tmp_path, value):
    (tmp_path / "a.json").write_text(json.dumps(choice(value)))
    answers, left_out = read_answers(tmp_path / "a.json")
    assert answers == []
    assert "1 answers without a choice" in str(left_out)


def test_keypoints_of_coco_are_about_a_part(tmp_path):
    image, category = {"id": 1, "file_name": "a.png", "width": 8, "height": 8}, {"id": 1, "name": "dog"}
    annotation = {"image_id": 1, "category_id": 1, "keypoints": [1, 2, 2]}
    found = {"images": [image], "categories": [category], "annotations": [annotation]}
    (tmp_path / "a.json").write_text(json.dumps(found))
    answers, left_out = read_answers(tmp_path / "a.json")
    assert answers == []
    assert "regions of an image" in str(left_out)


def test_answers_to_several_questions_are_refused(tmp_path):
    tasks = choice({}, from_name="animal", to_name="image") + choice({}, from_name="blurred", to_name="image")
    (tmp_path / "a.json").write_text(json.dumps(tasks))
    with pytest.raises(DataError, match="answers several questions"):
        read_answers(tmp_path / "a.json")


@pytest.fixture
def photos(tmp_path):
    for i, name in enumerate(("a.png", " a.png", "b.png")):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.linear_gradient("L").rotate(90 * i).save(tmp_path / "photos" / name)
    return tmp_path / "photos"


def session(photos, folder):
    return LabelSession(akd.FolderTask(photos, ["cat", "dog"], image_size=16), folder, batch=3)


def test_names_with_spaces_at_their_ends_keep_their_labels(photos, tmp_path):
    one = session(photos, tmp_path / "one")
    one.answer_all({i: 0 for i, file in enumerate(one.task.files) if file.name == " a.png"})
    table = export_answers(one, tmp_path / "labels.csv")
    task = akd.FolderTask(photos, ["cat", "dog"], labels=table, image_size=16)
    assert {file.name: y for file, y in zip(task.files, task.train.labels.tolist(), strict=True)} == {" a.png": 0}
    two = session(photos, tmp_path / "two")
    assert import_answers(two, table).taken == 1
    assert two.labels == one.labels


def test_images_in_no_class_and_marks_of_a_session_are_no_classes(photos, tmp_path):
    (tmp_path / "l.csv").write_text("path,label\na.png,cat\nb.png,(reject)\n")
    task = akd.FolderTask(photos, labels=tmp_path / "l.csv", image_size=16)
    assert task.class_names == ("cat",)
    assert task.left_out.counts["in no class, as the table says"] == 1
    (tmp_path / "l.csv").write_text("path,label\na.png,-1\nb.png,1\n")
    task = akd.FolderTask(photos, labels=tmp_path / "l.csv", image_size=16)
    assert task.class_names == ("1",)
    assert "-1 is taken for no label" in str(task.left_out)
    task = akd.FolderTask(photos, ["-1", "1"], labels=tmp_path / "l.csv", image_size=16)
    assert task.class_names == ("-1", "1")


def test_nothing_replaces_answers_or_photos(photos, tmp_path):
    one = session(photos, tmp_path / "one")
    one.answer_all({0: 0, 1: 1})
    before = (tmp_path / "one" / "answers.csv").read_bytes()
    for file in ("answers.csv", "session.json"):
        with pytest.raises(RunFolderError, match="a part of a session, a run or a model"):
            export_answers(one, tmp_path / "one" / file, "csv")
    for write in (one.export_csv, lambda path: export_answers(one, path, "coco")):
        with pytest.raises(RunFolderError, match="is an image of the task"):
            write(photos / "b.png")
    (tmp_path / "t.csv").write_text("path,label\na.png,cat\n")
    run = CliRunner().invoke
    both = ["merge", str(tmp_path / "one"), str(tmp_path / "t.csv"), "--out"]
    for out in (tmp_path / "one" / "answers.csv", tmp_path / "t.csv"):
        assert isinstance(run(app, [*both, str(out)]).exception, SettingError | FileError | SystemExit)
    assert (tmp_path / "one" / "answers.csv").read_bytes() == before
    assert (tmp_path / "t.csv").read_text() == "path,label\na.png,cat\n"


def test_class_names_are_compared_as_every_reader_cleans_them(tmp_path):
    (tmp_path / "answers.csv").write_text("path,answer,batch\n1.png,sea_lake,1\n")
    (tmp_path / "t.csv").write_text("path,label\n1.png,sea_lake\n")
    assert merge_answers([tmp_path / "answers.csv", tmp_path / "t.csv"]).conflicts == []
