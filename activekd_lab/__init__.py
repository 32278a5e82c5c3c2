"""activekd_lab: learn and reproduce active learning with distillation from vision-language models.

The front door. Each name is imported on first use, so `import activekd_lab` itself loads neither torch nor plotly.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from activekd_lab._version import __version__

if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
    # PyTorch's threads spin while they wait for each other, also for one that another busy process keeps from running.
    # A short spin costs nothing where it is quiet. Read when torch is loaded, if it was not yet.
    os.environ["GOMP_SPINCOUNT"] = "2000"

_HOME = {  # public name -> the module that holds it
    "load_task": "activekd_lab.data",
    "FolderTask": "activekd_lab.data",
    "list_tasks": "activekd_lab.data",
    "load_teacher": "activekd_lab.teacher",
    "CLAP": "activekd_lab.fewshot",
    "TipAdapter": "activekd_lab.fewshot",
    "DualHeadStudent": "activekd_lab.student",
    "RunConfig": "activekd_lab.config",
    "ActiveRun": "activekd_lab.loop",
    "LabelSession": "activekd_lab.labeling",
    "label_folder": "activekd_lab.labeling",
    "iterate": "activekd_lab.loop",
    "run": "activekd_lab.loop",
    "load_run": "activekd_lab.results",
    "load_student": "activekd_lab.checkpoint",
    "export_onnx": "activekd_lab.export",
    "select": "activekd_lab.selectors",
    "list_selectors": "activekd_lab.selectors",
    "k_center_greedy": "activekd_lab.selectors",
}
_MODULES = ("plots", "widgets", "losses", "errors", "geometry", "checks")

__all__ = [
    "CLAP",
    "ActiveRun",
    "DualHeadStudent",
    "FolderTask",
    "LabelSession",
    "RunConfig",
    "TipAdapter",
    "__version__",
    "checks",
    "errors",
    "export_onnx",
    "geometry",
    "iterate",
    "k_center_greedy",
    "label_folder",
    "list_selectors",
    "list_tasks",
    "load_run",
    "load_student",
    "load_task",
    "load_teacher",
    "losses",
    "plots",
    "run",
    "select",
    "widgets",
]

if TYPE_CHECKING:
    from activekd_lab import checks, errors, geometry, losses, plots, widgets
    from activekd_lab.checkpoint import load_student
    from activekd_lab.config import RunConfig
    from activekd_lab.data import FolderTask, list_tasks, load_task
    from activekd_lab.export import export_onnx
    from activekd_lab.fewshot import CLAP, TipAdapter
    from activekd_lab.labeling import LabelSession, label_folder
    from activekd_lab.loop import ActiveRun, iterate, run
    from activekd_lab.results import load_run
    from activekd_lab.selectors import k_center_greedy, list_selectors, select
    from activekd_lab.student import DualHeadStudent
    from activekd_lab.teacher import load_teacher


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(f"activekd_lab.{name}")
    else:
        raise AttributeError(f"module 'activekd_lab' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
