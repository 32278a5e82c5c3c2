import pytest
import torch

from activekd_lab.data import load_task
from activekd_lab.data.bundled import class_pairs

SMALL = {"num_classes": 12, "pool_size": 240, "test_per_class": 3, "val_per_class": 2}


def test_digits_are_scikit_learns_and_the_splits_are_disjoint():
    from sklearn.datasets import load_digits

    task = load_task("digits")
    sizes = {s.name: len(s) for s in (task.train, task.val, task.test)}
    assert sizes == {"train": 1097, "val": 200, "test": 500}
    counts = sum(torch.bincount(s.labels, minlength=10) for s in (task.train, task.val, task.test))
    assert counts.tolist() == torch.bincount(torch.from_numpy(load_digits().target).long()).tolist()
    assert task.train.images.float().std() > 50


def test_shapes_follow_their_seed_and_options():
    a, b, c = (load_task("shapes", **SMALL, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(a.train.images, b.train.images)
    assert not torch.equal(a.train.images, c.train.images)
    assert a.num_classes == 12
    assert (len(a.train), len(a.val), len(a.test)) == (240, 24, 36)


def test_the_pool_is_long_tailed_and_the_test_split_is_balanced():
    tail, even = load_task("shapes", **SMALL), load_task("shapes", **SMALL, long_tail=0.0)
    assert torch.bincount(tail.test.labels).unique().tolist() == [3]
    assert torch.bincount(tail.train.labels).max() > 3 * torch.bincount(tail.train.labels).min()
    assert torch.bincount(even.train.labels).unique().tolist() == [20]


@pytest.mark.parametrize("num_classes", [2, 3, 10, 48, 95, 96])
def test_classes_are_distinct_pairs(num_classes):
    pairs = class_pairs(num_classes)
    assert len(set(pairs)) == num_classes
    assert all(shape < 12 and texture < 8 for shape, texture in pairs)


def test_no_image_stands_in_two_splits():
    task = load_task("shapes", **SMALL)
    rows = torch.cat([task.train.images, task.val.images, task.test.images]).flatten(1)
    assert len(rows.unique(dim=0)) == len(rows)
