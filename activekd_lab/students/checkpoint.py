"""Take a student home: one safetensors file, its card inside; load it anywhere, predict images. Never pickle."""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from activekd_lab.errors import ModelFilesError, SettingError
from activekd_lab.io.arguments import checked
from activekd_lab.io.files import damaged, disk, fitted, parse_json, read_text, regular, shown, write_atomic
from activekd_lab.students.backbones import Backbone
from activekd_lab.students.own import own_backbone
from activekd_lab.students.student import DualHeadStudent, StudentOutput, check_mixing

FORMAT = 1
_STAMP, _OLD_CARD, _AGAIN = "activekd_lab", "student.json", "save the student again"
_BATCH = 64  # images in memory and in one forward pass


@checked(ce_weight="0 … 1", kd_temperature="0.001 … 1000", source_size="0 … 65536")
@dataclass(frozen=True, eq=False)
class SavedStudent:
    """A student with what is needed to use it.

    Attributes:
        student: the network, in evaluation mode.
        class_names: C names, in the order of the logits.
        ce_weight: share of the CE head in the mixed prediction.
        kd_temperature: temperature of the KD head in it.
        source_size: side of the squares that its training images were read as, pixels; the network resizes them to its
            own `image_size`. Files are read at it, so that they are seen as in training. 0 takes `image_size`.
    """

    student: DualHeadStudent
    class_names: tuple[str, ...]
    ce_weight: float = 0.5
    kd_temperature: float = 1.0
    source_size: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "source_size", self.source_size or self.student.image_size)

    @checked()
    @torch.inference_mode()
    def predict(self, images: Tensor) -> Tensor:
        """Return (B, C) mixed probabilities of (B, 3, H, W) images, uint8 or float in [0, 1], or (B, D) features."""
        floats = images.ndim == 4 and images.is_floating_point() and images.numel()
        if floats and not (images.amin() >= 0 and images.amax() <= 1):
            raise SettingError("Float images must lie in [0, 1]; give bytes as uint8.")
        device = next(self.student.ce_head.parameters()).device
        self.student.eval()
        outputs: Iterator[StudentOutput] = (self.student(part.to(device)) for part in images.split(_BATCH))
        mix = {"ce_weight": self.ce_weight, "kd_temperature": self.kd_temperature}
        return torch.cat([output.probabilities(**mix).cpu() for output in outputs])

    @checked()
    def save(self, place: str | Path) -> Path:
        """Write one safetensors file, card and weights together, and return it; one that is there is replaced whole.

        Args:
            place: a file that ends in .safetensors, or a folder that gets a student.safetensors.

        Raises:
            SettingError: class names that do not match the heads.
            ModelFilesError: a place that cannot be written.
        """
        if len(self.class_names) != self.student.num_classes:
            raise SettingError(
                f"class_names must hold {self.student.num_classes} names, one a logit, but got {len(self.class_names)}."
            )
        if len(set(self.class_names)) < len(self.class_names):
            raise SettingError("class_names must differ from one another.")
        check_mixing(self.ce_weight, self.kd_temperature)
        path, state = student_file(place), self.student.state_dict()
        if self.student.settings["single_head"]:  # one tensor under two names: store it once
            state = {key: value for key, value in state.items() if not key.startswith("kd_head.")}
        card = {"format": FORMAT, "student": self.student.settings, "class_names": self.class_names}
        card |= {"ce_weight": self.ce_weight, "kd_temperature": self.kd_temperature, "source_size": self.source_size}
        tensors = {key: value.detach().cpu().contiguous() for key, value in state.items()}
        card["weights"] = _hash(tensors)
        content = save(tensors, metadata={_STAMP: json.dumps(card, ensure_ascii=False)})
        write_atomic(path, content, kind=ModelFilesError, own=True)
        with suppress(OSError):
            path.with_name(_OLD_CARD).unlink()  # of the student that lay there in two files
        return path


def student_file(place: str | Path) -> Path:
    """Return the file of a student that is saved to `place`, a file or a folder."""
    place = Path(place)
    return place if place.suffix == ".safetensors" and not os.path.isdir(place) else place / "student.safetensors"


class _Settings(BaseModel):
    """What `DualHeadStudent.settings` holds."""

    model_config = ConfigDict(strict=True, extra="forbid")

    backbone: str
    num_classes: int = Field(ge=2)
    single_head: bool
    freeze_backbone: bool
    projection_dim: int | None = Field(ge=1, le=65_536)
    image_size: int = Field(ge=1, le=65_536)


class _Card(BaseModel):
    """What a saved student says about itself."""

    model_config = ConfigDict(strict=True)

    format: int = Field(ge=1)
    student: _Settings
    class_names: list[str]
    ce_weight: float = Field(ge=0, le=1)
    kd_temperature: float = Field(ge=0.001, le=1000, allow_inf_nan=False)
    source_size: int = Field(default=0, ge=0, le=65_536)
    weights: str | None = None  # earlier versions wrote none


