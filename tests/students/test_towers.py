"""open_clip models are built as their weights were trained, whatever the name of the architecture says."""

import json
import shutil
import warnings

import open_clip
import pytest
import torch
from open_clip.transformer import QuickGELU
from torch import nn

from activekd_lab.errors import ModelFilesError, UnknownNameError
from activekd_lab.students import towers
from activekd_lab.students.backbones import build_backbone, default_image_size
from activekd_lab.students.own import own_backbone
from activekd_lab.students.towers import BUNDLED, build_model, check_model, model_fingerprint, own_size
from activekd_lab.teachers.clip import load_teacher

NAMES = [f"{architecture}/{tag}" for architecture, tag in open_clip.list_pretrained()]
TINY = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
}


def activations(model):
    return {type(m) for m in model.modules() if isinstance(m, QuickGELU | nn.GELU)}


@pytest.fixture
def small(monkeypatch):
    """Every architecture thin, and nothing downloaded: what is under test is which activation is asked for."""
    real = open_clip.get_model_config

    def thin(name):
        return TINY | {"quick_gelu": bool(real(name).get("quick_gelu"))}

    monkeypatch.setattr("open_clip.factory.get_model_config", thin)


@pytest.mark.parametrize("name", [*NAMES[::30], "ViT-B-16/openai", "ViT-B-16-quickgelu/openai", "ViT-H-14-378/dfn5b"])
def test_the_weights_decide_the_activation(small, name):
    trained = bool(open_clip.get_pretrained_cfg(*name.split("/")).get("quick_gelu"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert activations(build_model(name, weights=False)) == {QuickGELU if trained else nn.GELU}


def test_weights_that_contradict_their_architecture_are_refused():
    with pytest.raises(ModelFilesError, match="name two activations"):
        build_model("roberta-ViT-B-32/laion2b_s12b_b32k", weights=False)


def test_every_pretrained_name_has_the_activation_of_its_weights_and_28_have_another_name():
    """If this number changes, so did open_clip's list: look at it."""
    towers._quick_gelu.cache_clear()
    known = towers._quick_gelu()
    trained = {n: bool(open_clip.get_pretrained_cfg(*n.split("/")).get("quick_gelu")) for n in NAMES}
    assert {n: flag for n, flag in known.items() if flag is not None and flag != trained[n]} == {}
    other = [n for n in NAMES if known[n] != bool(open_clip.get_model_config(n.split("/")[0]).get("quick_gelu"))]
    assert len(known) == len(NAMES)
    assert len(other) == 28
    assert [name for name in other if known[name] is None] == ["roberta-ViT-B-32/laion2b_s12b_b32k"]


def test_teacher_and_tower_of_openai_weights_have_quick_gelu_and_equal_open_clips_own(small, monkeypatch, tmp_path):
    torch.manual_seed(0)
    right = open_clip.create_model("ViT-B-32-quickgelu").eval()
    torch.save(right.state_dict(), tmp_path / "w.pt")
    monkeypatch.setattr("open_clip.factory.download_pretrained", lambda *a, **k: str(tmp_path / "w.pt"))
    teacher = load_teacher("ViT-B-32/openai", device="cpu")
    tower = build_backbone("open_clip/ViT-B-32/openai").eval()
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    tokens = teacher.tokenizer(["a cat", "a dog"])
    with torch.no_grad():
        torch.testing.assert_close(teacher.model.encode_text(tokens), right.encode_text(tokens))
        torch.testing.assert_close(tower.body((images - tower.mean) / tower.std), tower(images, 32))
        torch.testing.assert_close(tower(images, 32), right.encode_image((images - tower.mean) / tower.std))


def test_a_tower_that_starts_from_nothing_or_from_a_file_has_the_same_activation(small):
    """Saved students are loaded by building the tower without weights."""
    assert activations(build_backbone("open_clip/ViT-B-32/openai", pretrained=False)) == {QuickGELU}
    assert activations(build_backbone("open_clip/ViT-B-32/laion2b_s34b_b79k", pretrained=False)) == {nn.GELU}


def test_the_same_weights_in_another_network_have_another_fingerprint(tmp_path):
    """Activation and number of heads are in no weight, yet they change every embedding."""
    found = {}
    for name, change in {"plain": {}, "quick": {"quick_gelu": True}, "heads": {"heads": 2}, "again": {}}.items():
        shutil.copytree(BUNDLED, tmp_path / name)
        path = tmp_path / name / "open_clip_config.json"
        config = json.loads(path.read_text())
        config["model_cfg"]["text_cfg"] |= {k: v for k, v in change.items() if k == "heads"}
        config["model_cfg"] |= {k: v for k, v in change.items() if k != "heads"}
        path.write_text(json.dumps(config))
        found[name] = load_teacher(f"local-dir:{tmp_path / name}", device="cpu").fingerprint
    assert found["plain"] == found["again"] == load_teacher("bundled", device="cpu").fingerprint
    assert len(set(found.values())) == 3


def test_training_mode_changes_no_fingerprint():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1))
    before = model_fingerprint(model)
    assert model_fingerprint(model.eval()) == before
    model[0].bias.data += 1
    assert model_fingerprint(model) != before
    assert model_fingerprint(nn.Sequential(model[0], nn.Dropout(0.2))) != model_fingerprint(model)


@pytest.mark.parametrize(
    ("name", "size"),
    [("ViT-L-14-336/openai", 336), ("ViT-B-16/openai", 224), ("RN50x4/openai", 288), ("bundled", 64),
     (f"local-dir:{BUNDLED}", 64), ("hf-hub:org/model", None), ("local-dir:/nowhere", None)],
)  # fmt: skip
def test_own_size(name, size):
    assert own_size(name) == size == default_image_size(f"open_clip/{name}")
    assert default_image_size("resnet18") is None


@pytest.mark.parametrize("name", ["RN50/opnai", "bundle", "ViT-B-32"])
def test_unknown_names(name):
    with pytest.raises(UnknownNameError, match="nearest first"):
        check_model(name)


def test_an_own_network_is_known_by_all_that_it_computes_with():
    class Net(nn.Module):
        def __init__(self, shift):
            super().__init__()
            self.register_buffer("shift", torch.tensor(shift), persistent=False)

        def forward(self, images):
            return images.mean((2, 3)) + self.shift

    half = ((0.5,) * 3, (0.5,) * 3)
    found = [own_backbone(Net(1.0)), own_backbone(Net(2.0)), own_backbone(Net(1.0), statistics=half)]
    assert len({*map(model_fingerprint, found)}) == 3
    assert model_fingerprint(own_backbone(Net(1.0))) == model_fingerprint(found[0])
