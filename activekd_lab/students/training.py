"""Train a student by DHO (arXiv:2505.07675): a step, and the fit that repeats it over labelled and other ids.

`Inputs` hide where a batch comes from: cached features of a frozen backbone, or fresh crops that student and teacher
see alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from activekd_lab.errors import Cancelled, NonFiniteError
from activekd_lab.io.arguments import checked, unchecked
from activekd_lab.students.draws import pairs
from activekd_lab.students.losses import DHOLoss
from activekd_lab.students.methods import Method, find_method
from activekd_lab.students.options import check_shares, deterministic_algorithms, drawn_batch, label_table, own_share
from activekd_lab.students.student import DualHeadStudent, StudentOutput
from activekd_lab.students.update import Update

if TYPE_CHECKING:
    import pandas as pd
    from accelerate import Accelerator

Precision = Literal["float32", "bfloat16"]


@checked(
    steps=">= 1", batch_labeled=">= 1", batch_unlabeled=">= 1", learning_rate="> 0", weight_decay=">= 0", ema="0 … 1",
    warmup="0 … 1", warmup_steps=">= 1", temperature="0.001 … 1000", ce_share="0 … 1", clip_norm="> 0",
)  # fmt: skip
@dataclass(frozen=True)
class TrainingPlan:
    """Length, batches and optimizer of one training. Names and defaults as in `RunConfig`."""

    steps: int = 200
    batch_labeled: int = 64
    batch_unlabeled: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    warmup: float = 0.1
    temperature: float = 2.0
    ce_share: float = 0.5
    method: Method = field(default_factory=lambda: find_method("dho"))  # without distillation no unlabelled batch
    precision: Precision = "float32"  # of the forward pass; weights stay float32
    clip_norm: float | None = None  # largest norm of the whole gradient
    ema: float | None = None  # decay of the averaged weights that are kept at the end
    deterministic: bool = False
    schedule: str = "linear"  # of the learning rate, see `schedule.rate_at`
    warmup_steps: int | None = None  # instead of a share
    labeled_draw: str = "cycle"  # see `draws.pairs`
    separate: bool = False  # a forward pass each for labelled and other images, so batch norm sees them apart
    loss_weights: tuple[float, float, float] | None = None  # of CE and both KD terms, instead of ce_share


class History(NamedTuple):
    """What happened in each step of a training.

    Attributes:
        loss, ce, kd: the total, its label part and its distillation part (labelled and unlabelled together; 0 without
            distillation), unweighted; NaN where a method of one's own returns the total alone.
        learning_rate: of that step.
        mixing: ce_weight and kd_temperature of the epoch that was kept, where one was chosen (`RunConfig.choose_on`).
    """

    loss: list[float]
    ce: list[float]
    kd: list[float]
    learning_rate: list[float]
    mixing: dict[str, float] | None = None

    @property
    def final_loss(self) -> float:
        """The mean total loss of the last tenth of the steps."""
        tail = self.loss[-max(1, len(self.loss) // 10) :]
        return sum(tail) / len(tail)

    def frame(self) -> pd.DataFrame:
        """Return a pandas table, a row a step."""
        import pandas as pd  # noqa: PLC0415  (slow import)

        return pd.DataFrame(dict(zip(self._fields[:4], self, strict=False))).rename_axis("step")


class Inputs(Protocol):
    """Batches by id."""

    def batch(self, ids: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the student's input and the (B, C) teacher logits of the same views."""
        ...

    def forward(self, student: DualHeadStudent, inputs: Tensor) -> StudentOutput:
        """Run the part of the student that trains."""
        ...


