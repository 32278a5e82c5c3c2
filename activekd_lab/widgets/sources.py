"""Where a widget's arrays come from: a finished run, or probabilities handed over."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from activekd_lab.errors import SettingError
from activekd_lab.runs.records import RunResult
from activekd_lab.widgets.runner import Array, PoolArrays


def run_source(result: RunResult, labels: Array, features: Array | None) -> Callable[[int], PoolArrays]:
    """Return a function from a round of `result` to its arrays; rows are normalised again after float16 storage."""

    def load(number: int) -> PoolArrays:
        ids = np.array(sorted(result.labeled_ids(number)), dtype=np.int64)
        return PoolArrays(normalised(result.probabilities(number)), features, ids, labels[ids], number)

    return load


def array_source(
    probabilities: Array, labeled_ids: Array | None, labels: Array, features: Array | None
) -> Callable[[int], PoolArrays]:
    """Return a function that gives the one state of the pool that was handed over.

    Raises:
        SettingError: labeled_ids outside the pool.
    """
    ids = np.sort(np.asarray([] if labeled_ids is None else labeled_ids, dtype=np.int64))
    if len(ids) and not 0 <= ids[0] <= ids[-1] < len(labels):
        raise SettingError(f"labeled_ids must lie in 0 … {len(labels) - 1}, but got {ids[0]} … {ids[-1]}.")
    arrays = PoolArrays(normalised(np.asarray(probabilities)), features, ids, labels[ids], 0)
    return lambda number: arrays


def check_started(result: RunResult) -> None:
    """Refuse a run, such as one whose folder is still being written, that has no finished round."""
    if not result.records:
        raise SettingError(
            f"The {result.config['selector']} run has no finished round yet; wait for its first, then load it again."
        )


def check_pool(arrays: PoolArrays, size: int, classes: int) -> None:
    """Refuse arrays that do not fit a task of `size` training images and `classes` classes."""
    if arrays.probabilities.shape != (size, classes):
        raise SettingError(
            f"probabilities must have shape ({size}, {classes}), one row a training image of the task, "
            f"but got {arrays.probabilities.shape}."
        )
    if arrays.features is not None and (arrays.features.ndim != 2 or len(arrays.features) != size):
        raise SettingError(f"features must have shape ({size}, D), but got {arrays.features.shape}.")


def normalised(probabilities: Array) -> Array:
    """Return (N, C) float32 rows that sum to 1, or refuse what is no probability."""
    if probabilities.ndim != 2 or not np.isfinite(probabilities).all() or (probabilities < 0).any():
        raise SettingError(f"probabilities must be (N, C), finite and 0 or more, but got shape {probabilities.shape}.")
    sums = probabilities.sum(axis=1, keepdims=True, dtype=np.float64)
    if (np.abs(sums - 1) > 2e-2).any():
        raise SettingError(
            f"probabilities must sum to 1 in every row, but row {int(np.abs(sums - 1).argmax())} sums to "
            f"{float(sums[np.abs(sums - 1).argmax(), 0]):.3g}; pass probabilities, not logits."
        )
    return np.asarray(probabilities / sums, dtype=np.float32)
