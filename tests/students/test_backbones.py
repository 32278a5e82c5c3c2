import open_clip
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from activekd_lab.data import load_task
from activekd_lab.errors import ModelFilesError, SettingError, UnknownNameError
from activekd_lab.students.backbones import build_backbone, has_pretrained
from activekd_lab.students.student import DualHeadStudent
from activekd_lab.students.towers import BUNDLED
from activekd_lab.teachers.clip import load_teacher

IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("resnet18", 512),
        ("mobilenet_v2", 1280),
        ("squeezenet1_0", None),
        ("timm/resnet10t", 512),
        ("timm/test_vit", 64),
    ],
)
def test_features_of_other_families(name, width):
    if width is None:  # a classifier made of convolutions has no linear layer to take off
        with pytest.raises(SettingError, match="no linear classifier"):
            build_backbone(name, pretrained=False)
        return
    backbone = build_backbone(name, pretrained=False).eval()
    size = 160 if name == "timm/test_vit" else 64
    with torch.no_grad():
        assert backbone(IMAGES, size).shape == (2, width) == (2, backbone.num_features)
        assert backbone.stages(IMAGES, size).shape == (2, backbone.num_stage_features)


def test_torchvision_features_are_what_the_classifier_read():
    torch.manual_seed(0)
    backbone = build_backbone("resnet18", pretrained=False).eval()
    whole = torch.nn.Sequential(*list(backbone.body.children())[:-1], torch.nn.Flatten())
    with torch.no_grad():
        torch.testing.assert_close(backbone(IMAGES, 32), whole((IMAGES - backbone.mean) / backbone.std))


def test_the_choice_of_weights_must_be_made_for_downloads():
    with pytest.raises(SettingError, match=r"pretrained=True, False, or weights=FILE"):
        build_backbone("resnet18")
    assert has_pretrained("efficientnet_lite0")
    assert not has_pretrained("resnet18")


def test_weights_from_a_local_file(tmp_path):
    source = timm.create_model("test_resnet", pretrained=False)
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    torch.save(source.state_dict(), tmp_path / "w.pth")
    for file in ("w.safetensors", "w.pth"):
        loaded = build_backbone("timm/test_resnet", weights=tmp_path / file)
        torch.testing.assert_close(loaded.body.conv1[0].weight, source.conv1[0].weight)
    with pytest.raises(ModelFilesError, match="do not fit 'resnet18'"):
        build_backbone("resnet18", weights=tmp_path / "w.pth")
    with pytest.raises(ModelFilesError, match="none.pth cannot be read"):
        build_backbone("resnet18", weights=tmp_path / "none.pth")
    with pytest.raises(SettingError, match="give one of them"):
        build_backbone("timm/test_resnet", weights=tmp_path / "w.pth", pretrained=True)


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"abc", None])
def test_a_weights_file_that_is_none_is_one_sentence(tmp_path, name, content):
    (tmp_path / name).mkdir() if content is None else (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelFilesError, match=f"{name} cannot be (loaded|read)"):
        build_backbone("small_cnn", weights=tmp_path / name)


@pytest.mark.parametrize(("name", "nearest"), [("resnet81", "resnet18"), ("timm/resnet10tt", "timm/resnet10t")])
def test_unknown_names(name, nearest):
    with pytest.raises(UnknownNameError, match=f"nearest first: .*{nearest}"):
        build_backbone(name, pretrained=False)


def test_an_image_size_the_network_cannot_take():
    with pytest.raises(SettingError, match=r"'timm/test_vit' cannot take image_size=50"):
        DualHeadStudent("timm/test_vit", 3, pretrained=False, image_size=50)


def test_the_size_is_tried_where_the_network_lies():
    build_backbone("small_cnn").to("meta").check_size(32)


def test_images_and_network_lie_in_one_place():
    network = DualHeadStudent("small_cnn", 3)
    for call, images in ((network, IMAGES), (network.backbone, IMAGES), (network.heads, network.embed(IMAGES))):
        arguments = (images.to("meta"), 32)[: 1 + (call is network.backbone)]
        with pytest.raises(SettingError, match="on cpu, as the network, but got it on meta"):
            call(*arguments)
    assert network.to("meta")(IMAGES.to("meta")).ce_logits.is_meta


