"""What a session asks goes to another program, and its answers come back to the images of their names."""

import json
import random

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from activekd_lab.cli.app import app
from activekd_lab.config import RunConfig
from activekd_lab.data import load_task
from activekd_lab.errors import DataError, FileError, PoolError, SettingError, UnknownNameError
from activekd_lab.labeling.exchange import Names, export_answers, import_answers
from activekd_lab.labeling.formats import Given
from activekd_lab.labeling.photos import label_folder
from activekd_lab.labeling.session import LabelSession

FAST = RunConfig(steps=3, batch_labeled=8, batch_unlabeled=8, device="cpu")
NAMES = ["red", "grün"]


def make_photos(folder, count):
    """Two folders of photos with the same names, of odd characters; the class is the parity of the number."""
    for i in range(count):
        color = (220 - i, i, 30) if i % 2 == 0 else (i, 220 - i, 30)
        place = folder / ("Bäume & co", "b#1?")[i * 2 // count]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((20, 24, 3), color, np.uint8)).save(place / f"{i % (count // 2):02} ü.png")
    return folder


@pytest.fixture
def photos(tmp_path):
    return make_photos(tmp_path / "photos", 12)


def open_session(photos, folder=None, **options):
    return label_folder(photos, NAMES, folder, **{"batch": 6, "config": FAST} | options)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """A session that asks for all of twelve photos, for tests that write nothing."""
    return open_session(make_photos(tmp_path_factory.mktemp("shared") / "photos", 12), batch=12)


def choice(label):
    return [{"from_name": "choice", "to_name": "image", "type": "choices", "value": {"choices": [label]}}]


def task(image, *labels, **more):
    return {"data": {"image": image}, "annotations": [{"result": choice(label)} for label in labels]} | more


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def test_a_hundred_answers_go_to_label_studio_and_back(tmp_path):
    photos = make_photos(tmp_path / "photos", 120)
    session = open_session(photos, batch=100)
    out = export_answers(session, tmp_path / "tasks.json", "label-studio")
    tasks = json.loads(out.read_text("utf-8"))
    assert len(tasks) == 100
    truth = {}
    for id, each in zip(session.asked, tasks, strict=True):
        c, probability = session.suggestion(id)
        (guess,) = each.pop("predictions")
        assert (guess["result"], guess["score"]) == (choice(NAMES[c]), round(probability, 4))
        name = session.path(id).relative_to(photos).as_posix()
        truth[id] = NAMES[id % 2]
        del each["data"]["path"]  # as if another program had written the tasks: only the picture's address is left
        each |= {"id": 1000 - id, "annotations": [{"completed_by": 3, "result": choice(truth[id])}]}
        assert "?" not in each["data"]["image"].removeprefix("/data/local-files/?d="), name
    random.Random(0).shuffle(tasks)  # the order says nothing
    taken, left_out = import_answers(session, write(tmp_path / "back.json", tasks))
    assert (taken, bool(left_out)) == (100, False)
    again = open_session(photos, batch=100)
    assert {i: NAMES[y] for i, y in again.labels.items()} == truth
    assert len(again.asked) == 20
    taken, left_out = import_answers(again, tmp_path / "back.json")
    assert (taken, left_out.counts) == (0, {"answered here already": 100})


@pytest.mark.parametrize("format", ["label-studio", "cvat", "coco", "csv"])
def test_labels_that_are_written_are_read_back_by_another_session(format, photos, tmp_path):
    session = open_session(photos)
    for _ in range(4):
        session.answer(NAMES[session.current % 2], id=session.current)
    session.reject()
    out = export_answers(session, tmp_path / f"out.{format}", format)
    other = open_session(photos, tmp_path / "other", selector="random", seed=1, batch=12)
    taken, left_out = import_answers(other, out)
    assert (taken, other.labels) == (4, session.labels)
    assert sum(left_out.counts.values()) == (0 if format == "csv" else 1)  # the one that is asked for
    marks = open_session(photos, tmp_path / "marks", batch=12)
    assert import_answers(marks, session.folder).taken == 5  # a session's own table knows rejections
    assert marks.progress[:3] == (4, 0, 1)
    beside = tmp_path / "out.rejected.csv"
    both = open_session(photos, tmp_path / "both", batch=12)
    assert import_answers(both, out).taken + import_answers(both, beside).taken == 5
    assert both.progress[:3] == (4, 0, 1)
    assert [a.id for a in both.answers if a.answer == "reject"] == [session.answers[-1].id]
    session.undo()
    export_answers(session, out, format)
    assert beside.read_text("utf-8") == "path,label\n"  # taken back, and no list before the first one
    export_answers(session, tmp_path / "again.csv")
    assert not (tmp_path / "again.rejected.csv").exists()


def test_what_is_not_taken_is_counted_by_reason(photos, tmp_path):
    session = open_session(photos, batch=3)
    first, second, third = session.asked
    names = {i: session.path(i).relative_to(photos).as_posix() for i in range(12)}
    beyond = next(i for i in range(12) if i not in session.asked)
    session.answer("red", id=first)
    file = write(
        tmp_path / "a.json",
        [
            task(names[first], "grün", id=1), task(names[second], "red", id=2), task(names[beyond], "red", id=3),
            task("elsewhere/z.png", "red", id=4), {"id": 5, "data": {"image": names[third]}},
            {"id": 7, "data": {"image": names[third]}, "annotations": [{"result": [
                {"type": "choices", "value": {"choices": ["red"], "x": 1, "y": 2}},
                {"type": "rectanglelabels", "value": {"rectanglelabels": ["red"], "x": 1}}]}]},
            {"id": 6, "data": {"image": names[third]}, "annotations": [{"was_cancelled": True, "result": []}]},
        ],
    )  # fmt: skip
    taken, left_out = import_answers(session, file)
    assert taken == 1
    assert left_out.counts == {
        "tasks without an answer": 1, "answers without a choice": 1, "tasks that were skipped": 1,
        "not in the pool": 1, "not asked for now": 1,
        "answered otherwise here, which stays": 1,
    }  # fmt: skip
    assert session.labels == {first: 0, second: 0}
    assert session.current == third
    taken, left_out = import_answers(session, file, beyond=True)
    assert (taken, session.labels) == (1, {first: 0, second: 0, beyond: 0})
    assert open_session(photos, batch=3).labels == session.labels


def test_answers_for_several_images_are_kept_all_or_none(photos):
    session = open_session(photos, batch=3)
    first = session.current
    session.skip()  # a put-off image may be answered by another program
    session.answer_all({first: "red", 11: np.int64(1), 10: "(reject)"})
    assert (session.labels, session.progress.rejected) == ({first: 0, 11: 1}, 1)
    for answers, error, why in (
        ({9: 0, 10: 1}, PoolError, "Image 10 has an answer already; undo that first"),
        ({9: 0, 12: 1}, PoolError, "id must lie in 0 … 11, but got 12"),
        ({9: 0, 8: 2}, SettingError, "The class must lie in 0 … 1, but got 2"),
        ({9: 0, 8: "reject"}, UnknownNameError, "Unknown class 'reject'"),
    ):
        with pytest.raises(error, match=why):
            session.answer_all(answers)
    assert session.labels == open_session(photos, batch=3).labels == {first: 0, 11: 1}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ([task("b#1?/00 ü.png", "red", id=7), task("b#1?/00 ü.png", "grün", id=8)],
         r"task 7 and task 8 of .* give b#1\?/00 ü\.png the classes 'red' and 'grün'; keep one"),
        ([task("b#1?/00 ü.png", "red", "grün", id=7)], "task 7 and task 7 of .* the classes 'red' and 'grün'"),
        ([task("b#1?/00 ü.png", "gruen", id=7)], "task 7 of .* the class 'gruen', but classes are, nearest"),
        ([task("00 ü.png", "red", id=7)], r"task 7 of .* may be Bäume & co/00 ü\.png, b#1\?/00 ü\.png; write the path"),
        ([{"data": {"image": "a.png"}, "annotations": [{"result": choice(None)}]}], "choices.0: Input should be"),
        ([{"id": 7, "data": {"n": 1}, "annotations": []}], "task 7 of .* has in its data no text that names"),
        ([{"id": 7, "data": {"a": "1.png", "b": "2.png", "c": "x"}, "annotations": []}], "data a, b, which could each"),
        ([{"id": 7, "data": {"a": "one", "b": "two"}, "annotations": []}], "data a, b, which could each be its image"),
        ([{"image": "b#1?/00 ü.png", "choice": "red"}], r"data: Field required.*not as JSON-MIN"),
        ({"images": []}, "categories: Field required.*give COCO's or Label Studio's JSON"),
        ({"images": [{"id": 1, "file_name": "a.png"}], "categories": [{"id": 1, "name": "red"}],
          "annotations": [{"image_id": 2, "category_id": 1}]}, "Annotation 0 of .* image_id 2, which is not listed"),
        ({"images": [{"id": 1, "file_name": "a.png"}], "categories": [{"id": 1, "name": "red"}, {"id": 2, "name": "b"}],
          "annotations": [{"image_id": 1, "category_id": 1}, {"image_id": 1, "category_id": 2}]},
         "image 1 of .* gives one image the classes 'b', 'red'"),
        ({"images": [{"id": 1, "file_name": "a.png"}, {"id": 1, "file_name": "b.png"}], "categories": [],
          "annotations": []}, "has the image id 1 more than once; number anew"),
        ({"images": [], "categories": [{"id": 1, "name": "red"}, {"id": 1, "name": "b"}], "annotations": []},
         "has the category id 1 more than once"),
        ("path,answer,batch,answer\na,red,1,grün\n", "a column twice"),
        ("path,label,class\na,red,grün\n", "the columns label and class, which could both be the label"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><annotations/>', "declares a DOCTYPE"),
        ("<annotations><track/></annotations>", "has no images of CVAT"),
        ("<annotations><image", "is damaged"),
        ('<annotations><image id="4"/></annotations>', "image 4 of .* has no name"),
        ('<annotations><image id="4" name="a"><tag label="red"/><tag label="blau"/></image></annotations>',
         "image 4 of .* gives one image the classes 'blau', 'red'"),
        ("PK\x03\x04", "is a ZIP archive; unpack it"), ("[1", "is damaged"), ("[{", "is damaged"),
        ("path,answer,batch\nx.png,red\n", "Line 2 of .*too few or too many"),
        ("hello", "must have the columns path and label"),
    ],
)  # fmt: skip
def test_an_entry_that_cannot_be_is_one_sentence_and_nothing_is_written(content, why, session, tmp_path):
    before = (session.folder / "answers.csv").read_bytes()
    good = [task("Bäume & co/00 ü.png", "red")] if isinstance(content, list) else []
    with pytest.raises(DataError, match=why):
        import_answers(session, write(tmp_path / "x", good + content if good else content))
    assert (session.folder / "answers.csv").read_bytes() == before
    with pytest.raises(FileError, match="cannot be read"):
        import_answers(session, tmp_path / "none.json")


