"""Figures of runs: results → a small tuple → a Plotly figure. Nothing here imports torch; Plotly loads on first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from activekd_lab.errors import UnknownNameError

if TYPE_CHECKING:
    from activekd_lab.plots.covering import coverage
    from activekd_lab.plots.gallery import pick_gallery
    from activekd_lab.plots.learning import learning_curves
    from activekd_lab.plots.maps import probability_map
    from activekd_lab.plots.report import Pool, write_report
    from activekd_lab.plots.theme import selector_style, use_theme

_HOME = {  # files bear other names than their functions: a submodule's name would hide the function once it is imported
    "Pool": "report",
    "coverage": "covering",
    "learning_curves": "learning",
    "pick_gallery": "gallery",
    "probability_map": "maps",
    "selector_style": "theme",
    "use_theme": "theme",
    "write_report": "report",
}


__all__ = [
    "Pool",
    "coverage",
    "learning_curves",
    "pick_gallery",
    "probability_map",
    "selector_style",
    "use_theme",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(str(UnknownNameError("name in activekd_lab.plots", name, __all__)))
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
