import pytest
import torch

from activekd_lab.data import Split, Task, check_task, list_tasks, load_task
from activekd_lab.data.task import register_task
from activekd_lab.errors import DataError, SettingError, UnknownNameError

pytestmark = pytest.mark.quick


def split(labels=(0, 1)):
    return Split("train", torch.zeros(len(labels), 3, 8, 8, dtype=torch.uint8), torch.tensor(labels))


def test_unknown_task_and_option_name_the_nearest():
    with pytest.raises(UnknownNameError, match=r"Unknown task 'shape'\. Known, nearest first: shapes"):
        load_task("shape")
    with pytest.raises(UnknownNameError, match="nearest first: long_tail"):
        load_task("shapes", longtail=1)


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("folder", {}, "The task 'folder' needs the option path"),
        ("folder", {"path": True}, "option path of the task 'folder' must be a text, but got True"),
        ("shapes", {"num_classes": "many"}, "option num_classes of the task 'shapes' must be int, but got 'many'"),
        ("shapes", {"pool_size": 500.5}, "option pool_size of the task 'shapes' must be int, but got 500.5"),
        ("shapes", {"long_tail": "x"}, "option long_tail of the task 'shapes' must be float, but got 'x'"),
        ("digits", {"seed": "x"}, "option seed of the task 'digits' must be int, but got 'x'"),
        ("digits", {"label_noise": "x"}, "option label_noise of the task 'digits' must be float, but got 'x'"),
        ("eurosat", {"image_size": True}, "option image_size of the task 'eurosat' must be int, but got True"),
    ],
)
def test_missing_and_unfit_options_are_refused_in_a_sentence(task, options, message):
    for look in (lambda: check_task(task, options), lambda: load_task(task, **options)):
        with pytest.raises(SettingError, match=message):
            look()


def test_a_whole_number_does_for_a_float_and_a_number_for_a_name():
    check_task("shapes", {"long_tail": 1})
    with pytest.raises(DataError, match="2024 is no folder"):
        load_task("folder", path=2024)


def test_a_task_of_ones_own_may_say_nothing_and_take_any_option(monkeypatch):
    monkeypatch.setattr("activekd_lab.data.task._TASKS", {})
    register_task("mine")(lambda **options: Task(str(options), ("a", "b"), ("{}",), split(), split()))
    assert list_tasks() == {"mine": "no help given"}
    assert load_task("mine", depth=3, label_noise=0.0).name == "{'depth': 3}"


def test_every_task_has_a_line_of_help():
    assert {"digits", "shapes"} <= set(list_tasks())
    assert all(len(text) > 20 for text in list_tasks().values())


@pytest.mark.parametrize(
    ("names", "templates", "message"),
    [
        (("a", "a"), ("{}",), "'a' stand more than once"),
        (("a", " "), ("{}",), "no empty one"),
        (("a", "b"), ("a photo",), "exactly one '{}'"),
        (("a", "b"), ("{} {}",), "exactly one '{}'"),
    ],
)
def test_bad_prompts(names, templates, message):
    with pytest.raises(DataError, match=message):
        Task("t", names, templates, train=split(), test=split())


def test_labels_outside_the_classes():
    with pytest.raises(DataError, match=r"labels of t/train must lie in 0 … 1"):
        Task("t", ("a", "b"), ("{}",), train=split((0, 2)), test=split())


def test_split_refuses_other_types_and_sizes():
    with pytest.raises(DataError, match=r"must be int64, one an image \(2\), but got torch\.int32 of shape \(2,\)"):
        Split("train", split().images, split().labels.int())
    with pytest.raises(DataError, match="uint8"):
        Split("train", torch.zeros(2, 3, 8, 8), torch.tensor([0, 1]))
    with pytest.raises(DataError, match="one an image"):
        Split("train", torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.tensor([0]))


def test_fingerprint_follows_the_pixels():
    a, b = split(), split()
    assert a.fingerprint == b.fingerprint
    b.images[0, 0, 0, 0] = 1
    assert a.fingerprint != Split("train", b.images, b.labels).fingerprint


def test_shapes_settings_are_checked():
    with pytest.raises(SettingError, match=r"num_classes must lie in 2 … 96 .* but got 97"):
        load_task("shapes", num_classes=97)
    with pytest.raises(SettingError, match="pool_size must be at least num_classes"):
        load_task("shapes", num_classes=10, pool_size=5)


def test_the_fingerprint_knows_pixels_labels_classes_and_the_test_split():
    def task(names=("a", "b"), train=None, test=None):
        return Task("t", names, ("{}",), train=train or split(), test=test or split())

    other = Split("train", torch.ones(2, 3, 8, 8, dtype=torch.uint8), torch.tensor((0, 1)))
    mirrored = split((1, 0))
    changed = [task(("b", "a")), task(train=other), task(train=mirrored), task(test=other), task(test=mirrored)]
    assert len({task().fingerprint, *(t.fingerprint for t in changed)}) == 6
    assert task().fingerprint == task().fingerprint


def test_a_task_is_shown_without_its_tensors():
    task = load_task("shapes", num_classes=4, pool_size=40, test_per_class=2, val_per_class=2)
    assert "train=<train: 40 images of 32 × 32>" in repr(task)
    assert "tensor" not in repr(task)
