"""A teacher from outputs that were computed elsewhere."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import activekd_lab as akd
from activekd_lab.data import task_from
from activekd_lab.errors import DataError, ModelFilesError, NonFiniteError, SettingError
from activekd_lab.teachers.clip import load_teacher
from activekd_lab.teachers.given import given_teacher, load_given


@pytest.fixture
def shared_data():
    """Real data that may lie beside the checkout."""
    folder = Path(__file__).parents[3] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data does not lie beside the checkout")
    return folder


@pytest.fixture
def task(g):
    features = torch.randn(30, 5, generator=g)
    return task_from(features=features, labels=[i % 3 for i in range(30)], class_names=["a", "b", "c"], test_share=0.2)


def rows(task, g, width=3):
    return [torch.randn(len(split), width, generator=g) for split in (task.train, task.test)]


def test_probabilities_come_back_as_they_were(task, g):
    train, test = (r.softmax(1) for r in rows(task, g))
    teacher = given_teacher(probabilities=train.numpy(), test=test)
    head = teacher.zero_shot(task)
    for split, expected in ((task.train, train), (task.test, test)):
        torch.testing.assert_close(head.probabilities(teacher.encode(split)), expected)
    assert teacher.fingerprint != given_teacher(probabilities=test[:5], test=test).fingerprint


def test_embeddings_with_texts_are_a_clip_model(task, g):
    (train, test), text = rows(task, g, 8), torch.randn(3, 8, generator=g)
    teacher = given_teacher(embeddings=train, test=test, text=text, scale=50.0)
    unit = torch.nn.functional.normalize
    expected = 50 * unit(train, dim=1) @ unit(text, dim=1).T
    torch.testing.assert_close(teacher.zero_shot(task).logits(teacher.encode(task.train)), expected)
    assert teacher.has_embeddings


def test_a_file_is_the_same_teacher(task, g, tmp_path):
    train, test = rows(task, g)
    np.savez(tmp_path / "clip.npz", logits=train.numpy(), test=test.numpy(), class_names=np.array(["a", "b", "c"]))
    stored = load_given(tmp_path / "clip.npz")
    assert torch.equal(stored.encode(task.train), train)
    assert torch.equal(stored.encode(task.test), test)
    named = akd.prepare(akd.RunConfig(teacher=f"given:{tmp_path / 'clip.npz'}", device="cpu"), task=task)
    torch.testing.assert_close(named.teacher_probabilities, train.softmax(1))
    with pytest.raises(SettingError, match=r"read them by akd\.teachers\.load_given"):
        load_teacher("given:clip.npz")


def test_real_clip_outputs_reach_their_accuracy(shared_data):
    stored = np.load(shared_data / "clip_outputs" / "cifar10_test500_clip_vitb32.npz")
    names = [f"class {i}" for i in range(10)]
    task = task_from(stored["images"], labels=stored["labels"], class_names=names, image_size=32, test_share=0.2)
    everything = [f"{i}.png" for i in range(500)]
    teacher = given_teacher(embeddings=stored["image_features"], text=stored["text_features"], files=everything)
    predicted = teacher.zero_shot(task).logits(teacher.rows["train"]).argmax(1).numpy()
    assert abs((predicted == stored["labels"]).mean() - 0.9) < 0.01


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({}, SettingError, "Give one of probabilities, logits, embeddings"),
        ({"logits": torch.zeros(2, 3), "probabilities": torch.zeros(2, 3)}, SettingError, "probabilities and logits"),
        ({"embeddings": torch.zeros(2, 3)}, SettingError, "text"),
        ({"probabilities": torch.ones(2, 3)}, DataError, "sum to 1"),
        ({"probabilities": torch.tensor([[1.5, -0.5]])}, DataError, "0 or more"),
        ({"logits": torch.tensor([[torch.nan, 0.0]])}, NonFiniteError, r"rows \[0\]"),
        ({"embeddings": torch.ones(2, 3), "text": torch.ones(2, 3)}, DataError, "text: rows 0 and 1 are the same"),
        ({"embeddings": torch.ones(2, 3), "text": torch.eye(3) * 0}, DataError, "nothing but zeros"),
        ({"embeddings": torch.zeros(2, 3), "text": torch.eye(3)}, DataError, r"rows \[0, 1\] hold nothing"),
        ({"logits": torch.zeros(3)}, DataError, "matrix of floats"),
        ({"logits": [["a", "b"]]}, DataError, "numbers"),
        ({"logits": torch.zeros(2, 3), "test": torch.zeros(2, 4)}, DataError, "one width"),
        ({"logits": torch.zeros(2, 3), "files": ["a.png"]}, DataError, "each of the 2 rows once"),
        ({"logits": torch.zeros(2, 3), "scale": float("nan")}, SettingError, "scale"),
    ],
)
def test_what_is_no_teacher_is_one_sentence(given, error, message):
    with pytest.raises(error, match=message):
        given_teacher(**given)


def test_rows_that_do_not_fit_the_task_are_refused(task, g):
    train, test = rows(task, g)
    with pytest.raises(DataError, match=rf"was given {len(train) - 1} rows for {len(train)} train images"):
        given_teacher(logits=train[1:], test=test).encode(task.train)
    with pytest.raises(DataError, match="no rows for the test images"):
        given_teacher(logits=train).encode(task.test)
    with pytest.raises(DataError, match="class 0 is 'c', the task's is 'a'"):
        given_teacher(logits=train, test=test, class_names=["c", "b", "a"]).zero_shot(task)
    with pytest.raises(DataError, match="speaks of 2 classes, the task of 3"):
        given_teacher(logits=train[:, :2], test=test[:, :2]).zero_shot(task)
    with pytest.raises(SettingError, match="templates have no effect"):
        given_teacher(logits=train, test=test).zero_shot(task, ["a {}"])


def test_a_file_that_holds_no_teacher_is_one_sentence(tmp_path):
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    with pytest.raises(ModelFilesError, match="cannot be read as the outputs of a teacher"):
        load_given(tmp_path / "bad.npz")
    np.savez(tmp_path / "odd.npz", rows=np.zeros(3))
    with pytest.raises(ModelFilesError, match="holds 'rows'"):
        load_given(tmp_path / "odd.npz")
    with pytest.raises(ModelFilesError, match="cannot be read"):
        load_given(tmp_path / "absent.npz")


def test_rows_belong_to_the_pictures_of_their_paths(tmp_path):
    for split, shade in (("train", 0), ("test", 100)):
        for c in ("cat", "dog"):
            (tmp_path / split / c).mkdir(parents=True)
            for i in range(2):
                Image.new("RGB", (8, 8), (shade + i, 90 * (c == "cat"), 0)).save(tmp_path / split / c / f"{i}.png")
    task, p = akd.FolderTask(tmp_path, image_size=8), torch.tensor([[0.9, 0.1]] * 2 + [[0.1, 0.9]] * 2)
    tails = ["cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"]
    with pytest.raises(DataError, match="one row, cat/0.png, for the test image .* and one of the pool"):
        given_teacher(probabilities=p, files=tails).zero_shot(task)
    whole = [f"{split}/{tail}" for split in ("train", "test") for tail in tails]
    teacher = given_teacher(probabilities=torch.cat([p, p.flip(1)]), files=whole)
    assert teacher.zero_shot(task).probabilities(teacher.encode(task.test))[0].tolist() == pytest.approx([0.1, 0.9])
    other = given_teacher(probabilities=torch.cat([p, p.flip(1)]), files=whole[::-1])
    assert other.fingerprint != teacher.fingerprint  # a run of the one is no run of the other


def test_paths_are_not_passed_over(task, g):
    train, test = rows(task, g)
    with pytest.raises(DataError, match="not made of any; leave files out"):
        given_teacher(logits=train, files=[f"{i}.png" for i in range(len(train))], test=test).encode(task.train)
    with pytest.raises(SettingError, match="test_files belongs beside test"):
        given_teacher(logits=train, test_files=["0.png"])


def test_logits_and_scales_that_no_loss_survives_are_refused(task, g):
    train, test = rows(task, g)
    with pytest.raises(SettingError, match="scale must be a number above 0"):
        given_teacher(embeddings=train, text=torch.eye(3), test=test, scale=1e308)
    with pytest.raises(DataError, match="must lie within ±1e\\+09, but rows"):
        given_teacher(logits=train * 1e38, test=test)
