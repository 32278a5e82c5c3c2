"""ProbCover: cover as many images as possible by balls of a fixed radius."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from activekd_lab.errors import Cancelled, SettingError
from activekd_lab.selectors.base import PoolView, register
from activekd_lab.selectors.centers import squared_norms
from activekd_lab.selectors.lloyd import kmeans_clusters
from activekd_lab.selectors.ranking import fill
from activekd_lab.selectors.rows import Rows

SAMPLE = 2000  # pool images on which a radius is estimated


@register(
    "probcover",
    help="Greedy maximum coverage: each pick's ball holds the most images not covered yet.",
    citation="Yehuda et al. 2022, arXiv:2205.11320, Algorithm 1",
)
def probcover(
    view: PoolView,
    budget: int,
    *,
    generator: torch.Generator,
    radius: float | None = None,
    purity: float = 0.95,
    cancel: Callable[[], bool] | None = None,
) -> Tensor:
    """Return (B,) ids; each covers the most uncovered pool images within `radius` of its L2-normalised features.

    Labelled images cover first. When everything is covered the rest is random. The graph of neighbours is never
    stored: counts only fall, so a pick recomputes few of them; the first counts take N^2 products.

    Args:
        view: The pool.
        budget: B.
        generator: Starts the clustering that sets the radius, settles ties and fills up.
        radius: Euclidean distance on the unit sphere, in (0, 2]; None estimates the largest for which a share `purity`
            of balls holds one k-means cluster only (C clusters, a sample of the pool), section 3.2 of the paper.
        purity: In (0, 1); no effect with a given radius.
        cancel: True raises Cancelled.

    Raises:
        SettingError: A radius or purity outside its range.
        Cancelled: `cancel` returned True.
    """
    if (radius is not None and not 0 < radius <= 2) or not 0 < purity < 1:
        raise SettingError(
            f"Expected `radius` in (0, 2] or None and `purity` in (0, 1), but got {radius} and {purity}."
        )
    pool, labeled = Rows(view.features, "cosine"), Rows(view.labeled_features, "cosine")
    radius = radius or pure_radius(pool, view.num_classes, purity, generator)
    shuffled = torch.randperm(len(pool), generator=generator)  # ties go to the first in this order
    chosen = _cover(pool, labeled, shuffled, radius**2, budget, cancel or (lambda: False))
    return view.ids[fill(chosen, len(view), budget, generator).to(view.ids.device)]


def pure_radius(pool: Rows, classes: int, purity: float, generator: torch.Generator) -> float:
    """Return the largest radius for which a share `purity` of a sample's balls holds one cluster; 2 at most."""
    sample = Rows(pool.raw(torch.randperm(len(pool), generator=generator)[:SAMPLE]), "cosine")
    cluster = kmeans_clusters(sample, min(classes, len(sample)), generator).cluster
    x = sample.single(sample.points)
    apart = torch.cdist(x, x).masked_fill_(cluster[:, None] == cluster, torch.inf)
    reach = float(apart.amin(1).quantile(1 - purity))
    return min(2.0, max(reach, 1e-3))


def _cover(
    pool: Rows, labeled: Rows, shuffled: Tensor, squared: float, budget: int, cancel: Callable[[], bool]
) -> list[int]:
    """Pick greedily until the budget is met or all is covered; counts are upper bounds, made exact at the top."""
    uncovered = torch.ones(len(pool), device=pool.device)
    for x in labeled.single(labeled.points).split(64):
        uncovered[_within(pool, x, squared).any(1)] = 0
    counts = _count(pool, uncovered, squared, cancel)[shuffled]
    chosen: list[int] = []
    while len(chosen) < budget and counts.max() > 0:
        if cancel():
            raise Cancelled(f"probcover was cancelled after {len(chosen)} picks.")
        top = int(counts.argmax())
        inside = _within(pool, pool.single(pool.raw(shuffled[top : top + 1])), squared)[:, 0]
        exact = uncovered[inside].sum()
        stale, counts[top] = bool(exact < counts[top]), exact
        if not stale:
            chosen.append(int(shuffled[top]))
            uncovered[inside] = 0
            counts[top] = 0
    return chosen


def _count(pool: Rows, uncovered: Tensor, squared: float, cancel: Callable[[], bool]) -> Tensor:
    """Return how many uncovered images each image would cover (N,), a block of products at a time."""
    counts = torch.zeros(len(pool), device=pool.device)
    for start, x in pool.pieces():
        if cancel():
            raise Cancelled(f"probcover was cancelled at image {start} of {len(pool)}, before any pick.")
        for other, y in pool.pieces():
            near = _near(x, y, squared).float()  # (k, q)
            counts[start : start + len(x)] += near @ uncovered[other : other + len(y)]
    return counts


def _within(pool: Rows, x: Tensor, squared: float) -> Tensor:
    """Say which pool rows lie within the radius of each row of x: (N, k) bool."""
    return torch.cat([_near(piece, x, squared) for _, piece in pool.pieces()])


def _near(x: Tensor, y: Tensor, squared: float) -> Tensor:
    return torch.addmm(squared_norms(y), x, y.T, alpha=-2) <= squared - squared_norms(x)[:, None]
