import json
import os
import sys

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from activekd_lab.errors import ModelFilesError, SettingError
from activekd_lab.students.checkpoint import SavedStudent, load_student
from activekd_lab.students.own import own_backbone
from activekd_lab.students.student import DualHeadStudent
from activekd_lab.teachers.clip import load_teacher

IMAGES = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
NAMES = ("cat", "dog", "élan")


def language_aware():
    text = load_teacher("bundled", device="cpu").encode_text(NAMES)
    return DualHeadStudent("open_clip/bundled", 3, class_embeddings=text, class_scale=20.0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: DualHeadStudent("small_cnn", 3, image_size=48),
        lambda: DualHeadStudent("small_cnn", 3, single_head=True),
        lambda: DualHeadStudent("efficientnet_lite0", 3, freeze_backbone=True, projection_dim=16),
        lambda: DualHeadStudent("timm/test_resnet", 3, pretrained=False),
        language_aware,
    ],
)
def test_a_loaded_student_predicts_what_the_saved_one_did(make, tmp_path):
    saved = SavedStudent(make(), NAMES, ce_weight=0.3, kd_temperature=2.0)
    for parameter in saved.student.ce_head.parameters():
        torch.nn.init.normal_(parameter)
    expected = saved.predict(IMAGES)
    loaded = load_student(saved.save(tmp_path / "mine"), class_names=NAMES)
    assert loaded.class_names == NAMES
    assert not loaded.student.training
    torch.testing.assert_close(loaded.predict(IMAGES), expected)
    torch.testing.assert_close(expected.sum(1), torch.ones(3))
    assert sorted(p.name for p in (tmp_path / "mine").iterdir()) == ["student.safetensors"]


def test_another_class_list_is_refused(tmp_path):
    SavedStudent(DualHeadStudent("small_cnn", 3), NAMES).save(tmp_path)
    with pytest.raises(SettingError, match=r"knows 3 classes \(cat, dog, élan, …\), but was asked for 2 \(cat, dog"):
        load_student(tmp_path, class_names=["cat", "dog"])
    with pytest.raises(SettingError, match="use its own list"):
        load_student(tmp_path, class_names=NAMES[::-1])  # logits stand in the order of the names
    with pytest.raises(SettingError, match="expected ce_weight as a finite number 0 … 1"):
        SavedStudent(DualHeadStudent("small_cnn", 3), NAMES, ce_weight=1.5).save(tmp_path)
    with pytest.raises(SettingError, match="must hold 3 names"):
        SavedStudent(DualHeadStudent("small_cnn", 3), ("a",)).save(tmp_path)


def with_card(path, change):
    """Replace the card inside a student's file by what `change` makes of it."""
    with safe_open(path, framework="pt") as file:
        card, state = json.loads(file.metadata()["activekd_lab"]), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    made = change(card)
    save_file(state, path, metadata={"activekd_lab": made if isinstance(made, str) else json.dumps(made)})


@pytest.fixture
def file(tmp_path):
    return SavedStudent(DualHeadStudent("small_cnn", 3), NAMES).save(tmp_path / "mine.safetensors")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda card: "{", r"Line 1 of .*mine\.safetensors is damaged .*; save the student again\.$"),
        (lambda card: card | {"format": 99}, "newer activekd_lab"),
        (lambda card: card | {"class_names": ["one"]}, "1 class names for 3 logits"),
        (lambda card: card | {"class_names": None}, "class_names: .*, but it is None"),
        (lambda card: card | {"student": {}}, "student.backbone: Field required"),
        (lambda card: card | {"student": card["student"] | {"wings": 2}}, "student.wings: .*, but it is 2"),
        (lambda card: card | {"student": card["student"] | {"projection_dim": 10**9}}, "student.projection_dim: "),
        (lambda card: card | {"student": card["student"] | {"num_classes": 2}, "class_names": ["a", "b"]}, "ce_head"),
        (lambda card: card | {"format": "x"}, "format: .*, but it is 'x'"),
        (lambda card: card | {"ce_weight": "half"}, "ce_weight: .*, but it is 'half'"),
        (lambda card: card | {"ce_weight": float("nan")}, "ce_weight: .*, but it is nan"),
        (lambda card: card | {"kd_temperature": float("inf")}, "kd_temperature: "),
        (lambda card: [], "its value: "),
    ],
)
def test_a_card_of_another_form_is_one_sentence(file, change, said):
    with_card(file, change)
    with pytest.raises(ModelFilesError, match=said) as caught:
        load_student(file)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("byte", [b"\0", b"\xff"])
