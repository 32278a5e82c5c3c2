"""The optimizer step of a training: gradients over all processes, clipping, AdamW, learning rate, moving average."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from activekd_lab.students.options import WeightAverage, average_over_processes
from activekd_lab.students.schedule import rate_at
from activekd_lab.students.student import DualHeadStudent

if TYPE_CHECKING:
    from accelerate import Accelerator

    from activekd_lab.students.training import TrainingPlan


class Update:
    """Turns a loss into new weights, as a `TrainingPlan` says."""

    def __init__(self, student: DualHeadStudent, plan: TrainingPlan, accelerator: Accelerator | None) -> None:
        self.weights = [p for p in student.parameters() if p.requires_grad]
        self.device, self.clip_norm, self.accelerator = self.weights[0].device, plan.clip_norm, accelerator
        self.optimizer = torch.optim.AdamW(
            self.weights, lr=plan.learning_rate, weight_decay=plan.weight_decay, fused=self.device.type != "mps"
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer,
            lambda step: rate_at(step, plan.steps, plan.warmup, schedule=plan.schedule, warmup_steps=plan.warmup_steps),
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