def test_tags_that_a_model_gave_are_no_answers(photos, tmp_path):
    session = open_session(photos, batch=12)
    file = write(
        tmp_path / "a.xml",
        '<annotations><image id="0" name="b#1?/00 ü.png"><tag label="red" source="auto"/></image>'
        '<image id="1" name="b#1?/01 ü.png"><tag label="red" source="auto"/><tag label="grün" source="manual"/>'
        '<box label="red"/></image></annotations>',
    )
    taken, left_out = import_answers(session, file)
    assert (taken, left_out.counts) == (1, {"tags that a model gave": 2, "images without a tag": 1})
    assert list(session.labels.values()) == [1]


def test_a_part_of_an_image_says_nothing_of_the_whole(photos, tmp_path):
    session = open_session(photos, batch=12)
    images = [{"id": i, "file_name": f"b#1?/0{i} ü.png", "width": 24, "height": 20} for i in range(3)]
    boxes = {0: [0, 0, 24, 20], 1: [2, 2, 5, 5], 2: []}
    annotations = [{"image_id": i, "category_id": 1, "bbox": box} for i, box in boxes.items()]
    coco = {"images": images, "categories": [{"id": 1, "name": "red"}], "annotations": annotations}
    taken, left_out = import_answers(session, write(tmp_path / "a.json", coco))
    assert (taken, left_out.counts) == (2, {"regions of an image": 1, "images without a category": 1})


