"""ImageNet and its shifted test sets on small copies that have the real layouts."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from activekd_lab.active.begin import start
from activekd_lab.cli.app import app
from activekd_lab.config import RunConfig
from activekd_lab.data import list_tasks, load_task
from activekd_lab.data.imagenet import locate_imagenet, wnid_names
from activekd_lab.data.prompts import IMAGENET_7
from activekd_lab.errors import DataError, SettingError, UnknownNameError
from activekd_lab.studies import preflight

WNIDS = {"n01440764": "tench", "n01443537": "goldfish", "n02007558": "flamingo"}  # the third is in A and R too
COLORS = {"n01440764": (20, 120, 20), "n01443537": (230, 120, 10), "n02007558": (240, 100, 160)}


def picture(path, wnid, shade=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((24, 30, 3), COLORS[wnid], np.uint8) + np.uint8(shade)).save(path, "JPEG", quality=95)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Ten training and two validation images a class, and the four shifted sets, as their archives unpack."""
    for wnid in WNIDS:
        for i in range(10):
            picture(tmp_path / "imagenet" / "train" / wnid / f"{wnid}_{i}.JPEG", wnid, i)
        for i in range(2):
            picture(tmp_path / "imagenet" / "val" / wnid / f"ILSVRC2012_val_{i:08}{wnid[-1]}.JPEG", wnid, i)
        picture(tmp_path / "imagenet-sketch" / "images" / wnid / "sketch_1.JPEG", wnid)
        number = list(wnid_names()).index(wnid)
        v2 = tmp_path / "imagenetv2" / "imagenetv2-matched-frequency-format-val"
        picture(v2 / str(number) / "0a1b2c.jpeg", wnid)
    for wnid in ("n02007558", "n01443537"):
        picture(tmp_path / "imagenet-rendition" / "imagenet-r" / wnid / "art_0.jpg", wnid)
    picture(tmp_path / "imagenet-adversarial" / "imagenet-a" / "n02007558" / "0.0001_x.jpg", "n02007558")
    (tmp_path / "imagenet-adversarial" / "imagenet-a" / "README.txt").write_text("part of the archive")
    monkeypatch.setenv("ACTIVEKD_LAB_DATA", str(tmp_path))
    return tmp_path


def test_clip_names_every_class_differently():
    names = wnid_names()
    assert len(names) == len(set(names.values())) == 1000
    assert list(names) == sorted(names)
    assert {wnid: names[wnid] for wnid in WNIDS} == WNIDS


def test_the_folders_are_the_splits_and_the_prompts_are_clips(root):
    task = load_task("imagenet", image_size=16)
    assert task.class_names == tuple(WNIDS.values())
    assert task.templates == IMAGENET_7
    assert (len(task.train), task.val, len(task.test)) == (30, None, 6)
    assert task.train.labels.tolist() == [0] * 10 + [1] * 10 + [2] * 10
    means = [task.test.images[i].float().mean((1, 2)).round().tolist() for i in (0, 2, 4)]
    np.testing.assert_allclose(means, list(COLORS.values()), atol=4)


def test_a_published_list_chooses_the_subset(root):
    chosen = ["n01443537_3.JPEG", "n01440764_7.JPEG", "n02007558_0.JPEG"]
    (root / "imagenet" / "1percent.txt").write_text("\n".join(chosen) + "\n")
    listing = locate_imagenet("imagenet", subset="1percent")
    assert {path.name for path, _ in listing.splits["train"]} == set(chosen)
    task = load_task("imagenet", image_size=16, subset="1percent")
    assert (task.train.labels.tolist(), len(task.test)) == ([0, 1, 2], 6)
    (root / "imagenet" / "1percent.txt").write_text("n01443537_3.JPEG\nn01443537_99.JPEG\n")
    with pytest.raises(DataError, match=r"names 1 of 2 files that are not there: n01443537_99\.JPEG"):
        load_task("imagenet", image_size=16, subset="1percent")


def test_without_a_list_a_seed_draws_the_same_share_of_every_class(root):
    with pytest.raises(DataError, match=r"10percent\.txt is missing: put it at .*or give subset_seed"):
        load_task("imagenet", image_size=16, subset="10percent")
    first, same, other = (
        [path.name for path, _ in locate_imagenet("imagenet", subset="10percent", subset_seed=s).splits["train"]]
        for s in (0, 0, 1)
    )
    assert first == same != other
    assert [name.partition("_")[0] for name in first] == list(WNIDS)


def test_settings_of_a_subset_that_would_do_nothing(root):
    with pytest.raises(SettingError, match="subset_seed has no effect without subset"):
        load_task("imagenet", subset_seed=1)
    with pytest.raises(SettingError, match="subset has no effect on imagenet_a"):
        locate_imagenet("imagenet_a", subset="1percent")
    with pytest.raises(UnknownNameError, match="nearest first: 1percent"):
        load_task("imagenet", subset="1procent")
    refused = CliRunner().invoke(app, ["data", "prepare", "eurosat", "--subset", "1percent"])
    assert "subset has no effect on eurosat" in str(refused.exception)


