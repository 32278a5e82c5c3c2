"""Diversity by clusters: one image from the middle of each of B clusters."""

from __future__ import annotations

import torch
from torch import Tensor

from activekd_lab.selectors.engine.lloyd import kmeans_clusters
from activekd_lab.selectors.engine.rows import Metric, Rows, rescaling
from activekd_lab.selectors.engine.scores import fill
from activekd_lab.selectors.registry import register
from activekd_lab.selectors.view import PoolView


@register(
    "kmeans",
    help="The image nearest to each centre of B clusters of the features; labels play no part.",
    citation="Lloyd 1982; as a strategy: Zhdanov 2019, arXiv:1901.05954",
)
def kmeans(view: PoolView, budget: int, *, generator: torch.Generator, metric: Metric = "cosine") -> Tensor:
    """Return (B,) ids, one a cluster; where images repeat and clusters stay empty, the rest is random.

    `metric` "cosine" clusters L2-normalised features, "euclidean" the features as they are.
    """
    factor = rescaling(view.features) if metric == "euclidean" else 1.0  # clusters are the same at any scale
    found = kmeans_clusters(Rows(view.features, metric, factor=factor), budget, generator)
    middle = nearest_members(found.cluster, found.squared)
    return view.ids[fill(middle.tolist(), len(view), budget, generator).to(view.ids.device)]


def nearest_members(cluster: Tensor, squared: Tensor) -> Tensor:
    """Return the position of the member nearest to the centroid, for every cluster that has members."""
    order = squared.sort(stable=True).indices
    order = order[cluster[order].sort(stable=True).indices]  # by cluster, nearest first
    first = cluster[order].diff(prepend=cluster.new_tensor([-1])) != 0
    return order[first]
