"""Parts of one's own in a run: the examples of docs/own.md as they stand, and what is refused."""

import re
from pathlib import Path

import datasets
import hub as hubs
import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

import activekd_lab as akd
from activekd_lab.errors import DataError, RunFolderError, SettingError

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8").partition("## Your own parts")[2].partition("\n## ")[0]
PAGE = README + (ROOT / "docs" / "own.md").read_text("utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
C, D = 4, 12


@pytest.fixture
def given(tmp_path, monkeypatch):
    """Embeddings around four class texts, and what a teacher says of the digits; what is stored lies elsewhere."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    text = rng.normal(size=(C, D)).astype(np.float32)
    y, y_test = np.arange(80) % C, np.arange(20) % C
    pool, test = (text[labels] + rng.normal(size=(len(labels), D)).astype(np.float32) for labels in (y, y_test))
    digits = akd.load_task("digits")
    p, p_test = (
        np.eye(10, dtype=np.float32)[split.labels] * 0.7 + np.float32(0.03) for split in (digits.train, digits.test)
    )
    rng, photos = np.random.default_rng(1), tmp_path / "photos"
    pictures = [Image.fromarray(rng.integers(0, 255, (20, 24, 3), dtype=np.uint8)) for _ in range(40)]
    for i, picture in enumerate(pictures):
        (photos / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        picture.save(photos / "ab"[i % 2] / f"{i}.png")
    files = [f"{'ab'[i % 2]}/{i}.png" for i in rng.permutation(40)]
    said = np.array([[0.9, 0.1] if name[0] == "a" else [0.2, 0.8] for name in files], np.float32)
    return {
        "datasets": datasets, "pictures": pictures, "kinds": [i % C for i in range(40)],
        "photos": photos, "names_of_files": files, "said": said,
        "akd": akd, "np": np, "torch": torch, "torchvision": torchvision, "text": text, "y": y, "y_test": y_test,
        "pool": pool, "test": test, "names": ["cat", "dog", "owl", "bee"], "p": p, "p_test": p_test,
    }  # fmt: skip


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_runs_as_it_is_printed(example, given, tmp_path, monkeypatch):
    assert len([line for line in example.splitlines() if line.strip()]) <= 8
    with hubs.running(tmp_path / "hub", monkeypatch):
        exec(compile(example, "docs/own.md", "exec"), given)


def features_task(given):
    return akd.task_from(
        features=given["pool"], labels=given["y"], test=given["test"], test_labels=given["y_test"],
        class_names=given["names"],
    )  # fmt: skip


def test_a_run_on_features_is_stored_resumed_and_known_by_its_content(given, tmp_path):
    task, config = features_task(given), akd.RunConfig(rounds=1, steps=10, device="cpu")
    teacher = akd.given_teacher(embeddings=given["pool"], test=given["test"], text=given["text"])
    result = akd.run(config, task=task, teacher=teacher, store=tmp_path)
    again = akd.run(config, task=task, teacher=teacher, store=tmp_path)
    assert again.records == result.records
    assert (result.config["task"], result.config["teacher"], result.config["backbone"]) == (
        "mine",
        "given",
        f"features/{D}",
    )
    assert result.teacher_accuracy > 0.5
    assert akd.load_run(result.folder).records == result.records
    other = akd.given_teacher(embeddings=given["pool"] + 1, test=given["test"], text=given["text"])
    with pytest.raises(RunFolderError, match="begun on other weights than the teacher has now"):
        akd.run(config, task=task, teacher=other, store=tmp_path)


def test_a_student_of_features_is_saved_and_loaded(given, tmp_path):
    task = features_task(given)
    teacher = akd.given_teacher(embeddings=given["pool"], test=given["test"], text=given["text"])
    active = akd.active.start(akd.RunConfig(rounds=0, steps=10, device="cpu"), task=task, teacher=teacher)
    list(active)
    saved = active.saved_student()
    loaded = akd.load_student(saved.save(tmp_path / "mine"))
    rows = torch.from_numpy(given["test"])
    torch.testing.assert_close(loaded.predict(rows), saved.predict(rows))
    with pytest.raises(SettingError, match=rf"learned from \(B, {D}\) features"):
        loaded.predict(torch.zeros(2, 3, 8, 8))


def test_few_shot_teachers_are_fitted_on_given_embeddings(given):
    task = features_task(given)
    teacher = akd.given_teacher(embeddings=given["pool"], test=given["test"], text=given["text"])
    config = akd.RunConfig(rounds=0, steps=5, few_shot="tip_adapter", device="cpu")
    assert len(list(akd.iterate(config, task=task, teacher=teacher))) == 1
    blind = akd.given_teacher(logits=given["pool"][:, :C], test=given["test"][:, :C])
    with pytest.raises(SettingError, match="few_shot='tip_adapter' needs a teacher's embeddings, but got its logits"):
        akd.prepare(config, task=task, teacher=blind)


def test_an_own_network_starts_every_round_from_a_copy():
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, 4), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    before = {key: value.clone() for key, value in net.state_dict().items()}
    config = akd.RunConfig(task="digits", rounds=1, steps=2, image_size=32, device="cpu")
    one, other = (akd.run(config, backbone=akd.students.own_backbone(net, image_size=32)) for _ in range(2))
    assert [r.to_json() for r in one.records] == [r.to_json() for r in other.records]
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    frozen = akd.prepare(config.with_(freeze_backbone=True), backbone=net)
    assert frozen.features[0].shape == (len(frozen.task.train), 4)


def test_a_logger_hears_every_round():
    class Ear:
        def __init__(self):
            self.heard = []

        def on_start(self, config):
            self.heard.append(config["task"])

        def on_round(self, record):
            self.heard.append(record.round)

        def on_end(self, result):
            self.heard.append(len(result.records))

    ear = Ear()
    akd.run(akd.RunConfig(task="digits", rounds=1, steps=2, device="cpu"), logger=ear)
    assert ear.heard == ["digits", 0, 1, 2]


@pytest.mark.parametrize(
    ("parts", "settings", "message"),
    [
        ({"task": "digits"}, {}, "expected task as a Task or None, but got str"),
        ({"teacher": object()}, {"task": "digits"}, "expected teacher as a Teacher or a GivenTeacher or None"),
        ({"backbone": torch.nn.Flatten}, {"task": "digits"}, "expected backbone as a Module or None, but got type"),
        ({"backbone": torch.nn.Conv2d(3, 1, 1)}, {"task": "digits"}, r"into \(B, D\) features"),
        ({"backbone": torch.nn.Linear(3, 1)}, {"task": "digits"}, "cannot take"),
        ({"backbone": torch.nn.Flatten()}, {"task": "digits", "backbone": "small_cnn"}, "backbone has no effect"),
    ],
)
def test_parts_of_a_wrong_kind_are_one_sentence(parts, settings, message):
    with pytest.raises(SettingError, match=message):
        akd.prepare(akd.RunConfig(**settings, device="cpu"), **parts)


def test_features_need_a_teacher_without_eyes(given):
    with pytest.raises(DataError, match="has features and no images for 'bundled' to look at"):
        akd.prepare(akd.RunConfig(device="cpu"), task=features_task(given))
    with pytest.raises(SettingError, match="image_size has no effect on a task of features"):
        akd.prepare(akd.RunConfig(device="cpu", image_size=32), task=features_task(given))
