"""CoreSet: cover the feature space, greedily."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from activekd_lab.selectors.engine.rows import Metric
from activekd_lab.selectors.kcenter import k_center_greedy
from activekd_lab.selectors.registry import register
from activekd_lab.selectors.view import PoolView


@register(
    "coreset",
    help="Greedy k-center in feature space: each pick is the image farthest from all labelled ones.",
    citation="Sener & Savarese 2018, arXiv:1708.00489, Algorithm 1",
    deterministic=True,
)
def coreset(
    view: PoolView,
    budget: int,
    *,
    generator: torch.Generator,
    metric: Metric = "cosine",
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Tensor:
    """Return (B,) ids by farthest-first traversal of the features, seeded with the labelled ones.

    `metric` is "cosine" (on L2-normalised features, as ActiveKD runs it) or "euclidean". See `k_center_greedy` for
    ties, `progress` and `cancel`.
    """
    result = k_center_greedy(
        view.features,
        view.labeled_features,
        budget,
        metric=metric,
        generator=generator,
        progress=progress,
        cancel=cancel,
    )
    return view.ids[result.indices.to(view.ids.device)]
