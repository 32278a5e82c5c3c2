"""Floating-point operations: counted on shapes alone, measured on this machine, and as published of three GPUs."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from activekd_lab.students.backbones import Backbone

PEAKS = {"V100": 15.7e12, "A100": 156e12, "H100": 495e12}
"""Published peaks of one card, operations a second: float32 on V100, TF32 without sparsity on A100 and H100."""
SHARE = 0.3
"""What of a peak a training reaches; an assumption, and usual for ResNets and ViTs whose images are at hand."""
_PIXELS = 224**2  # of the images that are timed at once


@lru_cache(maxsize=64)
def student_operations(backbone: str, image_size: int) -> float:
    """Return the floating-point operations of one image through a backbone, twice its multiply-adds."""
    import torch  # noqa: PLC0415  (slow import)

    from activekd_lab.students.backbones import build_backbone  # noqa: PLC0415

    with torch.device("meta"):
        network = build_backbone(backbone, pretrained=False).eval()
        return _counted(lambda: network(torch.zeros(1, 3, image_size, image_size), image_size))


@lru_cache(maxsize=16)
def teacher_operations(name: str) -> float:
    """Return the same for a teacher's image encoder; 0 where its configuration would be a download."""
    import torch  # noqa: PLC0415  (slow import)

    from activekd_lab.students.towers import build_model  # noqa: PLC0415

    if name.startswith("hf-hub:"):
        return 0.0
    with torch.device("meta"):
        try:
            tower = build_model(name, weights=False, device="meta").visual.eval()
        except (OSError, ValueError):
            return 0.0  # a directory that is not there is said to be missing
        side = tower.image_size[0] if isinstance(tower.image_size, tuple | list) else tower.image_size
        return _counted(lambda: tower(torch.zeros(1, 3, side, side)))


def _counted(call: Any) -> float:
    import torch  # noqa: PLC0415  (slow import)
    from torch.utils.flop_counter import FlopCounterMode  # noqa: PLC0415

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        call()
    return float(counter.get_total_flops())


def training_speed(backbone: str, side: int, device: torch.device, *, seconds: float = 2.0) -> float:
    """Return the operations a second that training a backbone reaches on a device.

    Forward and backward on random images, of as many pixels as one of ImageNet, for about `seconds` after one pass
    that warms up.
    """
    import torch  # noqa: PLC0415  (slow import)

    network, images = _stand_in(backbone, device), max(1, _PIXELS // side**2)
    batch = torch.rand(images, 3, side, side, device=device)
    done, started = -1, 0.0
    while done < 1 or time.perf_counter() - started < seconds:
        network(batch, side).square().mean().backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
        done += 1
        started = started or time.perf_counter()
    spent = time.perf_counter() - started
    return done * images * 3 * student_operations(backbone, side) / spent


def _stand_in(backbone: str, device: torch.device) -> Backbone:
    """Return a backbone to time: all its weights are views of one random buffer, and gradients are dropped at once."""
    import torch  # noqa: PLC0415  (slow import)

    from activekd_lab.students.backbones import build_backbone  # noqa: PLC0415

    with torch.device("meta"):
        network = build_backbone(backbone, pretrained=False).train()
    shared = torch.randn(max(weight.numel() for weight in network.parameters()), device=device) / 50
    for module in network.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                view = torch.nn.Parameter(shared[: weight.numel()].view(weight.shape))
                view.register_post_accumulate_grad_hook(lambda weight: setattr(weight, "grad", None))
                module._parameters[name] = view
        for name, kept in module._buffers.items():
            if kept is not None:  # statistics of one, indices of zero
                fill = float(kept.is_floating_point())
                module._buffers[name] = torch.full(kept.shape, fill, dtype=kept.dtype, device=device)
    return network
