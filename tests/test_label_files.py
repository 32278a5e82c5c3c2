"""The files of a labelling session: what leaves it, and what is refused."""

import numpy as np
import pytest
import torch
from PIL import Image

from activekd_lab.config import RunConfig
from activekd_lab.data import load_task
from activekd_lab.data.folder import FolderTask
from activekd_lab.errors import RunFolderError
from activekd_lab.label_files import (
    REJECT,
    SKIP,
    Answer,
    check_student,
    export_csv,
    export_folder,
    read_session,
    write_session,
)

NAMES = ["red", "skip", "grün, hell"]


@pytest.fixture
def photos(tmp_path):
    """Six files of other colours, three in each of two folders, with the same three names."""
    for i in range(6):
        folder = tmp_path / "photos" / "ab"[i // 3]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 24), (40 * i, 255 - 40 * i, 7)).save(folder / f"{i % 3}.png")
    table = tmp_path / "photos.csv"
    table.write_text("path,label\n" + "".join(f"{folder}/{i}.png,\n" for folder in "ab" for i in range(3)))
    return FolderTask(tmp_path / "photos", NAMES, labels=table, test_share=0)


def test_answers_are_read_back_as_they_were_given(photos, tmp_path):
    answers = [Answer(5, 2, 1), Answer(0, SKIP, 1), Answer(3, 1, 2), Answer(1, REJECT, 3)]
    assert read_session(tmp_path / "new" / "session", photos) is None
    write_session(tmp_path / "new" / "session", photos, {"batch": 3, "name": "grün"}, answers)
    assert read_session(tmp_path / "new" / "session", photos) == ({"batch": 3, "name": "grün"}, answers)
    rows = (tmp_path / "new" / "session" / "answers.csv").read_text("utf-8").splitlines()
    assert rows == ["id,path,answer,batch", '5,b/2.png,"grün, hell",1', "0,a/0.png,(skip),1", "3,b/0.png,skip,2",
                    "1,a/1.png,(reject),3"]  # fmt: skip


def test_files_that_cannot_be_read_or_written_are_a_sentence(photos, tmp_path):
    write_session(tmp_path, photos, {}, [Answer(0, 0, 1)])
    (tmp_path / "answers.csv").write_text("path,batch\na/0.png,1\n")
    with pytest.raises(RunFolderError, match="The session in .* cannot be read"):
        read_session(tmp_path, photos)
    (tmp_path / "session.json").unlink()
    (tmp_path / "session.json").mkdir()
    with pytest.raises(RunFolderError, match="cannot be written .*; the last answer is not kept"):
        write_session(tmp_path, photos, {}, [])


@pytest.mark.parametrize(("count", "shown"), [(3, "9/0.png, 9/1.png, 9/2.png;"), (4, "9/0.png, 9/1.png, 9/2.png …;")])
def test_answers_for_images_that_are_gone_are_named_up_to_three(photos, tmp_path, count, shown):
    write_session(tmp_path, photos, {}, [])
    table = tmp_path / "answers.csv"
    table.write_text(table.read_text() + "".join(f"9,9/{i}.png,red,1\n" for i in range(count)))
    with pytest.raises(RunFolderError, match=rf"has {count} answers for images that are not in .*: {shown}"):
        read_session(tmp_path, photos)


def test_labelled_files_are_copied_whole_into_a_folder_a_class(photos, tmp_path):
    labels = {0: 0, 3: 0, 5: 2}  # 0 and 3 have the same file name
    target = export_folder(tmp_path / "sorted", photos, labels)
    found = {path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*.png")}
    assert found == {
        "red/0-0.png": photos.files[0].read_bytes(), "red/3-0.png": photos.files[3].read_bytes(),
        "grün, hell/5-2.png": photos.files[5].read_bytes(),
    }  # fmt: skip
    with pytest.raises(RunFolderError, match="sorted is not empty; choose a new folder"):
        export_folder(target, photos, labels)
    (tmp_path / "empty").mkdir()
    assert export_folder(tmp_path / "empty", photos, labels) == tmp_path / "empty"


def test_images_without_files_become_pngs_of_their_pixels(tmp_path, tiny):
    task = load_task("shapes", **tiny["task_options"])
    export_folder(tmp_path / "out", task, {7: 1, 2: 3})
    for i, y in ((7, 1), (2, 3)):
        pixels = np.asarray(Image.open(tmp_path / "out" / task.class_names[y] / f"{i}.png"))
        assert torch.equal(torch.tensor(pixels).permute(2, 0, 1), task.train.images[i])


def test_a_table_of_labels_is_in_the_order_of_the_ids(photos, tmp_path):
    rows = export_csv(tmp_path / "labels.csv", photos, {5: 2, 0: 0, 3: 1}).read_text("utf-8").splitlines()
    assert rows == ["path,label", "a/0.png,red", "b/0.png,skip", 'b/2.png,"grün, hell"']


@pytest.mark.parametrize(("name", "here"), [("backbone", "small_cnn"), ("image_size", 32), ("freeze_backbone", False)])
def test_a_student_of_any_other_input_is_refused_by_name(tmp_path, name, here):
    stored = {"backbone": "efficientnet_lite0", "image_size": 64, "freeze_backbone": True}
    check_student(tmp_path, stored, RunConfig(**stored))
    with pytest.raises(RunFolderError, match=rf"trained with {name}={stored[name]!r} \(here {here!r}\); give the same"):
        check_student(tmp_path, stored, RunConfig(**stored | {name: here}))
