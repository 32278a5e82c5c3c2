"""What every round of a run shares: task, teacher outputs, features, and the students that start from them."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor

from activekd_lab.active.frozen import FrozenBackbone, changed
from activekd_lab.active.inputs import CachedViewInputs, FrozenInputs, PlainInputs, ViewInputs
from activekd_lab.active.predict import predict, predict_features
from activekd_lab.config import ResolvedConfig
from activekd_lab.data import Task
from activekd_lab.data.views import random_resized_crop
from activekd_lab.errors import SettingError
from activekd_lab.io.arguments import checked
from activekd_lab.progress import Count
from activekd_lab.students.backbones import Backbone
from activekd_lab.students.methods import Method
from activekd_lab.students.student import DualHeadStudent, StudentOutput
from activekd_lab.students.towers import model_fingerprint
from activekd_lab.students.training import Inputs
from activekd_lab.teachers.clip import Average, Teacher, load_teacher, local_files
from activekd_lab.teachers.few_shot import few_shot
from activekd_lab.teachers.given import GivenTeacher, load_given
from activekd_lab.teachers.released import released
from activekd_lab.teachers.zero_shot import TeacherHead, ZeroShotHead


@dataclass(frozen=True, eq=False)
class Taught:
    """A teacher, and what it says of a task.

    Attributes:
        teacher: who says it.
        zero_shot: its head before it has seen a label.
        embeddings: (N, D) of the training split, what a few-shot teacher is fitted on.
        probabilities: (N, C) of the training split, zero-shot unless `Prepared.with_labels` refit them.
        accuracy: zero-shot on the test split, a fraction.
    """

    teacher: Teacher | GivenTeacher
    zero_shot: ZeroShotHead
    embeddings: Tensor
    probabilities: Tensor
    accuracy: float


@dataclass(frozen=True, eq=False)
class Prepared:
    """The parts of a run that do not change from round to round.

    Attributes:
        config: the settings that they were prepared for.
        taught: the teacher and what it says; None where the run asks none, see `prepare`. Its parts are attributes
            here too: `teacher`, `zero_shot`, `embeddings`, `teacher_probabilities`, `teacher_accuracy`.
        features: train and test backbone features if the backbone is frozen, else None.
        frozen: what computed them, else None.
        own: a network that was handed over and trains, as every round starts from it, else None.
        backbone_fingerprint: a hash of the weights that every student starts from; None where a name alone says them.
        inputs: where training batches come from.
        method: what the student learns from.
    """

    config: ResolvedConfig
    task: Task
    taught: Taught | None
    device: torch.device
    features: tuple[Tensor, Tensor] | None
    frozen: FrozenBackbone | None
    own: Backbone | None
    backbone_fingerprint: str | None
    inputs: Inputs
    method: Method

    @property
    def content(self) -> dict[str, str | None]:
        """The fingerprints of task, teacher and backbone."""
        teacher = self.taught.teacher.identity if self.taught else None
        return {"task": self.task.fingerprint, "teacher": teacher, "backbone": self.backbone_fingerprint}

    @property
    def teacher(self) -> Teacher | GivenTeacher:
        """The teacher."""
        return self._asked.teacher

    @property
    def zero_shot(self) -> ZeroShotHead:
        """The teacher's head before it has seen a label."""
        return self._asked.zero_shot

    @property
    def embeddings(self) -> Tensor:
        """(N, D) of the training split."""
        return self._asked.embeddings

    @property
    def teacher_probabilities(self) -> Tensor:
        """(N, C) of the training split."""
        return self._asked.probabilities

    @property
    def teacher_accuracy(self) -> float | None:
        """Zero-shot on the test split, a fraction; None where no teacher was asked."""
        return None if self.taught is None else self.taught.accuracy

    @property
    def _asked(self) -> Taught:
        if self.taught is None:
            raise SettingError(
                f"No teacher was asked, since method={self.method.name!r} learns from labels alone; prepare with "
                "ask=True to have its outputs all the same."
            )
        return self.taught

    @checked()
    def new_student(self, generator: torch.Generator) -> DualHeadStudent:
        """Return a fresh student on the device; students on a frozen backbone share it.

        A CLIP tower with two heads starts from its own class texts (DHO's language-aware initialisation).
        """
        config, language = self.config, self._language_start()
        frozen = self.frozen is not None
        student = DualHeadStudent(
            self.frozen.backbone if self.frozen else deepcopy(self.own) or config.backbone,
            self.task.num_classes,
            single_head=not self.method.two_heads,
            freeze_backbone=frozen,
            projection_dim=config.projection_dim if frozen else None,
            image_size=config.image_size,
            pretrained=config.start_pretrained,
            weights=config.backbone_weights,
            **(self._class_start(language) if language else {}),
            generator=generator,
        ).to(self.device)
        if config.channels_last:
            student.backbone.to(memory_format=torch.channels_last)
        if config.compile:
            student.backbone.compile()
        return student

    def _class_start(self, language: ZeroShotHead) -> dict[str, Any]:
        """Return how a student's heads start from class texts: ours, or as the released code has it."""
        if self.config.language_start == "unit":
            return {"class_embeddings": language.text.cpu(), "class_scale": language.scale}
        assert language.raw_text is not None
        return {"class_embeddings": language.raw_text.cpu(), "class_scale": 100.0, "class_bias": True}

    def _language_start(self) -> ZeroShotHead | None:
        """Return the zero-shot head of a pretrained CLIP tower that trains under DHO, else None."""
        config = self.config
        family, _, name = config.backbone.partition("/")
        if family != "open_clip" or not self.method.two_heads or config.start_pretrained is False or self.features:
            return None
        if config.backbone_weights is not None:
            return None  # a tower of unknown language
        if name == config.teacher:
            return self.zero_shot
        return zero_shot_head(_load_teacher(name, self.device), self.task, config.templates, config.text_average)

    def with_labels(self, ids: Tensor, labels: Tensor, generator: torch.Generator) -> Prepared:
        """Return these parts with the teacher of `config.few_shot` fitted on the labels of some ids."""
        method = few_shot(self.config.few_shot, self.zero_shot)
        if self.config.teacher_fit == "crops":
            crops = partial(_crop_embeddings, self, ids)
            method = released(self.config.few_shot, self.zero_shot, crops, self._validation, self.task.name)
        head = method.fit(self.embeddings[ids].to(self.device), labels.to(self.device), generator=generator)
        logits = head.logits(self.embeddings)
        taught = replace(self._asked, probabilities=logits.softmax(1))
        return replace(self, taught=taught, inputs=_with_head(self.inputs, head, logits))

    def _validation(self) -> tuple[Tensor, Tensor]:
        """Return the teacher's embeddings and the labels of the validation split."""
        assert self.task.val is not None  # prepare refuses it
        return self.teacher.encode(self.task.val).to(self.device), self.task.val.labels.to(self.device)

    @checked()
    def predict(
        self,
        student: DualHeadStudent,
        progress: Count = lambda done, total: None,
        views: torch.Generator | None = None,
    ) -> tuple[StudentOutput, StudentOutput]:
        """Return the student's outputs on the training and the test split; `progress` gets (done, total) of each.

        With `views`, training images are looked at through a random crop each, as in training.
        Cached features are used where they are the student's own. One that was loaded may have been trained elsewhere,
        with other settings; it looks at the images.
        """
        if self.features is not None and self._knows(student):
            return predict_features(student, self.features[0]), predict_features(student, self.features[1])
        cut = None if views is None else partial(self._cut, generator=views)
        train = predict(student, self.task.train, progress=progress, look=cut)
        return train, predict(student, self.task.test, progress=progress) if len(self.task.test) else train[:0]

    def _cut(self, images: Tensor, *, generator: torch.Generator) -> Tensor:
        """Return a random crop of each image, as in training."""
        size, flip = view_size(self.config, self.taught), self.task.horizontal_flip
        return random_resized_crop(images, size, generator=generator, flip=flip)

    def _knows(self, student: DualHeadStudent) -> bool:
        """Tell whether the cached features are what this student's heads were trained on."""
        if self.frozen is None or not student.freeze_backbone or student.image_size != self.config.image_size:
            return False
        own, (known, fingerprint) = student.backbone, self.frozen
        return own is known or (own.name == known.name and model_fingerprint(own) == fingerprint)


