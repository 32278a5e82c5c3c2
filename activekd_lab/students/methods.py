"""What a student learns from, by name: `RunConfig.method`. A method is a function of the two heads' outputs.

`method(labeled, labels, teacher_labeled, unlabeled, teacher_unlabeled, *, settings …)` returns the loss of a step:

- `labeled`, `unlabeled`: `StudentOutput`s of both batches, (b, C) and (u, C) logits of two heads, and features;
- `labels`: (b,) int64;
- `teacher_labeled`, `teacher_unlabeled`: (b, C) and (u, C) teacher *logits* of the same views; `.softmax(1)` are its
  probabilities;
- keywords: the settings of a run that it uses, out of `SETTINGS`, by their names. Others are refused beside it.

It returns a scalar, or a `DHOLoss` that holds the parts too. `conformance.check_method` tests one of your own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from activekd_lab.errors import SettingError
from activekd_lab.io.arguments import unchecked
from activekd_lab.selectors.parts import Part, Registry
from activekd_lab.students.images import check_batch
from activekd_lab.students.losses import DHOLoss, dho_loss, label_loss, teacher_loss
from activekd_lab.students.student import StudentOutput

SETTINGS = ("temperature", "ce_share", "loss_weights")
"""What a method may ask for by keyword: these fields of `RunConfig`."""

_OF_TWO_HEADS = ("ce_weight", "kd_temperature", "query_mix", "language_start", "validation_labels")
_OF_THE_TEACHER = ("batch_unlabeled", "passes", "teacher_views", "text_average", "few_shot", "view_size")

MethodFunction = Callable[..., Tensor | DHOLoss]


@dataclass(frozen=True, slots=True)
class Method(Part):
    """A named loss: call it as its function is called, and get a checked `DHOLoss`.

    Attributes:
        two_heads: Whether the student has a head for the labels and one for the teacher, or one for both.
        distills: Whether it uses the teacher and the unlabelled batch; without, neither is computed.
    """

    two_heads: bool = True
    distills: bool = True

    @property
    def settings(self) -> tuple[str, ...]:
        """Those of `SETTINGS` that the function names as keywords; SettingError if it cannot be called as a method."""
        look = _settings if isinstance(self.function, Hashable) else _settings.__wrapped__
        return look(self.function, self.name)

    def uses(self, field: str) -> bool:
        """Return whether a field of `RunConfig` means anything to this method."""
        if field in SETTINGS:
            return field in self.settings
        return (self.two_heads or field not in _OF_TWO_HEADS) and (self.distills or field not in _OF_THE_TEACHER)

    def __call__(
        self,
        labeled: StudentOutput,
        labels: Tensor,
        teacher_labeled: Tensor,
        unlabeled: StudentOutput,
        teacher_unlabeled: Tensor,
        **settings: Any,
    ) -> DHOLoss:
        """Return the loss of a step; its parts are NaN where the function returns a scalar.

        Raises:
            SettingError: tensors of shapes that do not fit, or an answer that is no scalar to differentiate.
        """
        check_batch(f"Method {self.name!r}", labeled, labels, teacher_labeled)
        if self.distills:
            check_batch(f"Method {self.name!r}", unlabeled, None, teacher_unlabeled)
        loss = self.function(labeled, labels, teacher_labeled, unlabeled, teacher_unlabeled, **settings)
        total = loss.total if isinstance(loss, DHOLoss) else loss
        real = isinstance(total, Tensor) and total.ndim == 0 and total.is_floating_point()
        if not real or (torch.is_grad_enabled() and not total.requires_grad):
            got = f"{total.dtype} {tuple(total.shape)}" if isinstance(total, Tensor) else type(total).__name__
            raise SettingError(
                f"Method {self.name!r} must return a scalar that has a gradient, or a DHOLoss, but returned {got}; "
                "correct the method."
            )
        return loss if isinstance(loss, DHOLoss) else DHOLoss(total, *[total.detach().new_tensor(torch.nan)] * 3)


@cache
def _settings(function: MethodFunction, name: str) -> tuple[str, ...]:
    try:
        signature = inspect.signature(function)
        named = [p.name for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY and p.name in SETTINGS]
        signature.bind(*[None] * 5, **dict.fromkeys(named))
    except (TypeError, ValueError) as reason:
        raise SettingError(
            f"Expected method {name!r} as a function (labeled, labels, teacher_labeled, unlabeled, "
            f"teacher_unlabeled, *, settings out of {', '.join(SETTINGS)}), but it cannot be called so: {reason}."
        ) from None
    return tuple(named)


METHODS = Registry("method", Method)


def register(
    name: str, *, help: str, citation: str, two_heads: bool = True, distills: bool = True
) -> Callable[[MethodFunction], MethodFunction]:
    """Enter the decorated function in the registry under `name`; the function itself is returned unchanged."""

    def enter(function: MethodFunction) -> MethodFunction:
        METHODS.enter(Method(name, help, citation, function, two_heads, distills))
        return function

    return enter


def find_method(method: str | Method | MethodFunction) -> Method:
    """Return the Method behind a registered name, a plain function, or a Method itself.

    Raises:
        UnknownNameError: No method of that name. SettingError: What is neither.
    """
    return METHODS.find(method)


def list_methods() -> list[Method]:
    """Return every method, by name: the package's own and those installed under `activekd_lab.methods`."""
    return METHODS.all()


_DHO = "DHO 2025, arXiv:2505.07675"
register("dho", help="Two heads: labels teach one, the teacher the other.", citation=_DHO)(unchecked(dho_loss))
register(
    "single_head",
    help="Labels and teacher both teach one head.",
    citation="Hinton et al. 2015, arXiv:1503.02531",
    two_heads=False,
)(unchecked(dho_loss))
register(
    "ce",
    help="Labels alone, by cross-entropy; no teacher.",
    citation="the baseline without distillation",
    two_heads=False,
    distills=False,
)(unchecked(label_loss))
register(
    "kd",
    help="The teacher alone; labels count as images only.",
    citation="Hinton et al. 2015, arXiv:1503.02531",
    two_heads=False,
)(unchecked(teacher_loss))
