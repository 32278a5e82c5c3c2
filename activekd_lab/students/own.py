"""Backbones that are not made by name: any network of yours, and features that were computed elsewhere."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn

from activekd_lab.errors import SettingError
from activekd_lab.io.arguments import checked
from activekd_lab.students.backbones import IMAGENET_STATISTICS, Backbone, Statistics


class FeatureBackbone(Backbone):
    """Takes (B, D) features in the place of images, and gives them on. Its name is "features/D"."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.Identity(), width, IMAGENET_STATISTICS, width)
        self.name = f"features/{width}"

    def forward(self, images: Tensor, image_size: int) -> Tensor:
        """Return the (B, D) features as they are."""
        if images.ndim != 2 or images.shape[1] != self.num_features:
            raise SettingError(
                f"This student learned from (B, {self.num_features}) features, but got {tuple(images.shape)}; give it "
                "features of the same model."
            )
        return images

    def stages(self, images: Tensor, image_size: int) -> Tensor:
        """Return the (B, D) features as they are."""
        return self.forward(images, image_size)

    def check_size(self, image_size: int) -> None:
        """Features have no size."""


class OwnBackbone(Backbone):
    """A network of one's own; `beside_weights`, part of its fingerprint, is what no state dict holds of it."""

    beside_weights: tuple[object, ...] = ()


@checked()
def own_backbone(
    module: nn.Module, *, name: str | None = None, image_size: int = 64, statistics: Statistics = IMAGENET_STATISTICS
) -> Backbone:
    """Make a backbone of any network of images, (B, 3, S, S) to (B, D); its sizes are looked at once, on two images.

    Args:
        module: is used as it stands, weights included; every round starts from a copy of it.
        name: for records; None takes the class's name.
        image_size: side S that it is tried with, pixels.
        statistics: per-channel mean and standard deviation that its input is normalised by; ImageNet's if not said.

    Raises:
        SettingError: a module that cannot take such images, or whose output is no (B, D) of floats.

    Example:
        >>> backbone = akd.students.own_backbone(MyNet(), name="my-net-1")
        >>> akd.run(config, backbone=backbone)
    """
    if isinstance(module, Backbone):
        return module
    if not isinstance(module, nn.Module):
        raise SettingError(f"A backbone must be a torch module of images, but got {type(module).__name__}.")
    training, device = module.training, next((p.device for p in module.parameters()), torch.device("cpu"))
    try:
        with torch.no_grad():
            out = module.eval()(torch.zeros(2, 3, image_size, image_size, device=device))
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise SettingError(f"The backbone cannot take (2, 3, {image_size}, {image_size}) images ({reason}).") from error
    finally:
        module.train(training)
    if not isinstance(out, Tensor) or out.ndim != 2 or len(out) != 2 or not out.is_floating_point():
        shape = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise SettingError(f"A backbone must turn (B, 3, S, S) images into (B, D) features, but gave {shape}.")
    backbone = OwnBackbone(module, out.shape[1], statistics)
    unsaved = {key: value for key, value in module.named_buffers() if key not in module.state_dict()}
    sums = [hashlib.sha256(value.detach().cpu().numpy().tobytes()).hexdigest() for value in unsaved.values()]
    backbone.beside_weights = (*statistics, *unsaved, *sums)
    backbone.name = f"own/{name or type(module).__name__}"
    return backbone
