"""Take a student home: save it as safetensors and JSON, load it anywhere, predict images. Never pickle."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from activekd_lab.data.images import BAD_FILE, find_images, read_image
from activekd_lab.errors import DataError, ModelFilesError, SettingError
from activekd_lab.student import DualHeadStudent, StudentOutput, check_mixing

FORMAT = 1
_WEIGHTS, _CARD = "student.safetensors", "student.json"
_BATCH = 64  # images in memory and in one forward pass


@dataclass(frozen=True, eq=False)
class SavedStudent:
    """A student with what is needed to use it.

    Attributes:
        student: the network, in evaluation mode.
        class_names: C names, in the order of the logits.
        ce_weight: share of the CE head in the mixed prediction.
        kd_temperature: temperature of the KD head in it.
    """

    student: DualHeadStudent
    class_names: tuple[str, ...]
    ce_weight: float = 0.5
    kd_temperature: float = 1.0

    @torch.inference_mode()
    def predict(self, images: Tensor) -> Tensor:
        """Return (B, C) mixed probabilities of (B, 3, H, W) images, uint8 or float in [0, 1]."""
        device = next(self.student.ce_head.parameters()).device
        self.student.eval()
        outputs: Iterator[StudentOutput] = (self.student(part.to(device)) for part in images.split(_BATCH))
        mix = {"ce_weight": self.ce_weight, "kd_temperature": self.kd_temperature}
        return torch.cat([output.probabilities(**mix).cpu() for output in outputs])

    def predict_files(
        self, paths: Sequence[Path], *, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> Tensor:
        """Return (B, C) mixed probabilities of image files, as many in memory at a time as one batch holds.

        `progress` is called with (done, total) after each batch.

        Raises:
            DataError: files that are no readable images, all of them named.
        """
        parts, bad = [torch.empty(0, len(self.class_names))], []
        for start in range(0, len(paths), _BATCH):
            images, unread = _read(paths[start : start + _BATCH], self.student.image_size)
            bad += unread
            if images and not bad:
                parts.append(self.predict(torch.stack(images)))
            progress(min(start + _BATCH, len(paths)), len(paths))
        _refuse_bad(bad, len(paths))
        return torch.cat(parts)

    def save(self, folder: str | Path) -> Path:
        """Write student.safetensors and student.json into `folder` and return it.

        Raises:
            SettingError: class names that do not match the heads.
            ModelFilesError: a folder that cannot be written.
        """
        if len(self.class_names) != self.student.num_classes:
            raise SettingError(
                f"class_names must hold {self.student.num_classes} names, one a logit, but got {len(self.class_names)}."
            )
        check_mixing(self.ce_weight, self.kd_temperature)
        folder = Path(folder)
        state = self.student.state_dict()
        if self.student.settings["single_head"]:  # one tensor under two names: store it once
            state = {key: value for key, value in state.items() if not key.startswith("kd_head.")}
        card = {"format": FORMAT, "student": self.student.settings, "class_names": self.class_names}
        card |= {"ce_weight": self.ce_weight, "kd_temperature": self.kd_temperature}
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            save_file({key: value.detach().cpu().contiguous() for key, value in state.items()}, folder / _WEIGHTS)
            (folder / _CARD).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return folder


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say what of a model cannot be written, and why.

    Raises:
        ModelFilesError: writing failed.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise ModelFilesError(f"{path} cannot be written ({reason}); choose another place.") from error


def load_student(folder: str | Path, *, class_names: Sequence[str] | None = None) -> SavedStudent:
    """Load what `SavedStudent.save` wrote.

    Args:
        folder: holds student.safetensors and student.json.
        class_names: if given, they must be those of the checkpoint, in its order.

    Raises:
        ModelFilesError: files that are missing, damaged, newer than this package, or do not fit together.
        SettingError: `class_names` that differ from the checkpoint's.
    """
    folder = Path(folder)
    card = _read_card(folder)
    names = tuple(card["class_names"])
    if class_names is not None and tuple(class_names) != names:
        raise SettingError(
            f"The student in {folder} knows {len(names)} classes ({', '.join(names[:3])}, …), but was asked for "
            f"{len(class_names)} ({', '.join(list(class_names)[:3])}, …); use its own list."
        )
    settings = card["student"]
    check_mixing(card["ce_weight"], card["kd_temperature"])
    try:
        state = load_file(folder / _WEIGHTS)
        # It starts from nothing: the checkpoint brings every weight.
        student = DualHeadStudent(**settings, pretrained=False, class_embeddings=_language_start(state))
        if settings["single_head"]:
            state |= {key.replace("ce_head.", "kd_head."): v for key, v in state.items() if key.startswith("ce_head.")}
        student.load_state_dict(state)
    except (OSError, RuntimeError, TypeError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise ModelFilesError(f"The student in {folder} cannot be loaded ({reason}); save it again.") from error
    student.backbone.requires_grad_(not student.freeze_backbone)
    return SavedStudent(student.eval(), names, card["ce_weight"], card["kd_temperature"])


def _language_start(state: dict[str, Tensor]) -> Tensor | None:
    """Return the KD head's weight if it is a `CosineHead`, which only a language-aware student has."""
    return state["kd_head.weight"] if "kd_head.scale" in state else None


