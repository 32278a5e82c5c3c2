"""Checks of a PoolView: what cannot be used is refused before any selector runs, named by selector, ids and round."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from activekd_lab.errors import NonFiniteError, PoolError

if TYPE_CHECKING:
    from activekd_lab.selectors.base import PoolView

SUM_TOLERANCE = {torch.float16: 2e-2, torch.bfloat16: 5e-2}
"""How far a row of probabilities may miss 1: rounding of C entries; 2e-3 for float32 and float64."""

PROBABILITIES = ("probabilities", "teacher_probabilities", "ce_probabilities", "kd_probabilities")


def check_view(view: PoolView, selector: str) -> None:
    """Raise PoolError for misfitting shapes, ids or probabilities, NonFiniteError for NaN; takes O(N) memory."""
    where = _where(selector, view.round)
    _check_ids(view, where)
    for field in PROBABILITIES:
        _check_pair(view, field, view.num_classes, where)
        _check_probabilities(getattr(view, field), view.ids, field, where)
        _check_probabilities(getattr(view, f"labeled_{field}"), view.labeled_ids, f"labeled_{field}", where)
    _check_pair(view, "features", view.features.shape[-1], where)
    _check_finite(view.features, view.ids, "features", where)
    _check_finite(view.labeled_features, view.labeled_ids, "labeled_features", where)
    _check_labels(view, where)


def name_ids(ids: Tensor, shown: int = 5) -> str:
    """Write the first few ids for an error message: `ids 3, 8, 12 and 40 more`."""
    first = ", ".join(str(int(i)) for i in ids[:shown])
    more = f" and {len(ids) - shown} more" if len(ids) > shown else ""
    return f"{'ids' if len(ids) > 1 else 'id'} {first}{more}"


def _where(selector: str, round_index: int | None) -> str:
    return f"Selector {selector!r}" + ("" if round_index is None else f" in round {round_index}")


def _check_ids(view: PoolView, where: str) -> None:
    for field in ("ids", "labeled_ids", "labeled_labels"):
        value = getattr(view, field)
        if value.ndim != 1 or value.dtype != torch.int64:
            raise PoolError(
                f"{where} expected {field} as a 1-d int64 tensor, but got {value.dtype} {tuple(value.shape)}."
            )
    for field in ("ids", "labeled_ids"):
        ids, counts = getattr(view, field).unique(return_counts=True)
        if (counts > 1).any():
            raise PoolError(
                f"{where} expected each id once in {field}, but {name_ids(ids[counts > 1])} came repeatedly."
            )
    both = view.ids[torch.isin(view.ids, view.labeled_ids)]
    if len(both):
        raise PoolError(f"{where} got {name_ids(both)} as unlabelled and as labelled; take them out of the pool ids.")


def _check_pair(view: PoolView, field: str, width: int, where: str) -> None:
    """Check that (N, width) and (L, width) are what `field` and its labelled counterpart hold."""
    for name, rows in ((field, len(view.ids)), (f"labeled_{field}", len(view.labeled_ids))):
        value = getattr(view, name)
        if value is None:
            continue
        if value.ndim != 2 or tuple(value.shape) != (rows, width) or not value.is_floating_point():
            raise PoolError(
                f"{where} expected {name} as a ({rows}, {width}) floating tensor, a row an id and the pool's width, "
                f"but got {value.dtype} {tuple(value.shape)}."
            )


def _check_finite(values: Tensor, ids: Tensor, field: str, where: str) -> None:
    if values.numel() == 0:
        return
    bad = ~(values.amin(1).isfinite() & values.amax(1).isfinite())
    if bad.any():
        raise NonFiniteError(f"{where} got NaN or infinity in {field} at {name_ids(ids[bad])}; stop and look there.")


def _check_probabilities(values: Tensor | None, ids: Tensor, field: str, where: str) -> None:
    if values is None or values.numel() == 0:
        return
    _check_finite(values, ids, field, where)
    negative = values.amin(1) < 0
    if negative.any():
        raise PoolError(
            f"{where} expected {field} in [0, 1], but {name_ids(ids[negative])} hold negative values; pass "
            "probabilities, not logits."
        )
    sums = values.sum(1, dtype=torch.float32)
    off = (sums - 1).abs() > SUM_TOLERANCE.get(values.dtype, 2e-3)
    if off.any():
        raise PoolError(
            f"{where} expected rows of {field} to sum to 1, but {name_ids(ids[off])} sum to {float(sums[off][0]):.4g} "
            "at first; normalise them."
        )


def _check_labels(view: PoolView, where: str) -> None:
    labels, count = view.labeled_labels, view.num_classes
    if len(labels) != len(view.labeled_ids):
        raise PoolError(f"{where} expected {len(view.labeled_ids)} labeled_labels, one an id, but got {len(labels)}.")
    outside = (labels < 0) | (labels >= count)
    if outside.any():
        raise PoolError(
            f"{where} expected labeled_labels in [0, {count}), but {name_ids(view.labeled_ids[outside])} lie outside."
        )
