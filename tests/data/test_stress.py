import numpy as np
import pytest
import torch
from PIL import Image

from activekd_lab.data import FolderTask, load_task
from activekd_lab.data.stress import stress
from activekd_lab.errors import SettingError, UnknownNameError
from activekd_lab.runs.images import image_rows

PLAIN = {"num_classes": 6, "pool_size": 600, "long_tail": 0.0, "test_per_class": 5, "val_per_class": 2}


def test_class_counts_follow_the_power_of_their_rank():
    plain, task = load_task("shapes", **PLAIN), load_task("shapes", **PLAIN, imbalance=1.0)
    counts = task.train.labels.bincount(minlength=6).sort(descending=True).values
    assert counts.tolist() == [100, 50, 33, 25, 20, 16]  # 100 / rank
    assert torch.equal(task.test.labels, plain.test.labels)
    assert not torch.equal(
        load_task("shapes", **PLAIN, imbalance=1.0, stress_seed=1).train.labels.bincount(), task.train.labels.bincount()
    )


def test_a_share_of_the_pools_labels_is_wrong_and_the_test_is_not():
    plain, noisy = load_task("shapes", **PLAIN), load_task("shapes", **PLAIN, label_noise=0.2)
    wrong = plain.train.labels != noisy.train.labels
    assert int(wrong.sum()) == 120
    assert torch.equal(noisy.train.images, plain.train.images)
    assert torch.equal(noisy.test.labels, plain.test.labels)
    assert len(noisy.train.labels[wrong].unique()) == 6


def test_images_keep_their_labels_when_some_are_left_out():
    plain, task = load_task("digits"), load_task("digits", imbalance=0.7)
    places = {image.numpy().tobytes(): int(y) for image, y in zip(plain.train.images, plain.train.labels, strict=True)}
    found = zip(task.train.images, task.train.labels, strict=True)
    assert all(places[image.numpy().tobytes()] == int(y) for image, y in found)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"imbalance": -1}, SettingError, "imbalance must lie in 0 … 3"),
        ({"label_noise": 1.5}, SettingError, "label_noise must lie in 0 … 1, but got 1.5"),
        ({"label_nois": 0.1}, UnknownNameError, "nearest first: label_noise"),
    ],
)
def test_bad_options(options, error, message):
    with pytest.raises(error, match=message):
        load_task("digits", **options)


def test_images_that_stay_keep_their_files(tmp_path):
    for c in range(2):
        for i in range(6):
            folder = tmp_path / f"class {c}"
            folder.mkdir(exist_ok=True)
            Image.fromarray(np.full((8, 8, 3), [40 * i, 90 * c, 0], np.uint8)).save(folder / f"{i}.png")
    task = stress(FolderTask(tmp_path, image_size=8, test_share=0), imbalance=2)
    assert len(task.train) < 12
    assert [path.parent.name for path in task.train.files] == [task.class_names[y] for y in task.train.labels.tolist()]


def test_a_folder_stays_a_folder_and_is_known_by_its_new_pool(tmp_path):
    for i in range(12):
        (tmp_path / "abc"[i % 3]).mkdir(exist_ok=True)
        pixels = torch.randint(0, 255, (8, 8, 3), generator=torch.Generator().manual_seed(i), dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(tmp_path / "abc"[i % 3] / f"{i}.png")
    task = FolderTask(tmp_path, image_size=8)
    before = task.fingerprint
    noisy = stress(task, label_noise=0.5)
    assert noisy.fingerprint != before == task.fingerprint
    assert noisy.root == task.root
    assert not any(str(tmp_path) in row[2] for row in image_rows(noisy))
