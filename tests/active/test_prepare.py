"""What the rounds of a run share: features of the very backbone that is frozen."""

import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from activekd_lab.active import frozen
from activekd_lab.active.begin import start
from activekd_lab.active.prepare import check_task_for_run, prepare
from activekd_lab.active.prepared import load_run_teacher
from activekd_lab.config import RunConfig
from activekd_lab.data import Split, load_task
from activekd_lab.data.cache import clear_cache
from activekd_lab.data.task import register_task
from activekd_lab.errors import Cancelled, DataError, ModelFilesError, PoolError, RunFolderError
from activekd_lab.students.backbones import build_backbone
from activekd_lab.students.checkpoint import SavedStudent, load_student
from activekd_lab.students.methods import find_method
from activekd_lab.students.student import DualHeadStudent
from activekd_lab.students.towers import BUNDLED

CPU = torch.device("cpu")


def start_of(config):
    config = config.resolve()
    return frozen.Start(config.backbone, config.start_pretrained, config.backbone_weights)


def frozen_backbone(config):
    return frozen.frozen_backbone(start_of(config), CPU).backbone


def features_of(config, split):
    return frozen.backbone_features(frozen.frozen_backbone(start_of(config), CPU), split, config.image_size, CPU)


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
        found.append(features_of(config, split))
        with torch.no_grad():
            expected = frozen_backbone(config).stages(split.images[:8].float() / 255, 16)
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
    before = load_run_teacher(name, CPU)
    assert load_run_teacher(name, CPU) is before
    train_on()
    assert load_run_teacher(name, CPU).fingerprint != before.fingerprint


def test_a_run_does_not_continue_with_other_weights(own_teacher, tiny, tmp_path):
    name, train_on = own_teacher
    config = RunConfig(**tiny, teacher=name)
    next(iter(start(config, store=tmp_path / "runs").open()))
    train_on()
    with pytest.raises(RunFolderError, match="was begun on other weights than the teacher has now"):
        start(config, store=tmp_path / "runs").open()


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
                start(config, store=tmp_path / "runs").open()
        else:
            next(iter(start(config, store=tmp_path / "runs").open()))
    file.unlink()
    with pytest.raises(ModelFilesError, match=r"w\.safetensors (cannot be read|does not exist)"):
        start(config, store=tmp_path / "runs").open()


def test_a_task_that_is_registered_again_replaces_the_first(tiny, monkeypatch):
    task = load_task("shapes", **tiny["task_options"])
    monkeypatch.setattr("activekd_lab.data.task._TASKS", {})
    config = RunConfig(task="mine", device="cpu")
    for name in ("first", "second"):
        register_task("mine")(lambda name=name: replace(task, name=name))
        assert prepare(config).task.name == name


def test_features_are_kept_apart_by_the_size_of_the_images_and_by_the_split(split, tiny):
    other = load_task("shapes", **tiny["task_options"], seed=1).train
    assert len(other) == len(split)
    for images in (split, other):
        for size in (16, 24):
            config = RunConfig(image_size=size)
            with torch.no_grad():
                expected = frozen_backbone(config).stages(images.images[:4].float() / 255, size)
            torch.testing.assert_close(features_of(config, images)[:4], expected, atol=1e-4, rtol=1e-4)


def test_features_after_a_training_that_was_interrupted_are_those_before(split, tiny, own_cache):
    config = RunConfig(**tiny).resolve()
    expected = features_of(config, split).clone()
    active = start(config, cancel=lambda: True)
    with pytest.raises(Cancelled):
        list(active)
    clear_cache("features")
    assert torch.equal(features_of(config, split), expected)


def test_features_are_computed_once_and_an_interruption_costs_a_chunk(split, monkeypatch, own_cache):
    config, seen = RunConfig(image_size=32), []
    backbone = frozen_backbone(config)

    def stages(images, size):
        seen.append(len(images))
        if len(seen) == 5:
            raise KeyboardInterrupt
        return torch.ones(len(images), 3)

    monkeypatch.setattr(backbone, "stages", stages)
    with pytest.raises(KeyboardInterrupt):
        features_of(config, split)
    assert features_of(config, split).shape == (80, 3)
    assert features_of(config, split).shape == (80, 3)
    assert seen == [1] + [16] * 6  # one tells how fast it goes; the fourth chunk is done again


@pytest.fixture
def prepared(tiny):
    return prepare(RunConfig(**tiny))


def test_a_loaded_student_of_the_same_backbone_reads_the_cached_features(prepared, tiny, tmp_path, monkeypatch):
    student = prepared.new_student(torch.Generator())
    names = prepared.task.class_names
    loaded = load_student(SavedStudent(student, names).save(tmp_path)).student
    monkeypatch.setattr("activekd_lab.active.prepared.predict", lambda *_, **__: pytest.fail("looked at the images"))
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


def test_a_student_whose_backbone_trains_looks_at_the_images_though_its_weights_are_known(prepared):
    student = DualHeadStudent(num_classes=4, generator=torch.Generator()).eval()
    train, _ = prepared.predict(student)
    with torch.no_grad():
        torch.testing.assert_close(train.ce_logits[:8], student(prepared.task.train.images[:8]).ce_logits)


