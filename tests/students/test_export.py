import json
import sys

import onnxruntime
import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import pil_to_tensor
from typer.testing import CliRunner

from activekd_lab.active.predict import predict_files
from activekd_lab.cli.app import app
from activekd_lab.data.images import fitted
from activekd_lab.errors import MissingExtraError, ModelFilesError, SettingError
from activekd_lab.students.checkpoint import SavedStudent
from activekd_lab.students.export import SNIPPET, export_onnx, square
from activekd_lab.students.own import own_backbone
from activekd_lab.students.student import DualHeadStudent

STUDENTS = {
    "frozen": {"backbone": "efficientnet_lite0", "freeze_backbone": True, "projection_dim": 16},
    "from scratch": {"backbone": "small_cnn", "image_size": 32, "pretrained": False},
    "one head": {"backbone": "small_cnn", "image_size": 32, "pretrained": False, "single_head": True},
    "CLIP tower": {"backbone": "open_clip/bundled", "class_embeddings": torch.eye(3, 128)},
}


def student(kind):
    start = torch.Generator().manual_seed(0)
    model = DualHeadStudent(num_classes=3, generator=start, **STUDENTS[kind]).eval()
    return SavedStudent(model, ("red", "größer", "blue"), ce_weight=0.3, kd_temperature=1.5)


def test_the_students_own_network_is_left_where_it_lies(tmp_path, monkeypatch):
    saved, moved = student("from scratch"), []
    monkeypatch.setattr(DualHeadStudent, "_apply", lambda self, *_, **__: moved.append(self) or self)
    export_onnx(saved, tmp_path / "student.onnx")
    assert moved
    assert saved.student not in moved


@pytest.mark.parametrize("kind", STUDENTS)
def test_the_graph_gives_the_students_probabilities_of_photos_of_any_shape(kind, tmp_path, g):
    saved = student(kind)
    session = onnxruntime.InferenceSession(export_onnx(saved, tmp_path / "new" / "student.onnx"))
    for height, width in ((40, 30), (31, 200), (1, 7), (500, 333)):
        photo = torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, generator=g)
        (found,) = session.run(["probabilities"], {"photo": photo.numpy()})
        pixels = pil_to_tensor(fitted(Image.fromarray(photo.numpy()), saved.source_size))
        torch.testing.assert_close(torch.from_numpy(found), saved.predict(pixels[None])[0], atol=1e-4, rtol=0)
    properties = session.get_modelmeta().custom_metadata_map
    assert json.loads(properties["class_names"]) == ["red", "größer", "blue"]
    assert (properties["source_size"], "square" in properties["photo"]) == (str(saved.source_size), True)


@pytest.mark.parametrize("shape", [(40, 30), (30, 41), (1, 9), (128, 128), (300, 700)])
@pytest.mark.parametrize("size", [16, 64, 128])
def test_the_graphs_square_is_pillows(shape, size, g):
    photo = torch.randint(0, 256, (*shape, 3), dtype=torch.uint8, generator=g)
    assert torch.equal(square(photo, size), pil_to_tensor(fitted(Image.fromarray(photo.numpy()), size)).float())


def test_a_graph_that_differs_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("activekd_lab.students.export.TOLERANCE", -1.0)
    with pytest.raises(ModelFilesError, match="differs from the student by .* not kept"):
        export_onnx(student("from scratch"), tmp_path / "student.onnx")
    assert not (tmp_path / "student.onnx").exists()


def test_a_missing_extra_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingExtraError, match=r'onnxscript.*pip install "activekd_lab\[export\]"'):
        export_onnx(student("from scratch"), tmp_path / "student.onnx")


def test_the_command_exports_a_saved_student(tmp_path):
    student("from scratch").save(tmp_path / "mine")
    done = CliRunner().invoke(app, ["export", str(tmp_path / "mine"), "--out", str(tmp_path / "mine.onnx")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "mine.onnx").stat().st_size > 1e6
    refused = CliRunner().invoke(app, ["export", str(tmp_path / "mine"), "--format", "tflite"])
    assert refused.exit_code == 1
    assert "Unknown format 'tflite'" in str(refused.exception)


@pytest.mark.parametrize("name", ["folder", "file/student.onnx"])
def test_a_path_that_cannot_be_written_is_one_sentence(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelFilesError, match=rf"{name} cannot be written \(.+\); choose another place"):
        export_onnx(student("from scratch"), tmp_path / name)


def test_the_printed_snippet_sees_what_predict_sees(tmp_path, monkeypatch, g):
    torch.manual_seed(0)
    student = DualHeadStudent("efficientnet_lite0", 3, image_size=32, pretrained=False).eval()
    saved = SavedStudent(student, ("a", "b", "c"), source_size=32)
    export_onnx(saved, tmp_path / "s.onnx")
    colours = torch.randint(0, 256, (40, 50, 4), generator=g, dtype=torch.uint8)
    Image.fromarray(colours.numpy(), "RGBA").save(tmp_path / "photo.jpg", "PNG")  # a hidden colour under each pixel
    monkeypatch.chdir(tmp_path)
    found: dict = {}
    exec(SNIPPET.format(path="s.onnx"), found)
    expected = predict_files(saved, [tmp_path / "photo.jpg"]).probabilities[0]
    torch.testing.assert_close(torch.from_numpy(found["probabilities"]), expected, atol=1e-4, rtol=0)


def test_what_cannot_be_a_graph_of_photos_is_one_sentence(tmp_path):
    student = DualHeadStudent("features/4", 2, image_size=8)
    with pytest.raises(SettingError, match="learned from features"):
        export_onnx(SavedStudent(student, ("a", "b")), tmp_path / "s.onnx")

    class Odd(torch.nn.Module):
        def forward(self, images):
            return images.mean((2, 3)) * float(images.sum() > 1)  # looks at data

    student = DualHeadStudent(own_backbone(Odd(), image_size=8), 2, image_size=8)
    with pytest.raises(SettingError, match="network 'own/Odd' cannot be written as ONNX"):
        export_onnx(SavedStudent(student, ("a", "b")), tmp_path / "s.onnx")
    assert not list(tmp_path.iterdir())
