"""Interactive views for notebooks: each is a thin face over a state that also works without a front end."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from activekd_lab.errors import UnknownNameError

if TYPE_CHECKING:
    from activekd_lab.widgets.bias import BiasExplorer
    from activekd_lab.widgets.explorer import SelectionExplorer
    from activekd_lab.widgets.labeler import Labeler
    from activekd_lab.widgets.live import LiveRun
    from activekd_lab.widgets.mixing import MixingExplorer
    from activekd_lab.widgets.planner import BudgetPlanner
    from activekd_lab.widgets.race import SelectorRace
    from activekd_lab.widgets.selection import SelectionState
    from activekd_lab.widgets.worker import Worker

__all__ = [
    "BiasExplorer",
    "BudgetPlanner",
    "Labeler",
    "LiveRun",
    "MixingExplorer",
    "SelectionExplorer",
    "SelectionState",
    "SelectorRace",
    "Worker",
]

_HOME = {
    "BiasExplorer": "bias",
    "BudgetPlanner": "planner",
    "Labeler": "labeler",
    "LiveRun": "live",
    "MixingExplorer": "mixing",
    "SelectionExplorer": "explorer",
    "SelectionState": "selection",
    "SelectorRace": "race",
    "Worker": "worker",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(str(UnknownNameError("name in activekd_lab.widgets", name, _HOME)))
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
