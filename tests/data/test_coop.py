"""Each loader on a small copy that has the real layout, and the real split files where they are at hand."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from activekd_lab.active.pool import initial_ids
from activekd_lab.cli.app import app
from activekd_lab.data import load_task
from activekd_lab.data.coop import SIZES, SPECS, class_names, read_split
from activekd_lab.errors import DataError

REAL = Path(__file__).parents[3] / "shared" / "data" / "coop_splits"
COUNTS = {"train": 4, "val": 2, "test": 3}


def picture(path, shade):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((24, 30, 3), shade, np.uint8)).save(path, quality=95)


def write_copy(root, name, images):
    """Write nine JPEG files of three classes and the split file that lists them; return the split file's path."""
    split, shade = {}, 40
    for part, count in COUNTS.items():
        split[part] = []
        for i in range(count):
            relative = f"class_{i % 3}/{part}_{i}.jpg"
            picture(root / images / relative, shade := shade + 10)
            split[part].append([relative, i % 3, f"odd_name {i % 3}"])
    path = root / images.partition("/")[0] / SPECS[name].split
    path.write_text(json.dumps(split))
    return path


LAYOUTS = [(name, i) for name, spec in SPECS.items() for i in range(len(spec.images)) if name != "fgvc_aircraft"]


@pytest.mark.parametrize(("name", "layout"), LAYOUTS)
def test_a_copy_of_each_layout_loads(name, layout, tmp_path):
    spec = SPECS[name]
    path = write_copy(tmp_path, name, spec.images[layout])
    if layout:  # torchvision's folders do not hold CoOp's file; it lies in the root
        path.rename(tmp_path / spec.split)
    task = load_task(name, root=str(tmp_path), image_size=16)
    assert {s.name: len(s) for s in (task.train, task.val, task.test)} == COUNTS
    assert task.class_names == ("odd name 0", "odd name 1", "odd name 2")
    assert task.templates == (spec.template,)
    assert task.train.labels.tolist() == [0, 1, 2, 0]
    assert [int(image.float().mean()) for image in task.train.images] == [50, 60, 70, 80]
    assert [int(image.float().mean()) for image in task.test.images] == [110, 120, 130]


def test_aircraft_reads_its_own_lists(tmp_path, monkeypatch):
    data = tmp_path / "fgvc-aircraft-2013b" / "data"
    for i in range(6):
        picture(data / "images" / f"{i:07}.jpg", 40 + 10 * i)
    (data / "variants.txt").write_text("707-320\nA300B4\nDHC-8-100\n")
    for split, ids in {"train": (0, 1, 2), "val": (3,), "test": (4, 5)}.items():
        lines = [f"{i:07} {['707-320', 'A300B4', 'DHC-8-100'][i % 3]}" for i in ids]
        (data / f"images_variant_{split}.txt").write_text("\n".join(lines) + "\n")
    monkeypatch.setenv("ACTIVEKD_LAB_DATA", str(tmp_path))
    task = load_task("fgvc_aircraft", image_size=16)
    assert task.class_names == ("707-320", "A300B4", "DHC-8-100")
    assert (task.train.labels.tolist(), task.test.labels.tolist()) == ([0, 1, 2], [1, 2])
    (data / "images_variant_val.txt").write_text("0000003 Concorde\n")
    with pytest.raises(DataError, match="variants that variants.txt lacks: Concorde"):
        load_task("fgvc_aircraft", image_size=16)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real CoOp split files are not beside this checkout")
@pytest.mark.parametrize(
    ("name", "counts", "first"),
    [("eurosat", [13_500, 5_400, 8_100], "Annual Crop Land"), ("dtd", [2_820, 1_128, 1_692], "banded")],
)
def test_the_real_split_files_have_the_published_sizes(name, counts, first):
    path = REAL / SPECS[name].split
    splits = read_split(path)
    assert [len(rows) for rows in splits.values()] == counts == list(SIZES[name])
    names = class_names(splits, path)
    assert (len(names), names[0]) == (SPECS[name].classes, first)


def edit(path, change):
    split = json.loads(path.read_text())
    change(split)
    path.write_text(json.dumps(split))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s["train"][0].__setitem__(0, "../../../etc/passwd"), "leads out of"),
        (
            lambda s: s["val"].extend([[f"no/{i}.jpg", 0, "odd_name 0"] for i in range(5)]),
            r"5 of 14 image files do not exist: .*1\.jpg.* …",
        ),
        (lambda s: s["test"][0].__setitem__(2, "other"), "gives label 0 two names: 'odd_name 0' and 'other'"),
        (lambda s: s["test"].append(["a.jpg", 7, "seven"]), "labels that are not 0 … 3"),
        (
            lambda s: [row.__setitem__(2, "odd name 1") for rows in s.values() for row in rows if row[1] == 2],
            "'odd name 1' stand more than once",
        ),
        (lambda s: s.pop("val"), "is damaged .val: Field required."),
        (lambda s: s["test"].append(s["train"][0]), r"train_0\.jpg is in two splits, train and test; keep it in one"),
        (
            lambda s: s["train"].append([s["train"][0][0], 1, "odd_name 1"]),
            r"train_0\.jpg has two labels, 'odd name 0' and 'odd name 1'; keep one",
        ),
    ],
)
def test_split_files_that_cannot_be_used(change, message, tmp_path):
    edit(write_copy(tmp_path, "dtd", "dtd/images"), change)
    with pytest.raises(DataError, match=message):
        load_task("dtd", root=str(tmp_path), image_size=16)