def test_the_clip_tower_gives_open_clips_image_features():
    tower = build_backbone("open_clip/bundled").eval()
    model = open_clip.create_model(f"local-dir:{BUNDLED}").eval()
    with torch.no_grad():
        pixels = (F.interpolate(IMAGES, (64, 64), mode="bicubic", antialias=True).clamp(0, 1) - 0.5) / 0.25
        torch.testing.assert_close(tower(IMAGES, 64), model.encode_image(pixels), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["open_clip/bundled", f"open_clip/local-dir:{BUNDLED}"])
def test_a_clip_tower_may_start_from_nothing(name):
    trained, fresh = (
        torch.cat([p.flatten() for p in build_backbone(name, pretrained=w).parameters()]) for w in (True, False)
    )
    assert trained.shape == fresh.shape
    assert not torch.allclose(trained, fresh)
    assert torch.equal(trained, torch.cat([p.flatten() for p in build_backbone(name).parameters()]))


def test_language_aware_initialisation_is_the_zero_shot_classifier():
    task = load_task("shapes", num_classes=4, pool_size=20, test_per_class=2, val_per_class=1)
    teacher = load_teacher("bundled", device="cpu")
    head = teacher.zero_shot(task)
    student = DualHeadStudent(
        "open_clip/bundled", 4, class_embeddings=head.text, class_scale=head.scale, generator=torch.Generator()
    ).eval()
    views = F.interpolate(task.train.images.float() / 255, (64, 64), mode="bicubic", antialias=True).clamp(0, 1)
    with torch.no_grad():
        mixed = student(views).probabilities(ce_weight=0.0)
        expected = head.probabilities(teacher.encode_views(views))
    torch.testing.assert_close(mixed, expected, atol=1e-5, rtol=0)
    with pytest.raises(SettingError, match=r"class_embeddings must be \(4, 128\)"):
        DualHeadStudent("open_clip/bundled", 4, class_embeddings=head.text[:3])
    with pytest.raises(SettingError, match="need two heads"):
        DualHeadStudent("open_clip/bundled", 4, class_embeddings=head.text, single_head=True)


def test_torchvision_weights_by_name_and_no_dropout_before_the_heads():
    named = build_backbone("mobilenet_v2/IMAGENET1K_V1", pretrained=False)
    assert (named.name, named.num_features) == ("mobilenet_v2/IMAGENET1K_V1", 1280)
    x = torch.rand(2, 3, 32, 32)
    named.eval()
    still = named(x, 32)
    for module in named.modules():
        if isinstance(module, torch.nn.Dropout):
            module.train()
    assert torch.equal(named(x, 32), still)
    assert sum(isinstance(m, torch.nn.Dropout) for m in build_backbone("alexnet", pretrained=False).modules()) == 2
    with pytest.raises(
        UnknownNameError, match="Unknown weights of mobilenet_v2 'V1'. Known, nearest first: IMAGENET1K_V"
    ):
        build_backbone("mobilenet_v2/V1", pretrained=False)


def test_a_tower_reads_its_own_size_whatever_the_views():
    """As ViT-L/14@336 must: views of 378 px are shrunk to it, and smaller ones are not enlarged in silence."""
    tower = build_backbone("open_clip/bundled").eval()
    large = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(
            tower(large, 96), tower(F.interpolate(large, 64, mode="bicubic", antialias=True), 64)
        )
    with pytest.raises(
        SettingError, match=r"'open_clip/bundled' reads 64 px, but got image_size=32; give image_size=64"
    ):
        DualHeadStudent("open_clip/bundled", 3, image_size=32)


@pytest.mark.parametrize(("name", "nearest"), [("RN50", "RN50/cc12m"), ("ViT-L-14-336/openia", "ViT-L-14-336/openai")])
def test_a_tower_without_known_weights_is_refused_not_built_at_random(name, nearest):
    with pytest.raises(UnknownNameError, match=f"Unknown open_clip tower '{name}'.*nearest first: {nearest}"):
        has_pretrained(f"open_clip/{name}")
