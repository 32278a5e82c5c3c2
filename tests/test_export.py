import json
import sys

import onnxruntime
import pytest
import torch
from typer.testing import CliRunner

from activekd_lab.checkpoint import SavedStudent
from activekd_lab.cli import app
from activekd_lab.errors import MissingExtraError, ModelFilesError
from activekd_lab.export import export_onnx
from activekd_lab.student import DualHeadStudent

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
def test_the_graph_gives_the_students_probabilities(kind, tmp_path, g):
    saved = student(kind)
    session = onnxruntime.InferenceSession(export_onnx(saved, tmp_path / "new" / "student.onnx"))
    size = saved.student.image_size
    images = torch.rand(7, 3, size, size, generator=g)
    (found,) = session.run(["probabilities"], {"images": images.numpy()})
    torch.testing.assert_close(torch.from_numpy(found), saved.predict(images), atol=1e-4, rtol=0)
    properties = session.get_modelmeta().custom_metadata_map
    assert json.loads(properties["class_names"]) == ["red", "größer", "blue"]
    assert properties["image_size"] == str(size)


def test_a_graph_that_differs_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("activekd_lab.export.TOLERANCE", -1.0)
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
