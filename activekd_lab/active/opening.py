"""What a run opens with: its store, its first labels, and how the teacher does on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from activekd_lab.active.pool import initial_ids
from activekd_lab.active.prepared import Prepared
from activekd_lab.errors import RunFolderError, SettingError
from activekd_lab.rng import generator
from activekd_lab.runs.folder import RunFolder
from activekd_lab.runs.guessing import Guessed
from activekd_lab.runs.records import Label
from activekd_lab.selectors import Selector, SelectorFunction
from activekd_lab.students.methods import METHODS, Method, MethodFunction


def first_ids(prepared: Prepared) -> Tensor:
    """Return the ids of the initial labels, which settings and seed determine."""
    config, task = prepared.config, prepared.task
    return initial_ids(task.train, task.num_classes, config.initial_per_class, generator(config.seed, "initial"))


def teacher_start(prepared: Prepared) -> Guessed | None:
    """Return how the teacher does on the initial labels; None where the student does not learn from it."""
    if not prepared.method.distills or prepared.taught is None:
        return None
    ids, task = first_ids(prepared), prepared.task
    predicted = prepared.teacher_probabilities[ids].argmax(1)
    return Guessed.of(predicted.tolist(), task.train.labels[ids].tolist(), task.num_classes)


def refuse_edited(prepared: Prepared, known: Sequence[Label], folder: RunFolder | None) -> None:
    """Refuse stored labels that this run cannot have bought: it would go on with other numbers in silence."""
    train = prepared.task.train
    wrong = [x.id for x in known if not (x.id < len(train) and x.label == int(train.labels[x.id]))]
    start = [x.id for x in known if x.source == "initial"]
    drawn = first_ids(prepared).tolist() if known else []
    if (wrong or start != drawn) and folder:
        what = f"another label for id {wrong[0]}" if wrong else "other initial ids"
        raise RunFolderError(
            f"{folder.path / 'labels.csv'} holds {what} than this run bought; nothing was changed. Bring that "
            "file back, or delete the folder to start again."
        )


def checked_store(
    store: str | Path | None, selector: Selector | SelectorFunction | None, method: Method | MethodFunction | None
) -> Path | None:
    """Return where run folders go; a function's run has none, since a later function could bear its name."""
    method = None if method is None or METHODS.knows(method) else method
    for kind, part in (("selector", selector), ("method", method)):
        if store is not None and part is not None:
            name = getattr(part, "name", None) or getattr(part, "__name__", kind)
            raise SettingError(
                f"A store cannot tell {name!r} from a later function of that name; leave store out, or publish the "
                f"{kind} under the entry point activekd_lab.{kind}s."
            )
    return None if store is None else Path(store).expanduser()
