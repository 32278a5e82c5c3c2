"""The DHO student (arXiv:2505.07675): one backbone, a head for the labels, a head for the teacher, mixed at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from activekd_lab.errors import SettingError
from activekd_lab.io.arguments import checked
from activekd_lab.students.backbones import Backbone, build_backbone, has_pretrained
from activekd_lab.students.images import as_float, check_embedded, check_output


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

    def __post_init__(self) -> None:
        check_output(self)

    @checked(ce_weight="0 … 1", kd_temperature="0.001 … 1000")
    def probabilities(self, *, ce_weight: float = 0.5, kd_temperature: float = 1.0) -> Tensor:
        """Return `ce_weight·softmax(ce_logits) + (1 − ce_weight)·softmax(kd_logits / kd_temperature)`, (B, C).

        The papers' α is `ce_weight` (DHO paper) or `1 − ce_weight` (released PCoreSet code); β is `kd_temperature`.
        """
        ce = self.ce_logits.float().softmax(1)
        if self.kd_logits is self.ce_logits:
            return ce
        return ce_weight * ce + (1 - ce_weight) * (self.kd_logits.float() / kd_temperature).softmax(1)

    def __getitem__(self, rows: slice | Tensor) -> StudentOutput:
        ce = self.ce_logits[rows]
        return StudentOutput(ce, ce if self.kd_logits is self.ce_logits else self.kd_logits[rows], self.features[rows])

    @staticmethod
    @checked()
    def cat(parts: Iterable[StudentOutput]) -> StudentOutput:
        """Join the outputs of several batches."""
        parts = list(parts)
        if not parts:
            raise SettingError("StudentOutput.cat expected at least one output, but got none.")
        ce = torch.cat([p.ce_logits for p in parts])
        single = all(p.kd_logits is p.ce_logits for p in parts)
        return StudentOutput(
            ce, ce if single else torch.cat([p.kd_logits for p in parts]), torch.cat([p.features for p in parts])
        )


def check_mixing(ce_weight: float, kd_temperature: float) -> None:
    """Refuse a weight outside [0, 1] or a temperature outside [0.001, 1000]."""
    if not 0 <= ce_weight <= 1:
        raise SettingError(f"ce_weight must lie in [0, 1], but got {ce_weight}.")
    if not 0.001 <= kd_temperature <= 1000:
        raise SettingError(f"kd_temperature must lie in [0.001, 1000], but got {kd_temperature}.")


class CosineHead(nn.Module):
    """Logits on normalised features, `scale · (h/‖h‖ · W + b)`: CLIP's own way, for the KD head of a CLIP tower."""

    scale: Tensor

    def __init__(self, weight: Tensor, scale: float, bias: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.clone())  # (C, D)
        self.bias = nn.Parameter(torch.zeros(len(weight))) if bias else None  # (C,)
        self.register_buffer("scale", torch.tensor(float(scale)))

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, C) logits of (B, D) features."""
        if self.bias is None:
            return self.scale * F.normalize(features, dim=1) @ self.weight.T
        return self.scale * (F.normalize(features, dim=1) @ self.weight.T + self.bias)


@checked()
class DualHeadStudent(nn.Module):
    """A backbone g and two linear heads on its features h = g(x).

    Args:
        backbone: a name as in `backbones.build_backbone`, or a backbone built there, which is then shared.
        num_classes: C.
        single_head: one head takes both losses (the baseline that DHO improves on).
        freeze_backbone: keep the pretrained backbone as it is and train a projection of its stages' averages (the idea
            of Head2Toe, arXiv:2201.03529: a frozen network's early stages hold what its last one threw away) and heads.
        projection_dim: D, width of that projection; it has no effect without `freeze_backbone` and is then refused.
        image_size: side to which images are resized, pixels.
        pretrained: start from ImageNet weights; None means where the bundled backbone has them.
        weights: a local state dict of the backbone to start from instead.
        class_embeddings: (C, D) text embeddings of a CLIP tower's own classes (`teacher.zero_shot(task).text`). Both
            heads then start from them, and the KD head works on normalised features times `class_scale`, so that it
            starts as the zero-shot classifier (DHO's language-aware initialisation).
        class_scale: that factor; 100 for CLIP.
        class_bias: give that head a bias, as the released code does, which starts from unnormalised text.
        generator: draws the initial weights.

    Raises:
        UnknownNameError: an unknown backbone; the message lists the known ones, nearest first.
        SettingError: an image size the backbone cannot take, or a setting without effect.
        ModelFilesError: weights that are not installed, cannot be reached or do not fit.
    """

    def __init__(
        self,
        backbone: str | Backbone = "efficientnet_lite0",
        num_classes: int = 10,
        *,
        single_head: bool = False,
        freeze_backbone: bool = False,
        projection_dim: int | None = None,
        image_size: int = 64,
        pretrained: bool | None = None,
        weights: str | Path | None = None,
        class_embeddings: Tensor | None = None,
        class_scale: float = 100.0,
        class_bias: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if not 2 <= num_classes <= 1_000_000:  # more are a mistake, and their heads fill the memory
            raise SettingError(f"num_classes must be 2 or more, a million at most, but got {num_classes}.")
        if projection_dim is not None and not freeze_backbone:
            raise SettingError("projection_dim has an effect only with freeze_backbone=True.")
        if pretrained is None and isinstance(backbone, str):
            check_frozen(backbone, freeze_backbone, pretrained, weights)
        name = backbone if isinstance(backbone, str) else backbone.name
        self.settings = {"backbone": name, "num_classes": num_classes, "single_head": single_head}
        self.settings |= {
            "freeze_backbone": freeze_backbone,
            "projection_dim": projection_dim,
            "image_size": image_size,
        }
        self.freeze_backbone, self.image_size, self.num_classes = freeze_backbone, image_size, num_classes
        with seeded(generator):
            if isinstance(backbone, str):
                backbone = build_backbone(backbone, pretrained=pretrained, weights=weights)
                backbone.check_size(image_size)
            self.backbone = backbone
            D = self.backbone.num_features
            self.projection: nn.Module = nn.Identity()
            if freeze_backbone:
                self.backbone.eval().requires_grad_(False)
                width, D = self.backbone.num_stage_features, projection_dim or 256
                # Stages differ in scale; batch statistics put them on one footing.
                standardise = nn.BatchNorm1d(width, affine=False)
                self.projection = nn.Sequential(standardise, nn.Linear(width, D), nn.ReLU())
            self.ce_head: nn.Module = nn.Linear(D, num_classes)
            self.kd_head: nn.Module = self.ce_head if single_head else nn.Linear(D, num_classes)
            if class_embeddings is not None:
                self._start_from_language(class_embeddings, class_scale, class_bias, D)

    def _start_from_language(self, text: Tensor, scale: float, bias: bool, D: int) -> None:
        if self.kd_head is self.ce_head or self.freeze_backbone:
            raise SettingError("class_embeddings need two heads on a backbone that trains.")
        if text.shape != (self.num_classes, D):
            raise SettingError(f"class_embeddings must be ({self.num_classes}, {D}), but got {tuple(text.shape)}.")
        self.kd_head = CosineHead(text, scale, bias)
        self.ce_head.load_state_dict({"weight": text, "bias": torch.zeros(self.num_classes)})

    def train(self, mode: bool = True) -> DualHeadStudent:
        """Set training or evaluation mode; a frozen backbone, which others may share, stays in evaluation mode."""
        super().train(mode)
        if self.freeze_backbone:
            self.backbone.eval()
        return self

    def embed(self, images: Tensor) -> Tensor:
        """Return (B, F) backbone features of (B, 3, H, W) images, uint8 or float in [0, 1]."""
        if self.freeze_backbone:
            with torch.no_grad():
                return self.backbone.stages(as_float(images, self.backbone.mean), self.image_size)
        features: Tensor = self.backbone(as_float(images, self.backbone.mean), self.image_size)
        return features

    def heads(self, embedded: Tensor) -> StudentOutput:
        """Return both heads' logits on (B, F) backbone features, cached or fresh."""
        check_embedded(embedded, self.backbone)
        features = self.projection(embedded)
        ce_logits = self.ce_head(features)
        return StudentOutput(ce_logits, ce_logits if self.kd_head is self.ce_head else self.kd_head(features), features)

    def forward(self, images: Tensor) -> StudentOutput:
        """Return both heads' logits on (B, 3, H, W) images, uint8 or float in [0, 1]."""
        return self.heads(self.embed(images))


def check_frozen(backbone: str, frozen: bool, pretrained: bool | None, weights: str | Path | None) -> None:
    """Refuse to freeze a backbone that starts from nothing."""
    if frozen and not (has_pretrained(backbone) if pretrained is None else pretrained) and weights is None:
        raise SettingError(f"freeze_backbone needs pretrained weights, which {backbone} lacks here; set it to False.")


@contextmanager
def seeded(generator: torch.Generator | None) -> Iterator[None]:
    """Let modules initialise from `generator`; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        if generator is not None:
            torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        yield
