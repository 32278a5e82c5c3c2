import pytest
import torch
from safetensors.torch import save_file

from activekd_lab.errors import SettingError, UnknownNameError
from activekd_lab.students.backbones import build_backbone
from activekd_lab.students.student import DualHeadStudent, StudentOutput, check_frozen

IMAGES = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_mixing_formula_in_both_papers_conventions():
    ce, kd = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    out = StudentOutput(ce, kd, torch.zeros(1, 1))
    for odd in ((ce.repeat(4, 1), kd, torch.zeros(4, 1)), (ce, kd, torch.zeros(2, 1))):
        with pytest.raises(SettingError, match="two heads of"):
            StudentOutput(*odd)
    expected = 0.3 * ce.softmax(1) + 0.7 * (kd / 2).softmax(1)
    torch.testing.assert_close(out.probabilities(ce_weight=0.3, kd_temperature=2.0), expected)
    torch.testing.assert_close(out.probabilities(ce_weight=1.0), ce.softmax(1))  # DHO's α = 1: labels only
    torch.testing.assert_close(out.probabilities(ce_weight=0.0), kd.softmax(1))  # released PCoreSet code's α = 1


def test_a_single_head_has_nothing_to_mix():
    out = DualHeadStudent("small_cnn", 4, single_head=True).eval()(IMAGES)
    assert out.kd_logits is out.ce_logits
    torch.testing.assert_close(out.probabilities(ce_weight=0.3, kd_temperature=3.0), out.ce_logits.softmax(1))
    assert StudentOutput.cat([out[:1], out[1:]]).kd_logits.shape == (3, 4)
    for part in (out[:2], StudentOutput.cat([out[:1], out[1:]])):
        torch.testing.assert_close(
            part.probabilities(kd_temperature=3.0), out.ce_logits[: len(part.ce_logits)].softmax(1)
        )


def test_parts_of_an_output_and_joined_parts_keep_their_heads_apart():
    out = StudentOutput(torch.arange(6.0).view(3, 2), torch.arange(6.0, 12.0).view(3, 2), torch.arange(3.0)[:, None])
    joined = StudentOutput.cat([out[:1], out[torch.tensor([1, 2])]])
    for name in ("ce_logits", "kd_logits", "features"):
        assert torch.equal(getattr(joined, name), getattr(out, name))


def test_probabilities_are_float32_whatever_the_logits_are(g):
    out = StudentOutput(
        torch.randn(3, 4, generator=g).bfloat16(), torch.randn(3, 4, generator=g).bfloat16(), torch.zeros(3, 1)
    )
    mixed = out.probabilities()
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed.sum(1), torch.ones(3), atol=1e-6, rtol=0)


@pytest.mark.parametrize("bad", [{"ce_weight": -0.1}, {"ce_weight": 1.1}, {"kd_temperature": 0.0}])
def test_mixing_outside_its_range(bad):
    with pytest.raises(SettingError, match=next(iter(bad))):
        StudentOutput(torch.zeros(1, 2), torch.zeros(1, 2), torch.zeros(1, 1)).probabilities(**bad)


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "small_cnn"])
def test_every_backbone_gives_finite_logits_and_the_same_start_from_the_same_generator(backbone):
    def start(seed=3):
        return DualHeadStudent(backbone, 5, generator=torch.Generator().manual_seed(seed)).eval()

    before = torch.get_rng_state()
    a, b = start(), start()
    assert torch.equal(before, torch.get_rng_state())
    out = a(IMAGES)
    assert out.ce_logits.shape == out.kd_logits.shape == (3, 5)
    assert bool(out.ce_logits.isfinite().all())
    torch.testing.assert_close(out.ce_logits, b(IMAGES).ce_logits)
    assert not torch.equal(a.ce_head.weight, start(4).ce_head.weight)


@pytest.mark.parametrize("prepare", [lambda student: student, DualHeadStudent.train], ids=["new", "training"])
def test_a_frozen_backbone_trains_only_projection_and_heads(prepare):
    student = prepare(DualHeadStudent("efficientnet_lite0", 5, freeze_backbone=True, projection_dim=16))
    assert student.training
    assert not any(module.training for module in student.backbone.modules())
    before = [buffer.clone() for buffer in student.backbone.buffers()]
    out = student(IMAGES)
    assert out.features.shape == (3, 16)
    trained = {name.split(".")[0] for name, p in student.named_parameters() if p.requires_grad}
    assert trained == {"projection", "ce_head", "kd_head"}
    assert all(torch.equal(x, y) for x, y in zip(before, student.backbone.buffers(), strict=True))


