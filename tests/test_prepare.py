"""What the rounds of a run share: features of the very backbone that is frozen."""

import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from activekd_lab.backbones import build_backbone
from activekd_lab.checkpoint import SavedStudent, load_student
from activekd_lab.config import RunConfig
from activekd_lab.data import load_task
from activekd_lab.data.cache import clear_cache
from activekd_lab.data.task import register_task
from activekd_lab.errors import Cancelled, ModelFilesError, RunFolderError
from activekd_lab.loop import ActiveRun
from activekd_lab.prepare import backbone_features, frozen_backbone, load_run_teacher, prepare, resolve_backbone
from activekd_lab.student import DualHeadStudent
from activekd_lab.teacher import BUNDLED

CPU = torch.device("cpu")


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """An empty cache that no other test sees: this one's stand-ins and damages stay here."""
    monkeypatch.setenv("ACTIVEKD_LAB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def split(tiny):
    return load_task("shapes", **tiny["task_options"]).train


def test_features_follow_the_weights_and_not_the_name_of_their_file(split, tmp_path):
    file = tmp_path / "w.safetensors"
    config = RunConfig(backbone="small_cnn", backbone_weights=str(file), image_size=16)
    found = []
    for seed in (0, 1, 0):
        torch.manual_seed(seed)
        save_file(build_backbone("small_cnn").body.state_dict(), file)
        found.append(backbone_features(config, split, CPU))
        with torch.no_grad():
            expected = frozen_backbone(config, CPU).stages(split.images[:8].float() / 255, 16)
        torch.testing.assert_close(found[-1][:8], expected)
    assert not torch.allclose(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.fixture
def own_teacher(tmp_path):
    """A directory with the bundled teacher's files, and a function that changes its weights as training goes on."""
    for file in ("open_clip_config.json", "open_clip_model.safetensors"):
        shutil.copy(BUNDLED / file, tmp_path)

    def train_on():
        file = tmp_path / "open_clip_model.safetensors"
        weights = load_file(file)
        save_file({key: value + 0.01 * (value.ndim > 1) for key, value in weights.items()}, file)

    return f"local-dir:{tmp_path}", train_on


def test_a_teacher_that_was_trained_on_is_loaded_again(own_teacher, tiny):
    name, train_on = own_teacher
    config = RunConfig(**tiny, teacher=name)
    before = load_run_teacher(config)
    assert load_run_teacher(config) is before
    train_on()
    assert load_run_teacher(config).fingerprint != before.fingerprint


def test_a_run_does_not_continue_with_other_weights(own_teacher, tiny, tmp_path):
    name, train_on = own_teacher
    config = RunConfig(**tiny, teacher=name)
    next(iter(ActiveRun(config, store=tmp_path / "runs")))
    train_on()
    with pytest.raises(RunFolderError, match="was begun on other weights than the teacher has now"):
        ActiveRun(config, store=tmp_path / "runs")


@pytest.mark.parametrize("frozen", [True, False])
def test_a_run_does_not_continue_with_another_backbone(tiny, tmp_path, frozen):
    file = tmp_path / "w.safetensors"
    config = RunConfig(
        **tiny, backbone="small_cnn", backbone_weights=str(file), freeze_backbone=frozen, image_size=16
    )  # fmt: skip
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        save_file(build_backbone("small_cnn").body.state_dict(), file)
        if seed:
            with pytest.raises(RunFolderError, match="was begun on other weights than the backbone has now"):
                ActiveRun(config, store=tmp_path / "runs")
        else:
            next(iter(ActiveRun(config, store=tmp_path / "runs")))
    file.unlink()
    with pytest.raises(ModelFilesError, match=r"w\.safetensors (cannot be read|does not exist)"):
        ActiveRun(config, store=tmp_path / "runs")


def test_a_task_that_is_registered_again_replaces_the_first(tiny, monkeypatch):
    task = load_task("shapes", **tiny["task_options"])
    monkeypatch.setattr("activekd_lab.data.task._TASKS", {})
    config = resolve_backbone(RunConfig(task="mine", device="cpu"))
    for name in ("first", "second"):
        register_task("mine")(lambda name=name: replace(task, name=name))
        assert prepare(config).task.name == name


def test_features_after_a_training_that_was_interrupted_are_those_before(split, tiny, own_cache):
    config = resolve_backbone(RunConfig(**tiny))
    expected = backbone_features(config, split, CPU).clone()
    active = ActiveRun(config, cancel=lambda: True)
    with pytest.raises(Cancelled):
        list(active)
    clear_cache("features")
    assert torch.equal(backbone_features(config, split, CPU), expected)


def test_features_are_computed_once_and_a_kill_costs_a_chunk(split, monkeypatch, own_cache):
    config, seen = RunConfig(image_size=32), []
    backbone = frozen_backbone(config, CPU)
    monkeypatch.setattr("activekd_lab.prepare._BATCH", 16)
    monkeypatch.setattr("activekd_lab.prepare.CHUNK", 32)

    def stages(images, size):
        seen.append(len(images))
        if len(seen) == 4:
            raise KeyboardInterrupt
        return torch.ones(len(images), 3)

    monkeypatch.setattr(backbone, "stages", stages)
    with pytest.raises(KeyboardInterrupt):
        backbone_features(config, split, CPU)
    assert backbone_features(config, split, CPU).shape == (80, 3)
    assert backbone_features(config, split, CPU).shape == (80, 3)
    assert seen == [16] * 7


@pytest.fixture
def prepared(tiny):
    return prepare(resolve_backbone(RunConfig(**tiny)))


def test_a_loaded_student_of_the_same_backbone_reads_the_cached_features(prepared, tiny, tmp_path, monkeypatch):
    student = prepared.new_student(RunConfig(**tiny), torch.Generator())
    names = prepared.task.class_names
    loaded = load_student(SavedStudent(student, names).save(tmp_path)).student
    monkeypatch.setattr("activekd_lab.prepare.predict", lambda *_, **__: pytest.fail("looked at the images"))
    expected, found = (prepared.predict(s)[0] for s in (student, loaded))
    torch.testing.assert_close(found.ce_logits, expected.ce_logits)


@pytest.mark.parametrize(
    "settings",
    [
        {"backbone": "small_cnn"},
        {"freeze_backbone": True, "image_size": 32},
        {"freeze_backbone": True, "pretrained": False},
        {"pretrained": False},
    ],
)
def test_a_student_of_other_settings_looks_at_the_images(prepared, settings):
    student = DualHeadStudent(num_classes=4, generator=torch.Generator(), **{"image_size": 64} | settings).eval()
    train, test = prepared.predict(student)
    with torch.no_grad():
        torch.testing.assert_close(train.kd_logits, student(prepared.task.train.images).kd_logits)
    assert len(test.ce_logits) == 20
