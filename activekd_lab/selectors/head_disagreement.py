"""Disagreement between the two heads of the student, as BALD measures it between posterior samples."""

from __future__ import annotations

import torch
from torch import Tensor

from activekd_lab.errors import SettingError
from activekd_lab.selectors.engine.scores import by_rows, row_entropy, top_scores
from activekd_lab.selectors.registry import register
from activekd_lab.selectors.view import PoolView


@register(
    "head_disagreement",
    help="Where the CE head and the KD head disagree most (mutual information of class and head).",
    citation="after BALD: Houlsby et al. 2011, arXiv:1112.5745, eq. 2, with the two heads as the committee",
    deterministic=True,
)
def head_disagreement(view: PoolView, budget: int, *, generator: torch.Generator, ce_weight: float = 0.5) -> Tensor:
    """Return the (B,) ids with the largest H(w p_ce + (1 - w) p_kd) - w H(p_ce) - (1 - w) H(p_kd), largest first.

    Args:
        view: The pool with `ce_probabilities` and `kd_probabilities`.
        budget: B.
        generator: Settles ties.
        ce_weight: w in (0, 1), the weight of the CE head in the mixture.

    Raises:
        SettingError: `ce_weight` outside (0, 1), or a head's probabilities missing.
    """
    if not 0 < ce_weight < 1:
        raise SettingError(
            f"Expected `ce_weight` strictly between 0 and 1, but got {ce_weight}; one head cannot disagree."
        )
    heads = [view.need(f"{h}_probabilities", "head_disagreement", "to compare the heads") for h in ("ce", "kd")]

    def information(ce: Tensor, kd: Tensor) -> Tensor:
        apart = ce_weight * row_entropy(ce) + (1 - ce_weight) * row_entropy(kd)
        return row_entropy(ce_weight * ce + (1 - ce_weight) * kd) - apart

    return view.ids[top_scores(by_rows(information, *heads), budget, generator)]
