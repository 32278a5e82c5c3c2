"""Train a student: step, epoch-free fit over labelled and unlabelled ids, and batched prediction.

`Inputs` hide where a batch comes from: cached features of a frozen backbone, or fresh crops that student and teacher
see alike. The training step is one forward and one backward over labelled and unlabelled images together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from activekd_lab.data.task import Split
from activekd_lab.data.views import random_resized_crop
from activekd_lab.errors import Cancelled, NonFiniteError
from activekd_lab.fewshot import warmup_decay
from activekd_lab.losses import DHOLoss, dho_loss, label_loss
from activekd_lab.student import DualHeadStudent, StudentOutput
from activekd_lab.teacher import Teacher, TeacherHead
from activekd_lab.training_options import (
    WeightAverage,
    average_over_processes,
    check_share,
    deterministic_algorithms,
    own_share,
)

if TYPE_CHECKING:
    import pandas as pd
    from accelerate import Accelerator

Precision = Literal["float32", "bfloat16"]


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
    distill: bool = True  # False: labels only, no unlabelled batch
    precision: Precision = "float32"  # of the forward pass; weights stay float32
    clip_norm: float | None = None  # largest norm of the whole gradient
    ema: float | None = None  # decay of the averaged weights that are kept at the end
    deterministic: bool = False


class History(NamedTuple):
    """What happened in each step of a training.

    Attributes:
        loss, ce, kd: the total, its label part and its distillation part (labelled and unlabelled together; 0 without
            distillation), unweighted.
        learning_rate: of that step.
    """

    loss: list[float]
    ce: list[float]
    kd: list[float]
    learning_rate: list[float]

    @property
    def final_loss(self) -> float:
        """The mean total loss of the last tenth of the steps."""
        tail = self.loss[-max(1, len(self.loss) // 10) :]
        return sum(tail) / len(tail)

    def frame(self) -> pd.DataFrame:
        """Return a pandas table, a row a step."""
        import pandas as pd  # noqa: PLC0415  (slow import)

        return pd.DataFrame(self._asdict()).rename_axis("step")


class Inputs(Protocol):
    """Batches by id."""

    def batch(self, ids: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the student's input and the (B, C) teacher logits of the same views."""
        ...

    def forward(self, student: DualHeadStudent, inputs: Tensor) -> StudentOutput:
        """Run the part of the student that trains."""
        ...


@dataclass(frozen=True)
class FrozenInputs:
    """Cached backbone features (N, F) and teacher logits (N, C) of one split."""

    features: Tensor
    teacher_logits: Tensor

    def batch(self, ids: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return rows of both caches."""
        return self.features[ids], self.teacher_logits[ids]

    def forward(self, student: DualHeadStudent, inputs: Tensor) -> StudentOutput:
        """Run the projection and the heads."""
        return student.heads(inputs)


@dataclass(frozen=True)
class ViewInputs:
    """One random crop an image and step, seen by student and teacher at their own sizes."""

    split: Split
    teacher: Teacher
    head: TeacherHead
    device: torch.device
    size: int
    flip: bool = True

    def batch(self, ids: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Cut the views and ask the teacher about them."""
        images = self.split.images[ids].to(self.device, non_blocking=True)
        views = random_resized_crop(images, self.size, generator=generator, flip=self.flip)
        with torch.no_grad():
            logits = self.head.logits(self.teacher.encode_views(views))
        return views, logits

    def forward(self, student: DualHeadStudent, inputs: Tensor) -> StudentOutput:
        """Run the whole student."""
        output: StudentOutput = student(inputs)
        return output


class _Cycle:
    """Endless batches of ids: every id once before any id twice."""

    def __init__(self, ids: Tensor, batch: int, generator: torch.Generator) -> None:
        self.ids, self.batch, self.generator = ids, batch, generator
        self.queue = ids[:0]

    def next(self) -> Tensor:
        while len(self.queue) < self.batch:
            self.queue = torch.cat([self.queue, self.ids[torch.randperm(len(self.ids), generator=self.generator)]])
        taken, self.queue = self.queue[: self.batch], self.queue[self.batch :]
        return taken


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
    cancel: Callable[[], bool] | None = None,
    accelerator: Accelerator | None = None,
) -> History:
    """Train `student` in place and return what happened in every step.

    AdamW, linear warm-up, linear decay; the last weights are kept (arXiv:2506.00910, released code), or their moving
    average with `plan.ema`.

    Args:
        student: on the device of `inputs`.
        inputs: where batches come from.
        labeled_ids: (L,) ids with labels.
        labels: (L,) int64 labels of `labeled_ids`.
        unlabeled_ids: (U,) ids without; not used by a plan without distillation.
        plan: length, batches, optimizer.
        generator: order of the batches and their crops.
        on_loss: called with the step and its loss, before the backward pass (see `gradients.ConflictLog`).
        cancel: asked before each step; True stops the training.
        accelerator: accelerate's, where several processes share every batch (`training_options.make_accelerator`).

    Raises:
        NonFiniteError: the loss is NaN or infinite; the message names step, learning rate and ids.
        SettingError: a batch that the processes cannot share evenly.
        Cancelled: `cancel` said so.
    """
    check_share(plan.batch_labeled, "batch_labeled", accelerator)
    if plan.distill:
        check_share(plan.batch_unlabeled, "batch_unlabeled", accelerator)
    label_of = torch.full((int(labeled_ids.max()) + 1,), -1, dtype=torch.int64)
    label_of[labeled_ids] = labels
    labeled = _Cycle(labeled_ids, plan.batch_labeled, generator)
    pool = unlabeled_ids if len(unlabeled_ids) else labeled_ids  # a used-up pool still holds the labelled images
    unlabeled = _Cycle(pool, plan.batch_unlabeled if plan.distill else 0, generator)
    update = _Update(student, plan, accelerator)
    losses: list[Tensor] = []  # (3,) a step: total, CE, KD
    rates: list[float] = []
    student.train()
    with deterministic_algorithms(plan.deterministic):
        for index in range(plan.steps):
            if cancel is not None and cancel():
                raise Cancelled(f"Training was cancelled at step {index} of {plan.steps}.")
            known, unknown = own_share(labeled.next(), accelerator), own_share(unlabeled.next(), accelerator)
            ids = torch.cat([known, unknown])
            loss = step(student, inputs, ids, label_of[known].to(update.device), plan, generator)
            if on_loss is not None:
                on_loss(index, loss)
            rates.append(update(loss.total))
            losses.append(torch.stack([loss.total, loss.ce, loss.kd_labeled + loss.kd_unlabeled]).detach())
            if index % 50 == 49 or index == plan.steps - 1:
                _refuse_non_finite(losses, index, rates, ids)
    update.finish()
    total, ce, kd = torch.stack(losses).T.tolist()
    return History(total, ce, kd, rates)