@pytest.mark.parametrize(
    ("name", "names", "labels"),
    [
        ("imagenet_v2", ("tench", "goldfish", "flamingo"), [0, 1, 2]),
        ("imagenet_sketch", ("tench", "goldfish", "flamingo"), [0, 1, 2]),
        ("imagenet_a", ("flamingo",), [0]),
        ("imagenet_r", ("goldfish", "flamingo"), [0, 1]),
    ],
)
def test_shifted_sets_map_their_folders_to_the_same_names(root, name, names, labels):
    task = load_task(name, image_size=16)
    assert (task.class_names, task.templates) == (names, IMAGENET_7)
    assert (len(task.train), task.test.labels.tolist()) == (0, labels)
    colors = [tuple(COLORS[wnid]) for wnid, known in WNIDS.items() if known in names]
    np.testing.assert_allclose(task.test.images.float().mean((2, 3)), colors, atol=4)
    assert name in list_tasks()


def test_a_shifted_set_has_no_pool_to_run_on(root):
    with pytest.raises(DataError, match="'imagenet_r' has no pool to choose from"):
        start(RunConfig(task="imagenet_r", task_options={"image_size": 32}, rounds=1, device="cpu"))


def test_folders_that_do_not_fit(root):
    (root / "imagenet" / "val" / "n02007558").rename(root / "elsewhere")
    with pytest.raises(DataError, match="val lacks class folders that another split has: n02007558"):
        load_task("imagenet", image_size=16)
    (root / "elsewhere").rename(root / "imagenet" / "val" / "tench")
    with pytest.raises(DataError, match="named by its WordNet id such as n01440764, but it has tench"):
        load_task("imagenet", image_size=16)
    (root / "imagenet" / "train").rename(root / "gone")
    with pytest.raises(DataError, match="images of imagenet are missing: put them at imagenet/train or "):
        load_task("imagenet", image_size=16)


@pytest.mark.parametrize("sign", ["train/n02007558/images", "val/val_annotations.txt"])
def test_tiny_imagenet_is_not_imagenet(root, sign):
    """By the task, by data check, and by what a study says is missing."""
    if sign.startswith("train"):
        folder = root / "imagenet" / "train" / "n02007558"
        folder.rename(root / "moved")
        folder.mkdir()
        (root / "moved").rename(folder / "images")
    else:
        (root / "imagenet" / sign).write_text("val_0.JPEG\tn02007558\t0\t0\t62\t62\n")
    sentence = rf"imagenet has the layout of Tiny-ImageNet \({sign}\), which is not ImageNet: put .* akd.FolderTask.$"
    with pytest.raises(DataError, match=sentence):
        load_task("imagenet", image_size=16)
    said = CliRunner().invoke(app, ["data", "check", "imagenet"])
    assert said.exit_code == 1
    assert re.search(sentence, str(said.exception or said.output))
    assert [item.why for item in preflight._missing_data("imagenet", "") if re.search(sentence, item.why)]


def test_a_trained_student_is_measured_under_shift(root, tmp_path):
    active = start(
        RunConfig(task="imagenet", task_options={"image_size": 32}, rounds=0, steps=60, initial_per_class=4,
                  image_size=32, device="cpu")
    )  # fmt: skip
    (record,) = list(active)
    active.saved_student().save(tmp_path / "student")
    done = CliRunner().invoke(app, ["data", "shift", str(tmp_path / "student"), "--json"])
    assert done.exit_code == 0, done.output
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert {name: (row["images"], row["classes"]) for name, row in rows.items()} == {
        "imagenet_v2": (3, 3), "imagenet_sketch": (3, 3), "imagenet_a": (1, 1), "imagenet_r": (2, 2)
    }  # fmt: skip
    assert rows["imagenet_v2"]["accuracy"] == record.accuracy == 1  # one colour a class
    assert rows["imagenet_a"]["accuracy"] == 1  # among one class
    table = CliRunner().invoke(app, ["data", "shift", str(tmp_path / "student"), "imagenet_r"])
    assert "imagenet_r  2       2        100.0%" in table.stdout


def test_a_student_of_other_classes_is_refused(root, tmp_path, tiny):
    active = start(RunConfig(**tiny | {"rounds": 0, "image_size": 32}))
    list(active)
    active.saved_student().save(tmp_path / "student")
    done = CliRunner().invoke(app, ["data", "shift", str(tmp_path / "student"), "imagenet_r"])
    assert "not 2 of the 2 of imagenet_r, such as 'goldfish'" in str(done.exception)


def test_check_tells_what_differs_from_the_published(root):
    (root / "imagenet" / "val" / "n02007558" / "broken.JPEG").write_bytes(b"no image")
    done = CliRunner().invoke(app, ["data", "check", "imagenet"])
    assert done.exit_code == 1
    assert "corrupt: 1, such as" in done.stdout
    assert "The published imagenet has train 1,281,167, test 50,000; here are train 30, test 7." in done.stdout
    prepared = CliRunner().invoke(app, ["data", "prepare", "imagenet_v2", "--image-size", "16"], catch_exceptions=False)
    assert "imagenet_v2: test 3 images of 3 classes" in prepared.stdout


def test_labels_are_int64_everywhere(root):
    assert load_task("imagenet_a", image_size=16).train.labels.dtype == torch.int64


def test_check_follows_a_link_to_the_data_set(root, tmp_path):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "imagenet").symlink_to(root / "imagenet")
    said = CliRunner().invoke(app, ["data", "check", "imagenet", "--root", str(tmp_path / "links")])
    assert "imagenet: 36 images, all as they should be" in said.stdout
