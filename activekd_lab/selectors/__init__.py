"""Strategies that choose which pool images to label, and the exact k-center engine behind two of them.

`select("pcoreset", view, budget, generator=g)` returns ids; `list_selectors()` shows what there is.
"""

from activekd_lab.selectors import (  # noqa: F401  (each import enters a strategy in the registry)
    badge,
    class_balanced,
    coreset,
    entropy,
    head_disagreement,
    kmeans,
    least_confidence,
    margin,
    pcoreset,
    probcover,
    random,
    typiclust,
)
from activekd_lab.selectors.base import (
    REGISTRY,
    PoolView,
    Selector,
    SelectorFunction,
    list_selectors,
    register,
    resolve,
    select,
)
from activekd_lab.selectors.kcenter import KCenterResult, k_center_greedy

__all__ = [
    "REGISTRY",
    "KCenterResult",
    "PoolView",
    "Selector",
    "SelectorFunction",
    "k_center_greedy",
    "list_selectors",
    "register",
    "resolve",
    "select",
]