def test_a_row_that_stands_twice_counts_once(tmp_path):
    edit(write_copy(tmp_path, "dtd", "dtd/images"), lambda s: s["train"].append(s["train"][0]))
    task = load_task("dtd", root=str(tmp_path), image_size=16)
    assert (len(task.train), task.left_out.counts) == (4, {"rows of train that stand there before": 1})


def test_missing_data_say_where_they_go(tmp_path, monkeypatch):
    monkeypatch.delenv("ACTIVEKD_LAB_DATA", raising=False)
    with pytest.raises(DataError, match="root=FOLDER or set ACTIVEKD_LAB_DATA"):
        load_task("eurosat")
    with pytest.raises(DataError, match="does not exist"):
        load_task("eurosat", root=str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"images of eurosat are missing: put them at eurosat/2750"):
        load_task("eurosat", root=str(tmp_path))
    (tmp_path / "eurosat" / "2750").mkdir(parents=True)
    with pytest.raises(
        DataError, match=r"split files of eurosat are missing: put them at eurosat/split_zhou_EuroSAT\.json"
    ):
        load_task("eurosat", root=str(tmp_path))


def test_the_commands_check_and_prepare(tmp_path, monkeypatch):
    write_copy(tmp_path, "eurosat", "eurosat/2750")
    monkeypatch.setenv("ACTIVEKD_LAB_DATA", str(tmp_path))
    good = CliRunner().invoke(app, ["data", "check", "eurosat"])
    difference = "The published eurosat has train 13,500, val 5,400, test 8,100; here are train 4, val 2, test 3.\n"
    assert (good.exit_code, good.stdout) == (1, f"eurosat: 9 images, all as they should be\n{difference}")
    prepared = CliRunner().invoke(app, ["data", "prepare", "eurosat", "--image-size", "16"])
    assert prepared.exit_code == 0, prepared.output
    assert "train 4, val 2, test 3 images of 3 classes" in prepared.stdout
    folder = tmp_path / "eurosat" / "2750" / "class_0"
    (folder / "train_0.jpg").write_bytes(b"broken")
    (folder / "train_3.jpg").unlink()
    picture(folder / "stranger.jpg", 9)
    bad = CliRunner().invoke(app, ["data", "check", "eurosat"])
    assert bad.exit_code == 1
    for line in ("missing: 1, such as", "corrupt: 1, such as", "extra: 1, such as", "stranger.jpg"):
        assert line in bad.stdout
    refused = CliRunner().invoke(app, ["data", "prepare", "stanford_cars", "--download"])
    assert "torchvision cannot download stanford_cars" in str(refused.exception)
    for command in (["check", "eurosta"], ["prepare", "eurosta", "--download"]):
        unknown = CliRunner().invoke(app, ["data", *command])
        assert "Unknown data set 'eurosta'. Known, nearest first: eurosat" in str(unknown.exception)


def test_few_shot_starts_follow_the_seed(tmp_path):
    write_copy(tmp_path, "dtd", "dtd/images")
    train = load_task("dtd", root=str(tmp_path), image_size=16).train
    starts = [initial_ids(train, 3, 1, torch.Generator().manual_seed(seed)).tolist() for seed in (0, 0, 1, 2, 3)]
    assert starts[0] == starts[1]
    assert len({tuple(start) for start in starts}) > 1
    assert all(train.labels[start].tolist() == [0, 1, 2] for start in starts)


def test_unreadable_images_of_all_splits_are_named_before_any_training(tmp_path):
    write_copy(tmp_path, "dtd", "dtd/images")
    for name in ("class_0/train_0.jpg", "class_1/test_1.jpg"):
        (tmp_path / "dtd" / "images" / name).write_bytes(b"no image")
    with pytest.raises(DataError, match=r"train_0\.jpg.*test_1\.jpg"):
        load_task("dtd", root=str(tmp_path), image_size=16)


def test_a_killed_preparation_continues_where_it_stopped(tmp_path):
    """`data prepare` is killed after the first chunk of 256 images; the next call decodes the rest only."""
    rows = [[f"{i}.jpg", i % 2, f"class {i % 2}"] for i in range(600)]
    for relative, y, _ in rows:
        picture(tmp_path / "dtd" / "images" / relative, 40 + 100 * y)
    path = tmp_path / "dtd" / SPECS["dtd"].split
    path.write_text(json.dumps({"train": rows[:-2], "val": rows[-2:-1], "test": rows[-1:]}))
    command = [sys.executable, "-m", "activekd_lab", "data", "prepare", "dtd", "--root", str(tmp_path)]
    environment = os.environ | {"ACTIVEKD_LAB_CACHE": str(tmp_path / "cache")}
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    for line in first.stderr:
        if line == "decoded 256 of 598\n":
            first.kill()
            break
    first.communicate()
    assert first.returncode == -signal.SIGKILL
    second = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert "decoded 256 of 598" not in second.stderr
    assert "decoded 512 of 598" in second.stderr
    assert "train 598, val 1, test 1 images of 2 classes" in second.stdout
