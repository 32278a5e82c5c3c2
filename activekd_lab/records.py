"""What a run finds: rounds, labels and where its predictions lie. No torch. `results` reads and writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from activekd_lab.errors import RunFolderError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Label:
    """One bought label: an id of the training split, its class, the round that first trains on it, and who asked."""

    id: int
    label: int
    round: int
    source: str


@dataclass(frozen=True)
class RoundRecord:
    """One round: train on the labels so far, measure on the test split, pick the next labels.

    Accuracies are fractions. Radii and distances are Euclidean, between probability vectors of the student.

    Attributes:
        round: 0 is the round on the initial labels.
        labels: labels spent so far, validation included.
        accuracy: of the mixed prediction on the test split.
        ce_accuracy, kd_accuracy: of each head alone; equal to `accuracy` for a single head.
        class_accuracy: C accuracies, one a class of the test split.
        classes_covered: classes with at least one label.
        covering_radius: largest distance from a pool image to its nearest labelled image, before picking.
        mean_distance: the mean of those distances.
        picks: ids chosen at the end of this round, in the selector's order; empty in the last round.
        pick_radii: covering radius after 0 … B picks, with picks taken in order; empty in the last round.
        loss: mean training loss of the last tenth of the steps.
        ce_weight, kd_temperature: the mix of the two heads in this round; tuned if there are validation labels.
        seconds: wall time of "train", "predict", "select" and "measure".
    """

    round: int
    labels: int
    accuracy: float
    ce_accuracy: float
    kd_accuracy: float
    class_accuracy: tuple[float, ...]
    classes_covered: int
    covering_radius: float
    mean_distance: float
    picks: tuple[int, ...]
    pick_radii: tuple[float, ...]
    loss: float
    ce_weight: float = 0.5
    kd_temperature: float = 1.0
    seconds: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the record as one line of JSON, without its wall times."""
        return json.dumps({k: v for k, v in asdict(self).items() if k != "seconds"})

    @classmethod
    def from_json(cls, line: str) -> RoundRecord:
        """Read a record back; lists become tuples again."""
        values: Any = json.loads(line)
        if not isinstance(values, dict) or set(values) != {f.name for f in fields(cls)} - {"seconds"}:
            raise ValueError("not a round record")
        wrong = [f.name for f in fields(cls) if f.name != "seconds" and not _fits(values[f.name], str(f.type))]
        if wrong:
            raise ValueError(f"{wrong[0]} is {values[wrong[0]]!r}")
        tuples: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**tuples)


def _fits(value: Any, kind: str) -> bool:
    """Return whether a value from JSON is of a `RoundRecord`'s annotated kind: int, float or a tuple of either."""
    if kind.startswith("tuple"):
        return isinstance(value, list) and all(_fits(item, kind[6:].partition(",")[0]) for item in value)
    return isinstance(value, int if kind == "int" else int | float) and not isinstance(value, bool)


@dataclass(frozen=True)
class RunResult:
    """A run: its settings, its rounds so far, its labels and, where kept, the pool's probabilities a round.

    Attributes:
        config: the settings as plain JSON types.
        records: rounds in order.
        labels: every label bought, in the order of buying.
        teacher_accuracy: the teacher's own zero-shot accuracy on the test split.
        class_names: C names.
        folder: where it is stored, or None.
        provenance: package versions, device, git commit.
    """

    config: Mapping[str, Any]
    records: tuple[RoundRecord, ...]
    labels: tuple[Label, ...]
    teacher_accuracy: float
    class_names: tuple[str, ...]
    folder: Path | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    _kept: Mapping[int, np.ndarray[Any, Any]] = field(default_factory=dict, repr=False)

    @property
    def final_accuracy(self) -> float:
        """Accuracy after the last round, a fraction."""
        return self.records[-1].accuracy

    @property
    def mean_accuracy(self) -> float:
        """Mean accuracy over the rounds, a fraction. Each round counts once; `stats.area` weighs it by its labels."""
        return float(np.mean([r.accuracy for r in self.records]))

    def frame(self) -> pd.DataFrame:
        """Return one row a round: run settings that distinguish runs, labels, accuracies, coverage, seconds."""
        import pandas as pd  # noqa: PLC0415  (slow import)

        rows = []
        for record in self.records:
            row = {k: self.config[k] for k in ("task", "selector", "method", "seed")}
            row |= {k: v for k, v in asdict(record).items() if isinstance(v, int | float)}
            rows.append(row | {f"seconds_{k}": v for k, v in record.seconds.items()})
        return pd.DataFrame(rows)

    def labeled_ids(self, round_index: int) -> list[int]:
        """Return the training-split ids that round `round_index` trained on, in the order of buying."""
        return [label.id for label in self.labels if label.round <= round_index and label.source != "validation"]

    @property
    def keeps_predictions(self) -> bool:
        """Whether the first round's probabilities are there (`save_predictions`)."""
        return 0 in self._kept or (self.folder is not None and prediction_path(self.folder, 0).exists())

    def probabilities(self, round_index: int) -> np.ndarray[Any, Any]:
        """Return the student's mixed probabilities of every training-split id after a round, (N, C) float32.

        Raises:
            RunFolderError: the run was made with `save_predictions=False`, or the file is damaged.
        """
        if round_index in self._kept:
            return self._kept[round_index].astype(np.float32)
        path = prediction_path(self.folder, round_index) if self.folder else None
        if path is None or not path.exists():
            raise RunFolderError(
                f"The probabilities of round {round_index} are not stored; run with save_predictions=True to keep them."
            )
        try:
            stored: np.ndarray[Any, Any] = np.load(path)
        except (EOFError, ValueError) as error:
            raise RunFolderError(
                f"{path} is damaged ({error}); delete {path.parent} to go on without the pool's probabilities."
            ) from error
        return stored.astype(np.float32)


def prediction_path(folder: Path, round_index: int) -> Path:
    """Return the file of a round's float16 pool probabilities."""
    return folder / "predictions" / f"round_{round_index:03d}.npy"
