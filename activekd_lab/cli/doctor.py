"""What `activekd-lab doctor` looks at: everything a first run needs, each checked by using it."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from activekd_lab.data.store import cache_dir
from activekd_lab.io.files import replacing

_PACKAGES = ("torch", "torchvision", "open_clip_torch", "timm", "plotly", "jupyterlab", "papermill", "umap-learn")
_FRONT_ENDS = ("@jupyter-widgets/jupyterlab-manager", "anywidget")


class Finding(NamedTuple):
    """One check: whether it passed, what was checked, what was found."""

    ok: bool
    check: str
    finding: str


def examine() -> list[Finding]:
    """Run every check; a failing one never stops the rest."""
    checks: dict[str, Callable[[], str]] = {
        "python": platform.python_version,
        "packages": _versions,
        "device": _device,
        "cache folder": _writable,
        "teacher": _teacher,
        "student weights": _backbone,
        "notebook widgets": _front_ends,
    }
    return [_finding(name, check) for name, check in checks.items()]


def _finding(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(True, name, check())
    except Exception as error:  # any failure is what doctor is there to report
        return Finding(False, name, f"{type(error).__name__}: {error}")


def _versions() -> str:
    return ", ".join(f"{name} {version(name)}" for name in _PACKAGES)


def _device() -> str:
    import torch

    from activekd_lab.device import resolve_device

    device = resolve_device("auto")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    return f"{device.type} ({name})"


def _writable() -> str:
    probe = cache_dir() / "doctor.txt"
    with replacing(probe) as temporary:
        temporary.write_text("ok")
    probe.unlink()
    return str(cache_dir())


def _teacher() -> str:
    from activekd_lab.data import load_task
    from activekd_lab.teachers.clip import load_teacher

    head = load_teacher("bundled", device="cpu").zero_shot(load_task("digits"))
    return f"bundled teacher loads; text embeddings {tuple(head.text.shape)}"


def _backbone() -> str:
    from activekd_lab.students.backbones import build_backbone

    return f"efficientnet_lite0 with ImageNet weights, {build_backbone('efficientnet_lite0').num_features} features"


def _front_ends() -> str:
    """Find the JupyterLab extensions that ipywidgets and plotly's FigureWidget need."""
    from jupyter_core.paths import jupyter_path

    folders = [Path(p) for p in jupyter_path("labextensions")]
    missing = [name for name in _FRONT_ENDS if not any((folder / name).is_dir() for folder in folders)]
    if missing:
        raise PackageNotFoundError(f"JupyterLab extension {missing[0]}; pip install anywidget jupyterlab_widgets")
    return ", ".join(_FRONT_ENDS)
