"""Teachers: any open_clip model as an image encoder, and the zero-shot head made from class names.

The costly part, the embeddings, is computed once per (weights, preprocessing, precision, split) and cached on disk.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional as F

from activekd_lab.data.cache import cached_rows
from activekd_lab.data.prompts import build_prompts
from activekd_lab.data.task import Split, Task
from activekd_lab.errors import ModelFilesError, NonFiniteError, SettingError, UnknownNameError, nearest_first

BUNDLED = Path(__file__).parent / "assets" / "teacher"
_FILES = ("open_clip_config.json", "open_clip_model.safetensors")
BATCH = 256
CHUNK = 8 * BATCH  # images between two writes of the cache: what a kill costs at most
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Average = Literal["normalized", "embeddings"]


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Return the device to use: "auto" is cuda, else mps, else cpu.

    Raises:
        SettingError: the device does not exist on this machine.
    """
    if isinstance(device, torch.device):
        return device
    if device == "auto":
        found = torch.accelerator.current_accelerator(check_available=True)
        return torch.device(found.type) if found is not None and found.type in ("cuda", "mps") else torch.device("cpu")
    kind = device.split(":")[0]
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if kind not in available:
        raise UnknownNameError("device", device, ["auto", *available])
    if not available[kind]:
        raise SettingError(f"device={device!r} is not available on this machine; use device='auto' or 'cpu'.")
    return torch.device(device)


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return the arithmetic of a teacher: "auto" is fp16 on CUDA (as CLIP's own code runs), fp32 elsewhere.

    Raises:
        SettingError: fp16 without a GPU.
    """
    if precision not in get_args(Precision):
        raise UnknownNameError("precision", precision, get_args(Precision))
    if precision == "auto":
        return "fp16" if device.type == "cuda" else "fp32"
    if precision == "fp16" and device.type == "cpu":
        raise SettingError("precision='fp16' needs a GPU; use 'fp32' (or 'bf16') on the CPU.")
    return precision


def weights_fingerprint(model: nn.Module) -> str:
    """Return a hash of a model's parameters and buffers, for the keys of what it computed."""
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


class TeacherHead(Protocol):
    """What turns embeddings into a teacher's opinion: zero-shot or fitted on few labels (`fewshot`)."""

    def logits(self, embeddings: Tensor) -> Tensor:
        """Return (N, C) logits of (N, D) unit embeddings."""
        ...

    def probabilities(self, embeddings: Tensor) -> Tensor:
        """Return (N, C) probabilities of (N, D) unit embeddings."""
        ...


@dataclass(frozen=True, eq=False)
class ZeroShotHead:
    """Class weights from text: `logits = scale · embedding · text + bias`.

    Attributes:
        text: (C, D) unit rows, one a class.
        scale: the model's learned logit scale (100 for CLIP).
        bias: the model's logit bias (SigLIP), else 0.
        raw_text: (C, D) text embeddings averaged before any normalisation, where CLAP starts; None where `text` was
            not made from prompts.
    """

    text: Tensor
    scale: float
    bias: float = 0.0
    raw_text: Tensor | None = None

    def logits(self, embeddings: Tensor) -> Tensor:
        """Return (N, C) logits of (N, D) unit embeddings."""
        return self.scale * (embeddings @ self.text.to(embeddings).T) + self.bias

    def probabilities(self, embeddings: Tensor) -> Tensor:
        """Return (N, C) probabilities of (N, D) unit embeddings."""
        return self.logits(embeddings).softmax(1)


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
        """A hash of the weights, part of every cache key."""
        return weights_fingerprint(self.model)

    @torch.inference_mode()
    def encode(
        self, images: Split | Sequence[Image.Image], progress: Callable[[int, int], None] | None = None
    ) -> Tensor:
        """Return (N, D) float32 embeddings of length 1, on the CPU.

        Args:
            images: a split (its embeddings are cached on disk, and a killed call continues), or PIL images (neither).
            progress: called with (done, total) after each batch that was not in the cache.
        """
        if not isinstance(images, Split):
            return self._encode(range(len(images)), lambda i: images[i].convert("RGB"), progress)

        def image(i: int) -> Image.Image:
            return Image.fromarray(images.images[i].permute(1, 2, 0).numpy())

        def whole(chunk: range) -> Callable[[int, int], None] | None:
            """Count batches of a chunk as what they are of the split."""
            return None if progress is None else lambda done, _: progress(chunk.start + done, len(images))

        return cached_rows(
            "embeddings",
            self.cache_key(images, "plain"),
            len(images),
            lambda ids: self._encode(ids, image, whole(ids)),
            chunk=CHUNK,
            about=f"{self.name}, {images.name}",
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

    def _encode(
        self, ids: range, image: Callable[[int], Image.Image], progress: Callable[[int, int], None] | None
    ) -> Tensor:
        parts = []
        for start in range(ids.start, ids.stop, BATCH):
            batch = range(start, min(start + BATCH, ids.stop))
            parts.append(self.encode_inputs(torch.stack([self.preprocess(image(i)) for i in batch])).cpu())
            if progress is not None:
                progress(batch.stop - ids.start, len(ids))
        return torch.cat(parts) if parts else torch.empty(0, 0)

    def encode_inputs(self, inputs: Tensor) -> Tensor:
        """Return (B, D) float32 unit embeddings of preprocessed (B, 3, S, S) inputs, on the model's device.

        Raises:
            NonFiniteError: the model's output is NaN or infinite.
        """
        with self._autocast():
            embeddings = F.normalize(self.model.encode_image(inputs.to(self.device)).float(), dim=1)
        if not bool(embeddings.isfinite().all()):
            remedy = "use precision='fp32'" if self.precision != "fp32" else "check its weights"
            raise NonFiniteError(f"The teacher {self.name!r} gave embeddings that are not finite; {remedy}.")
        return embeddings

    def _autocast(self) -> torch.autocast:
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[self.precision]
        return torch.autocast(self.device.type, dtype=dtype, enabled=self.precision != "fp32")

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

    @torch.inference_mode()
    def encode_text(self, prompts: Sequence[str], *, normalize: bool = True) -> Tensor:
        """Return (P, D) float32 embeddings of prompts, of length 1 unless `normalize` is off, on the CPU."""
        tokens = self.tokenizer(list(prompts)).to(self.device)
        with self._autocast():
            raw = torch.cat([self.model.encode_text(part).float().cpu() for part in tokens.split(BATCH)])
        return F.normalize(raw, dim=1) if normalize else raw

    def zero_shot(
        self, task: Task, templates: Sequence[str] | None = None, *, average: Average = "normalized"
    ) -> ZeroShotHead:
        """Build the zero-shot head of a task.

        Args:
            task: gives the class names (underscores become spaces) and, unless `templates` is set, the templates.
            templates: prompt templates, or names of `data.prompts.ENSEMBLES`.
            average: what is averaged over a class's templates before the last normalisation: "normalized" unit
                embeddings (CLIP; the released ActiveKD code on ImageNet) or the "embeddings" as they come (the same
                code on its ten other datasets). With one template both are the same.

        Raises:
            DataError: empty or repeated class names, or a template without exactly one "{}".
            UnknownNameError: an unknown `average`.
        """
        if average not in get_args(Average):
            raise UnknownNameError("average", average, get_args(Average))
        prompts = build_prompts(task.class_names, task.templates if templates is None else templates)
        raw = torch.stack([self.encode_text(group, normalize=False) for group in prompts])  # (templates, C, D)
        averaged = F.normalize(raw, dim=2).mean(0) if average == "normalized" else raw.mean(0)
        bias = getattr(self.model, "logit_bias", None)
        scale = float(self.model.logit_scale.exp())
        return ZeroShotHead(F.normalize(averaged, dim=1), scale, 0.0 if bias is None else float(bias), raw.mean(0))


def load_teacher(
    name: str = "bundled", *, device: str | torch.device = "auto", precision: Precision = "auto"
) -> Teacher:
    """Load a teacher by name.

    Args:
        name: "bundled", "architecture/pretrained" (as in `open_clip.list_pretrained()`), "hf-hub:org/model" or
            "local-dir:path" (open_clip_config.json and open_clip_model.safetensors).
        device: "auto" picks cuda, mps or cpu.
        precision: "auto" is fp16 on CUDA and fp32 elsewhere; embeddings are always returned as float32.

    Raises:
        SettingError: a device or precision that this machine lacks.
        UnknownNameError: no such architecture or weights; the message lists the nearest.
        ModelFilesError: the files are missing or cannot be reached; the message says how to get them.
    """
    check_teacher(name)
    import open_clip  # noqa: PLC0415  (takes seconds; only teachers need it)

    place = resolve_device(device)
    arithmetic = resolve_precision(precision, place)
    if name == "bundled":
        return _load_folder(open_clip, name, BUNDLED, place, arithmetic)
    if name.startswith("local-dir:"):
        return _load_folder(open_clip, name, Path(name.removeprefix("local-dir:")).expanduser(), place, arithmetic)
    if name.startswith("hf-hub:"):
        return _load(open_clip, name, name, None, place, arithmetic)
    architecture, _, tag = name.partition("/")
    return _load(open_clip, name, architecture, tag, place, arithmetic)


def check_teacher(name: str) -> None:
    """Refuse a name that no teacher can have, without loading one; whether its files are there is not asked.

    Raises:
        UnknownNameError: no such architecture or weights; the message lists the nearest.
    """
    if name == "bundled" or name.startswith(("local-dir:", "hf-hub:")):
        return
    import open_clip  # noqa: PLC0415  (takes seconds)

    known = [f"{architecture}/{tag}" for architecture, tag in open_clip.list_pretrained()]
    if name not in known:
        raise UnknownNameError("teacher", name, nearest_first(name, ["bundled", *known])[:12])


def local_files(name: str) -> list[Path]:
    """Return the files that a "local-dir:" teacher is loaded from, whether they exist or not; none for other names."""
    if not name.startswith("local-dir:"):
        return []
    return [Path(name.removeprefix("local-dir:")).expanduser() / file for file in _FILES]


def _load_folder(open_clip: Any, name: str, folder: Path, device: torch.device, precision: str) -> Teacher:
    missing = [file for file in _FILES if not (folder / file).exists()]
    if missing:
        remedy = (
            "reinstall the package, or make it again with `python -m activekd_lab.pretrain`"
            if folder == BUNDLED
            else "an open_clip model directory holds " + " and ".join(_FILES)
        )
        raise ModelFilesError(f"The teacher {name!r} lacks {', '.join(missing)} in {folder}; {remedy}.")
    return _load(open_clip, name, f"local-dir:{folder}", None, device, precision)


def _load(
    open_clip: Any, name: str, architecture: str, tag: str | None, device: torch.device, precision: str
) -> Teacher:
    try:
        model, _, preprocess = open_clip.create_model_and_transforms(architecture, pretrained=tag, device=device)
        tokenizer = open_clip.get_tokenizer(architecture)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        cache = os.environ.get("HF_HUB_CACHE") or os.environ.get("HF_HOME") or "~/.cache/huggingface"
        raise ModelFilesError(
            f"The weights of {name!r} cannot be loaded ({str(error).splitlines()[0]}). They are looked for in {cache} "
            "(HF_HUB_CACHE; with HF_HUB_OFFLINE=1 only there); without a network, use 'local-dir:PATH'."
        ) from error
    return Teacher(name, model, preprocess, tokenizer, precision)
