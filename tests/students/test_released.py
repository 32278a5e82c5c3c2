"""Files written as DHO's authors write them, by networks made as they make them, load into our student."""

import numpy as np
import open_clip
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision import models

from activekd_lab.errors import ModelFilesError, SettingError
from activekd_lab.students.checkpoint import load_student
from activekd_lab.students.released import load_released

NAMES = ("cat", "dog", "fox")
IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


class Theirs(nn.Module):
    """Their student by its description: a backbone, two linear heads; for a tower the KD head sees unit features."""

    def __init__(self, backbone, width, *, tower=False):
        super().__init__()
        self.backbone, self.tower = backbone, tower
        self.ce_head, self.kd_head = nn.Linear(width, len(NAMES)), nn.Linear(width, len(NAMES))

    def mixed(self, images, alpha, beta):
        features = self.backbone(images)
        features = features if self.tower else F.adaptive_avg_pool2d(features, 1).flatten(1)
        kd = 100 * self.kd_head(F.normalize(features, dim=1)) if self.tower else self.kd_head(features)
        return alpha * self.ce_head(features).softmax(1) + (1 - alpha) * (kd / beta).softmax(1)


def headless(network):
    return nn.Sequential(*list(network.children())[:-1])


def made(name):
    torch.manual_seed(0)
    if name == "tower":
        return Theirs(open_clip.create_model("ViT-B-32-quickgelu").visual, 512, tower=True).eval()
    network = getattr(models, name)()
    return Theirs(headless(network), {"resnet18": 512, "resnet50": 2048, "mobilenet_v2": 1280}[name]).eval()


def write(path, model, alpha=0.5, beta=0.5, prefix="", **more):
    state = {prefix + key: value for key, value in model.state_dict().items()}
    torch.save({"model_state_dict": state, "alpha": alpha, "beta": beta} | more, path)
    return path


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_a_few_shot_student_gives_their_probabilities(name, tmp_path):
    """alpha and beta come from NumPy's ranges there, so they are NumPy numbers in the file."""
    theirs = made(name)
    path = write(tmp_path / "s.pt", theirs, np.arange(0, 1.05, 0.05)[3], np.array([0.5, 1.25])[1])
    saved = load_released(path, NAMES)
    saved.student.image_size = 64  # as the images here, so that nothing is resized
    with torch.no_grad():
        expected = theirs.mixed((IMAGES - MEAN) / STD, 0.15, 1.25)
    torch.testing.assert_close(saved.predict(IMAGES), expected, atol=1e-5, rtol=0)
    assert (round(saved.ce_weight, 9), saved.kd_temperature) == (0.15, 1.25)
    assert saved.student.settings["image_size"] == 224


def test_a_tower_of_several_processes_gives_their_probabilities_and_is_saved_as_ours(tmp_path):
    theirs = made("tower")
    saved = load_released(write(tmp_path / "vit.pt", theirs, prefix="module.", epoch=31, acc=81.6), NAMES)
    backbone = saved.student.backbone
    assert (saved.student.settings["backbone"], saved.student.settings["image_size"]) == (
        "open_clip/ViT-B-32/openai", 378,
    )  # fmt: skip
    views = torch.rand(2, 3, 378, 378, generator=torch.Generator().manual_seed(1))
    small = F.interpolate(views, 224, mode="bicubic", antialias=True).clamp(0, 1)
    with torch.no_grad():
        expected = theirs.mixed((small - backbone.mean) / backbone.std, 0.5, 0.5)
    torch.testing.assert_close(saved.predict(views), expected, atol=1e-4, rtol=0)
    again = load_student(saved.save(tmp_path / "ours"))
    torch.testing.assert_close(again.predict(views), saved.predict(views))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"state_dict": {}}, "is no checkpoint of DHO's authors \\(it has no model_state_dict\\)"),
        ([1, 2], "it has no model_state_dict"),
        ({"model_state_dict": {"a": 1}, "alpha": 0.5, "beta": 1.0}, "it has no model_state_dict of tensors"),
        ({"model_state_dict": {}, "alpha": "half", "beta": 1.0}, "alpha and beta are no numbers"),
        ({"model_state_dict": {"ce_head.weight": torch.ones(3, 2)}, "alpha": 0.5, "beta": 1}, "lacks two heads"),
    ],
)
def test_what_is_no_such_checkpoint_is_refused_in_one_sentence(content, message, tmp_path):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(ModelFilesError, match=message) as caught:
        load_released(tmp_path / "x.pt", NAMES)
    assert "\n" not in str(caught.value)


def test_another_architecture_and_other_classes_are_refused(tmp_path):
    path = write(tmp_path / "r34.pt", Theirs(headless(models.resnet34()), 512))
    with pytest.raises(ModelFilesError, match=r"216 backbone tensors of .*r34\.pt fit none of resnet18, resnet50"):
        load_released(path, NAMES)
    with pytest.raises(SettingError, match="class_names must hold 3 names, one a logit of .*, but got 2"):
        load_released(path, NAMES[:2])


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("run",))

    torch.save({"model_state_dict": Evil(), "alpha": 0.5, "beta": 1.0}, tmp_path / "evil.pt")
    with pytest.raises(ModelFilesError, match="cannot be loaded"):
        load_released(tmp_path / "evil.pt", NAMES)
    (tmp_path / "cut.pt").write_bytes(b"PK\x03\x04")
    with pytest.raises(ModelFilesError, match="cannot be loaded"):
        load_released(tmp_path / "cut.pt", NAMES)
    with pytest.raises(ModelFilesError, match="does not exist|cannot be"):
        load_released(tmp_path / "none.pt", NAMES)
