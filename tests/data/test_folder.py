"""Real files in many formats and states of damage, as people's folders hold them."""

import json
import os
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

import activekd_lab as akd
from activekd_lab.active.begin import start
from activekd_lab.data.folder import FolderTask
from activekd_lab.data.images import read_image
from activekd_lab.errors import DataError, RunFolderError, SettingError

RED, GREEN = (200, 20, 30), (20, 180, 40)


def picture(color=RED, size=(40, 30), mode="RGB"):
    noise = np.random.default_rng(sum(color)).integers(0, 12, (size[1], size[0], 3))
    return Image.fromarray((np.array(color) + noise).clip(0, 255).astype(np.uint8)).convert(mode)


def save_all_kinds(folder):
    """Write good files in twelve formats and modes."""
    folder.mkdir(parents=True)
    exif = Image.Exif()
    exif[274] = 6  # turned by a quarter
    picture().save(folder / "plain.jpg", quality=95)
    picture(size=(60, 20)).save(folder / "turned.jpg", exif=exif, quality=95)
    picture(mode="CMYK").save(folder / "print.jpg", quality=95)
    picture(mode="L").save(folder / "grey.png")
    picture(mode="P").save(folder / "palette.png")
    clear = picture().convert("RGBA")
    clear.putalpha(0)
    clear.save(folder / "clear.png")
    Image.fromarray(np.full((20, 20), 40000, np.uint16)).save(folder / "deep.png")
    picture(mode="1").save(folder / "bilevel.tif")
    picture().save(folder / "still.webp")
    picture().save(folder / "moving.gif", save_all=True, append_images=[picture(GREEN)])
    picture().save(folder / "old.bmp")
    picture().save(folder / "UPPER.JPEG", quality=80)