def _read_card(folder: Path) -> dict[str, Any]:
    try:
        card: dict[str, Any] = json.loads((folder / _CARD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelFilesError(f"{folder} holds no {_CARD}; it is not a saved student.") from None
    except ValueError as error:
        raise ModelFilesError(f"{folder / _CARD} is damaged ({error}); save the student again.") from error
    if isinstance(card, dict) and isinstance(card.get("format"), int) and card["format"] > FORMAT:
        raise ModelFilesError(f"{folder} was saved by a newer activekd_lab; update this one.")
    if not isinstance(card, dict) or not _is_whole(card):
        raise ModelFilesError(
            f"The student in {folder} cannot be loaded ({_CARD} is not what save wrote); save it again."
        )
    return card


def _is_whole(card: dict[str, Any]) -> bool:
    """Return whether a card holds all that `SavedStudent.save` writes, one class name a logit."""
    if not {"format", "student", "class_names", "ce_weight", "kd_temperature"} <= card.keys():
        return False
    settings, names = card["student"], card["class_names"]
    if not isinstance(settings, dict) or not isinstance(names, list):
        return False
    numbers = (card["format"], card["ce_weight"], card["kd_temperature"])
    fits = "single_head" in settings and settings.get("num_classes") == len(names)
    return fits and all(isinstance(number, int | float) for number in numbers)


def read_images(paths: Sequence[Path], size: int) -> Tensor:
    """Read image files as (B, 3, size, size) uint8: upright (EXIF), RGB, the shorter side resized, the centre cut.

    Raises:
        DataError: files that are no readable images, all of them named.
    """
    images, bad = _read(paths, size)
    _refuse_bad(bad, len(paths))
    return torch.stack(images)


def _read(paths: Sequence[Path], size: int) -> tuple[list[Tensor], list[str]]:
    """Return the images that can be read, and for each other file its path and why."""
    images, bad = [], []
    for path in paths:
        try:
            images.append(read_image(path, size))
        except BAD_FILE as error:
            bad.append(f"{path} ({type(error).__name__})")
    return images, bad


def _refuse_bad(bad: Sequence[str], total: int) -> None:
    if bad:
        raise DataError(f"{len(bad)} of {total} images cannot be read: {', '.join(bad)}.")


def find_files(paths: Sequence[Path]) -> list[Path]:
    """Return files as they are, and in place of each folder the image files below it, sorted.

    Raises:
        DataError: a folder without images.
    """
    found: list[Path] = []
    for path in paths:
        inside = find_images(path) if path.is_dir() else [path]
        if not inside:
            raise DataError(f"{path} holds no images; give a folder that does, or image files.")
        found += inside
    return found
