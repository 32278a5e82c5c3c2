"""The plain ways to select, as well as each idea allows; the other side of every ratio."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from activekd_lab.selectors import PoolView

SLICE = 1024


def recompute_every_pick(points: Tensor, centers: Tensor, budget: int) -> Tensor:
    """Measure every point against every centre before each pick, as the released ActiveKD loop does: (B,) positions."""
    chosen: list[int] = []
    for _ in range(budget):
        known = torch.cat([centers, points[chosen]])
        nearest = torch.cat([torch.cdist(x, known).amin(1) for x in points.split(SLICE)])
        nearest[chosen] = -1
        chosen.append(int(nearest.argmax()))
    return torch.tensor(chosen)


def product_a_pick(points: Tensor, centers: Tensor, budget: int) -> Tensor:
    """Measure all centres once, then one matrix-vector product a pick, the best public way: (B,) positions."""
    norms = torch.linalg.vecdot(points, points)
    nearest = torch.full_like(norms, torch.inf)
    center_norms = torch.linalg.vecdot(centers, centers)
    for start in range(0, len(points), SLICE):
        piece = slice(start, start + SLICE)
        for c, c_norms in zip(centers.split(SLICE), center_norms.split(SLICE), strict=True):
            shifted = torch.addmm(c_norms, points[piece], c.T, alpha=-2).amin(1)
            nearest[piece] = torch.minimum(nearest[piece], shifted + norms[piece])
    chosen: list[int] = []
    for _ in range(budget):
        i = int(nearest.argmax())
        chosen.append(i)
        squared = torch.addmv(norms + norms[i], points, points[i], alpha=-2)
        torch.minimum(nearest, squared, out=nearest)
        nearest[i] = -torch.inf
    return torch.tensor(chosen)


def materialized_badge(view: PoolView, budget: int) -> Tensor:
    """k-means++ on the full (N, C D) gradient matrix, one product a pick: (B,) positions."""
    p = view.probabilities.clone()
    p[torch.arange(len(p)), p.argmax(1)] -= 1
    g = torch.empty(len(p), p.shape[1] * view.features.shape[1], device=p.device)
    for start in range(0, len(p), SLICE):
        piece = slice(start, start + SLICE)
        g[piece] = (p[piece, :, None] * view.features[piece, None, :]).flatten(1)
    norms = torch.cat([torch.linalg.vecdot(x, x) for x in g.split(SLICE)])
    chosen = [int(norms.argmax())]
    nearest = torch.full_like(norms, torch.inf)
    random = np.random.default_rng(0)
    for _ in range(budget - 1):
        squared = torch.addmv(norms + norms[chosen[-1]], g, g[chosen[-1]], alpha=-2).clamp_(min=0)
        nearest = torch.minimum(nearest, squared)
        nearest[chosen] = 0
        total = nearest.double().cumsum(0)
        chosen.append(int(torch.searchsorted(total, random.random() * float(total[-1]), right=True)))
    return torch.tensor(chosen)


def skactiveml_coreset(points: Tensor, centers: Tensor, budget: int) -> Tensor:
    """scikit-activeml's CoreSet on labels followed by the pool: (B,) positions in the pool."""
    from skactiveml.pool import CoreSet  # noqa: PLC0415  (test extra)

    x = torch.cat([centers, points]).numpy()
    y = np.r_[np.zeros(len(centers)), np.full(len(points), np.nan)]
    return torch.from_numpy(CoreSet(random_state=0).query(x, y, batch_size=budget) - len(centers))


def skactiveml_herding(view: PoolView, budget: int) -> Tensor:
    """scikit-activeml's MaxHerding, the same kernel, on a pool without labels: (B,) positions."""
    from skactiveml.pool import MaxHerding  # noqa: PLC0415  (test extra)

    strategy = MaxHerding(metric="rbf", metric_dict={"gamma": 1.0}, random_state=0)
    return torch.from_numpy(strategy.query(view.features.numpy(), np.full(len(view), np.nan), batch_size=budget))


def skactiveml_badge(view: PoolView, budget: int) -> Tensor:
    """scikit-activeml's Badge with the view's probabilities: (B,) positions."""
    from skactiveml.base import SkactivemlClassifier  # noqa: PLC0415  (test extra)
    from skactiveml.pool import Badge  # noqa: PLC0415

    class Predicted(SkactivemlClassifier):  # type: ignore[misc]
        def fit(self, x: object, y: object) -> object:
            return self

        def predict_proba(self, x: object) -> object:
            return view.probabilities.numpy()

    x, classes = view.features.numpy(), list(range(view.num_classes))
    y = np.full(len(x), np.nan)
    picks = Badge(random_state=0).query(x, y, Predicted(classes=classes), fit_clf=False, batch_size=budget)
    return torch.from_numpy(np.asarray(picks))
