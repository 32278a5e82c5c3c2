"""The files of a labelling session: what leaves it, and what is refused."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from activekd_lab.config import RunConfig
from activekd_lab.data import load_task
from activekd_lab.data.folder import FolderTask
from activekd_lab.errors import DataError, RunFolderError
from activekd_lab.labeling.files import check_student, export_csv, export_folder

pytestmark = pytest.mark.quick

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


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["N/A", "dog"], "'N/A' cannot be the name of a folder; write a table with export_csv"),
        (["../../elsewhere", "dog"], "cannot be the name"), ([".hidden", "dog"], "cannot be the name"),
        (["..", "dog"], "cannot be the name"), (["a\\b", "dog"], "cannot be the name"),
        (["nul", "dog"], "cannot be the name"), (["ends.", "dog"], "cannot be the name"),
        (["é" * 128, "dog"], "cannot be the name"),
        (["Dog", "dog"], "'Dog', 'dog' would not be read as classes; write a table"),
        (["train", "test"], "would not be read as classes"), (["2023", "2024"], "would not be read as classes"),
    ],
)  # fmt: skip
def test_a_class_whose_folder_would_not_be_read_back_is_refused_before_anything_is_written(
    names, why, photos, tmp_path
):
    task = dataclasses.replace(
        load_task("shapes", num_classes=2, pool_size=8, test_per_class=1), class_names=tuple(names)
    )
    with pytest.raises(DataError, match=why):
        export_folder(tmp_path / "deep" / "out", task, {0: 0, 1: 1})
    assert not (tmp_path / "deep").exists()
    assert len(export_csv(tmp_path / "labels.csv", task, {0: 0, 1: 1}).read_text("utf-8").split("\n")) >= 4


def test_a_file_name_as_long_as_can_be_is_exported_by_its_id(tmp_path):
    long = tmp_path / "photos" / f"{'n' * 251}.png"
    long.parent.mkdir()
    Image.new("RGB", (20, 24), (9, 200, 7)).save(long)
    task = FolderTask(tmp_path / "photos", ["red", "blue"], test_share=0)
    export_folder(tmp_path / "out", task, {0: 1})
    assert (tmp_path / "out" / "blue" / "0.png").read_bytes() == long.read_bytes()
