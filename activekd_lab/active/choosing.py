"""Keep the epoch, and the mix of the heads, that are best on a split: the published few-shot protocol of DHO."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from activekd_lab.active.frozen import backbone_features
from activekd_lab.active.predict import predict, predict_features
from activekd_lab.active.prepared import Prepared
from activekd_lab.config import ResolvedConfig
from activekd_lab.students.mixing import mixing_data
from activekd_lab.students.student import DualHeadStudent, StudentOutput


class Choice(NamedTuple):
    """What was best: after which epoch (from 1), its accuracy on the split, and the mix."""

    epoch: int
    accuracy: float
    ce_weight: float
    kd_temperature: float

    @property
    def mixing(self) -> dict[str, float]:
        """The mix alone, as `StudentOutput.probabilities` takes it."""
        return {"ce_weight": self.ce_weight, "kd_temperature": self.kd_temperature}


class Chooser:
    """Looks at a student after each epoch and remembers the first that is best on `config.choose_on`.

    Args:
        prepared: settings and task; the test split, if that is chosen on, is named so in the settings.
        student: in training.
        epoch: steps of one.
        steps: of the whole training; the last is looked at whether or not it ends an epoch.
    """

    def __init__(self, prepared: Prepared, student: DualHeadStudent, epoch: int, steps: int) -> None:
        task, self.config, self.two_heads = prepared.task, prepared.config, prepared.method.two_heads
        self.split = task.test if self.config.choose_on == "test" else task.val
        assert self.split is not None  # prepare refuses it
        self.student, self.epoch, self.steps = student, epoch, steps
        self.best: Choice | None = None
        self._state: dict[str, Tensor] = {}
        self._features = None
        if prepared.frozen is not None:
            size = self.config.image_size
            self._features = backbone_features(prepared.frozen, self.split, size, prepared.device).to(prepared.device)

    def after_step(self, taken: int) -> None:
        """Look, where an epoch or the training ends after `taken` steps; the student goes on training unchanged."""
        if taken % self.epoch and taken != self.steps:
            return
        accuracy, ce_weight, kd_temperature = self._measure()
        self.student.train()
        if self.best is None or accuracy > self.best.accuracy:
            self.best = Choice(-(-taken // self.epoch), accuracy, ce_weight, kd_temperature)
            self._state = {key: value.clone() for key, value in self.student.state_dict().items()}

    def _measure(self) -> tuple[float, float, float]:
        assert self.split is not None
        looked = predict(self.student, self.split) if self._features is None else predict_features(
            self.student, self._features
        )  # fmt: skip
        return best_mix(self.config, looked, self.split.labels, two_heads=self.two_heads)

    def restore(self) -> Choice:
        """Put the best weights back into the student and say what they were."""
        assert self.best is not None
        self.student.load_state_dict(self._state)
        return self.best


def best_mix(
    config: ResolvedConfig, output: StudentOutput, labels: Tensor, *, two_heads: bool = True
) -> tuple[float, float, float]:
    """Return (accuracy, ce_weight, kd_temperature): the best of the DHO paper's grid, or what one head reaches."""
    if not two_heads:
        right = (output.ce_logits.argmax(1) == labels).float().mean()
        return float(right), config.ce_weight, config.kd_temperature
    ce_weight, kd_temperature, found = mixing_data(
        output.ce_logits.numpy(), output.kd_logits.numpy(), labels.numpy()
    ).best
    return found, ce_weight, kd_temperature


def pass_steps(images: int, batch: int) -> int:
    """Return the steps of one pass over some images."""
    return max(1, -(-images // batch))
