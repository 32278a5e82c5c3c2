"""Where the batches of a training come from: cached features, fresh crops, or crops that the teacher saw once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from activekd_lab.active.views import CachedViews
from activekd_lab.data.task import Split
from activekd_lab.data.views import random_resized_crop
from activekd_lab.students.student import DualHeadStudent, StudentOutput
from activekd_lab.teachers.clip import Teacher
from activekd_lab.teachers.zero_shot import TeacherHead


class WholeStudent:
    """Inputs that are pictures: the whole student runs on them."""

    def forward(self, student: DualHeadStudent, inputs: Tensor) -> StudentOutput:
        """Run backbone, projection and heads."""
        output: StudentOutput = student(inputs)
        return output


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
class ViewInputs(WholeStudent):
    """One random crop an image and step, cut at `size` and seen by student and teacher at their own sizes."""

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


@dataclass(frozen=True)
class PlainInputs(WholeStudent):
    """One random crop an image for the student, beside what a teacher without eyes says of the whole image."""

    split: Split
    teacher_logits: Tensor
    size: int
    flip: bool = True

    def batch(self, ids: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Cut the student's views and look the teacher's logits up."""
        images = self.split.images[ids].to(self.teacher_logits.device, non_blocking=True)
        views = random_resized_crop(images, self.size, generator=generator, flip=self.flip)
        return views, self.teacher_logits[ids]


@dataclass(frozen=True, eq=False)
class CachedViewInputs(WholeStudent):
    """Training batches from cached views: the student sees a crop, the teacher's embedding of it is looked up."""

    views: CachedViews
    head: TeacherHead
    device: torch.device

    def batch(self, ids: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Pick one of the K crops of each id; return its pixels and the (B, C) teacher logits of the same crop."""
        which = torch.randint(len(self.views.embeddings), (len(ids),), generator=generator)
        with torch.no_grad():
            logits = self.head.logits(self.views.embeddings[which, ids].to(self.device))
        return self.views.pixels(ids, which, self.device), logits
