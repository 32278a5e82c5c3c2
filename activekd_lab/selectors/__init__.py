"""Strategies that choose which pool images to label, and the exact k-center engine behind two of them.

`select("pcoreset", view, budget, generator=g)` returns ids; `list_selectors()` shows what there is.
"""

from activekd_lab.selectors import (  # noqa: F401  (each import enters a strategy in the registry)
    badge,
    bait,
    class_balanced,
    cluster_margin,
    coreset,
    dropquery,
    entropy,
    head_disagreement,
    kmeans,
    least_confidence,
    margin,
    max_herding,
    pcoreset,
    probcover,
    random,
    skactive,
    typiclust,
    uncertainty_herding,
)
from activekd_lab.selectors.kcenter import KCenterResult, k_center_greedy
from activekd_lab.selectors.registry import (
    REGISTRY,
    Selector,
    SelectorFunction,
    list_selectors,
    register,
    released_options,
    resolve,
    select,
)
from activekd_lab.selectors.view import PoolView

__all__ = [
    "REGISTRY",
    "KCenterResult",
    "PoolView",
    "Selector",
    "SelectorFunction",
    "k_center_greedy",
    "list_selectors",
    "register",
    "released_options",
    "resolve",
    "select",
]
