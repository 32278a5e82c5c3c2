"""Cluster-Margin: the least certain images, spread evenly over clusters; made for large batches."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from activekd_lab.errors import SettingError
from activekd_lab.selectors.engine.rows import Rows
from activekd_lab.selectors.engine.scores import by_rows, top_scores
from activekd_lab.selectors.margin import closeness
from activekd_lab.selectors.registry import register
from activekd_lab.selectors.view import PoolView

PART = 2000  # candidates clustered together: their distances take 16 MB


@register(
    "cluster_margin",
    help="Of the images with the smallest margins one a cluster, small clusters first, round and round.",
    citation="Citovsky et al. 2021 (NeurIPS), arXiv:2107.14263, Algorithm 1",
)
def cluster_margin(
    view: PoolView, budget: int, *, generator: torch.Generator, ratio: float = 10.0, cluster_size: float = 10.0
) -> Tensor:
    """Return (B,) ids: of the k_m = `ratio` B smallest margins one image a cluster, drawn, the smallest clusters first.

    The paper clusters the whole pool once, before the first round, by average linkage; a view remembers nothing, so the
    k_m candidates are clustered anew, on this round's L2-normalised features, in random parts of 2,000 (linkage takes
    the square of what it clusters).

    Args:
        view: The pool; `probabilities` and `features` are used.
        budget: B.
        generator: Settles equal margins and cluster sizes, and draws inside clusters.
        ratio: k_m / B, from 1; the paper's 10.
        cluster_size: Candidates of a cluster on average, from 1; the paper's 10.

    Raises:
        SettingError: `ratio` or `cluster_size` below 1.
    """
    if not 1 <= ratio < math.inf or not 1 <= cluster_size < math.inf:
        raise SettingError(f"Expected `ratio` and `cluster_size` from 1, but got {ratio} and {cluster_size}.")
    uncertain = top_scores(by_rows(closeness, view.probabilities), math.ceil(ratio * budget), generator)  # (k_m,)
    uncertain = uncertain[torch.randperm(len(uncertain), generator=generator).to(uncertain.device)]
    clusters: list[list[int]] = []
    for part in uncertain.split(PART):
        clusters += average_linkage(Rows(view.features, "cosine", among=part), part.tolist(), cluster_size)
    chosen = round_robin(sorted(clusters, key=len), budget)
    return view.ids[torch.tensor(chosen, device=view.ids.device)]


def average_linkage(rows: Rows, named: list[int], size: float) -> list[list[int]]:
    """Group `named` rows by average linkage into clusters of about `size`, each in the order of the rows."""
    from scipy.cluster.hierarchy import fcluster, linkage  # noqa: PLC0415  (slow to import)
    from scipy.spatial.distance import pdist  # noqa: PLC0415

    if len(named) == 1:
        return [named]
    tree = linkage(pdist(rows.double(rows.raw(torch.arange(len(rows)))).cpu().numpy()), "average")
    labels = fcluster(tree, math.ceil(len(named) / size), "maxclust")
    return [[named[i] for i in np.flatnonzero(labels == k)] for k in np.unique(labels)]


def round_robin(clusters: list[list[int]], budget: int) -> list[int]:
    """Take one of each cluster in turn, the first first, until `budget` are taken."""
    turns = ((turn, place) for place, members in enumerate(clusters) for turn in range(len(members)))
    return [clusters[place][turn] for turn, place in sorted(turns)[:budget]]