@checked(labeled_ids="(L,) integers", labels="(L,) integers", unlabeled_ids="(U,) integers")
def fit(
    student: DualHeadStudent,
    inputs: Inputs,
    labeled_ids: Tensor,
    labels: Tensor,
    unlabeled_ids: Tensor,
    plan: TrainingPlan,
    *,
    generator: torch.Generator,
    on_loss: Callable[[int, DHOLoss], None] | None = None,
    after_step: Callable[[int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
    accelerator: Accelerator | None = None,
) -> History:
    """Train `student` in place and return what happened in every step; the last weights stay, or their `ema`.

    Args:
        student: on the device of `inputs`.
        inputs: where batches come from.
        labeled_ids: (L,) ids with labels.
        labels: (L,) int64 labels of `labeled_ids`.
        unlabeled_ids: (U,) ids without; not used by a plan without distillation.
        plan: length, batches, optimizer.
        generator: order of the batches and their crops.
        on_loss: called with step and loss before each backward pass (see `conflict.ConflictLog`).
        after_step: called with the number of steps taken, after each.
        cancel: asked before each step; True stops the training.
        accelerator: accelerate's, where several processes share every batch (`options.make_accelerator`).

    Raises:
        NonFiniteError: the loss is NaN or infinite; the message names step, learning rate and ids.
        SettingError: a batch that the processes cannot share evenly, or a warm-up as long as the training.
        Cancelled: `cancel` said so.
    """
    check_shares(plan, accelerator)
    label_of = label_table(labeled_ids, labels)
    pool = unlabeled_ids if len(unlabeled_ids) else labeled_ids  # a used-up pool still holds the labelled images
    batches = plan.batch_labeled, plan.batch_unlabeled if plan.method.distills else 0
    drawn = pairs(labeled_ids, pool, batches, generator, plan.labeled_draw)
    update = Update(student, plan, accelerator)
    losses, rates = list[Tensor](), list[float]()  # a step: (3,) total, CE, KD; the learning rate
    student.train()
    with deterministic_algorithms(plan.deterministic):
        for index in range(plan.steps):
            if cancel is not None and cancel():
                raise Cancelled(f"Training was cancelled at step {index} of {plan.steps}.")
            known, unknown = (own_share(ids, accelerator) for ids in next(drawn))  # (b,), (u,)
            ids = torch.cat([known, unknown])
            loss = unchecked(step)(student, inputs, ids, label_of[known].to(update.device), plan, generator)
            if on_loss is not None:
                on_loss(index, loss)
            rates.append(update(loss.total))
            losses.append(torch.stack([loss.total, loss.ce, loss.kd_labeled + loss.kd_unlabeled]).detach())
            if index % 50 == 49 or index == plan.steps - 1:
                _refuse_non_finite(losses, index, rates, ids)
            if after_step is not None:
                after_step(index + 1)
    update.finish()
    total, ce, kd = torch.stack(losses).T.tolist()
    return History(total, ce, kd, rates)


@checked(ids="(B,) integers", labels="(L,) integers")
def step(
    student: DualHeadStudent,
    inputs: Inputs,
    ids: Tensor,
    labels: Tensor,
    plan: TrainingPlan,
    generator: torch.Generator,
) -> DHOLoss:
    """Return the loss of one batch, whose first b = len(labels) ids are labelled."""
    b = len(labels)
    x, teacher_logits = drawn_batch(inputs, ids, b, generator)  # (b + u, …), (b + u, C)
    with torch.autocast(labels.device.type, torch.bfloat16, enabled=plan.precision == "bfloat16"):
        if plan.separate and plan.method.distills:
            labeled, unlabeled = inputs.forward(student, x[:b]), inputs.forward(student, x[b:])
        else:
            output = inputs.forward(student, x)
            labeled, unlabeled = output[:b], output[b:]
        settings = {name: getattr(plan, name) for name in plan.method.settings}
        return plan.method(labeled, labels, teacher_logits[:b], unlabeled, teacher_logits[b:], **settings)


def _refuse_non_finite(losses: list[Tensor], last: int, rates: list[float], ids: Tensor) -> None:
    total = torch.stack(losses)[:, 0]
    if not bool(total.isfinite().all()):
        bad = int((~total.isfinite()).nonzero()[0])
        raise NonFiniteError(
            f"The training loss became {float(total[bad])} at step {bad} (seen at step {last}, learning rate "
            f"{rates[bad]:.2g}, last ids {ids[:5].tolist()} …); lower learning_rate."
        )
