"""k-means on rows of any size and dtype, a piece at a time, seeded by one generator."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from activekd_lab.selectors.engine.products import squared_norms
from activekd_lab.selectors.engine.rows import Rows

SAMPLE = 4096  # rows among which seeds are drawn


class Clusters(NamedTuple):
    """Of each row its cluster (N,) int64 and squared distance to that centroid (N,); the centroids (K, D)."""

    cluster: Tensor
    squared: Tensor
    centroids: Tensor


def kmeans_clusters(rows: Rows, count: int, generator: torch.Generator, iterations: int = 20) -> Clusters:
    """Cluster N rows into at most `count` clusters.

    Lloyd's algorithm from k-means++ seeds (Arthur & Vassilvitskii 2007) out of a uniform sample of rows; it stops when
    no row moves. A cluster that loses all
    its rows keeps its centroid, so fewer than `count` clusters may hold rows (repeated rows, say).
    """
    sample = torch.randperm(len(rows), generator=generator)[: max(SAMPLE, 4 * count)]
    centroids = _seeds(rows.single(rows.raw(sample)), count, generator)  # (K, D)
    cluster, squared, sums = assign(rows, centroids)
    for _ in range(iterations):
        sizes = torch.bincount(cluster, minlength=count)[:, None]
        centroids = torch.where(sizes > 0, sums / sizes.clamp(min=1), centroids)
        before = cluster
        cluster, squared, sums = assign(rows, centroids)
        if torch.equal(before, cluster):
            break
    return Clusters(cluster, squared, centroids)


def _seeds(x: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw `count` rows of x (n, D), each in proportion to its squared distance to the nearest so far."""
    chosen = [0]  # the sample is in random order already
    nearest = squared_norms(x - x[0]).cpu()
    for _ in range(count - 1):
        weights = nearest if bool((nearest > 0).any()) else torch.ones_like(nearest)
        chosen.append(int(torch.multinomial(weights, 1, generator=generator)))
        nearest = torch.minimum(nearest, squared_norms(x - x[chosen[-1]]).cpu())
    return x[torch.tensor(chosen, device=x.device)]


def assign(rows: Rows, centroids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return each row's nearest centroid (N,), its squared distance (N,), and the sums of their rows (K, D)."""
    norms, sums = squared_norms(centroids), torch.zeros_like(centroids)
    cluster, squared = [norms.new_empty(0, dtype=torch.long)], [norms[:0]]
    for _, x in rows.pieces():
        value, nearest = torch.addmm(norms, x, centroids.T, alpha=-2).min(1)
        sums.index_add_(0, nearest, x)
        cluster.append(nearest)
        squared.append(value + squared_norms(x))
    return torch.cat(cluster), torch.cat(squared).clamp_(min=0), sums
