"""Mix the two heads: accuracy of every mix in the DHO paper's grid, from outputs that are there already. No torch.

`probabilities = ce_weight·softmax(ce_logits) + (1 − ce_weight)·softmax(kd_logits / kd_temperature)` (arXiv:2505.07675).
Choosing the best mix needs labels of its own; a run counts them (`RunConfig.validation_labels`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from activekd_lab.errors import SettingError
from activekd_lab.io.arguments import checked

Array = NDArray[Any]
CE_WEIGHTS = tuple(round(0.05 * i, 2) for i in range(21))
KD_TEMPERATURES = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 4.0)
"""The DHO paper's grid; ActiveKD, without validation labels, stays at 0.5 and 1 on its ten data sets."""


class MixingSurface(NamedTuple):
    """Accuracy of the mixed prediction.

    Attributes:
        ce_weights: (W,) share of the CE head, 0 … 1.
        kd_temperatures: (T,) temperatures of the KD head.
        accuracy: (T, W) fractions.
    """

    ce_weights: Array
    kd_temperatures: Array
    accuracy: Array

    @property
    def best(self) -> tuple[float, float, float]:
        """The (ce_weight, kd_temperature, accuracy) of the highest accuracy; in a tie, the one nearest to (0.5, 1)."""
        distance = np.abs(self.ce_weights - 0.5) + np.abs(np.log(self.kd_temperatures))[:, None]  # (T, W)
        distance[self.accuracy < self.accuracy.max()] = np.inf
        t, w = np.unravel_index(distance.argmin(), distance.shape)
        return float(self.ce_weights[w]), float(self.kd_temperatures[t]), float(self.accuracy[t, w])


@checked(ce_logits="(N, C) finite", kd_logits="(N, C) finite", ce_weight="0 … 1", kd_temperature="0.001 … 1000")
def mixed(ce_logits: Array, kd_logits: Array, *, ce_weight: float, kd_temperature: float) -> Array:
    """Return ce_weight·softmax(ce_logits) + (1 − ce_weight)·softmax(kd_logits / kd_temperature), (N, C)."""
    kd = softmax(kd_logits / kd_temperature, axis=1)
    return np.asarray(ce_weight * softmax(ce_logits, axis=1) + (1 - ce_weight) * kd)


@checked(
    ce_logits="(N, C) finite",
    kd_logits="(N, C) finite",
    labels="(N,) integers",
    ce_weights="0 … 1",
    kd_temperatures="0.001 … 1000",
)
def mixing_data(
    ce_logits: Array,
    kd_logits: Array,
    labels: Array,
    *,
    ce_weights: Sequence[float] = CE_WEIGHTS,
    kd_temperatures: Sequence[float] = KD_TEMPERATURES,
) -> MixingSurface:
    """Measure the mixed prediction of two heads' (N, C) logits against (N,) labels, over a grid.

    Raises:
        SettingError: shapes that do not fit, or a value outside its range.
    """
    if not len(labels) or not len(ce_weights) or not len(kd_temperatures):
        raise SettingError("mixing_data needs at least one image, one ce_weight and one kd_temperature.")
    ce, rows = softmax(ce_logits, axis=1), []
    for temperature in kd_temperatures:
        kd = softmax(kd_logits / temperature, axis=1)
        rows.append([float(((w * ce + (1 - w) * kd).argmax(axis=1) == labels).mean()) for w in ce_weights])
    return MixingSurface(np.array(ce_weights), np.array(kd_temperatures), np.array(rows))
