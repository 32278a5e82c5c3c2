"""What a run finds: rounds, labels and where its predictions lie. No torch. `results` reads and writes them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from activekd_lab.errors import DataError, RunFolderError, short
from activekd_lab.io.arguments import checked
from activekd_lab.io.files import regular, shown
from activekd_lab.runs.guessing import Guessed

if TYPE_CHECKING:
    import pandas as pd

    from activekd_lab.data import Task


PredictedSplit = Literal["train", "test"]
"""Whose probabilities a run keeps: the pool's with what is labelled, the test split's."""
_OF: dict[str, set[type]] = {"int": {int}, "float": {int, float}}  # JSON's True is neither


@checked()
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
    @checked()
    def from_json(cls, line: str) -> RoundRecord:
        """Read a record back; lists become tuples again."""
        try:
            values: Any = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"not JSON ({str(error).partition(';')[0]})") from None
        kinds = _kinds()
        if not isinstance(values, dict) or values.keys() != kinds.keys():
            raise DataError("not a round record, one JSON object of its fields")
        wrong = [name for name, kind in kinds.items() if not _fits(values[name], kind)]
        wrong = wrong or [name for name, (low, high) in _RANGES.items() if not _within(values[name], low, high)]
        picks, radii = values["picks"], values["pick_radii"]
        if not wrong:
            wrong += ["picks"] * (len({*picks}) < len(picks)) + ["pick_radii"] * (
                len(radii) != len(picks) + bool(picks)
            )
            wrong += ["classes_covered"] * (values["classes_covered"] > len(values["class_accuracy"]))
        if wrong:
            raise DataError(f"{wrong[0]} is {short(values[wrong[0]])}, which no round has")
        tuples: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**tuples)


_SHARE, _LENGTH, _LARGE = (0, 1), (0, 1.5), 1e12  # no two probability vectors are more than the root of 2 apart
_RANGES: dict[str, tuple[float, float]] = {
    "round": (0, _LARGE), "labels": (1, _LARGE), "accuracy": _SHARE, "ce_accuracy": _SHARE, "kd_accuracy": _SHARE,
    "class_accuracy": _SHARE, "classes_covered": (0, _LARGE), "covering_radius": _LENGTH, "mean_distance": _LENGTH,
    "picks": (0, _LARGE), "pick_radii": _LENGTH, "loss": (-_LARGE, _LARGE), "ce_weight": _SHARE,
    "kd_temperature": (1 / _LARGE, _LARGE),
}  # fmt: skip


@cache
def _kinds() -> dict[str, str]:
    return {f.name: str(f.type) for f in fields(RoundRecord) if f.name != "seconds"}


def _fits(value: Any, kind: str) -> bool:
    """Return whether a value from JSON is of a `RoundRecord`'s annotated kind: int, float or a tuple of either."""
    item, several = kind.removeprefix("tuple[").partition(",")[0], kind.startswith("tuple")
    return isinstance(value, list) is several and {*map(type, value if several else [value])} <= _OF[item]


def _within(value: Any, low: float, high: float) -> bool:
    """Return whether a number, or each of a list of them, lies in a range, which NaN does not."""
    if not isinstance(value, list):
        return bool(low <= value <= high)
    return not value or (low <= min(value) and max(value) <= high and not math.isnan(sum(value)))


