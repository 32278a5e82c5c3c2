"""Tasks from datasets, arrays and features that others hold."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import FakeData

from activekd_lab.data import task_from
from activekd_lab.errors import ActiveKDError, DataError, SettingError

NAMES = ["cat", "dog", "owl", "bee"]


def test_a_torchvision_dataset_becomes_a_task():
    task = task_from(FakeData(60, (3, 40, 30), 4), class_names=NAMES, image_size=24)
    assert task.class_names == tuple(NAMES)
    assert (len(task.train) + len(task.test), task.train.images.shape[1:]) == (60, (3, 24, 24))
    assert set(task.test.labels.tolist()) <= {0, 1, 2, 3}
    again = task_from(FakeData(60, (3, 40, 30), 4), class_names=NAMES, image_size=24)
    assert again.fingerprint == task.fingerprint


class Own(torch.utils.data.Dataset):
    """Tensors of ToTensor, labels of NumPy, names as torchvision has them."""

    classes = ("dark", "light")

    def __len__(self):
        return 10

    def __getitem__(self, index):
        return torch.full((3, 8, 8), float(index % 2)), np.int64(index % 2)


def test_an_own_dataset_says_its_classes_and_keeps_its_pixels():
    task = task_from(Own(), test=Own(), image_size=8)
    assert task.class_names == ("dark", "light")
    assert len(task.train) == len(task.test) == 10
    assert task.train.images[1].unique().tolist() == [255]
    assert task.train.images[0].unique().tolist() == [0]


@pytest.mark.parametrize("more", [{"target_transform": len, "targets": [0, 0, *[0, 1] * 4]}, {"targets": [1] * 10}])
def test_labels_are_those_of_the_rows_where_targets_say_otherwise(more):
    data = Own()
    vars(data).update(more)
    assert task_from(data, test=Own(), image_size=8).train.labels.tolist() == [0, 1] * 5


def test_arrays_of_every_layout_are_the_same_task():
    images = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
    labels = np.arange(12) % 4
    one, other = (
        task_from(a, labels=labels, class_names=NAMES, image_size=16)
        for a in (images, torch.from_numpy(images).permute(0, 3, 1, 2))
    )
    assert torch.equal(one.train.images, other.train.images)
    grey = task_from(images[..., 0], labels=labels, class_names=NAMES, image_size=16)
    assert torch.equal(grey.train.images[:, 0], grey.train.images[:, 2])


def test_features_need_no_images(g):
    features = torch.randn(40, 6, generator=g)
    task = task_from(features=features.numpy(), labels=[i % 4 for i in range(40)], class_names=NAMES, test_share=0.25)
    assert (len(task.train), len(task.test)) == (32, 8)  # two of ten of each class
    assert not task.train.pictured
    assert task.train.features.shape == (len(task.train), 6)
    other = task_from(features=features + 1, labels=[i % 4 for i in range(40)], class_names=NAMES, test_share=0.25)
    assert other.train.fingerprint != task.train.fingerprint


def test_a_hugging_face_dataset_says_everything_itself(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    kinds = datasets.Features({"picture": datasets.Image(), "kind": datasets.ClassLabel(names=["red", "blue"])})
    rows = {
        "picture": [Image.new("RGB", (20, 30), "red" if i % 2 == 0 else "blue") for i in range(8)],
        "kind": [i % 2 for i in range(8)],
    }
    data = datasets.Dataset.from_dict(rows, features=kinds)
    task = task_from(datasets.DatasetDict(train=data, test=data), image_size=16)
    assert task.class_names == ("red", "blue")
    assert task.train.images[0, 0].float().mean() > 200
    assert torch.equal(task.train.images, task.test.images)
    with pytest.raises(DataError, match="one Image and one ClassLabel column"):
        task_from(data.remove_columns("kind"))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({}, SettingError, "either a source of images or features"),
        ({"features": torch.zeros(4, 2), "labels": [0, 1]}, DataError, r"labels must be \(4,\) integers"),
        ({"features": torch.zeros(4, 2), "labels": [0.0, 1, 0, 1]}, DataError, "integers"),
        ({"features": torch.zeros(4, 2), "labels": [0, 1, 7, 1]}, DataError, "labels must lie in 0 … 3"),
        ({"features": torch.full((4, 2), torch.nan), "labels": [0, 1, 0, 1]}, DataError, "must be finite"),
        ({"features": torch.zeros(4), "labels": [0, 1, 0, 1]}, DataError, r"\(N, D\) floats"),
        ({"source": 7}, DataError, "source must be a dataset"),
        ({"source": np.zeros((4, 8, 8, 3))}, DataError, "uint8"),
        ({"source": {"validation": Own()}}, DataError, "but no train"),
        ({"source": Own(), "test_share": 1.0}, SettingError, "test_share must lie in"),
    ],
)
def test_what_is_no_task_is_one_sentence(change, error, message):
    with pytest.raises(error, match=message):
        task_from(**{"class_names": NAMES} | change)


def test_a_row_that_cannot_be_read_is_named():
    class Broken(Own):
        def __getitem__(self, index):
            if index == 3:
                raise RuntimeError("disk")
            return super().__getitem__(index)

    with pytest.raises(DataError, match="Row 3 of the dataset cannot be read"):
        task_from(Broken())


IMAGE = np.random.default_rng(0).integers(0, 255, (20, 20, 3), dtype=np.uint8)
TWO = {"class_names": ["a", "b"], "image_size": 16}


@pytest.mark.parametrize(
    ("source", "more", "message"),
    [
        ([(IMAGE, 0)] * 9, {"labels": [1] * 9}, "labels and test_labels are those of arrays"),
        ([(np.zeros((0, 0, 3), np.uint8), 0)] * 9, {}, "row 0 has no pixels"),
        ([(torch.zeros(3, 0, 0), 0)] * 9, {}, "row 0 has no pixels"),
        (np.zeros((4, 0, 0, 3), np.uint8), {"labels": [0, 1, 0, 1]}, "with pixels, but got"),
        ([(IMAGE, torch.tensor([0, 1]))] * 9, {}, "Labels must be integers"),
        ([(IMAGE, 10**30)] * 9, {}, "Labels must be integers"),
    ],
)
def test_rows_that_are_none_are_refused(source, more, message):
    with pytest.raises(ActiveKDError, match=message):
        task_from(source, **TWO, **more)


def test_tensors_of_any_float_and_labels_of_any_integer_are_taken():
    rows = [(torch.rand(3, 8, 8).requires_grad_(), 0), (torch.rand(3, 8, 8).bfloat16(), np.array(1))] * 5
    assert sorted(task_from(rows, **TWO).train.labels.unique().tolist()) == [0, 1]


def test_copies_stay_on_one_side_and_are_told():
    others = np.random.default_rng(1).integers(0, 255, (20, 20, 20, 3), dtype=np.uint8)
    rows = np.concatenate([np.stack([IMAGE] * 10), others])
    task = task_from(rows, labels=[0, 1] * 15, **TWO)
    first = task_from(np.stack([IMAGE] * 2), labels=[0, 0], test=others, test_labels=[0] * 20, **TWO).train.images[0]
    sides = [sum(torch.equal(x, first) for x in split.images) for split in (task.train, task.test)]
    assert sorted(sides) == [0, 10]
    assert "9 rows are exact copies of others. 1 of these have two labels: rows 0, 1, 2 … (a, b)" in str(task.left_out)
    given = task_from(rows, labels=[0, 1] * 15, test=others, test_labels=[0, 1] * 10, **TWO)
    assert "20 of the pool's rows are exact copies of test rows" in str(given.left_out)
    assert len(given.train) == 30, "ids stay those of the rows"


def test_classes_without_a_labelled_row_are_told():
    rows = np.random.default_rng(1).normal(size=(10, 3))
    task = task_from(features=rows, labels=[0] * 10, **TWO)
    assert "1 of 2 classes have no labelled row: b" in str(task.left_out)
    assert not task_from(features=rows, labels=[-1] * 10, **TWO, test=rows + 1, test_labels=[0, 1] * 5).left_out


@pytest.mark.parametrize("change", [{"templates": ("a sketch of a {}.",)}, {"horizontal_flip": False}])
def test_prompts_and_flips_are_part_of_what_a_run_is_known_by(change):
    rows, labels = np.random.default_rng(1).normal(size=(10, 3)), [0, 1] * 5
    one, other = (task_from(features=rows, labels=labels, **TWO, **more) for more in ({}, change))
    assert one.fingerprint != other.fingerprint
    assert replace(one, val=one.test).fingerprint != one.fingerprint


def test_classes_in_another_order_are_seen_through_capitals_subsets_and_parts():
    whole = FakeData(20, (3, 8, 8), 2)
    whole.classes = ["cat", "dog"]
    parts = torch.utils.data.Subset(whole, range(10)), torch.utils.data.ConcatDataset([whole, whole])
    for source in (whole, *parts, torch.utils.data.Subset(parts[0], range(8))):
        with pytest.raises(DataError, match=r"the name 'Dog', which is the source's label 1"):
            task_from(source, class_names=["Dog", "Cat"], image_size=8)
        assert task_from(source, image_size=8).class_names == ("cat", "dog")