@checked()
def load_student(
    place: str | Path, *, class_names: Sequence[str] | None = None, backbone: nn.Module | None = None
) -> SavedStudent:
    """Load what `SavedStudent.save` wrote.

    Args:
        place: the file, or the folder that holds student.safetensors; folders of earlier versions hold a student.json
            beside it.
        class_names: if given, they must be those of the checkpoint, in its order.
        backbone: a network like the one of your own that the student was made with; a copy of it takes the weights.

    Raises:
        ModelFilesError: a file that is missing, damaged, newer than this package, or does not fit its own card.
        SettingError: `class_names` that differ from the checkpoint's; a student of one's own backbone without it, or
            another one with it.
    """
    path = student_file(place)
    text, state = _read(path)
    card = _checked(path, text)
    names = tuple(card.class_names)
    if card.weights is not None and card.weights != _hash(state):
        raise ModelFilesError(damaged(path, "its weights are not those that were saved", _AGAIN))
    if odd := [key for key, value in state.items() if value.is_floating_point() and not value.isfinite().all()]:
        raise ModelFilesError(damaged(path, f"{odd[0]} is not finite", _AGAIN))
    if class_names is not None and tuple(class_names) != names:
        raise SettingError(
            f"The student in {shown(path)} knows {len(names)} classes ({', '.join(names[:3])}, …), but was asked for "
            f"{len(class_names)} ({', '.join(list(class_names)[:3])}, …); use its own list."
        )
    try:
        # It starts from nothing: the checkpoint brings every weight.
        settings = card.student.model_dump()
        if backbone is not None:
            settings["backbone"] = _own(backbone, card.student)
        start = _language_start(state)
        biased = start is not None and "kd_head.bias" in state
        student = DualHeadStudent(**settings, pretrained=False, class_embeddings=start, class_bias=biased)
        if card.student.single_head:
            state |= {key.replace("ce_head.", "kd_head."): v for key, v in state.items() if key.startswith("ce_head.")}
        student.load_state_dict(state)
    except (RuntimeError, TypeError) as error:
        said = " ".join(str(error).split("\n")[:2]).strip()  # PyTorch names the tensor in its second line
        raise ModelFilesError(damaged(path, " ".join(said.split()), _AGAIN)) from error
    student.backbone.requires_grad_(not student.freeze_backbone)
    return SavedStudent(student.eval(), names, card.ce_weight, card.kd_temperature, card.source_size)


def _own(module: nn.Module, card: _Settings) -> Backbone:
    """Return a copy of one's own network as the backbone of a card."""
    family, _, name = card.backbone.partition("/")
    if family != "own":
        raise SettingError(
            f"The student has the backbone {card.backbone!r}, which is built by name; leave backbone out."
        )
    backbone = copy.deepcopy(own_backbone(module, name=name, image_size=card.image_size))
    backbone.name = card.backbone
    return backbone


def _language_start(state: dict[str, Tensor]) -> Tensor | None:
    """Return the KD head's weight if it is a `CosineHead`, which only a language-aware student has."""
    return state["kd_head.weight"] if {"kd_head.scale", "kd_head.weight"} <= state.keys() else None


def _read(path: Path) -> tuple[str, dict[str, Tensor]]:
    """Return a student's card, not checked yet, and its tensors."""
    with disk(path, "read", "give the file or folder that a student was saved to", kind=ModelFilesError):
        try:
            with safe_open(regular(path), framework="pt") as file:
                text = (file.metadata() or {}).get(_STAMP)
                state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (no mapping)
        except SafetensorError as error:
            raise ModelFilesError(damaged(path, error, _AGAIN)) from error
    return read_text(path.with_name(_OLD_CARD), _AGAIN, kind=ModelFilesError) if text is None else text, state


def _checked(path: Path, text: str) -> _Card:
    found = parse_json(text, path, _AGAIN, kind=ModelFilesError)
    if isinstance(found, dict) and isinstance(found.get("format"), int) and found["format"] > FORMAT:
        raise ModelFilesError(f"{shown(path)} was saved by a newer activekd_lab; update this one.")
    card: _Card = fitted(found, _Card, path, _AGAIN, kind=ModelFilesError)
    if len(card.class_names) != card.student.num_classes:
        said = f"{len(card.class_names)} class names for {card.student.num_classes} logits"
        raise ModelFilesError(damaged(path, said, _AGAIN))
    if len(set(card.class_names)) < len(card.class_names):
        raise ModelFilesError(damaged(path, "two classes have one name", _AGAIN))
    return card


def _hash(state: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for key in sorted(state):
        digest.update(f"{key} {state[key].dtype} {tuple(state[key].shape)}".encode())
        digest.update(state[key].contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]
