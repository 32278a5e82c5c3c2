"""ProbCover: cover as many images as possible by balls of a fixed radius."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from activekd_lab.errors import Cancelled, SettingError
from activekd_lab.selectors.engine.lloyd import kmeans_clusters
from activekd_lab.selectors.engine.products import rounding, squared_norms
from activekd_lab.selectors.engine.rows import Rows
from activekd_lab.selectors.engine.scores import fill
from activekd_lab.selectors.registry import register
from activekd_lab.selectors.view import PoolView

SAMPLE = 2000  # pool images on which a radius is estimated
BALL = 1024  # images of a ball at most, so that a product stays in cache
SHARE, CLUSTERS = 256, 1024  # images of a cluster on average; clusters at most: too few, and balls hold several groups
TOGETHER = 64  # counts made exact at a time
ROUNDING = 1e-3  # of distances between rows of length 1, generously
TIGHT = 0.05  # estimated radii below it are measured in float64


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
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Tensor:
    """Return (B,) ids; each covers the most uncovered pool images within `radius` of its L2-normalised features.

    Labelled images cover first. When everything is covered the rest is random. The graph of neighbours is never
    stored: counts only fall, so a pick recomputes few of them. The first counts take one product for each pair of
    images in balls that the radius can bridge: N^2 / 2 on data without structure, far fewer on clusters.

    Args:
        view: The pool.
        budget: B.
        generator: Starts the clustering that sets the radius, settles ties and fills up.
        radius: Euclidean distance on the unit sphere, in (0, 2]; None estimates the largest for which a share `purity`
            of balls holds one k-means cluster only (C clusters, a sample of the pool), section 3.2 of the paper.
        purity: In (0, 1); no effect with a given radius.
        progress: Called with (images counted, N) at first, then with (picks, budget).
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
    fixed = torch.Generator().manual_seed(0)  # balls change the time, never a pick
    graph = _Graph(pool, radius, _balls(pool, fixed), cancel or (lambda: False))
    chosen = _cover(graph, labeled, shuffled, budget, progress or (lambda done, total: None))
    return view.ids[fill(chosen, len(view), budget, generator).to(view.ids.device)]


def pure_radius(pool: Rows, classes: int, purity: float, generator: torch.Generator) -> float:
    """Return the largest radius for which a share `purity` of a sample's balls holds one cluster; 2 at most."""
    sample = Rows(pool.raw(torch.randperm(len(pool), generator=generator)[:SAMPLE]), "cosine")
    cluster = kmeans_clusters(sample, min(classes, len(sample)), generator).cluster
    reach = 0.0
    for shape in (sample.single, sample.double):
        x = shape(sample.points)
        apart = torch.cdist(x, x).masked_fill_(cluster[:, None] == cluster, torch.inf)
        reach = float(apart.amin(1).quantile(1 - purity))
        if reach >= TIGHT:
            break
    return min(2.0, max(reach, 1e-3))


class _Ball(NamedTuple):
    """Some pool images: positions (m,), and a centre (D,) from which none is farther than `reach`."""

    members: Tensor
    center: Tensor
    reach: float


