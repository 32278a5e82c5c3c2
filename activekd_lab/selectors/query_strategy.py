"""PCoreSet as a query strategy of scikit-activeml, for loops that are written with that library."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from skactiveml.base import SingleAnnotatorPoolQueryStrategy, SkactivemlClassifier
from skactiveml.utils import MISSING_LABEL, check_type, is_labeled
from sklearn.base import clone

from activekd_lab.selectors.engine.rows import Metric, Rows
from activekd_lab.selectors.kcenter import k_center_greedy


class PCoreSet(SingleAnnotatorPoolQueryStrategy):  # type: ignore[misc]
    """Greedy k-center in a classifier's probability space (arXiv:2506.00910, Algorithm 2).

    Args:
        metric: "euclidean", "hellinger" or "cosine".
        missing_label: what stands for an unknown label in y.
        random_state: settles exact ties.

    Example:
        >>> clf = SklearnClassifier(LogisticRegression(), classes=[0, 1])
        >>> PCoreSet(random_state=0).query(X, y, clf=clf, batch_size=8)
    """

    def __init__(
        self, metric: Metric = "euclidean", missing_label: Any = MISSING_LABEL, random_state: Any = None
    ) -> None:
        super().__init__(missing_label=missing_label, random_state=random_state)
        self.metric = metric

    def query(
        self,
        X: Any,
        y: Any,
        clf: SkactivemlClassifier,
        fit_clf: bool = True,
        sample_weight: Any = None,
        candidates: Any = None,
        batch_size: int = 1,
        return_utilities: bool = False,
    ) -> Any:
        """Return (B,) indices of the samples to label; the utility is the distance to what is covered.

        Args:
            X: (N, D) samples.
            y: (N,) labels, `missing_label` where unknown.
            clf: says (N, C) probabilities.
            fit_clf: whether to fit a copy of it on X, y and `sample_weight` first.
            sample_weight: (N,) weights of the samples.
            candidates: which may be picked: None for the unlabelled, (M,) indices, or (M, D) samples.
            batch_size: B.
            return_utilities: whether to return (B, N) utilities too (of M samples where they are given).
        """
        X, y, candidates, batch_size, return_utilities = self._validate_data(
            X, y, candidates, batch_size, return_utilities, reset=True
        )
        free, mapping = self._transform_candidates(candidates, X, y)
        check_type(clf, "clf", SkactivemlClassifier)
        check_type(fit_clf, "fit_clf", bool)
        if fit_clf:
            clf = clone(clf).fit(X, y) if sample_weight is None else clone(clf).fit(X, y, sample_weight)
        known = X[is_labeled(y, missing_label=self.missing_label_)]
        points = torch.from_numpy(np.asarray(clf.predict_proba(free), dtype=np.float64))
        centers = torch.from_numpy(np.asarray(clf.predict_proba(known), dtype=np.float64)) if len(known) else None
        generator = torch.Generator().manual_seed(int(self.random_state_.randint(2**31 - 1)))
        found = k_center_greedy(points, centers, batch_size, metric=self.metric, generator=generator)
        chosen = found.indices.numpy()
        queried = chosen if mapping is None else np.asarray(mapping)[chosen]
        if not return_utilities:
            return queried
        utilities = _distances(points, centers, chosen, self.metric)
        if mapping is None:
            return queried, utilities
        every = np.full((batch_size, len(X)), np.nan)
        every[:, mapping] = utilities
        return queried, every


def _distances(points: torch.Tensor, centers: torch.Tensor | None, chosen: Any, metric: Metric) -> Any:
    """Return (B, M) distances to the nearest centre before each pick; NaN where a point is picked already."""
    rows = Rows(points, metric)

    def to(others: torch.Tensor) -> Any:
        exact = "donot_use_mm_for_euclid_dist"
        squared = torch.cdist(rows.double(points), rows.double(others), compute_mode=exact).square().amin(1)
        return rows.distance(squared.numpy())

    nearest = np.full(len(points), np.inf) if centers is None else to(centers)
    found = [np.where(np.isinf(nearest), 1.0, nearest)]  # nothing is covered yet: all alike
    for number, pick in enumerate(chosen[:-1], 1):
        nearest = np.minimum(nearest, to(points[pick : pick + 1]))
        found.append(nearest.copy())
        found[-1][chosen[:number]] = np.nan
    return np.array(found)
