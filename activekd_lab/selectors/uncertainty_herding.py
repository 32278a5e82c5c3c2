"""Uncertainty Herding: MaxHerding in which an image counts by how uncertain it is; for small and large budgets."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from activekd_lab.errors import SettingError
from activekd_lab.selectors.engine.rows import Rows
from activekd_lab.selectors.engine.scores import by_rows
from activekd_lab.selectors.margin import closeness
from activekd_lab.selectors.max_herding import check_bandwidth, herd
from activekd_lab.selectors.registry import register
from activekd_lab.selectors.view import PoolView

SAME = 1e-3  # labelled images nearer to one another, on the unit sphere, are copies


@register(
    "uncertainty_herding",
    help="Greedy soft coverage of what the student is unsure of; the kernel narrows as labels grow dense.",
    citation="Bae et al. 2025 (ICLR), Uncertainty Herding, arXiv:2412.20644, Algorithm 1",
    deterministic=True,
)
def uncertainty_herding(
    view: PoolView,
    budget: int,
    *,
    generator: torch.Generator,
    bandwidth: float | None = None,
    temperature: float = 1.0,
    candidates: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Tensor:
    """Return (B,) ids; each adds the most to UC(S) = mean over images x of U(x) max over s in S of k(x, s).

    U(x) = 1 - (p(first) - p(second)), the margin's uncertainty; k and S as in `max_herding`. Without labels every image
    counts alike, as in the authors' code.

    Args:
        view: The pool; `probabilities` and `features` are used.
        budget: B.
        generator: Settles ties, and picks when everything that is uncertain is covered.
        bandwidth: h of the kernel; None takes the smallest distance between two labelled images (section 4: few labels
            cover widely, many decide by uncertainty), and 1 with fewer than two distinct ones.
        temperature: T > 0; U is taken of probabilities p^(1/T), normalised. The paper tunes T on labels held out, which
            a view has none of: 1 leaves the student as it is.
        candidates: See `max_herding`.
        progress: See `max_herding`.
        cancel: See `max_herding`.

    Raises:
        SettingError: An option outside its range.
        Cancelled: `cancel` returned True.
    """
    if not 0 < temperature < math.inf:
        raise SettingError(f"Expected `temperature` to be finite and above 0, but got {temperature}.")
    if bandwidth is not None:
        check_bandwidth(bandwidth)
    weights = by_rows(lambda p: uncertainty(p, temperature), view.probabilities) if len(view.labeled_ids) else None
    if weights is not None and weights.max() > 0:
        weights = weights / weights.mean()
    h = bandwidth or smallest_distance(Rows(view.labeled_features, "cosine"))
    return herd(view, budget, weights, h, candidates, generator, progress, cancel)


def uncertainty(p: Tensor, temperature: float) -> Tensor:
    """Return 1 - (first - second) of rows of probabilities (k, C) sharpened or flattened by a temperature: (k,)."""
    logs = p.log()
    logs = logs - logs.amax(1, keepdim=True)  # what is divided by a small temperature may overflow, but for the largest
    return 1 + closeness((logs / min(1e30, max(1e-30, temperature))).softmax(1))


def smallest_distance(labeled: Rows) -> float:
    """Return the smallest distance between two labelled images that are no copies; 1 where there are none."""
    found, x = torch.inf, labeled.double(labeled.points)  # (L, D)
    for rows in x.split(256) if len(x) else ():
        apart = torch.cdist(rows, x, compute_mode="donot_use_mm_for_euclid_dist")
        apart[apart < SAME] = torch.inf  # itself among them
        found = min(found, float(apart.min()))
    return found if math.isfinite(found) else 1.0