class _Update:
    """Turns a loss into new weights: gradients over all processes, clipping, AdamW, schedule, moving average."""

    def __init__(self, student: DualHeadStudent, plan: TrainingPlan, accelerator: Accelerator | None) -> None:
        self.weights = [p for p in student.parameters() if p.requires_grad]
        self.device, self.clip_norm, self.accelerator = self.weights[0].device, plan.clip_norm, accelerator
        self.optimizer = torch.optim.AdamW(
            self.weights, lr=plan.learning_rate, weight_decay=plan.weight_decay, fused=self.device.type != "mps"
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: warmup_decay(step, plan.steps, plan.warmup)
        )
        fixed = "backbone." if student.freeze_backbone else ()
        buffers = [b for name, b in student.named_buffers() if not name.startswith(fixed)]
        self.statistics = [b for b in buffers if b.is_floating_point()]  # of batches; averaged as the weights are
        self.average = WeightAverage([*self.weights, *self.statistics], plan.ema) if plan.ema is not None else None

    def __call__(self, loss: Tensor) -> float:
        """Take one step and return the learning rate it had."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        average_over_processes([w.grad for w in self.weights if w.grad is not None], self.accelerator)
        if self.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.weights, self.clip_norm)
        rate = float(self.schedule.get_last_lr()[0])
        self.optimizer.step()
        self.schedule.step()
        if self.average is not None:
            self.average.update()
        return rate

    def finish(self) -> None:
        """Leave the averaged weights in place of the last ones, where the plan asks for it, equal in all processes."""
        if self.average is not None:
            self.average.apply()
        average_over_processes(self.statistics, self.accelerator)


def step(
    student: DualHeadStudent,
    inputs: Inputs,
    ids: Tensor,
    labels: Tensor,
    plan: TrainingPlan,
    generator: torch.Generator,
) -> DHOLoss:
    """Return the loss of one batch: the first len(labels) ids are labelled, one forward pass serves both parts."""
    x, teacher_logits = inputs.batch(ids, generator)
    with torch.autocast(labels.device.type, torch.bfloat16, enabled=plan.precision == "bfloat16"):
        output = inputs.forward(student, x)
        L = len(labels)
        if not plan.distill:
            return label_loss(output[:L], labels)
        return dho_loss(
            output[:L],
            labels,
            teacher_logits[:L],
            output[L:],
            teacher_logits[L:],
            temperature=plan.temperature,
            ce_share=plan.ce_share,
        )


def _refuse_non_finite(losses: list[Tensor], last: int, rates: list[float], ids: Tensor) -> None:
    total = torch.stack(losses)[:, 0]
    if not bool(total.isfinite().all()):
        bad = int((~total.isfinite()).nonzero()[0])
        raise NonFiniteError(
            f"The training loss became {float(total[bad])} at step {bad} (seen at step {last}, learning rate "
            f"{rates[bad]:.2g}, last ids {ids[:5].tolist()} …); lower learning_rate."
        )


@torch.inference_mode()
def predict(
    student: DualHeadStudent,
    split: Split,
    *,
    batch: int = 512,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> StudentOutput:
    """Return the student's output on every image of a split, without augmentation, on the CPU.

    `progress` is called with (done, total) after each batch.
    """
    student.eval()
    device = next(student.ce_head.parameters()).device

    def outputs() -> Iterator[StudentOutput]:
        for i, images in enumerate(split.images.split(batch)):
            yield _to_cpu(student(images.to(device)))
            progress(i * batch + len(images), len(split))

    return StudentOutput.cat(outputs())


@torch.inference_mode()
def predict_features(student: DualHeadStudent, features: Tensor) -> StudentOutput:
    """Return the student's output on (N, F) cached backbone features, on the CPU."""
    student.eval()
    return _to_cpu(student.heads(features))


def _to_cpu(output: StudentOutput) -> StudentOutput:
    ce = output.ce_logits.cpu()
    return StudentOutput(
        ce, ce if output.kd_logits is output.ce_logits else output.kd_logits.cpu(), output.features.cpu()
    )
