"""How well a student trained on ImageNet does there, and where the images are of another kind: V2, Sketch, A and R."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from activekd_lab.data import Task
from activekd_lab.data.coop import locate
from activekd_lab.data.listing import decode
from activekd_lab.errors import DataError
from activekd_lab.io.arguments import checked
from activekd_lab.progress import silent
from activekd_lab.students.checkpoint import SavedStudent

_BATCH = 256


class Shift(NamedTuple):
    """Accuracy on a shifted test set, a fraction; the student answers among its `classes` only."""

    name: str
    images: int
    classes: int
    accuracy: float


@checked()
def measure_shift(saved: SavedStudent, name: str, root: str = "", *, say: Callable[[str], None] = silent) -> Shift:
    """Measure a student on one test set, at the student's own image size; no other split is decoded.

    Args:
        saved: knows every class of the test set, by name.
        name: "imagenet", a key of `data.imagenet.SHIFTS`, or another data set of the papers.
        root: see `data.listing.data_root`.
        say: called with a short text when something long begins.

    Raises:
        DataError: images that are missing or bad, or classes that the student does not know.
    """
    say(f"reading {name}")
    listing = locate(name, root)
    task = decode(listing._replace(splits={"test": listing.splits["test"]}), saved.student.image_size)
    say(f"measuring on {name}")
    return Shift(name, len(task.test), task.num_classes, accuracy(saved, task))


@checked()
def accuracy(saved: SavedStudent, task: Task) -> float:
    """Return a student's accuracy on a task's test split, over the task's classes alone.

    Raises:
        DataError: the student does not know some of them.
    """
    place = {name: c for c, name in enumerate(saved.class_names)}
    unknown = [name for name in task.class_names if name not in place]
    if unknown:
        raise DataError(
            f"The student knows {len(place)} classes, but not {len(unknown)} of the {task.num_classes} of {task.name}, "
            f"such as {unknown[0]!r}; measure a student that was trained on them."
        )
    columns = [place[name] for name in task.class_names]
    batches = zip(task.test.images.split(_BATCH), task.test.labels.split(_BATCH), strict=True)
    right = sum(int((saved.predict(images)[:, columns].argmax(1) == labels).sum()) for images, labels in batches)
    return right / len(task.test)