@pytest.mark.quick
def test_a_name_that_means_two_images_is_refused():
    names = Names(["1.png", "photos/1.png"], "photos")
    with pytest.raises(DataError, match=r"which may be 1\.png, photos/1\.png"):
        names.find(Given("photos/1.png", "red", "task 1"), "x.json")


@pytest.mark.quick
@pytest.mark.parametrize(
    ("image", "id", "loose"),
    [
        ("a/1.png", 0, 0), ("photos/a/1.png", 0, 0), ("photos\\a\\1.png", 0, 0), ("./a/1.png", 0, 0),
        ("/data/local-files/?d=photos/a/1.png", 0, 0), ("/data/local-files/?d=photos%2Fa%2F1.png", 0, 0),
        ("s3://bucket/deep/a/1.png", 0, 1), ("https://host/a%20b/2.png?sig=1", 2, 0), ("C:\\me\\a b\\2.png", 2, 1),
        ("/data/upload/3/0f12ab34-2.png", 2, 1), ("2.png", 2, 1), ("0f12ab34-3.png", 3, 0), ("4%2E.png", 4, 0),
        ("5.png", None, 0), ("", None, 0), ("/", None, 0),
    ],
)  # fmt: skip
def test_an_image_is_found_by_what_other_programs_call_it(image, id, loose):
    names = Names(["a/1.png", "b/1.png", "a b/2.png", "0f12ab34-3.png", "4%2E.png"], "photos")
    assert names.find(Given(image, "red", "task 1"), "x.json") == id
    assert len(names.loose) == loose
    with pytest.raises(DataError, match=r"task 1 of x\.json is for z/1\.png, which may be a/1\.png, b/1\.png"):
        names.find(Given("z/1.png", "red", "task 1"), "x.json")


