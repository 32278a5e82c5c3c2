"""Teachers: any open_clip model as an image encoder, and the zero-shot head made from class names.

The costly part, the embeddings, is computed once per (weights, split) and cached on disk.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor
from torch.nn import functional as F

from activekd_lab.data.store import cached_tensor
from activekd_lab.data.task import Split, Task, check_prompts
from activekd_lab.errors import ModelFilesError, SettingError, UnknownNameError, nearest_first

BUNDLED = Path(__file__).parent / "assets" / "teacher"
_FILES = ("open_clip_config.json", "open_clip_model.safetensors")
_BATCH = 256


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


@dataclass(frozen=True, eq=False)
class ZeroShotHead:
    """Class weights from text: `logits = scale · embedding · text + bias`.

    Attributes:
        text: (C, D) unit rows, one a class.
        scale: the model's learned logit scale (100 for CLIP).
        bias: the model's logit bias (SigLIP), else 0.
    """

    text: Tensor
    scale: float
    bias: float = 0.0

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
    """

    def __init__(self, name: str, model: Any, preprocess: Callable[[Image.Image], Tensor], tokenizer: Any) -> None:
        self.name, self.model, self.preprocess, self.tokenizer = (
            name,
            model.eval().requires_grad_(False),
            preprocess,
            tokenizer,
        )

    @property
    def device(self) -> torch.device:
        """Where the model lies."""
        parameter: Tensor = next(iter(self.model.parameters()))
        return parameter.device

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the weights, part of every cache key."""
        digest = hashlib.sha256()
        for key, value in sorted(self.model.state_dict().items()):
            digest.update(key.encode())
            digest.update(value.detach().cpu().float().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    @torch.inference_mode()
    def encode(
        self, images: Split | Sequence[Image.Image], progress: Callable[[int, int], None] | None = None
    ) -> Tensor:
        """Return (N, D) float32 embeddings of length 1, on the CPU.

        Args:
            images: a split (its embeddings are cached on disk), or PIL images (they are not).
            progress: called with (done, total) after each batch.
        """
        if not isinstance(images, Split):
            return self._encode(len(images), lambda i: images[i].convert("RGB"), progress)

        def image(i: int) -> Image.Image:
            return Image.fromarray(images.images[i].permute(1, 2, 0).numpy())

        key = (self.fingerprint, repr(self.preprocess), images.fingerprint)
        return cached_tensor("embeddings", key, lambda: self._encode(len(images), image, progress))

    def _encode(
        self, count: int, image: Callable[[int], Image.Image], progress: Callable[[int, int], None] | None
    ) -> Tensor:
        parts = []
        for start in range(0, count, _BATCH):
            ids = range(start, min(start + _BATCH, count))
            batch = torch.stack([self.preprocess(image(i)) for i in ids])
            parts.append(self.encode_inputs(batch).cpu())
            if progress is not None:
                progress(ids.stop, count)
        return torch.cat(parts) if parts else torch.empty(0, 0)

    def encode_inputs(self, inputs: Tensor) -> Tensor:
        """Return (B, D) float32 unit embeddings of preprocessed (B, 3, S, S) inputs, on the model's device."""
        inputs = inputs.to(self.device, next(iter(self.model.parameters())).dtype)
        return F.normalize(self.model.encode_image(inputs).float(), dim=1)

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
    def encode_text(self, prompts: Sequence[str]) -> Tensor:
        """Return (P, D) float32 unit embeddings of prompts, on the CPU."""
        tokens = self.tokenizer(list(prompts)).to(self.device)
        return torch.cat([F.normalize(self.model.encode_text(t).float(), dim=1).cpu() for t in tokens.split(_BATCH)])

    def zero_shot(self, task: Task, templates: Sequence[str] | None = None) -> ZeroShotHead:
        """Build the zero-shot head of a task.

        Args:
            task: gives the class names and, unless `templates` is set, the prompt templates.
            templates: prompt templates; the unit embeddings of a class are averaged over them, then normalised.
        """
        templates = tuple(templates or task.templates)
        check_prompts(task.class_names, templates)
        per_template = [self.encode_text([t.format(name) for name in task.class_names]) for t in templates]
        text = F.normalize(torch.stack(per_template).mean(0), dim=1)
        bias = getattr(self.model, "logit_bias", None)
        return ZeroShotHead(text, float(self.model.logit_scale.exp()), 0.0 if bias is None else float(bias))


def load_teacher(name: str = "bundled", *, device: str | torch.device = "auto") -> Teacher:
    """Load a teacher by name.

    Args:
        name: "bundled", "architecture/pretrained" (as in `open_clip.list_pretrained()`), "hf-hub:org/model" or
            "local-dir:path" (open_clip_config.json and open_clip_model.safetensors).
        device: "auto" picks cuda, mps or cpu.

    Raises:
        UnknownNameError: no such architecture or weights; the message lists the nearest.
        ModelFilesError: the files are missing or cannot be reached; the message says how to get them.
    """
    import open_clip  # noqa: PLC0415  (takes seconds; only teachers need it)

    place = resolve_device(device)
    if name == "bundled":
        return _load_folder(open_clip, name, BUNDLED, place)
    if name.startswith("local-dir:"):
        return _load_folder(open_clip, name, Path(name.removeprefix("local-dir:")).expanduser(), place)
    if name.startswith("hf-hub:"):
        return _load(open_clip, name, name, None, place)
    architecture, _, tag = name.partition("/")
    known = [f"{a}/{t}" for a, t in open_clip.list_pretrained()]
    if f"{architecture}/{tag}" not in known:
        raise UnknownNameError("teacher", name, nearest_first(name, ["bundled", *known])[:12])
    return _load(open_clip, name, architecture, tag, place)


def _load_folder(open_clip: Any, name: str, folder: Path, device: torch.device) -> Teacher:
    missing = [file for file in _FILES if not (folder / file).exists()]
    if missing:
        remedy = (
            "reinstall the package, or make it again with `python -m activekd_lab.pretrain`"
            if folder == BUNDLED
            else "an open_clip model directory holds " + " and ".join(_FILES)
        )
        raise ModelFilesError(f"The teacher {name!r} lacks {', '.join(missing)} in {folder}; {remedy}.")
    return _load(open_clip, name, f"local-dir:{folder}", None, device)


def _load(open_clip: Any, name: str, architecture: str, tag: str | None, device: torch.device) -> Teacher:
    try:
        model, _, preprocess = open_clip.create_model_and_transforms(architecture, pretrained=tag, device=device)
        tokenizer = open_clip.get_tokenizer(architecture)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        cache = os.environ.get("HF_HUB_CACHE") or os.environ.get("HF_HOME") or "~/.cache/huggingface"
        raise ModelFilesError(
            f"The weights of {name!r} cannot be loaded ({str(error).splitlines()[0]}). They are looked for in {cache} "
            "(HF_HUB_CACHE; with HF_HUB_OFFLINE=1 only there); without a network, use 'local-dir:PATH'."
        ) from error
    return Teacher(name, model, preprocess, tokenizer)