def damage(folder):
    """Write four files that are no images, whatever their names say."""
    whole = (folder / "plain.jpg").read_bytes()
    (folder / "half.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("not an image")
    (folder / "half.webp").write_bytes((folder / "still.webp").read_bytes()[:60])


@pytest.fixture
def photos(tmp_path):
    """Two classes of eight JPEG files."""
    for name, color in (("red_things", RED), ("green", GREEN)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(8):
            shade = tuple(min(255, c + 5 * i) for c in color)
            picture(shade).save(tmp_path / "photos" / name / f"{i}.jpg", quality=95)
    return tmp_path / "photos"


def test_every_kind_of_file_is_read_and_every_bad_one_is_named(tmp_path):
    save_all_kinds(tmp_path / "mixed")
    assert len(FolderTask(tmp_path / "mixed", ["thing", "other"], image_size=16).train) == 12
    damage(tmp_path / "mixed")
    with pytest.raises(DataError, match="4 of 16 files are no readable images") as caught:
        FolderTask(tmp_path / "mixed", ["thing", "other"], image_size=16)
    assert all(name in str(caught.value) for name in ("half.jpg", "empty.png", "text.jpg", "half.webp"))
    task = FolderTask(tmp_path / "mixed", ["thing", "other"], image_size=16, unreadable="skip")
    assert len(task.train) == len(task.files) == 12
    assert task.left_out.counts == {"unreadable": 4}
    assert "Left out: 4 unreadable (" in str(task.left_out)


def test_pixels_mean_what_they_should(tmp_path):
    save_all_kinds(tmp_path / "kinds")
    means = {p.name: read_image(p, 16).float().mean((1, 2)) for p in (tmp_path / "kinds").iterdir()}
    for name in ("plain.jpg", "turned.jpg", "still.webp", "moving.gif", "old.bmp", "UPPER.JPEG", "palette.png"):
        torch.testing.assert_close(means[name], torch.tensor(RED) + 5.5, atol=14, rtol=0, msg=name)
    assert means["clear.png"].tolist() == [255, 255, 255]
    assert means["deep.png"].tolist() == [155, 155, 155]  # 40,000 of 65,535
    assert float(means["grey.png"].std()) == 0


def test_a_black_photograph_is_an_image(tmp_path):
    (tmp_path / "night").mkdir()
    Image.new("RGB", (20, 20)).save(tmp_path / "night" / "a.png")
    assert len(FolderTask(tmp_path / "night", ["moon", "stars"], image_size=16).train) == 1


def test_a_folder_a_class_is_split_by_seed(photos):
    task = FolderTask(photos, image_size=16, test_share=0.25)
    assert task.class_names == ("green", "red things")
    assert (len(task.train), len(task.test)) == (12, 4)
    assert task.test.labels.bincount().tolist() == [2, 2]
    assert [file.parent.name == "red_things" for file in task.files] == (task.train.labels == 1).tolist()
    same, other = (FolderTask(photos, image_size=16, test_share=0.25, seed=s) for s in (0, 1))
    assert same.files == task.files != other.files
    turned = FolderTask(photos, ["red things", "green"], image_size=16)
    assert turned.class_names == ("red things", "green")


def test_given_splits_are_kept(photos, tmp_path):
    for split in ("train", "test"):
        (tmp_path / "both" / split).mkdir(parents=True)
    (photos / "green").rename(tmp_path / "both" / "train" / "green")
    (photos / "red_things").rename(tmp_path / "both" / "test" / "red_things")
    task = FolderTask(tmp_path / "both", image_size=16)
    assert (task.train.labels.tolist(), task.test.labels.tolist()) == ([0] * 8, [1] * 8)


def test_a_csv_tells_labels_and_what_is_unknown(photos, tmp_path):
    rows = ["path,label", "green/0.jpg,leaf", "green/1.jpg,", "red_things/0.jpg,rose"]
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    task = FolderTask(photos, labels=tmp_path / "labels.csv", image_size=16, test_share=0)
    assert (task.class_names, task.train.labels.tolist()) == (("leaf", "rose"), [0, -1, 1])
    with pytest.raises(DataError, match="no class: leaf, rose"):
        FolderTask(photos, ["tree", "bush"], labels=tmp_path / "labels.csv")
    (tmp_path / "labels.csv").write_text("path,label\n../../secret.jpg,leaf\n")
    with pytest.raises(DataError, match="leads out of"):
        FolderTask(photos, labels=tmp_path / "labels.csv")
    (tmp_path / "labels.csv").write_text("path,label\ngreen/99.jpg,leaf\n")
    with pytest.raises(DataError, match=r"1 of 1 image files do not exist: .*99\.jpg"):
        FolderTask(photos, ["leaf", "rose"], labels=tmp_path / "labels.csv")


def test_class_names_are_cleaned_on_both_sides_of_a_csv(photos, tmp_path):
    (tmp_path / "labels.csv").write_text("path,label\ngreen/0.jpg,polar bear\ngreen/1.jpg,brown_bear\n")
    task = FolderTask(photos, ["polar_bear", "brown bear"], labels=tmp_path / "labels.csv", image_size=16, test_share=0)
    assert (task.class_names, task.train.labels.tolist()) == (("polar bear", "brown bear"), [0, 1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"path,label\ngreen/0.jpg,leaf\ngreen/1.jpg\n", "no label column for 'green/1.jpg'; end that row in a comma"),
        ("path,label\ngreen/0.jpg,Käfer\n".encode("latin-1"), r"labels\.csv is no CSV in UTF-8 \('utf-8' codec"),
    ],
)
def test_a_csv_that_cannot_be_read_is_refused_in_a_sentence(photos, tmp_path, content, message):
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        FolderTask(photos, labels=tmp_path / "labels.csv", image_size=16)


def test_a_text_is_no_list_of_class_names(photos):
    with pytest.raises(SettingError, match=r"expected class_names as a list, .* but got str 'cat,dog'"):
        FolderTask(photos, "cat,dog")


def test_folders_that_say_too_little(photos, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no images"):
        FolderTask(tmp_path / "empty")
    with pytest.raises(DataError, match=r"without a name: \['red_things'\].*without a folder: \['blue'\]"):
        FolderTask(photos, ["green", "blue"])
    (photos / "red things").mkdir()
    picture().save(photos / "red things" / "0.jpg")
    with pytest.raises(DataError, match="'red things' stand more than once"):
        FolderTask(photos)
    with pytest.raises(DataError, match="give class_names"):
        FolderTask(photos / "green")
    with pytest.raises(DataError, match="is no folder"):
        FolderTask(photos / "green" / "0.jpg")


def test_exact_copies_are_told(photos):
    (photos / "green" / "copy.jpg").write_bytes((photos / "green" / "0.jpg").read_bytes())
    told = str(FolderTask(photos, image_size=16).left_out)
    assert told == "1 images are exact copies of others: green/0.jpg = green/copy.jpg."


def test_images_are_decoded_once_and_again_when_they_change(photos, monkeypatch):
    first = FolderTask(photos, image_size=16)
    monkeypatch.setattr("activekd_lab.data.decode._row", lambda *_: pytest.fail("decoded again"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(FolderTask(photos, image_size=16).train.images, first.train.images)
    monkeypatch.undo()
    picture((1, 2, 250)).save(photos / "green" / "0.jpg")
    assert not torch.equal(FolderTask(photos, image_size=16, test_share=0).train.images[:1], first.train.images[:1])


def test_files_that_swap_their_names_are_read_again(tmp_path):
    """Uncompressed files of one size and one date, as out of an archive: nothing but the system's date differs."""
    for name, color in (("a", RED), ("b", (1, 2, 250))):
        picture(color).save(tmp_path / f"{name}.bmp")
        os.utime(tmp_path / f"{name}.bmp", (1e9, 1e9))
    read = lambda: FolderTask(tmp_path, ["x", "y"], image_size=16).train.images  # noqa: E731
    before = read().clone()
    (tmp_path / "a.bmp").rename(tmp_path / "c")
    (tmp_path / "b.bmp").rename(tmp_path / "a.bmp")
    (tmp_path / "c").rename(tmp_path / "b.bmp")
    assert torch.equal(read(), before.flip(0))


SETTINGS = {"rounds": 1, "budget": 2, "steps": 2, "batch_labeled": 4, "batch_unlabeled": 4, "device": "cpu"}


@pytest.mark.parametrize(
    ("backbone", "settings"),
    [
        ("resnet18", {"pretrained": False}),
        ("mobilenet_v2", {"pretrained": False}),
        ("timm/resnet10t", {"pretrained": False}),
        ("open_clip/bundled", {}),
        ("efficientnet_lite0", {}),
    ],
)
def test_any_backbone_trains_a_round_on_jpeg_files(photos, backbone, settings):
    config = akd.RunConfig(
        task="folder", task_options={"path": str(photos), "image_size": 64}, backbone=backbone, **SETTINGS | settings
    )
    records = list(akd.iterate(config))
    assert [r.labels for r in records] == [2, 4]
    assert all(0 <= r.accuracy <= 1 and np.isfinite(r.loss) for r in records)


def test_a_folder_can_be_made_harder(photos):
    task = akd.load_task("folder", path=str(photos), image_size=16, label_noise=0.5)
    plain = akd.load_task("folder", path=str(photos), image_size=16)
    assert int((task.train.labels != plain.train.labels).sum()) == len(plain.train) // 2


def test_a_run_needs_labels(photos):
    flat = {"path": str(photos / "green"), "class_names": "oak,elm", "image_size": 32}
    with pytest.raises(DataError, match="has 8 unlabelled images and 0 test images; label them first"):
        start(akd.RunConfig(task="folder", task_options=flat, **SETTINGS))


def test_a_run_does_not_continue_on_other_images_and_old_folders_do(photos, tmp_path):
    options = {"path": str(photos), "image_size": 32}
    config = akd.RunConfig(task="folder", task_options=options, **SETTINGS)
    folder = akd.run(config, store=tmp_path / "runs").folder
    file = next((photos / "green").glob("*.jpg"))
    picture((90, 90, 90)).save(file)
    with pytest.raises(RunFolderError, match="was begun on other images, labels, class names or prompts"):
        start(config, store=tmp_path / "runs").open()
    header = json.loads((folder / "config.json").read_text())
    del header["task_fingerprint"]
    (folder / "config.json").write_text(json.dumps(header))
    assert len(start(config, store=tmp_path / "runs").open().records) == len(akd.load_run(folder).records)
