"""PCoreSet: cover the probability space, greedily."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from activekd_lab.errors import SettingError
from activekd_lab.selectors.engine.rows import Metric
from activekd_lab.selectors.engine.scores import entropy_of
from activekd_lab.selectors.kcenter import k_center_greedy
from activekd_lab.selectors.registry import register
from activekd_lab.selectors.view import PoolView

Which = Literal["mixed", "ce", "kd", "teacher"]


@register(
    "pcoreset",
    help="Greedy k-center in probability space: each pick predicts most unlike everything labelled.",
    citation="ActiveKD 2025, arXiv:2506.00910, Algorithm 2",
    deterministic=True,
    features=False,
)
def pcoreset(
    view: PoolView,
    budget: int,
    *,
    generator: torch.Generator,
    probabilities: Which = "mixed",
    metric: Metric = "euclidean",
    uncertainty_weight: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Tensor:
    """Return (B,) ids by farthest-first traversal of predicted probabilities, seeded with the labelled images'.

    argmax over the pool of min over labelled and picked j of ||p_i - p_j||: the paper's greedy step. The options
    are for study; the defaults are the paper's.

    Args:
        view: The pool; for `probabilities` other than "mixed" its optional tensors of that name.
        budget: B.
        generator: Settles exact ties.
        probabilities: Whose probabilities: the student's "mixed" ones, its "ce" or "kd" head's, or the "teacher"'s.
        metric: "euclidean", "hellinger" or "cosine".
        uncertainty_weight: w >= 0; distances are multiplied by 1 + w * entropy / log C. 0 weighs all alike.
        progress: Called with (picks, budget).
        cancel: True raises Cancelled.

    Raises:
        SettingError: Options outside their range, or probabilities that the view does not hold.
    """
    pool, labeled = choose_probabilities(view, probabilities)
    if not 0 <= uncertainty_weight < math.inf:
        raise SettingError(f"Expected `uncertainty_weight` to be finite and at least 0, but got {uncertainty_weight}.")
    result = k_center_greedy(
        pool,
        labeled,
        budget,
        metric=metric,
        weights=1 + uncertainty_weight * entropy_of(pool) / math.log(max(2, view.num_classes))
        if uncertainty_weight
        else None,
        generator=generator,
        progress=progress,
        cancel=cancel,
    )
    return view.ids[result.indices.to(view.ids.device)]


def choose_probabilities(view: PoolView, which: Which) -> tuple[Tensor, Tensor]:
    """Return the pool's (N, C) and the labelled images' (L, C) probabilities of one source."""
    if which not in get_args(Which):
        raise SettingError(f"Expected `probabilities` to be one of {', '.join(get_args(Which))}, but got {which!r}.")
    if which == "mixed":
        return view.probabilities, view.labeled_probabilities
    why = f"for probabilities={which!r}"
    field = f"{which}_probabilities"
    return view.need(field, "pcoreset", why), view.need(f"labeled_{field}", "pcoreset", why)
