"""Datasets of others: whose labels they are, and that what is kept of them is what they hold now."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder

from activekd_lab.data import task_from
from activekd_lab.errors import DataError, SettingError


@pytest.fixture
def photos(tmp_path):
    """A folder a class in train/, of which test/ lacks one."""
    for split, names in (("train", ("cat", "dog", "owl")), ("test", ("cat", "owl"))):
        for shade, name in enumerate(names):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(3):
                Image.new("RGB", (8, 8), (60 * shade, i, 0)).save(tmp_path / split / name / f"{i}.png")
    return tmp_path


def test_a_test_folder_that_lacks_a_class_keeps_its_labels(photos):
    task = task_from(ImageFolder(photos / "train"), test=ImageFolder(photos / "test"), image_size=8)
    assert [task.class_names[y] for y in task.test.labels.tolist()] == ["cat"] * 3 + ["owl"] * 3
    with pytest.raises(DataError, match="class 'dog', which the pool's"):
        task_from(ImageFolder(photos / "test"), test=ImageFolder(photos / "train"), image_size=8)


def test_names_of_other_labels_are_refused_and_new_words_are_not(photos):
    with pytest.raises(DataError, match="label 0 the name 'owl', which is the source's label 2"):
        task_from(ImageFolder(photos / "train"), class_names=["owl", "dog", "cat"], image_size=8)
    task = task_from(ImageFolder(photos / "train"), class_names=["kitty", "dog", "night owl"], image_size=8)
    assert task.class_names == ("kitty", "dog", "night owl")


def test_labels_are_those_of_the_rows(photos):
    data = ImageFolder(photos / "train", target_transform=lambda y: 2 - y)
    task = task_from(data, test=data, image_size=8)
    assert task.train.labels.tolist() == [2, 2, 2, 1, 1, 1, 0, 0, 0]
    assert len(task_from(data, test=data, image_size=8, limit=4).train.labels) == 4


def test_rows_that_are_no_pairs_are_one_sentence():
    class Rows(torch.utils.data.Dataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return {"image": Image.new("RGB", (8, 8)), "label": index}

    with pytest.raises(DataError, match=r"must be \(image, label\), but is dict"):
        task_from(Rows(), class_names=["a", "b"])


@pytest.mark.parametrize("limit", [0, -2])
def test_a_limit_below_one_is_refused(limit):
    with pytest.raises(SettingError, match="limit as a whole number"):
        task_from(features=torch.randn(8, 2), labels=[0, 1] * 4, class_names=["a", "b"], limit=limit)


def test_splits_hold_features_of_one_width():
    with pytest.raises(DataError, match="features of one width"):
        task_from(
            features=torch.randn(8, 2), labels=[0, 1] * 4, test=torch.randn(4, 3), test_labels=[0, 1] * 2,
            class_names=["a", "b"],
        )  # fmt: skip


def test_a_photo_that_is_replaced_is_read_again(photos, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HOME", str(photos))
    paths = [str(photos / "train" / "cat" / f"{i}.png") for i in range(3)]
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})

    def now():
        data = datasets.Dataset.from_dict({"image": paths, "label": [0, 1, 0]}, features=kinds)
        return task_from(data, test=data, image_size=8).train.images[1].float().mean((1, 2)).round().tolist()

    assert now() == [0, 1, 0]
    Image.fromarray(np.full((8, 8, 3), 200, np.uint8)).save(paths[1])
    assert now() == [200, 200, 200]


def test_classes_of_a_test_split_in_another_order_are_taken_by_name(photos, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HOME", str(photos))

    def data(*names):
        kinds = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=names)})
        return datasets.Dataset.from_dict({"image": [Image.new("RGB", (8, 8))] * 2, "label": names}, features=kinds)

    task = task_from({"train": data("a", "b"), "test": data("b", "a")}, image_size=8)
    assert task.test.labels.tolist() == [1, 0]
