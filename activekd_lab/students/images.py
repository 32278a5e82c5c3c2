"""What a student is given and gives, checked in plain words: a compiler reads through them, in every step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from activekd_lab.errors import SettingError
from activekd_lab.io.numbers import named

if TYPE_CHECKING:
    from activekd_lab.students.backbones import Backbone
    from activekd_lab.students.student import StudentOutput


def is_dense(value: object, axes: int) -> bool:
    """Tell whether this is a tensor of so many axes laid out plainly (a meta one counts operations)."""
    return isinstance(value, Tensor) and value.ndim == axes and value.layout is torch.strided


def check_images(images: Tensor, *, data: bool = False) -> None:
    """Refuse what is no batch of images; in plain words that a compiler reads through, for the hottest of all calls.

    A meta tensor will do, on which operations are counted, unless there has to be `data`.

    Raises:
        SettingError: no tensor, or none of (B, 3, H, W) bytes or floats.
    """
    fits = is_dense(images, 4) and images.shape[1] == 3 and not (data and images.is_meta)
    if not fits or not (images.dtype == torch.uint8 or images.is_floating_point()):
        raise SettingError(f"images must be a (B, 3, H, W) tensor of uint8 or floats, but got {named(images)}.")


def check_device(what: str, value: Tensor, own: Tensor) -> None:
    """Refuse what lies elsewhere than the network does.

    Raises:
        SettingError: it names both places.
    """
    if value.device != own.device:
        raise SettingError(f"Expected {what} on {own.device}, as the network, but got it on {value.device}; move one.")


def as_float(images: Tensor, own: Tensor) -> Tensor:
    """Return images in [0, 1], of bytes or floats; features (B, D), where a student learns from them, as they are.

    They come in the type of the network's `own` numbers.
    """
    if not (is_dense(images, 2) and images.is_floating_point()):  # a backbone of images refuses such
        check_images(images)
        images = images.float() / 255 if images.dtype == torch.uint8 else images
    return images.to(own.dtype)


def single(logits: Tensor) -> Tensor:
    """Return half-precision numbers as float32, others as they are: a loss is off by a fifth in float16, or NaN."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def check_output(output: StudentOutput) -> None:
    """Refuse an output whose parts are no dense matrices of floats.

    Raises:
        SettingError: it names the part.
    """
    for name in ("ce_logits", "kd_logits", "features"):
        value = getattr(output, name)
        if not is_dense(value, 2) or not value.is_floating_point():
            raise SettingError(f"StudentOutput.{name} must be a (B, …) tensor of floats, but got {named(value)}.")
    shapes = [tuple(part.shape) for part in (output.ce_logits, output.kd_logits, output.features)]
    if shapes[0] != shapes[1] or shapes[0][0] != shapes[2][0]:
        raise SettingError(f"StudentOutput expected two heads of (B, C) and features of (B, D), but got {shapes}.")


def check_embedded(embedded: Tensor, backbone: Backbone) -> None:
    """Refuse what are no (B, F) features.

    Raises:
        SettingError: it says what came.
    """
    widths = (backbone.num_stage_features, backbone.num_features)  # F of a frozen one, and of one that learns
    if not is_dense(embedded, 2) or not embedded.is_floating_point() or embedded.shape[1] not in widths:
        raise SettingError(f"embedded must be (B, F) features of the backbone, but got {named(embedded)}.")
    check_device("embedded", embedded, backbone.mean)


def check_batch(who: str, output: StudentOutput, labels: Tensor | None, teacher: Tensor | None) -> None:
    """Refuse a batch whose parts have other rows or classes than the logits of its first head.

    Raises:
        SettingError: it names the shapes.
    """
    shapes = [tuple(part.shape) for part in (output.ce_logits, output.kd_logits, teacher) if part is not None]
    rows = len(output.ce_logits) if labels is None else len(labels)
    if len({*shapes}) > 1 or rows != shapes[0][0] or not rows:
        raise SettingError(
            f"{who} expected logits of both heads and the teacher as (B, C), B labels, and B > 0, but got "
            f"{', '.join(map(str, shapes))} and {rows}."
        )
    classes = shapes[0][1]
    if labels is not None and rows and labels.device.type == "cpu" and not 0 <= labels.min() <= labels.max() < classes:
        raise SettingError(f"{who} expected labels in 0 … {classes - 1}, but got {labels.unique()[:5].tolist()}.")
