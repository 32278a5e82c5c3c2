"""Figures of runs: results → a small tuple → a Plotly figure. Nothing here imports torch; Plotly loads on first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from activekd_lab.errors import UnknownNameError

if TYPE_CHECKING:
    from activekd_lab.plots.balance import class_balance
    from activekd_lab.plots.bias import prediction_bias
    from activekd_lab.plots.claims import claim_evidence
    from activekd_lab.plots.conflict import gradient_conflict
    from activekd_lab.plots.confusion import confusion_groups
    from activekd_lab.plots.covering import coverage
    from activekd_lab.plots.gallery import pick_gallery
    from activekd_lab.plots.learning import learning_curves
    from activekd_lab.plots.maps import probability_map
    from activekd_lab.plots.mixing import mixing_surface
    from activekd_lab.plots.projection import umap_layout
    from activekd_lab.plots.race import selector_race
    from activekd_lab.plots.ranks import critical_difference
    from activekd_lab.plots.reliability import reliability_diagram
    from activekd_lab.plots.report import Pool, write_report
    from activekd_lab.plots.scale import selection_scale
    from activekd_lab.plots.spaces import coverage_spaces
    from activekd_lab.plots.steps import selection_steps
    from activekd_lab.plots.theme import selector_style, use_theme
    from activekd_lab.plots.triangle import simplex

_HOME = {  # files bear other names than their functions: a submodule's name would hide the function once it is imported
    "Pool": "report",
    "claim_evidence": "claims",
    "class_balance": "balance",
    "confusion_groups": "confusion",
    "coverage": "covering",
    "coverage_spaces": "spaces",
    "critical_difference": "ranks",
    "gradient_conflict": "conflict",
    "learning_curves": "learning",
    "mixing_surface": "mixing",
    "pick_gallery": "gallery",
    "prediction_bias": "bias",
    "probability_map": "maps",
    "reliability_diagram": "reliability",
    "selection_steps": "steps",
    "selection_scale": "scale",
    "selector_race": "race",
    "selector_style": "theme",
    "simplex": "triangle",
    "umap_layout": "projection",
    "use_theme": "theme",
    "write_report": "report",
}
__all__ = [
    "Pool",
    "claim_evidence",
    "class_balance",
    "confusion_groups",
    "coverage",
    "coverage_spaces",
    "critical_difference",
    "gradient_conflict",
    "learning_curves",
    "mixing_surface",
    "pick_gallery",
    "prediction_bias",
    "probability_map",
    "reliability_diagram",
    "selection_scale",
    "selection_steps",
    "selector_race",
    "selector_style",
    "simplex",
    "umap_layout",
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