def test_damaged_weights_are_no_student(file, byte):
    content = file.read_bytes()
    file.write_bytes(content[:-4096] + byte * 4096)
    with pytest.raises(ModelFilesError, match=r"is damaged \(its weights are not those that were saved\)"):
        load_student(file)


def test_weights_of_an_earlier_version_have_to_be_finite(file):
    with_card(file, lambda card: {key: value for key, value in card.items() if key != "weights"})
    load_student(file)
    content = file.read_bytes()
    file.write_bytes(content[:-4096] + b"\xff" * 4096)
    with pytest.raises(ModelFilesError, match="is not finite"):
        load_student(file)


def test_places_that_hold_no_student_are_one_sentence(file, tmp_path):
    whole = file.read_bytes()
    for content in (b"", whole[:7], whole[:-9], b"\xff" * 64, (2**41).to_bytes(8, "little") + whole[8:]):
        file.write_bytes(content)
        with pytest.raises(ModelFilesError, match=r"mine\.safetensors is damaged \(.+\); save the student again\.$"):
            load_student(file)
    save_file({"x": torch.zeros(1)}, file)
    with pytest.raises(ModelFilesError, match=r"student\.json cannot be read \(No such file or directory\); save"):
        load_student(file)
    (tmp_path / "loop").symlink_to("loop")
    for place in (tmp_path, tmp_path / "none", tmp_path / "loop", "null\0byte", "/dev/null", file / "inside"):
        with pytest.raises(ModelFilesError, match=r"cannot be read \(.+\); give the file or folder that a student"):
            load_student(place)


def test_a_student_of_an_earlier_version_loads_and_a_new_one_takes_its_place(file, tmp_path):
    """It lay in two files, and new weights could end up beside old class names."""
    old = tmp_path / "old"
    old.mkdir()
    with safe_open(file, framework="pt") as found:
        (old / "student.json").write_text(found.metadata()["activekd_lab"])
        save_file({key: found.get_tensor(key) for key in found.keys()}, old / "student.safetensors")  # noqa: SIM118
    torch.testing.assert_close(load_student(old).predict(IMAGES), load_student(file).predict(IMAGES))
    SavedStudent(DualHeadStudent("small_cnn", 2), ("new", "names")).save(old)
    assert load_student(old).class_names == ("new", "names")
    assert [path.name for path in old.iterdir()] == ["student.safetensors"]


def test_a_kill_in_the_middle_of_a_save_leaves_the_old_student(file, monkeypatch):
    for call in ("fsync", "replace"):
        monkeypatch.setattr(os, call, lambda *_: sys.exit())
        with pytest.raises(SystemExit):
            SavedStudent(DualHeadStudent("small_cnn", 2), ("new", "names")).save(file)
        monkeypatch.undo()
        assert load_student(file).class_names == NAMES


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "taken").write_text("a file")
    (tmp_path / "half" / "student.safetensors").mkdir(parents=True)
    saved = SavedStudent(DualHeadStudent("small_cnn", 3), NAMES)
    for name in ("taken", "taken/mine", "half"):
        with pytest.raises(ModelFilesError, match=rf"{name}.* cannot be written \(.+\); choose another place"):
            saved.save(tmp_path / name)


def test_a_student_of_ones_own_network_loads_with_a_network_like_it(tmp_path, g):
    def net():
        return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, 2), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())

    student = DualHeadStudent(own_backbone(net(), name="tiny", image_size=16), 2, image_size=16).eval()
    saved = SavedStudent(student, ("a", "b"))
    saved.save(tmp_path)
    with pytest.raises(SettingError, match="hand it over as backbone"):
        load_student(tmp_path)
    other, images = net(), torch.rand(5, 3, 16, 16, generator=g)
    before = other[0].weight.clone()
    torch.testing.assert_close(load_student(tmp_path, backbone=other).predict(images), saved.predict(images))
    assert torch.equal(other[0].weight, before)
    with pytest.raises(ModelFilesError, match="size mismatch"):
        load_student(tmp_path, backbone=torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3, 2), *net()[1:]))
    SavedStudent(DualHeadStudent("features/4", 2, image_size=8), ("a", "b")).save(tmp_path / "named")
    with pytest.raises(SettingError, match="built by name; leave backbone out"):
        load_student(tmp_path / "named", backbone=net())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_float_images_of_any_precision_are_predicted(dtype):
    saved = SavedStudent(DualHeadStudent("small_cnn", 3), NAMES)
    images = IMAGES.float() / 255
    torch.testing.assert_close(saved.predict(images.to(dtype)), saved.predict(images), atol=2e-3, rtol=0)
