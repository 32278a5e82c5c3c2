"""Counted operations against the literature, and the network that is timed against the student's own."""

import pytest
import torch

from activekd_lab.bench import operations
from activekd_lab.students.backbones import build_backbone


def test_operations_are_those_of_the_literature():
    """Multiply-adds as their papers give them, two operations each: ResNet-18 1.8, MobileNetV2 0.3, ViT-B/16 17.6 G."""
    for name, macs in {"resnet18": 1.8e9, "mobilenet_v2": 0.3e9, "open_clip/ViT-B-16/openai": 17.6e9}.items():
        assert operations.student_operations(name, 224) == pytest.approx(2 * macs, rel=0.05)


@pytest.mark.parametrize("name", ["timm/tiny_vit_21m_384.dist_in22k_ft_in1k", "mobilenet_v2", "open_clip/bundled"])
def test_the_network_that_is_timed_is_the_students_in_the_memory_of_its_largest_weight(name):
    network = operations._stand_in(name, torch.device("cpu"))
    own = build_backbone(name, pretrained=False)
    assert {k: v.shape for k, v in network.state_dict().items()} == {k: v.shape for k, v in own.state_dict().items()}
    out = network(torch.rand(2, 3, 64, 64), 64)
    assert out.isfinite().all()
    out.square().mean().backward()
    weights = list(network.parameters())
    assert all(weight.grad is None for weight in weights)
    assert len({weight.untyped_storage().data_ptr() for weight in weights}) == 1
