"""How well a student trained on ImageNet does where the images are of another kind: V2, Sketch, A and R."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from activekd_lab.checkpoint import SavedStudent
from activekd_lab.data import Task, load_task
from activekd_lab.errors import DataError

_BATCH = 256


class Shift(NamedTuple):
    """Accuracy on a shifted test set, a fraction; the student answers among its `classes` only."""

    name: str
    images: int
    classes: int
    accuracy: float


def measure_shift(
    saved: SavedStudent, name: str, root: str = "", *, say: Callable[[str], None] = lambda text: None
) -> Shift:
    """Measure a student on one shifted test set, at the student's own image size.

    Args:
        saved: knows every class of the test set, by name.
        name: a key of `data.imagenet.SHIFTS`.
        root: see `data.listing.data_root`.
        say: called with a short text when something long begins.

    Raises:
        DataError: images that are missing or bad, or classes that the student does not know.
    """
    say(f"reading {name}")
    task = load_task(name, root=root, image_size=saved.student.settings["image_size"])
    say(f"measuring on {name}")
    return Shift(name, len(task.test), task.num_classes, accuracy(saved, task))


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
