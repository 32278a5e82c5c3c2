"""Folders as people's disks hold them: splits, archives, links, strays, dates."""

import os

import numpy as np
import pytest
from PIL import Image

from activekd_lab.data import FolderTask
from activekd_lab.data.layout import list_folder, split_of
from activekd_lab.errors import DataError, SettingError, UnknownNameError


def make(root, layout, suffix=".png"):
    seed = 0
    for place, count in layout.items():
        (root / place).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            pixels = np.random.default_rng(seed := seed + 1).integers(0, 255, (12, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / place / f"{i}{suffix}")
    return root


@pytest.mark.parametrize(
    ("splits", "sizes"),
    [
        (("train", "val"), (6, 0, 6)), (("Train", "Test"), (6, 0, 6)), (("training", "testing"), (6, 0, 6)),
        (("train", "validation"), (6, 0, 6)), (("train", "dev", "test"), (6, 6, 6)),
        (("TRAIN", "Valid", "TEST"), (6, 6, 6)), (("train_set", "val2017", "test-images"), (6, 6, 6)),
        (("seg_train", "seg_test"), (6, 0, 6)), (("seg_train/seg_train", "seg_test/seg_test"), (6, 0, 6)),
        (("training_set/training_set", "test_set/test_set"), (6, 0, 6)), (("D/Train/Train", "D/Test/Test"), (6, 0, 6)),
    ],
)  # fmt: skip
def test_every_usual_spelling_of_splits(splits, sizes, tmp_path):
    task = FolderTask(make(tmp_path, {f"{s}/{c}": 3 for s in splits for c in ("cat", "dog")}), image_size=8)
    assert task.class_names == ("cat", "dog")
    assert (len(task.train), len(task.val or ()), len(task.test)) == sizes
    assert not task.left_out.counts


def test_unsorted_images_are_no_class(tmp_path):
    make(tmp_path, {"train/cat": 2, "train/dog": 2, "test/cat": 1, "test/dog": 1, "test/emu": 1, "Unlabeled": 2})
    task = FolderTask(tmp_path, image_size=8)
    assert (task.class_names, task.train.labels.tolist()) == (("cat", "dog", "emu"), [0, 0, 1, 1])
    assert task.left_out.counts == {"beside the class folders": 2}
    assert task.left_out.notes == ["No image to learn from: emu."]
    asked = FolderTask(tmp_path, ["cat", "dog", "emu"], image_size=8)
    assert asked.train.labels.tolist() == [-1, -1, 0, 0, 1, 1]


@pytest.mark.parametrize("word", ["train", "bus", "evaluate this", "testament", "devices", "training day"])
def test_words_that_only_begin_like_a_split(word):
    assert split_of(word) == ("train" if word == "train" else "")


def test_vehicles_may_be_called_train(tmp_path):
    assert list_folder(make(tmp_path, {"train": 2, "bus": 2})).names == ("bus", "train")


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ({"train/a": 1, "test/a": 1, "extra/a": 1}, "holds the splits .* but beside them lies extra/"),
        ({"train/a": 1, "training/a": 1}, "two of them are for the same"),
        ({"val/a": 1, "test/a": 1}, "none of them is for training"),
        ({"2023": 2, "2024-05": 2}, "named by dates or by a camera"),
        ({"2024-05-31 beach": 2, "2024-06-01": 2}, "named by dates or by a camera"),
        ({"Photos from 2023": 2, "Photos from 2024": 2}, "named by dates or by a camera"),
        ({"2024/05": 2, "2024/06": 2}, "named by dates or by a camera"),
        ({"train": 3}, "images in one class folder only, train, so nothing tells the classes"),
        ({"seg_train/cat": 2, "seg_test/cat": 2, "seg_pred": 2}, "beside them lies seg_pred/"),
        ({"one/cat": 1, "one/dog": 1, "two/cat": 1, "two/dog": 1}, r"hold the same folders \(cat, dog\)"),
        ({"one/cat": 1, "one/dog": 1, "two/cat": 1, "two/dog": 1, "two/owl": 1}, "hold the same folders"),
        ({"cat": 2, "dog": 2, "photos/cat": 2, "photos/dog": 2}, "photos holds cat/, dog/, which lie beside it too"),
        ({"images/cat": 2, "images/dog": 2, "labels/cat": 2}, "labels/"),
        ({"train/cat": 1, "train/dog": 1, "extra/cat": 1, "extra/owl": 1}, "holds train/, which looks like a split"),
        ({"train/cat": 1, "train/dog": 1, "predict": 2}, "holds train/, which looks like a split, beside predict/"),
        ({"trainA": 1, "trainB": 1, "testA": 1, "testB": 1}, "looks like a split"),
        ({"train1": 2, "train2": 2, "test": 2}, "looks like a split"),
        ({"cat/train": 2, "cat/test": 2, "dog/train": 1}, "cat holds test and train; turn it round"),
        ({"31-05-2024": 2, "01-06-2024": 2}, "named by dates or by a camera"),
        ({"May 2024": 2, "June 2024": 2}, "named by dates or by a camera"),
        ({"2024-05-31": 2, "holiday": 2}, r"named by dates or by a camera \(2024-05-31\)"),
        ({"Cat": 1, "cat": 1}, "differ only in upper and lower case"),
        ({"": 2}, "outside of class folders"),
    ],
)
def test_layouts_that_do_not_say_the_classes(layout, message, tmp_path):
    with pytest.raises(DataError, match=message):
        list_folder(make(tmp_path, layout))