def test_a_projection_puts_features_on_one_footing_whatever_their_scale():
    student = DualHeadStudent("efficientnet_lite0", 5, freeze_backbone=True)
    features = torch.rand(8, student.backbone.num_stage_features, generator=torch.Generator().manual_seed(0))
    out = student.heads(features)
    assert out.features.shape == (8, 256)
    torch.testing.assert_close(student.heads(100 * features).ce_logits, out.ce_logits, atol=0.02, rtol=0.02)


def test_a_student_of_texts_starts_as_their_classifier(g):
    """Both heads hold the texts; the KD head sees the direction of the features only, scaled."""
    text = torch.nn.functional.normalize(torch.randn(3, build_backbone("small_cnn").num_features, generator=g))
    out = DualHeadStudent("small_cnn", 3, class_embeddings=text, class_scale=20.0).eval()(IMAGES)
    torch.testing.assert_close(out.ce_logits, out.features @ text.T)
    torch.testing.assert_close(out.kd_logits, 20 * torch.nn.functional.normalize(out.features) @ text.T)
    with pytest.raises(SettingError, match="class_embeddings need two heads"):
        DualHeadStudent("small_cnn", 3, class_embeddings=text, single_head=True)
    with pytest.raises(SettingError, match="on a backbone that trains"):
        DualHeadStudent("efficientnet_lite0", 3, class_embeddings=text, freeze_backbone=True)
    with pytest.raises(SettingError, match=rf"must be \(4, {text.shape[1]}\), but got \(3, {text.shape[1]}\)"):
        DualHeadStudent("small_cnn", 4, class_embeddings=text)


def test_a_student_starts_from_weights_of_a_file(tmp_path):
    body = build_backbone("small_cnn").body
    save_file(body.state_dict(), tmp_path / "weights.safetensors")
    student = DualHeadStudent("small_cnn", 3, weights=tmp_path / "weights.safetensors")
    for name, value in body.state_dict().items():
        assert torch.equal(student.backbone.body.state_dict()[name], value)


def test_images_as_bytes_or_as_fractions_are_the_same():
    student = DualHeadStudent("small_cnn", 3).eval()
    torch.testing.assert_close(student(IMAGES).ce_logits, student(IMAGES.float() / 255).ce_logits)


def test_imagenet_weights_are_the_real_ones():
    """Pretrained features differ from random ones, and the classifier that came with them knows 1,000 classes."""
    real = build_backbone("efficientnet_lite0").requires_grad_(False)
    other = build_backbone("efficientnet_lite0", pretrained=False).requires_grad_(False)
    assert real.num_features == 1280
    assert float((real.body.conv_stem.weight - other.body.conv_stem.weight).abs().mean()) > 0.01
    assert float(real.body.bn1.running_var.std()) > 0.01  # statistics of real images, not the initial ones


def test_bad_arguments():
    with pytest.raises(UnknownNameError, match="nearest first: small_cnn"):
        DualHeadStudent("small_cn", 3)
    with pytest.raises(SettingError, match="projection_dim has an effect only"):
        DualHeadStudent("small_cnn", 3, projection_dim=8)
    with pytest.raises(SettingError, match="no pretrained weights"):
        build_backbone("small_cnn", pretrained=True)
    with pytest.raises(SettingError, match="num_classes must be 2 or more"):
        DualHeadStudent("small_cnn", 1)


@pytest.mark.parametrize(
    ("backbone", "pretrained", "weights", "refused"),
    [
        ("small_cnn", None, None, True),
        ("small_cnn", None, "w.safetensors", False),
        ("small_cnn", True, None, False),
        ("efficientnet_lite0", None, None, False),
        ("efficientnet_lite0", False, None, True),
    ],
)
def test_only_a_backbone_that_starts_from_something_is_frozen(backbone, pretrained, weights, refused):
    check_frozen(backbone, False, pretrained, weights)
    if not refused:
        check_frozen(backbone, True, pretrained, weights)
        return
    with pytest.raises(SettingError, match=f"freeze_backbone needs pretrained weights, which {backbone} lacks here"):
        check_frozen(backbone, True, pretrained, weights)
    if pretrained is None:
        with pytest.raises(SettingError, match="freeze_backbone needs pretrained weights"):
            DualHeadStudent(backbone, 3, freeze_backbone=True)