def zero_shot_head(
    teacher: Teacher | GivenTeacher, task: Task, templates: Sequence[str] | None, average: Average
) -> ZeroShotHead:
    """Return the teacher's head for the task before it has seen a label."""
    if isinstance(teacher, GivenTeacher):
        return teacher.zero_shot(task, templates)
    return teacher.zero_shot(task, templates, average=average)


def view_size(config: ResolvedConfig, taught: Taught | None) -> int:
    """Return the side of training views, pixels."""
    if taught is None or not isinstance(teacher := taught.teacher, Teacher):
        return config.image_size
    larger = config.view_size == "larger"
    return max(config.image_size, teacher.image_size) if larger else config.image_size


@torch.no_grad()
def _crop_embeddings(
    prepared: Prepared, ids: Tensor, rows: Tensor, generator: torch.Generator, area: tuple[float, float]
) -> Tensor:
    """Return the teacher's embeddings of fresh crops of some of `ids`, at the teacher's own size; see `Crops`."""
    assert isinstance(prepared.teacher, Teacher)  # settings refuse crops for a given one
    images = prepared.task.train.images[ids[rows.cpu()]].to(prepared.device)
    crops = random_resized_crop(
        images, prepared.teacher.image_size, generator=generator, scale=area, flip=prepared.task.horizontal_flip
    )
    return prepared.teacher.encode_views(crops)


def _with_head(inputs: Inputs, head: TeacherHead, logits: Tensor) -> Inputs:
    """Return the same inputs with another teacher head, whose (N, C) logits of the plain images are given."""
    if isinstance(inputs, FrozenInputs | PlainInputs):
        return replace(inputs, teacher_logits=logits.to(inputs.teacher_logits.device))
    assert isinstance(inputs, ViewInputs | CachedViewInputs)
    return replace(inputs, head=head)


def load_run_teacher(name: str, device: torch.device) -> Teacher | GivenTeacher:
    """Return the teacher of a run on its device, loaded once; again where its local files have changed since."""
    if name.startswith("given:"):
        return load_given(name.removeprefix("given:"))
    return _load_teacher(name, device)


def _load_teacher(name: str, device: torch.device) -> Teacher:
    return _build_teacher(name, tuple(map(changed, local_files(name))), device)


_build_teacher = lru_cache(maxsize=2)(lambda name, when, device: load_teacher(name, device=device))
