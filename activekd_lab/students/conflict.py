"""Do the two losses pull the shared layers apart? Cosines between their gradients (arXiv:2505.07675)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from activekd_lab.errors import SettingError
from activekd_lab.io.arguments import checked
from activekd_lab.students.losses import DHOLoss
from activekd_lab.students.student import DualHeadStudent


@checked()
def gradient_conflict(student: DualHeadStudent, loss: DHOLoss) -> dict[str, float]:
    """Return the cosine between ∂CE/∂θ and ∂KD/∂θ over the shared layers, for all of them ("all") and by group.

    Call it between the forward pass and `loss.total.backward()`; the graph is kept. A negative cosine means that a
    step along one gradient raises the other loss. The KD loss is the sum of its labelled and unlabelled parts.

    Args:
        student: the network that produced the loss; its heads are left out, since each belongs to one loss.
        loss: a `DHOLoss` with distillation.

    Raises:
        SettingError: a loss without those two parts, of labels alone or of a method that returns its total alone.
    """
    if not (loss.ce.requires_grad and loss.kd_labeled.requires_grad):
        raise SettingError("A gradient conflict needs a loss with CE and KD, as DHOLoss holds them; use method='dho'.")
    shared = {name: p for name, p in student.named_parameters() if p.requires_grad and "_head" not in name}
    values = list(shared.values())
    ce = torch.autograd.grad(loss.ce, values, retain_graph=True, allow_unused=True)
    kd = torch.autograd.grad(loss.kd_labeled + loss.kd_unlabeled, values, retain_graph=True, allow_unused=True)
    pairs: dict[str, list[tuple[Tensor, Tensor]]] = {"all": []}
    for name, a, b in zip(shared, ce, kd, strict=True):
        if a is not None and b is not None:
            pairs["all"].append((a, b))
            pairs.setdefault(_group(name), []).append((a, b))
    return {group: _cosine(found) for group, found in pairs.items() if found}


def _group(name: str) -> str:
    """Return a parameter's layer group: the part below `backbone.body`, with the number of its block."""
    parts = name.removeprefix("backbone.body.").split(".")
    return ".".join(parts[:2]) if len(parts) > 2 and parts[1].isdigit() else parts[0]


def _cosine(pairs: list[tuple[Tensor, Tensor]]) -> float:
    dot, left, right = (
        sum(float((x.float() * y.float()).sum()) for x, y in products)
        for products in (pairs, [(a, a) for a, _ in pairs], [(b, b) for _, b in pairs])
    )
    return float(dot / max((left * right) ** 0.5, 1e-20))


@checked(every=">= 1")
@dataclass
class ConflictLog:
    """Collects `gradient_conflict` every `every` steps; pass its `on_loss` to `active.rounds.train_student`.

    Attributes:
        steps: at which it was measured.
        cosines: by layer group, one value a measured step.
    """

    every: int = 10
    steps: list[int] = field(default_factory=list)
    cosines: dict[str, list[float]] = field(default_factory=dict)

    @checked()
    def on_loss(self, student: DualHeadStudent, step: int, loss: DHOLoss) -> None:
        """Measure the student at this step, before its backward pass."""
        if step % self.every:
            return
        self.steps.append(step)
        for group, value in gradient_conflict(student, loss).items():
            self.cosines.setdefault(group, []).append(value)