def test_an_archive_inside_itself_is_looked_through(tmp_path):
    assert list_folder(make(tmp_path, {"photos/photos/cat": 2, "photos/photos/dog": 2})).names == ("cat", "dog")
    task = FolderTask(make(tmp_path / "b", {"b/train/x": 2, "b/train/y": 2, "b/val/x": 2}), image_size=8)
    assert (len(task.train), len(task.test)) == (4, 2)


def test_links_are_followed_and_circles_are_cut(tmp_path):
    root, other = make(tmp_path / "a", {"cat": 2}), make(tmp_path / "b", {"dog": 3})
    (root / "dog").symlink_to(other / "dog")
    (root / "cat" / "again").symlink_to(root)
    (root / "cat" / "gone.png").symlink_to(root / "nowhere")
    listing = list_folder(root)
    assert (listing.names, listing.labels) == (("cat", "dog"), [0, 0, 1, 1, 1])
    assert listing.left_out.counts == {"folders linked in a circle": 1, "links to nothing": 1}


def test_what_is_left_out_is_counted_and_strays_take_no_label_away(tmp_path):
    make(tmp_path, {"cat": 3, "dog": 3, "": 1, ".secret": 1, "__MACOSX/cat": 1, "cat/@eaDir": 1, "$RECYCLE.BIN": 2})
    make(tmp_path, {"jfif": 0, "cat": 1}, ".jfif")
    (tmp_path / "cat" / "._0.png").write_bytes(b"x")
    (tmp_path / "cat" / "new.HEIC").write_bytes(b"x")
    listing = list_folder(tmp_path)
    assert (listing.names, len(listing.files)) == (("cat", "dog"), 7)
    assert listing.left_out.counts == {
        "hidden": 6, "HEIC photos, which `pip install pillow-heif` lets be read": 1, "beside the class folders": 1,
        "folders without an image": 1,
    }  # fmt: skip
    asked = list_folder(tmp_path, ["cat", "dog"])
    assert sorted(asked.labels) == [-1, 0, 0, 0, 0, 1, 1, 1]
    assert "1 images lie in no class folder and have no label: 0.png." in str(asked.left_out)


def test_photos_by_date_can_be_labelled(tmp_path):
    listing = list_folder(make(tmp_path, {"2023": 2, "2024/05": 2}), ["cat", "dog"])
    assert listing.labels == [-1] * 4
    assert "bears the name of a class" in str(listing.left_out)


