"""TypiClust: typical images of clusters that hold few labels; made for small budgets."""

from __future__ import annotations

import torch
from torch import Tensor

from activekd_lab.errors import SettingError
from activekd_lab.selectors.engine.lloyd import assign, kmeans_clusters
from activekd_lab.selectors.engine.rows import Rows
from activekd_lab.selectors.engine.scores import fill
from activekd_lab.selectors.registry import Variant, register
from activekd_lab.selectors.view import PoolView

LARGEST_CLUSTER = 4096  # members among which typicality is measured; of larger clusters an even sample
SMALLEST_CLUSTER = 6  # members, labelled ones included, of a cluster that the authors' code visits
TIGHT = 0.05  # mean distances of neighbours below it need float64: a product in float32 is off by 1e-3


@register(
    "typiclust",
    help="The most typical image of each of the B largest clusters with the fewest labels.",
    citation="Hacohen et al. 2022, arXiv:2202.02794, Algorithm 1",
    released={"protocol": "released"},
)
def typiclust(
    view: PoolView,
    budget: int,
    *,
    generator: torch.Generator,
    neighbors: int = 20,
    max_clusters: int = 500,
    protocol: Variant = "paper",
) -> Tensor:
    """Return (B,) ids: clusters by fewest labels, then by size; in each the image of highest typicality.

    Typicality is 1 / mean distance to the nearest members (eq. 4) of L2-normalised features. The pool is clustered into
    min(L + B, `max_clusters`) clusters and a labelled image counts for the nearest one. With more budget than clusters
    they are visited again, a label richer.

    Args:
        view: The pool.
        budget: B.
        generator: Starts k-means, and fills up where clusters run out.
        neighbors: How many nearest members count, at least 1; the paper's 20.
        max_clusters: Upper limit of clusters; the paper's 500.
        protocol: "paper" as above. "released", as the authors' code: clusters of 5 images or fewer (labelled ones
            count) are left out, the others visited in one fixed order, round after round; typicality is measured anew
            among the members left, by *squared* distances to min(`neighbors`, half of them).

    Raises:
        SettingError: `neighbors` or `max_clusters` below 1.
    """
    if neighbors < 1 or max_clusters < 1:
        raise SettingError(f"Expected `neighbors` and `max_clusters` from 1, but got {neighbors} and {max_clusters}.")
    pool, labeled = Rows(view.features, "cosine"), Rows(view.labeled_features, "cosine")
    found = kmeans_clusters(pool, min(len(labeled) + budget, max_clusters, len(pool)), generator)
    labels = torch.bincount(assign(labeled, found.centroids)[0], minlength=len(found.centroids))  # (K,)
    visit = _visit if protocol == "paper" else _visit_released
    chosen = visit(pool, found.cluster, labels, budget, neighbors)
    return view.ids[fill(chosen, len(view), budget, generator).to(view.ids.device)]


def _visit(pool: Rows, cluster: Tensor, labels: Tensor, budget: int, neighbors: int) -> list[int]:
    """Pick from the cluster with fewest `labels` (K,), the largest first, until B are picked or none has members."""
    left = torch.bincount(cluster, minlength=len(labels))  # unpicked members (K,)
    size, labels = left.clone(), labels.clone()
    typical: dict[int, list[int]] = {}
    chosen: list[int] = []
    while len(chosen) < budget and bool((left > 0).any()):
        open_ = (left > 0).nonzero().flatten()
        k = int(open_[(labels[open_] * (len(cluster) + 1) - size[open_]).argmin()])
        if k not in typical:
            typical[k] = _by_typicality(pool, (cluster == k).nonzero().flatten(), neighbors)
        if not typical[k]:
            left[k] = 0
            continue
        chosen.append(typical[k].pop(0))
        left[k] -= 1
        labels[k] += 1
    return chosen


def _visit_released(pool: Rows, cluster: Tensor, labels: Tensor, budget: int, neighbors: int) -> list[int]:
    """Pick round after round from the clusters that are large enough, by fewest labels, then by size."""
    size = torch.bincount(cluster, minlength=len(labels)) + labels  # (K,)
    rank = labels * (int(size.sum()) + 1) - size
    order = [k for k in rank.sort(stable=True).indices.tolist() if size[k] >= SMALLEST_CLUSTER]
    members = {k: (cluster == k).nonzero().flatten() for k in order}
    chosen: list[int] = []
    while len(chosen) < budget and any(len(m) for m in members.values()):
        for k in order[: budget - len(chosen)]:
            if len(members[k]):
                few = max(1, min(neighbors, len(members[k]) // 2))
                chosen.append(_by_typicality(pool, members[k], few, power=2)[0])
                members[k] = members[k][members[k] != chosen[-1]]
    return chosen


def _by_typicality(pool: Rows, members: Tensor, neighbors: int, power: int = 1) -> list[int]:
    """Return members, the most typical first; of more than LARGEST_CLUSTER an evenly spaced part."""
    members = members[:: -(-len(members) // LARGEST_CLUSTER)]
    if len(members) == 1:
        return [int(members[0])]
    x = pool.single(pool.raw(members))  # (m, D)
    closest = _closest(x, neighbors)
    if bool((closest.mean(1) < TIGHT).any()):
        closest = _closest(pool.double(pool.raw(members)), neighbors)
    nearest = closest.pow(power).sum(1)
    return [int(i) for i in members[nearest.sort(stable=True).indices]]


def _closest(x: Tensor, neighbors: int) -> Tensor:
    """Return the distances of rows x (m, D) to the nearest of them, itself at 0 first."""
    few = min(neighbors + 1, len(x))
    return torch.cat([torch.cdist(rows, x).topk(few, largest=False).values for rows in x.split(256)])
