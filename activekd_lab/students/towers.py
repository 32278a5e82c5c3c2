"""open_clip models built as their weights were trained: activation and input size follow the weights.

OpenAI's CLIP, MetaCLIP, DFN and others were trained with QuickGELU, x·σ(1.702x). open_clip keeps that in the name of
the architecture ("ViT-B-32-quickgelu") and only warns where name and weights disagree. Here the weights decide.
"""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from activekd_lab.errors import FileError, ModelFilesError, UnknownNameError, nearest_first
from activekd_lab.io.files import read_json

BUNDLED = Path(__file__).parents[1] / "assets" / "teacher"
CONFIG = "open_clip_config.json"
_PLAIN = (bool, int, float, str)


def check_model(name: str, kind: str = "teacher") -> None:
    """Refuse a name that no open_clip model has, without loading one; whether its files are there is not asked.

    Raises:
        UnknownNameError: no such architecture or weights; the message lists the nearest.
        ModelFilesError: weights of which it is not known with what activation they were trained.
    """
    if name == "bundled" or name.startswith(("local-dir:", "hf-hub:")):
        return
    known = _quick_gelu()
    if name not in known:
        raise UnknownNameError(kind, name, nearest_first(name, ["bundled", *known])[:12])
    if known[name] is None:
        raise ModelFilesError(
            f"open_clip's architecture and weights of {name!r} name two activations, and which one trained them cannot "
            "be told; use a model directory or repository that says it itself, 'local-dir:PATH' or 'hf-hub:…'."
        )


@lru_cache(maxsize=1)
def _quick_gelu() -> dict[str, bool | None]:
    """Return whether each of open_clip's pretrained models has QuickGELU; None where only the architecture says so.

    An entry of weights says `quick_gelu` where it is true and leaves it out otherwise. Weights that leave it out under
    an architecture that asks for it are a contradiction.
    """
    import open_clip  # noqa: PLC0415  (takes seconds)

    found: dict[str, bool | None] = {}
    for architecture, tag in open_clip.list_pretrained():
        asked = bool(open_clip.get_model_config(architecture).get("quick_gelu"))
        trained = bool(open_clip.get_pretrained_cfg(architecture, tag).get("quick_gelu"))
        found[f"{architecture}/{tag}"] = None if asked and not trained else trained
    return found


def split_name(name: str) -> tuple[str, str | None]:
    """Return open_clip's two words for a model: what to build, and the tag of its weights where it has one."""
    if name == "bundled":
        return f"local-dir:{BUNDLED}", None
    if name.startswith("local-dir:"):
        return f"local-dir:{local_folder(name)}", None
    if name.startswith("hf-hub:"):
        return name, None
    architecture, _, tag = name.partition("/")
    return architecture, tag


def local_folder(name: str) -> Path:
    """Return the folder of a "local-dir:" model.

    Raises:
        ModelFilesError: the name holds none.
    """
    folder = name.removeprefix("local-dir:")
    if not folder:
        raise ModelFilesError("Expected a folder after 'local-dir:', but got nothing; write local-dir:FOLDER.")
    return Path(folder).expanduser()


def build_model(name: str, *, weights: bool = True, device: str | torch.device = "cpu") -> Any:
    """Build an open_clip model with the activation that its weights were trained with, loaded or not.

    Args:
        name: "bundled", "architecture/pretrained", "hf-hub:…" or "local-dir:…"; the last two say their activation
            in their own configuration.
        weights: load them; else the model starts from nothing, but is built alike.
        device: where it lies.

    Raises:
        UnknownNameError, ModelFilesError: see `check_model`.
        OSError, RuntimeError, ValueError: whatever open_clip raises for files that are missing or do not fit.
    """
    import open_clip  # noqa: PLC0415  (takes seconds)

    check_model(name)
    architecture, tag = split_name(name)
    activation = {} if tag is None else {"quick_gelu": _quick_gelu()[name]}
    with warnings.catch_warnings(), _without_log("" if weights else "No pretrained weights loaded"):  # as was asked
        warnings.filterwarnings("ignore", message="QuickGELU mismatch")  # open_clip speaks before it looks at ours
        return open_clip.create_model(
            architecture, pretrained=tag if weights else None, load_weights=weights, device=device, **activation
        )


@contextmanager
def _without_log(start: str) -> Iterator[None]:
    """Keep messages that begin so out of the log; open_clip writes into the root's."""

    def other(record: logging.LogRecord) -> bool:
        return not start or not record.getMessage().startswith(start)

    root = logging.getLogger()
    root.addFilter(other)
    try:
        yield
    finally:
        root.removeFilter(other)


def own_size(name: str) -> int | None:
    """Return the side that an open_clip model reads, pixels; None where only its downloaded configuration says it."""
    import open_clip  # noqa: PLC0415  (takes seconds)

    architecture, tag = split_name(name)
    if tag is not None:
        config = open_clip.get_model_config(architecture)
    elif architecture.startswith("local-dir:"):
        try:
            config = read_json(Path(architecture.removeprefix("local-dir:")) / CONFIG)["model_cfg"]
        except (FileError, KeyError, TypeError):
            return None  # what is missing or damaged is said when it is loaded
    else:
        return None
    size = (config or {}).get("vision_cfg", {}).get("image_size", 224)
    return int(size[0] if isinstance(size, list | tuple) else size)


def model_fingerprint(model: nn.Module) -> str:
    """Return a hash of all that a model computes with: its modules, their plain settings, parameters and buffers.

    Weights alone are not enough: the same ones with another activation or number of heads are another model.
    """
    digest = hashlib.sha256()
    for line in _settings(model):
        digest.update(line.encode())
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode())
        if value.is_floating_point() and value.dtype != torch.float32:  # equal numbers, but computed with otherwise
            digest.update(f"{value.dtype} {value.double().sum()}".encode())
        digest.update(value.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _settings(model: nn.Module) -> Iterator[str]:
    """Yield a line a module: its place, its class, and what plain values it holds; not what only training reads."""
    for place, module in model.named_modules():
        held = {k: _described(v) for k, v in vars(module).items() if k not in ("training", "name") and k[0] != "_"}
        yield f"{place} {type(module).__name__} {sorted((k, v) for k, v in held.items() if v is not None)}\n"


def _described(value: object) -> str | None:
    """Return a plain value as text, a function's name, None for anything else."""
    if isinstance(value, tuple | list):
        return str([_described(item) for item in value])
    return repr(value) if isinstance(value, _PLAIN) else getattr(value, "__name__", None)


def transform_of(model: Any) -> Any:
    """Return the transform of images that a model's own settings ask for, None without such."""
    from open_clip.transform import PreprocessCfg, image_transform_v2  # noqa: PLC0415  (slow import)

    asked = getattr(getattr(model, "visual", None), "preprocess_cfg", None)
    return None if asked is None else image_transform_v2(PreprocessCfg(**asked), is_train=False)
