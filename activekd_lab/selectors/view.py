"""The pool as a selector sees it: tensors of a round, checked by selector, ids and round before anybody uses them."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from activekd_lab.errors import NonFiniteError, PoolError, SettingError
from activekd_lab.io.arguments import checked
from activekd_lab.io.numbers import as_tensor
from activekd_lab.selectors.engine.rows import FLOATS

SUM_TOLERANCE = {torch.float16: 2e-2, torch.bfloat16: 5e-2}
"""How far a row of probabilities may miss 1: rounding of C entries; 2e-3 for float32 and float64."""

PROBABILITIES = ("probabilities", "teacher_probabilities", "ce_probabilities", "kd_probabilities")


@dataclass(frozen=True, slots=True, eq=False)
class PoolView:
    """All that a selector may see of a round: tensors, never a dataset, a model or a hidden label.

    Fields take tensors, NumPy arrays and lists, and hold dense tensors; what is no array raises PoolError. Shapes and
    values are checked by `validate`, which every selector calls.

    Attributes:
        ids: Unlabelled pool, (N,) int64 positions in the task's training split.
        probabilities: Student predictions mixed over its heads, (N, C), rows sum to 1.
        features: Student features, (N, D), any scale.
        labeled_ids: (L,) int64, none of them in `ids`.
        labeled_labels: (L,) int64 in [0, C).
        labeled_probabilities: (L, C), as `probabilities`.
        labeled_features: (L, D), as `features`.
        teacher_probabilities: (N, C) or None; `labeled_teacher_probabilities` is (L, C).
        ce_probabilities: Softmax of the student's CE head, (N, C) or None; `labeled_ce_probabilities` is (L, C).
        kd_probabilities: Softmax of the student's KD head, (N, C) or None; `labeled_kd_probabilities` is (L, C).
        round: Which round asks; errors name it.
    """

    ids: Tensor
    probabilities: Tensor
    features: Tensor
    labeled_ids: Tensor
    labeled_labels: Tensor
    labeled_probabilities: Tensor
    labeled_features: Tensor
    teacher_probabilities: Tensor | None = None
    ce_probabilities: Tensor | None = None
    kd_probabilities: Tensor | None = None
    labeled_teacher_probabilities: Tensor | None = None
    labeled_ce_probabilities: Tensor | None = None
    labeled_kd_probabilities: Tensor | None = None
    round: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self)[:-1]:
            value = getattr(self, field.name)
            if value is not None or field.default is not None:
                object.__setattr__(self, field.name, as_tensor(value, f"PoolView.{field.name}", PoolError))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def num_classes(self) -> int:
        """C, the width of `probabilities`."""
        return int(self.probabilities.shape[1])

    @checked()
    def validate(self, selector: str = "a selector") -> None:
        """Raise PoolError for misfitting shapes, ids or probabilities, NonFiniteError for NaN; takes O(N) memory.

        The message names `selector`, the round and the first ids concerned.
        """
        where = f"Selector {selector!r}" + ("" if self.round is None else f" in round {self.round}")
        _check_ids(self, where)
        for field in PROBABILITIES:
            _check_pair(self, field, self.probabilities.shape[-1:], where)
            _check_probabilities(getattr(self, field), self.ids, field, where)
            _check_probabilities(getattr(self, f"labeled_{field}"), self.labeled_ids, f"labeled_{field}", where)
        _check_pair(self, "features", self.features.shape[-1:], where)
        _check_finite(self.features, self.ids, "features", where)
        _check_finite(self.labeled_features, self.labeled_ids, "labeled_features", where)
        _check_labels(self, where)

    def need(self, field: str, selector: str, why: str) -> Tensor:
        """Return an optional tensor, or raise SettingError naming the `field` that the caller left out."""
        value: Tensor | None = getattr(self, field)
        if value is None:
            raise SettingError(f"Selector {selector!r} needs PoolView.{field} {why}, but it is None; fill it in.")
        return value


def name_ids(ids: Tensor, which: Tensor | None = None, shown: int = 5) -> str:
    """Write the first few ids, of those that `which` marks, for a message: `ids 3, 8, 12 and 40 more`."""
    ids = ids if which is None else ids[which.to(ids.device)]
    first = ", ".join(str(int(i)) for i in ids[:shown])
    more = f" and {len(ids) - shown} more" if len(ids) > shown else ""
    return f"{'ids' if len(ids) > 1 else 'id'} {first}{more}"


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
                f"{where} expected each id once in {field}, but {name_ids(ids, counts > 1)} came repeatedly."
            )
    both = view.ids[torch.isin(view.ids, view.labeled_ids.to(view.ids.device))]
    if len(both):
        raise PoolError(f"{where} got {name_ids(both)} as unlabelled and as labelled; take them out of the pool ids.")


def _check_pair(view: PoolView, field: str, width: tuple[int, ...], where: str) -> None:
    """Check that (N, width) and (L, width), on one device, are what `field` and its labelled counterpart hold."""
    for name, rows in ((field, len(view.ids)), (f"labeled_{field}", len(view.labeled_ids))):
        value = getattr(view, name)
        if value is None:
            continue
        if value.ndim != 2 or tuple(value.shape) != (rows, *width) or value.dtype not in FLOATS:
            raise PoolError(
                f"{where} expected {name} as a ({rows}, {width[0] if width else 'D'}) floating tensor, a row an id and "
                f"the pool's width, but got {value.dtype} {tuple(value.shape)}."
            )
        if value.device != view.probabilities.device:
            raise PoolError(
                f"{where} expected {name} on {view.probabilities.device} as the probabilities, but got {value.device}; "
                "move it there."
            )


def _check_finite(values: Tensor, ids: Tensor, field: str, where: str) -> None:
    if values.numel() == 0:
        return
    bad = ~(values.amin(1).isfinite() & values.amax(1).isfinite())
    if bad.any():
        raise NonFiniteError(f"{where} got NaN or infinity in {field} at {name_ids(ids, bad)}; stop and look there.")


def _check_probabilities(values: Tensor | None, ids: Tensor, field: str, where: str) -> None:
    if values is None or values.numel() == 0:
        return
    _check_finite(values, ids, field, where)
    negative = values.amin(1) < 0
    if negative.any():
        raise PoolError(
            f"{where} expected {field} in [0, 1], but {name_ids(ids, negative)} hold negative values; pass "
            "probabilities, not logits."
        )
    sums = values.sum(1, dtype=torch.float32)
    off = (sums - 1).abs() > SUM_TOLERANCE.get(values.dtype, 2e-3)
    if off.any():
        raise PoolError(
            f"{where} expected rows of {field} to sum to 1, but {name_ids(ids, off)} sum to {float(sums[off][0]):.4g} "
            "at first; normalise them."
        )


def _check_labels(view: PoolView, where: str) -> None:
    labels, count = view.labeled_labels, view.num_classes
    if len(labels) != len(view.labeled_ids):
        raise PoolError(f"{where} expected {len(view.labeled_ids)} labeled_labels, one an id, but got {len(labels)}.")
    outside = (labels < 0) | (labels >= count)
    if outside.any():
        raise PoolError(
            f"{where} expected labeled_labels in [0, {count}), but {name_ids(view.labeled_ids, outside)} lie outside."
        )
