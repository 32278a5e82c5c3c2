"""What a run was made with: package versions, device, git commit."""

from __future__ import annotations

import platform
import subprocess
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def provenance(device: torch.device) -> dict[str, str]:
    """Return package versions, device, platform and git commit of this run."""
    names = ("activekd_lab", "torch", "torchvision", "open_clip_torch", "timm", "numpy")
    found = {name: version(name) for name in names}
    kind = _name(device)
    return found | {"python": platform.python_version(), "device": kind, "commit": _commit()}


@lru_cache(maxsize=1)
def _commit() -> str:
    """Return the commit of a source checkout, or "not a git checkout"."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return "git not available"
    return done.stdout.strip() if done.returncode == 0 else "not a git checkout"


def _name(device: torch.device) -> str:
    if device.type != "cuda":
        return device.type
    import torch  # noqa: PLC0415  (slow import)

    return torch.cuda.get_device_name(device)