def test_images_without_files_are_for_tables_only(tmp_path, tiny):
    session = LabelSession(load_task("shapes", **tiny["task_options"]), tmp_path / "s", config=FAST)
    with pytest.raises(DataError, match="'shapes' has no image files for other programs to show"):
        export_answers(session, tmp_path / "a.json", "coco")
    session.answer(0)
    out = export_answers(session, tmp_path / "a.txt")
    assert out.read_text().splitlines()[0] == "path,label"


def test_the_terminal_hands_out_takes_back_and_refuses_flags_without_effect(photos, tmp_path):
    out, back = tmp_path / "tasks.json", tmp_path / "back.json"
    command = ["label", str(photos), "--classes", ",".join(NAMES), "--batch", "5", "--device", "cpu", "--steps", "3"]
    done = CliRunner().invoke(app, [*command, "--no-ask", "--export", str(out), "--format", "label-studio"])
    assert done.exit_code == 0, done.output
    assert '<Choice value="grün" />' in done.output
    assert "puts off" not in done.output
    tasks = json.loads(out.read_text("utf-8"))
    write(back, [each | {"annotations": [{"result": choice("red")}]} for each in tasks])
    done = CliRunner().invoke(app, [*command, "--import", str(back), "--train"], input="2\nq\n")
    assert done.exit_code == 0, done.output
    assert "5 answers taken from" in done.output
    assert "trained on 5 labels" in done.output
    assert "6 labels" in done.output
    for wrong, why in ((["--format", "coco"], "--format has no effect without --export"), (["--beyond"], "--import")):
        refused = CliRunner().invoke(app, [*command, *wrong])
        assert isinstance(refused.exception, SettingError)
        assert why in str(refused.exception)
    for wrong, kind in (
        (["--export", "a.json"], SettingError),
        (["--export", "a", "--format", "voc"], UnknownNameError),
    ):
        assert isinstance(CliRunner().invoke(app, [*command, *wrong]).exception, kind)
