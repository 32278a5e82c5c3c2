import json

import pytest
import torch
from PIL import Image

from activekd_lab.checkpoint import SavedStudent, find_files, load_student, read_images
from activekd_lab.errors import DataError, ModelFilesError, SettingError
from activekd_lab.student import DualHeadStudent
from activekd_lab.teacher import load_teacher

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
    assert sorted(p.name for p in (tmp_path / "mine").iterdir()) == ["student.json", "student.safetensors"]


def test_another_class_list_is_refused(tmp_path):
    SavedStudent(DualHeadStudent("small_cnn", 3), NAMES).save(tmp_path)
    with pytest.raises(SettingError, match=r"knows 3 classes \(cat, dog, élan, …\), but was asked for 2 \(cat, dog"):
        load_student(tmp_path, class_names=["cat", "dog"])
    with pytest.raises(SettingError, match="use its own list"):
        load_student(tmp_path, class_names=NAMES[::-1])  # logits stand in the order of the names
    with pytest.raises(SettingError, match="ce_weight must lie in"):
        SavedStudent(DualHeadStudent("small_cnn", 3), NAMES, ce_weight=1.5).save(tmp_path)
    with pytest.raises(SettingError, match="must hold 3 names"):
        SavedStudent(DualHeadStudent("small_cnn", 3), ("a",)).save(tmp_path)


def test_files_that_do_not_fit_are_one_sentence(tmp_path):
    with pytest.raises(ModelFilesError, match=r"holds no student\.json"):
        load_student(tmp_path)
    SavedStudent(DualHeadStudent("small_cnn", 3), NAMES).save(tmp_path)
    card = json.loads((tmp_path / "student.json").read_text())
    (tmp_path / "student.json").write_text(json.dumps(card | {"student": card["student"] | {"num_classes": 5}}))
    with pytest.raises(ModelFilesError, match="cannot be loaded") as caught:
        load_student(tmp_path)
    assert "\n" not in str(caught.value)
    (tmp_path / "student.json").write_text("{")
    with pytest.raises(ModelFilesError, match=r"student\.json is damaged"):
        load_student(tmp_path)
    (tmp_path / "student.json").write_text(json.dumps(card | {"format": 99}))
    with pytest.raises(ModelFilesError, match="newer activekd_lab"):
        load_student(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"class_names": ["one"]}, {"class_names": None}, {"student": {}}, {"student": None}, {"format": "x"},
        {"ce_weight": "half"}, None,
    ],
)  # fmt: skip
def test_a_card_of_another_form_is_one_sentence(changes, tmp_path):
    card = SavedStudent(DualHeadStudent("small_cnn", 3), NAMES).save(tmp_path) / "student.json"
    card.write_text(json.dumps([] if changes is None else json.loads(card.read_text()) | changes))
    with pytest.raises(ModelFilesError, match=r"cannot be loaded \(student\.json is not what save wrote\)"):
        load_student(tmp_path)


def test_a_setting_that_no_student_has_is_one_sentence(tmp_path):
    card = SavedStudent(DualHeadStudent("small_cnn", 3), NAMES).save(tmp_path) / "student.json"
    content = json.loads(card.read_text())
    card.write_text(json.dumps(content | {"student": content["student"] | {"wings": 2}}))
    with pytest.raises(ModelFilesError, match="cannot be loaded .*wings"):
        load_student(tmp_path)


def test_images_are_read_upright_and_bad_ones_are_all_named(tmp_path):
    tall = Image.new("RGB", (20, 40))
    tall.paste((255, 0, 0), (0, 0, 20, 20))  # red above
    exif = Image.Exif()
    exif[0x0112] = 3  # stored upside down
    tall.rotate(180).save(tmp_path / "a.jpg", exif=exif)
    Image.new("LA", (8, 8)).save(tmp_path / "b.png")
    images = read_images([tmp_path / "a.jpg", tmp_path / "b.png"], 16)
    assert images.shape == (2, 3, 16, 16)
    assert int(images[0, 0, 0].min()) > 200
    assert int(images[0, 0, -1].max()) < 60
    for name in ("c.jpg", "d.png"):
        (tmp_path / name).write_bytes(b"no image")
    with pytest.raises(DataError, match=r"2 of 3 images cannot be read: .*c\.jpg .*d\.png"):
        read_images([tmp_path / name for name in ("a.jpg", "c.jpg", "d.png")], 16)


def test_files_are_predicted_in_batches_and_bad_ones_of_all_batches_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr("activekd_lab.checkpoint._BATCH", 2)
    saved, passes, seen = SavedStudent(DualHeadStudent("small_cnn", 3, image_size=16), NAMES), [], []
    saved.student.register_forward_pre_hook(lambda module, inputs: passes.append(len(inputs[0])))
    for i in range(5):
        (tmp_path / f"{i % 2}").mkdir(exist_ok=True)
        Image.new("RGB", (20, 20), (50 * i, 0, 0)).save(tmp_path / f"{i % 2}" / f"{i}.png")
    files = find_files([tmp_path / "1" / "3.png", tmp_path])
    assert [path.name for path in files] == ["3.png", "0.png", "2.png", "4.png", "1.png", "3.png"]
    found = saved.predict_files(files, progress=lambda done, total: seen.append((done, total)))
    assert (passes, seen) == ([2, 2, 2], [(2, 6), (4, 6), (6, 6)])
    torch.testing.assert_close(found, saved.predict(read_images(files, 16)))
    saved.predict_files(files[:3], progress=lambda done, total: seen.append((done, total)))
    assert seen[3:] == [(2, 3), (3, 3)]
    for name in ("0/0.png", "1/1.png"):
        (tmp_path / name).write_bytes(b"no image")
    with pytest.raises(DataError, match=r"2 of 5 images cannot be read: .*0\.png .*1\.png"):
        saved.predict_files(find_files([tmp_path]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty holds no images"):
        find_files([tmp_path / "empty"])


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "taken").write_text("a file")
    (tmp_path / "half" / "student.safetensors").mkdir(parents=True)
    saved = SavedStudent(DualHeadStudent("small_cnn", 3), NAMES)
    for name in ("taken", "taken/mine", "half"):
        with pytest.raises(ModelFilesError, match=rf"{name} cannot be written \(.+\); choose another place"):
            saved.save(tmp_path / name)