@dataclass(frozen=True)
class RunResult:
    """A run: its settings, its rounds so far, its labels and, where kept, the pool's probabilities a round.

    Attributes:
        config: the settings as plain JSON types.
        records: rounds in order.
        labels: every label bought, in the order of buying.
        teacher_accuracy: the teacher's own zero-shot accuracy on the test split; None where no teacher was asked.
        class_names: C names.
        teacher_start: how the teacher does on the initial labels; its `remark` says where guessing does as well.
        folder: where it is stored, or None.
        provenance: package versions, device, git commit.
        content: hashes of what stands behind the names of "task", "teacher" and "backbone", where they are known.
    """

    config: Mapping[str, Any]
    records: tuple[RoundRecord, ...]
    labels: tuple[Label, ...]
    teacher_accuracy: float | None
    class_names: tuple[str, ...]
    teacher_start: Guessed | None = None
    folder: Path | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    content: Mapping[str, str | None] = field(default_factory=dict)
    _kept: Mapping[int, np.ndarray[Any, Any]] = field(default_factory=dict, repr=False)
    _kept_test: Mapping[int, np.ndarray[Any, Any]] = field(default_factory=dict, repr=False)

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

    @checked()
    def labeled_ids(self, round_index: int) -> list[int]:
        """Return the training-split ids that round `round_index` trained on, in the order of buying."""
        return [label.id for label in self.labels if label.round <= round_index and label.source != "validation"]

    def to_frame(self, round_index: int | None = None, *, task: Task | None = None) -> pd.DataFrame:
        """Return one row an image: what it is, who labelled it when, and what the student says of it after a round.

        Columns: `id`, `split`, `path` (below the folder of a task of files), `label` and `class` (NA and "" if
        unknown), `round` that first trained on its label (NA before that) and the `source` of that. Where the round's
        probabilities are stored, also `prediction`, `confidence` and `probabilities`, (C,) each, and for the pool
        `distance` (Euclidean, between probabilities, to the nearest labelled image: what PCoreSet covers).

        Args:
            round_index: None takes the last round.
            task: whose images they are. Without it, images.csv of the folder says it, which tasks of files leave; where
                there is none, labels are known of bought images only.

        Raises:
            SettingError: a round that the run has not. RunFolderError: a task of other images, or a damaged file.

        Example:
            >>> frame = akd.load_run("runs/…").to_frame()
            >>> np.stack(frame.loc[frame.split == "train", "probabilities"])  # (N, C), as cleanlab takes them
        """
        from activekd_lab.runs.images import image_frame  # noqa: PLC0415  (it knows results)

        return image_frame(self, round_index, task)

    @property
    def keeps_predictions(self) -> bool:
        """Whether the first round's probabilities are there (`save_predictions`)."""
        return self.has_probabilities(0)

    def has_probabilities(self, round_index: int, split: PredictedSplit = "train") -> bool:
        """Tell whether a round's probabilities of a split are there."""
        path = prediction_path(self.folder, round_index, split) if self.folder else None
        return round_index in self._in_memory(split) or (path is not None and path.exists())

    def _in_memory(self, split: PredictedSplit) -> Mapping[int, np.ndarray[Any, Any]]:
        return self._kept if split == "train" else self._kept_test

    def _refuse_odd(self, values: np.ndarray[Any, Any], split: PredictedSplit) -> np.ndarray[Any, Any]:
        """Return stored probabilities, or raise ValueError with the reason why they can be none of this run."""
        ids = [label.id for label in self.labels] if split == "train" else []
        if len(values) <= max(ids, default=0):
            raise ValueError(f"{len(values)} rows, but a label is of image {max(ids, default=0)}")
        if not (values.min() >= 0 and np.abs(values.sum(axis=1) - 1).max() < 0.01):  # NaN, too
            raise ValueError("rows that are no probabilities")
        return values

    @checked()
    def probabilities(self, round_index: int, split: PredictedSplit = "train") -> np.ndarray[Any, Any]:
        """Return the student's mixed probabilities after a round of every id of a split, (N, C) float32.

        Args:
            round_index: from 0.
            split: "train", the pool with what is labelled, or "test".

        Raises:
            RunFolderError: the run was made with `save_predictions=False`, for "test" also by an earlier version, or
                the file is damaged.
        """
        if round_index in (kept := self._in_memory(split)):
            return kept[round_index].astype(np.float32)
        path = prediction_path(self.folder, round_index, split) if self.folder else None
        if path is None or not path.exists():
            raise RunFolderError(
                f"The {split} probabilities of round {round_index} are not stored; run with save_predictions=True to "
                "keep them."
            )
        try:
            # A map allocates nothing that a header makes up.
            stored = np.load(regular(path), mmap_mode="r", allow_pickle=False)
            if not isinstance(stored, np.ndarray) or stored.ndim != 2 or stored.dtype != np.float16:
                raise ValueError("no (N, C) float16 array")
            if stored.shape[1] != len(self.class_names):
                raise ValueError(f"{stored.shape[1]} classes, but the run has {len(self.class_names)}")
            return self._refuse_odd(stored.astype(np.float32), split)
        except Exception as error:  # NumPy parses a header as Python, which raises what it likes
            raise RunFolderError(
                f"{shown(path)} is damaged ({shown(error)}); delete {shown(path.parent)} to go on without "
                "probabilities."
            ) from error


def without_copies(results: Sequence[RunResult]) -> tuple[list[RunResult], list[str]]:
    """Return the runs, one that lies twice (a copied folder) once, and a sentence for each that is left out.

    Two are the same run if settings and content agree and one has the rounds of the other, whose copy may be older.
    """
    kept: list[RunResult] = []
    places: dict[str, list[int]] = {}
    told = []
    for result in results:
        same = places.setdefault(json.dumps([result.config, result.content], sort_keys=True, default=str), [])
        twin = next((i for i in same if all(map(_agree, kept[i].records, result.records))), None)
        if twin is None:
            same.append(len(kept))
            kept.append(result)
            continue
        kept[twin], copy = sorted((kept[twin], result), key=lambda run: len(run.records), reverse=True)
        told.append(f"{shown(copy.folder)} holds the same run as {shown(kept[twin].folder)}, which counts once.")
    return kept, told


def _agree(one: RoundRecord, other: RoundRecord) -> bool:
    return (one.labels, one.accuracy, one.picks) == (other.labels, other.accuracy, other.picks)


def prediction_path(folder: Path, round_index: int, split: PredictedSplit = "train") -> Path:
    """Return the file of a round's float16 probabilities of the pool, or of the test split."""
    return folder / "predictions" / f"{'round' if split == 'train' else 'test'}_{round_index:03d}.npy"
