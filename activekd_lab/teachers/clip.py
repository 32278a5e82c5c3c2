"""Teachers: any open_clip model as an image encoder, and the zero-shot head made from class names.

The costly part, the embeddings, is computed once per (weights, preprocessing, precision, split) and cached on disk.
"""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor
from torch.nn import functional as F

from activekd_lab.data.cache import cached_rows
from activekd_lab.data.images import fitted
from activekd_lab.data.prompts import build_prompts
from activekd_lab.data.task import Split, Task
from activekd_lab.device import Precision, batch_size, resolve_device, resolve_precision
from activekd_lab.errors import DataError, ModelFilesError, NonFiniteError, SettingError, UnknownNameError
from activekd_lab.io.arguments import checked
from activekd_lab.io.files import there
from activekd_lab.students.images import check_images
from activekd_lab.students.towers import (
    BUNDLED,
    CONFIG,
    build_model,
    check_model,
    local_folder,
    model_fingerprint,
    split_name,
    transform_of,
)
from activekd_lab.teachers.zero_shot import ZeroShotHead

_FILES = (CONFIG, "open_clip_model.safetensors")
_TEXTS = 256  # prompts at once
Average = Literal["normalized", "embeddings", "mean"]


class Teacher:
    """An open_clip model in evaluation mode, its own preprocessing and tokenizer. Make one with `load_teacher`.

    Attributes:
        name: as given to `load_teacher`.
        model: the open_clip model on `device`.
        preprocess: open_clip's transform from a PIL image to a (3, S, S) tensor.
        precision: "fp32", or the type that matrix products run in: "bf16" or "fp16". Weights stay float32.
    """

    def __init__(
        self,
        name: str,
        model: Any,
        preprocess: Callable[[Image.Image], Tensor],
        tokenizer: Any,
        precision: str = "fp32",
    ) -> None:
        self.name, self.model = name, model.eval().requires_grad_(False)
        self.preprocess, self.tokenizer, self.precision = preprocess, tokenizer, precision

    @property
    def device(self) -> torch.device:
        """Where the model lies."""
        parameter: Tensor = next(iter(self.model.parameters()))
        return parameter.device

    @property
    def image_size(self) -> int:
        """Side of the square that the model looks at, pixels."""
        return self._input_statistics[0]

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the weights and of the network around them, part of every cache key."""
        return model_fingerprint(self.model)

    @property
    def identity(self) -> str:
        """The fingerprint, and the arithmetic and preprocessing of one that was not loaded as a run loads it."""
        own = "" if self.precision == resolve_precision("auto", self.device) else self.precision
        usual, sees = (
            re.sub(r" at 0x[0-9a-f]+", "", repr(look)) for look in (transform_of(self.model), self.preprocess)
        )
        own += "" if sees == usual else f" {sees}"
        return self.fingerprint + (f"-{hashlib.sha256(own.encode()).hexdigest()[:8]}" if own else "")

    @checked()
    @torch.inference_mode()
    def encode(
        self, images: Split | Sequence[Image.Image], progress: Callable[[int, int], None] | None = None
    ) -> Tensor:
        """Return (N, D) float32 embeddings of length 1, on the CPU.

        Args:
            images: a split (its embeddings are cached on disk, and a killed call continues), or PIL images (neither).
                They are turned upright and cut to a square as files are (`data.images`), so that both are seen alike.
            progress: called with (done, total) after each batch that was not in the cache.

        Raises:
            SettingError: one image in place of a list.
        """
        if not isinstance(images, Split):
            return self._encode_pictures(images, progress)

        def compute(ids: range) -> Tensor:
            return self._encode([Image.fromarray(images.images[i].permute(1, 2, 0).numpy()) for i in ids])

        return cached_rows(
            "embeddings",
            self.cache_key(images, "plain"),
            len(images),
            compute,
            chunk=batch_size(self.device),
            paced=True,
            about=f"{self.name}, {images.name}",
            progress=progress,
        )

    def cache_key(self, split: Split, view: str) -> dict[str, str]:
        """Return all that determines the embeddings of one view of a split."""
        return {
            "weights": self.fingerprint,
            "preprocess": repr(self.preprocess),
            "precision": self.precision,
            "split": split.fingerprint,
            "view": view,
        }

    def _encode_pictures(self, images: Sequence[Image.Image], progress: Callable[[int, int], None] | None) -> Tensor:
        parts, size = [self._encode([])], batch_size(self.device)
        for start in range(0, len(images), size):
            parts.append(self._encode([fitted(image, self.image_size) for image in images[start : start + size]]))
            if progress is not None:
                progress(min(start + size, len(images)), len(images))
        return torch.cat(parts[1:] or parts)

    def _encode(self, images: Sequence[Image.Image]) -> Tensor:
        if not images:
            return torch.empty(0, 0)
        return self.encode_inputs(torch.stack([self.preprocess(image) for image in images])).cpu()

    def encode_inputs(self, inputs: Tensor) -> Tensor:
        """Return (B, D) float32 unit embeddings of preprocessed (B, 3, S, S) inputs, on the model's device.

        Raises:
            NonFiniteError: the model's output is NaN or infinite.
        """
        check_images(inputs, data=True)
        with self._autocast():
            embeddings = F.normalize(self.model.encode_image(inputs.to(self.device)).float(), dim=1)
        if not bool(embeddings.isfinite().all()):
            remedy = "use precision='fp32'" if self.precision != "fp32" else "check its weights"
            raise NonFiniteError(f"The teacher {self.name!r} gave embeddings that are not finite; {remedy}.")
        return embeddings

    def _autocast(self) -> torch.autocast:
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[self.precision]
        return torch.autocast(self.device.type, dtype=dtype, enabled=self.precision != "fp32")

    @checked(views="(B, 3, H, W) floats")
    def encode_views(self, views: Tensor) -> Tensor:
        """Return (B, D) unit embeddings of (B, 3, H, W) float views in [0, 1], resized and normalised on the device."""
        size, mean, std = self._input_statistics
        if views.shape[-2:] != (size, size):
            views = F.interpolate(views, (size, size), mode="bicubic", align_corners=False, antialias=True).clamp(0, 1)
        return self.encode_inputs((views - mean.to(views)) / std.to(views))

    @cached_property
    def _input_statistics(self) -> tuple[int, Tensor, Tensor]:
        visual = self.model.visual
        size = visual.image_size[0] if isinstance(visual.image_size, tuple | list) else int(visual.image_size)
        return size, torch.tensor(visual.image_mean).view(3, 1, 1), torch.tensor(visual.image_std).view(3, 1, 1)

    @checked()
    @torch.inference_mode()
    def encode_text(self, prompts: Sequence[str], *, normalize: bool = True) -> Tensor:
        """Return (P, D) float32 embeddings of prompts, of length 1 unless `normalize` is off, on the CPU.

        A prompt with more tokens than the model reads is cut there, with a warning that names it.

        Raises:
            SettingError: one text in place of a list of texts.
        """
        tokens = self._tokens(list(prompts)).to(self.device)
        with self._autocast():
            raw = torch.cat([self.model.encode_text(part).float().cpu() for part in tokens.split(_TEXTS)])
        return F.normalize(raw, dim=1) if normalize else raw

    def _tokens(self, prompts: list[str]) -> Tensor:
        """Return (P, context) tokens; say which prompts were cut."""
        tokens: Tensor = self.tokenizer(prompts)
        length = tokens.shape[1]
        whole = self.tokenizer(prompts, context_length=2 * length)
        # A prompt that fits is the same in both and then padding; the last token of one that was cut is the end mark.
        cut = (whole[:, :length] != tokens).any(1) | (whole[:, length:] != whole[:, -1:]).any(1)
        if bool(cut.any()):
            first = prompts[int(cut.nonzero()[0])]
            warnings.warn(
                f"The teacher {self.name!r} reads {length} tokens of a text; {int(cut.sum())} of {len(prompts)} "
                f"prompts are longer and were cut, such as {first!r}. Shorten the class names or templates.",
                stacklevel=3,
            )
        return tokens

    @checked()
    def zero_shot(
        self, task: Task, templates: Sequence[str] | None = None, *, average: Average = "normalized"
    ) -> ZeroShotHead:
        """Build the zero-shot head of a task.

        Args:
            task: gives the class names (underscores become spaces) and, unless `templates` is set, the templates.
            templates: prompt templates, or names of `data.prompts.ENSEMBLES`.
            average: what is averaged over a class's templates before the last normalisation: "normalized" unit
                embeddings (CLIP; the released ActiveKD code on ImageNet) or the "embeddings" as they come (the same
                code on its ten other datasets). With one template both are the same. "mean" leaves the mean of unit
                embeddings as short as it is (the released DHO code with DFN5B, whose logits are then smaller).

        Raises:
            DataError: empty or repeated class names, two that are one text to the model (CLIP's ignores capitals and
                cuts what is too long), or a template without exactly one "{}".
            UnknownNameError: an unknown `average`.
        """
        if average not in get_args(Average):
            raise UnknownNameError("average", average, get_args(Average))
        prompts = build_prompts(task.class_names, task.templates if templates is None else templates)
        self._refuse_equal_prompts(prompts)
        raw = torch.stack([self.encode_text(group, normalize=False) for group in prompts])  # (templates, C, D)
        averaged = raw.mean(0) if average == "embeddings" else F.normalize(raw, dim=2).mean(0)  # (C, D)
        bias = getattr(self.model, "logit_bias", None)
        scale = float(self.model.logit_scale.exp())
        text = averaged if average == "mean" else F.normalize(averaged, dim=1)
        return ZeroShotHead(text, scale, 0.0 if bias is None else float(bias), raw.mean(0))

    def _refuse_equal_prompts(self, prompts: list[list[str]]) -> None:
        """Refuse two classes whose prompts are the same tokens in every template."""
        tokens = torch.cat([self.tokenizer(group) for group in prompts], dim=1)  # (C, templates * context)
        first: dict[tuple[int, ...], int] = {}
        for c, row in enumerate(tokens.tolist()):
            other = first.setdefault(tuple(row), c)
            if other != c:
                one, two = prompts[0][other], prompts[0][c]
                context = tokens.shape[1] // len(prompts)
                raise DataError(
                    f"The class prompts must differ, but to the teacher {self.name!r}, which reads {context} tokens "
                    f"and may ignore capitals, {one!r} and {two!r} are one text; "
                    "give shorter names that differ in their words."
                )


@checked()
def load_teacher(
    name: str = "bundled", *, device: str | torch.device = "auto", precision: Precision = "auto"
) -> Teacher:
    """Load a teacher by name.

    Args:
        name: "bundled", "architecture/pretrained" (as in `open_clip.list_pretrained()`), "hf-hub:org/model",
            "local-dir:path" (open_clip_config.json and open_clip_model.safetensors).
        device: "auto" picks cuda, mps or cpu.
        precision: "auto" is fp16 on CUDA and fp32 elsewhere; embeddings are always returned as float32.

    Raises:
        SettingError: a device or precision that this machine lacks.
        UnknownNameError: no such architecture or weights; the message lists the nearest.
        ModelFilesError: the files are missing or cannot be reached; the message says how to get them.
    """
    if name.startswith("given:"):
        raise SettingError("Outputs computed elsewhere are no model; read them by akd.teachers.load_given(FILE).")
    check_model(name)
    place = resolve_device(device)
    arithmetic = resolve_precision(precision, place)
    _refuse_missing_files(name)
    return _load(name, place, arithmetic)


def local_files(name: str) -> list[Path]:
    """Return the files that a "local-dir:" teacher is loaded from, whether they exist or not; none for other names."""
    if not name.startswith("local-dir:"):
        return []
    return [local_folder(name) / file for file in _FILES]


def _refuse_missing_files(name: str) -> None:
    files = local_files("local-dir:" + str(BUNDLED) if name == "bundled" else name)
    missing = [file for file in files if not there(file, kind=ModelFilesError)]
    if not missing:
        return
    remedy = (
        "reinstall the package, or make it again with `python -m activekd_lab.teachers.pretrain`"
        if name == "bundled"
        else "an open_clip model directory holds " + " and ".join(_FILES)
    )
    names = ", ".join(file.name for file in missing)
    raise ModelFilesError(f"The teacher {name!r} lacks {names} in {missing[0].parent}; {remedy}.")


def _load(name: str, device: torch.device, precision: str) -> Teacher:
    import open_clip  # noqa: PLC0415  (takes seconds; only teachers need it)

    try:
        model = build_model(name, device=device)
        preprocess, tokenizer = transform_of(model), open_clip.get_tokenizer(split_name(name)[0])
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        cache = os.environ.get("HF_HUB_CACHE") or os.environ.get("HF_HOME") or "~/.cache/huggingface"
        raise ModelFilesError(
            f"The weights of {name!r} cannot be loaded ({str(error).splitlines()[0]}). They are looked for in {cache} "
            "(HF_HUB_CACHE; with HF_HUB_OFFLINE=1 only there); without a network, use 'local-dir:PATH'."
        ) from error
    return Teacher(name, model, preprocess, tokenizer, precision)