def _balls(pool: Rows, generator: torch.Generator) -> list[_Ball]:
    """Divide the pool into balls of at most BALL images that lie together, by k-means."""
    count = min(CLUSTERS, -(-len(pool) // SHARE))
    cluster = kmeans_clusters(pool, count, generator, iterations=5).cluster
    together = cluster.sort(stable=True)
    sizes = torch.bincount(cluster, minlength=count).tolist()
    balls = []
    for members in (part for own in together.indices.split(sizes) for part in own.split(BALL) if len(part)):
        x = pool.single(pool.raw(members))  # (m, D)
        center = x.mean(0)
        balls.append(_Ball(members, center, float(squared_norms(x - center).max().sqrt())))
    return balls


class _Graph:
    """Which pool images lie within the radius of which, never stored; balls that are too far apart are left out."""

    def __init__(self, pool: Rows, radius: float, balls: list[_Ball], cancel: Callable[[], bool]) -> None:
        self.pool, self.radius, self.balls, self.cancel = pool, radius, balls, cancel
        self.centers = torch.stack([b.center for b in balls])  # (K, D)
        self.reach = torch.tensor([b.reach for b in balls], device=pool.device)  # (K,)
        self.uncovered = torch.ones(len(pool), device=pool.device)  # (N,), 1 or 0
        coarse, fine = (2 * rounding(pool.width, unit) for unit in (None, 2.0**-53))  # of squared distances
        self.shape = Rows.double if radius**2 < 2 * coarse else Rows.single
        self.squared = max(radius**2, fine)  # so that an image covers itself and its copies
        self.slack = max(ROUNDING, coarse**0.5)

    def near(self, x: Tensor, reach: float = 0.0) -> list[_Ball]:
        """Return the balls that can hold an image within the radius of rows x (k, D), or of a ball around x (1, D)."""
        apart = (
            torch.cdist(x.float(), self.centers).amin(0)
            if len(x)
            else self.reach.new_full((len(self.balls),), torch.inf)
        )
        can = apart <= self.radius + reach + self.reach + self.slack
        return [self.balls[k] for k in can.nonzero().flatten().tolist()]

    def take(self, index: Tensor) -> Tensor:
        """Return images (k, D) by position, as fine as the radius needs them."""
        return self.shape(self.pool, self.pool.raw(index))

    def rows(self, ball: _Ball) -> Tensor:
        """Return the images (m, D) of a ball."""
        return self.take(ball.members)

    def count(self, progress: Callable[[int, int], None]) -> Tensor:
        """Return how many uncovered images each would cover (N,): every pair of near balls once."""
        counts, done, place = torch.zeros_like(self.uncovered), 0, {id(b): k for k, b in enumerate(self.balls)}
        for k, ball in enumerate(self.balls):
            x = self.rows(ball)  # (m, D)
            for other in self.near(ball.center[None], ball.reach):
                if place[id(other)] < k:
                    continue
                if self.cancel():
                    raise Cancelled(f"probcover was cancelled at image {done} of {len(self.pool)}, before any pick.")
                within = _near(x, self.rows(other), self.squared)  # (m, q)
                counts[ball.members] += within @ self.uncovered[other.members]
                if other is not ball:
                    counts[other.members] += self.uncovered[ball.members] @ within
            done += len(x)
            progress(done, len(self.pool))
        return counts

    def gains(self, x: Tensor) -> Tensor:
        """Return how many uncovered images each row of x (k, D) would cover: (k,)."""
        gained = self.uncovered.new_zeros(len(x))
        for ball in self.near(x):
            gained += _near(x, self.rows(ball), self.squared) @ self.uncovered[ball.members]
        return gained

    def cover(self, x: Tensor) -> None:
        """Take what lies within the radius of any row of x (k, D) as covered."""
        for ball in self.near(x):
            within = _near(x, self.rows(ball), self.squared)  # (k, m)
            self.uncovered[ball.members[within.amax(0) > 0]] = 0


def _cover(
    graph: _Graph, labeled: Rows, shuffled: Tensor, budget: int, progress: Callable[[int, int], None]
) -> list[int]:
    """Pick greedily until the budget is met or all is covered; counts are upper bounds, made exact at the top."""
    for index in torch.arange(len(labeled), device=labeled.points.device).split(64) if len(labeled) else ():
        graph.cover(graph.shape(labeled, labeled.raw(index)))
    shuffled = shuffled.to(graph.pool.device)
    counts = graph.count(progress)[shuffled]
    exact = torch.ones_like(counts, dtype=torch.bool)
    chosen: list[int] = []
    while len(chosen) < budget and counts.max() > 0:
        if graph.cancel():
            raise Cancelled(f"probcover was cancelled after {len(chosen)} picks.")
        top = int(counts.argmax())
        if not exact[top]:
            places = counts.topk(min(TOGETHER, len(counts))).indices
            places = places[~exact[places] & (places != top)]
            places = torch.cat([places.new_tensor([top]), places])  # among ties it may not be one of those
            exactly = graph.gains(graph.take(shuffled[places]))
            counts[places] = torch.minimum(counts[places], exactly)  # a pick stays at 0
            exact[places] = True
            continue
        chosen.append(int(shuffled[top]))
        graph.cover(graph.take(shuffled[top : top + 1]))
        counts[top] = 0
        exact.fill_(False)
        progress(len(chosen), budget)
    return chosen


def _near(x: Tensor, y: Tensor, squared: float) -> Tensor:
    """Return 1 where rows of x (k, D) and y (q, D) lie within the radius, else 0: (k, q) float."""
    shifted = torch.addmm(squared_norms(y), x, y.T, alpha=-2)
    return shifted.le_(squared - squared_norms(x)[:, None]).float()