def test_both_splits_are_predicted_from_their_own_features(prepared, tiny):
    student = prepared.new_student(torch.Generator()).eval()
    for split, output in zip((prepared.task.train, prepared.task.test), prepared.predict(student), strict=True):
        assert len(output.ce_logits) == len(split)
        with torch.no_grad():
            torch.testing.assert_close(output.ce_logits, student(split.images).ce_logits, atol=1e-4, rtol=1e-4)


def test_the_teacher_is_measured_on_the_test_split_with_the_templates_of_the_run(tiny):
    config = RunConfig(**tiny, templates=("an ugly picture of the {}",)).resolve()
    parts = prepare(config)
    head = parts.teacher.zero_shot(parts.task, config.templates)
    torch.testing.assert_close(parts.teacher_probabilities, head.probabilities(parts.teacher.encode(parts.task.train)))
    right = head.logits(parts.teacher.encode(parts.task.test)).argmax(1) == parts.task.test.labels
    assert parts.teacher_accuracy == pytest.approx(float(right.float().mean()))


def test_tasks_of_other_options_are_other_tasks(tiny):
    sizes = []
    for pool_size in (80, 60):
        options = tiny["task_options"] | {"pool_size": pool_size}
        sizes.append(len(prepare(RunConfig(**tiny | {"task_options": options})).task.train))
    assert sizes == [80, 60]


@pytest.mark.parametrize("flip", [True, False])
def test_crops_are_mirrored_only_where_a_mirrored_image_keeps_its_class(tiny, flip):
    task = replace(load_task("shapes", **tiny["task_options"]), horizontal_flip=flip)
    settings = tiny | {"backbone": "small_cnn", "image_size": 16, "task_options": {}}
    assert prepare(RunConfig(**settings), task=task).inputs.flip is flip
    cached = prepare(RunConfig(**settings, teacher_views=1), task=task).inputs
    assert cached.views.flip is flip


@pytest.mark.parametrize(("method", "single"), [("dho", False), ("single_head", True), ("ce", True), ("kd", True)])
def test_a_student_has_the_heads_of_its_method_and_the_projection_of_its_run(tiny, method, single):
    student = prepare(RunConfig(**tiny, method=method, projection_dim=24)).new_student(torch.Generator())
    assert (student.kd_head is student.ce_head) is single
    assert student.ce_head.in_features == 24


def test_a_tower_that_starts_from_a_file_speaks_no_known_language(tiny):
    config = RunConfig(**tiny | {"backbone": "open_clip/bundled", "freeze_backbone": False})
    parts = prepare(config)
    assert parts._language_start() is parts.zero_shot
    for change in ({"backbone_weights": "mine.safetensors"}, {"pretrained": False}):
        assert replace(parts, config=config.with_(**change).resolve())._language_start() is None
    assert replace(parts, method=find_method("kd"))._language_start() is None


def test_a_pool_without_all_its_labels_or_without_a_test_split_is_no_run(tiny):
    task = load_task("shapes", **tiny["task_options"])
    labels = task.train.labels.clone()
    labels[[3, 9]] = -1
    unlabelled = replace(task, train=Split("train", task.train.images, labels))
    untested = replace(task, test=Split("test", task.test.images[:0], task.test.labels[:0]))
    empty = replace(task, train=Split("train", task.train.images[:0], labels[:0]))
    for wrong, said in (
        (unlabelled, "has 2 unlabelled images and 20 test images; label them first"),
        (untested, "has 0 unlabelled images and 0 test images"),
        (empty, "has no pool to choose from"),
    ):
        with pytest.raises(DataError, match=said):
            check_task_for_run(RunConfig(rounds=0), wrong)
        with pytest.raises(DataError, match=said):
            start(RunConfig(**tiny | {"task_options": {}}), task=wrong)
    check_task_for_run(RunConfig(rounds=0), task)
    given = prepare(RunConfig(**tiny | {"task_options": {}}), task=untested)  # a task given by hand may lack both
    train, test = given.predict(given.new_student(torch.Generator()))
    assert (len(train.ce_logits), len(test.ce_logits)) == (80, 0)
    other = DualHeadStudent("small_cnn", 4, image_size=16, generator=torch.Generator())
    assert [len(output.ce_logits) for output in given.predict(other)] == [80, 0]


def test_a_pool_too_small_for_the_rounds_is_refused_before_anything_is_encoded(tiny, monkeypatch):
    monkeypatch.setattr("activekd_lab.teachers.clip.Teacher.encode", lambda *a, **k: pytest.fail("encoded"))
    config = RunConfig(**tiny | {"rounds": 99, "budget": 7})
    with pytest.raises(PoolError, match=r"99 rounds × 7 exceed the pool of \d+ images; at most \d+ rounds fit"):
        start(config)
    with pytest.raises(PoolError, match="rounds fit"):
        start(config.with_(task_options={}), task=load_task(config.task, **config.task_options))