def test_tiny_imagenet(tmp_path):
    make(tmp_path, {"train/n01440764/images": 4, "train/n01443537/images": 4, "val/images": 2, "test/images": 2})
    task = FolderTask(tmp_path, ["n01443537", "n01440764"], image_size=8)
    assert (len(task.train), len(task.test)) == (6, 2)  # a share is drawn, since val tells no class
    assert task.left_out.counts == {"in val, but in no class folder": 2, "in test, but in no class folder": 2}


def test_names_in_two_unicode_forms_are_one_class(tmp_path):
    make(tmp_path, {"caf\u00e9": 2, "tea": 2})
    assert list_folder(tmp_path, ["cafe\u0301", "tea"]).labels == [0, 0, 1, 1]
    make(tmp_path, {"cafe\u0301": 2})
    with pytest.raises(DataError, match="composed and decomposed"):
        list_folder(tmp_path)


def test_file_names_of_any_bytes(tmp_path):
    root = make(tmp_path / "photos", {"cat": 2, "dog": 2})
    for i, name in enumerate((b"\xff.png", b"a\nb.png", b'c,"d.png')):
        make(tmp_path / f"more{i}", {"": 10 + i})
        os.rename(os.fsencode(tmp_path / f"more{i}" / f"{9 + i}.png"), os.fsencode(root / "cat") + b"/" + name)
    assert len(FolderTask(root, image_size=8, test_share=0).files) == 7


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"test_share": 0.999}, r"leaves none of the 3 images of 'cat'"),
        ({"test_share": "x"}, "test_share as a finite number, but got str"),
        ({"test_share": float("nan")}, "test_share as a finite number, but got float nan"),
        ({"limit": 0}, "limit must be a whole number"),
        ({"unreadable": "maybe"}, "Unknown unreadable 'maybe'. Known, nearest first: raise, skip"),
        ({"seed": 1.5}, "seed as a whole number"), ({"templates": "a {}."}, "templates as a list"),
        ({"class_names": 3}, "class_names as a list"),
        ({"class_names": [None, "dog"]}, "class_names as a list, each a text"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be(settings, message, tmp_path):
    with pytest.raises((SettingError, UnknownNameError), match=message):
        FolderTask(make(tmp_path, {"cat": 3, "dog": 3}), image_size=8, **settings)


def test_a_limit_takes_evenly_of_each_class(tmp_path):
    task = FolderTask(make(tmp_path, {"cat": 9, "dog": 3}), image_size=8, limit=4, test_share=0)
    assert task.train.labels.tolist() == [0, 0, 1, 1]
    assert task.left_out.counts == {"beyond the limit": 8}


def test_a_picture_stays_on_one_side(tmp_path):
    root = make(tmp_path, {"train/cat": 3, "train/dog": 3, "test/cat": 0, "test/dog": 2})
    (root / "test" / "cat" / "copy.png").write_bytes((root / "train" / "cat" / "1.png").read_bytes())
    task = FolderTask(root, image_size=8)
    assert (len(task.train), len(task.test)) == (5, 3)
    assert task.left_out.counts == {"in train, though a copy is in val or test": 1}


def test_kinds_of_files_are_no_classes_and_what_is_put_together_is_said(tmp_path):
    for i, tops in enumerate((("images", "masks"), ("JPEGImages", "SegmentationClass"), ("jpg", "png"))):
        with pytest.raises(DataError, match="kinds of files and no classes"):
            list_folder(make(tmp_path / str(i), dict.fromkeys(tops, 2)))
    nested = dict.fromkeys(("pets/cat", "pets/dog", "wild/lion", "wild/wolf"), 2)
    listing = list_folder(make(tmp_path / "nested", nested))
    assert listing.names == ("pets", "wild")
    assert "count for the class above them: pets (cat, dog), wild (lion, wolf)" in str(listing.left_out)


def test_a_class_that_nothing_is_measured_on_is_told(tmp_path):
    listing = list_folder(make(tmp_path, {"train/cat": 1, "train/dog": 1, "test/cat": 1}))
    assert "No image to measure on, so an accuracy of 0 in every round: dog" in str(listing.left_out)
