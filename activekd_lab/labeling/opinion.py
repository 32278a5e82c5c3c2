"""What a model thinks of a session's images: the teacher at first, the last student once there is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from activekd_lab.active.pool import Pool
from activekd_lab.active.prepared import Prepared
from activekd_lab.active.rounds import pool_view
from activekd_lab.config import ResolvedConfig, RunConfig
from activekd_lab.data import Task
from activekd_lab.errors import SettingError
from activekd_lab.runs.guessing import Guessed
from activekd_lab.selectors import PoolView
from activekd_lab.students.student import DualHeadStudent, StudentOutput

_OF_RUNS = ("few_shot", "validation_labels", "choose_on", "query_mix", "query_views", "pool_limit", "last_pool_epochs")


def session_config(config: RunConfig, task: Task, **settings: Any) -> ResolvedConfig:
    """Return the settings of a session on a task; SettingError for those that only a whole run can follow."""
    found = config.with_(task_options={}, **settings).resolve(task=task)  # a protocol's settings too
    for name in filter(found.differs, _OF_RUNS):
        raise SettingError(f"{name} has no effect in a labelling session: teacher, mix and pool stay; leave it out.")
    return found


class Opinion:
    """The outputs on the pool that suggestions and selectors see.

    Args:
        prepared: teacher outputs and features.

    Attributes:
        mix: ce_weight and kd_temperature of the student's heads.
        model_name: whose opinion it is, the teacher's name or "student".
    """

    def __init__(self, prepared: Prepared) -> None:
        config = prepared.config
        self._prepared, self.model_name = prepared, prepared.teacher.name
        self.mix = {"ce_weight": config.ce_weight, "kd_temperature": config.kd_temperature}
        self._student: tuple[StudentOutput, Tensor] | None = None

    def likeliest(self, id: int) -> tuple[int, float]:
        """Return the likeliest class of an image, and its probability."""
        probabilities = self._prepared.teacher_probabilities if self._student is None else self._student[1]
        value, index = probabilities[id].max(0)
        return int(index), float(value)

    def view(self, pool: Pool, ids: Tensor, round: int) -> PoolView:
        """Return what a selector sees of some ids."""
        teacher = self._prepared.teacher_probabilities
        if self._student is None:  # the teacher stands in for both heads
            logits = teacher.clamp_min(1e-12).log()
            output = StudentOutput(logits, logits, self._prepared.embeddings.cpu())
            return pool_view(output, teacher, teacher, pool, ids, round=round)
        return pool_view(*self._student, teacher, pool, ids, round=round)

    def change(self, student: DualHeadStudent) -> StudentOutput:
        """Take a student's outputs on the pool for the opinion from now on, and return those on the test split."""
        train, test = self._prepared.predict(student)
        self._student, self.model_name = (train, train.probabilities(**self.mix)), "student"
        return test

    def against_guessing(self, labels: Mapping[int, int]) -> Guessed:
        """Return how the teacher does on labels by id, beside guessing."""
        predicted = self._prepared.teacher_probabilities.argmax(1)
        return Guessed.of([int(predicted[i]) for i in labels], [*labels.values()], self._prepared.task.num_classes)
