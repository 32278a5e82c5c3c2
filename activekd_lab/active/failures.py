"""Four ways to break the method: each spoils a prepared task, and the same few rounds are run on what is left.

A scene is a prepared task on a frozen backbone, with the first labels chosen. Each failure takes one and gives a worse
one; at its first level nothing is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from activekd_lab.active.inputs import FrozenInputs
from activekd_lab.active.pool import Pool, initial_ids
from activekd_lab.active.prepared import Prepared
from activekd_lab.active.rounds import accuracy, pool_view, train_student
from activekd_lab.data.stress import stress
from activekd_lab.data.task import Split
from activekd_lab.errors import SettingError
from activekd_lab.io.arguments import checked
from activekd_lab.rng import generator
from activekd_lab.selectors import select
from activekd_lab.students.methods import find_method


class Scene(NamedTuple):
    """A prepared task on a frozen backbone, and the (L,) ids of the first labels."""

    prepared: Prepared
    first: Tensor


class Outcome(NamedTuple):
    """What a few rounds led to: test accuracy, a fraction, and what the budget was spent on.

    Attributes:
        classes: with a label at the end.
        wasted: labels spent on images of no class.
    """

    accuracy: float
    classes: int
    wasted: int


def scene(prepared: Prepared, seed: int) -> Scene:
    """Return a prepared task with one first label a class.

    Raises:
        SettingError: the backbone is not frozen, or no teacher was asked.
    """
    if not isinstance(prepared.inputs, FrozenInputs) or prepared.taught is None:
        raise SettingError(
            "Failures are played on cached features; prepare with freeze_backbone=True and method='dho'."
        )
    train, C = prepared.task.train, prepared.task.num_classes
    return Scene(prepared, initial_ids(train, C, 1, generator(seed, "initial")))


@checked(unseen="0 … 1")
def cold_start(start: Scene, unseen: float, seed: int) -> Scene:
    """Take the first labels, as many as before, from all but a share of the classes; at least one is seen."""
    labels, C = start.prepared.task.train.labels, start.prepared.task.num_classes
    g = generator(seed, "failures", "cold")
    seen = torch.randperm(C, generator=g)[min(C - 1, round(unseen * C)) :]
    kept = start.first[torch.isin(labels[start.first], seen)]
    free = torch.isin(labels, seen).index_fill(0, kept, False).nonzero().flatten()
    more = free[torch.randperm(len(free), generator=g)[: len(start.first) - len(kept)]]
    return start._replace(first=torch.cat([kept, more]))


def noisy_labels(start: Scene, share: float, seed: int) -> Scene:
    """Let the person who labels err on a share of the pool: another class, each as likely."""
    task = stress(start.prepared.task, label_noise=share, stress_seed=seed)
    return start._replace(prepared=replace(start.prepared, task=task))


@checked(temperature="0.001 … 1000")
def miscalibrated(start: Scene, temperature: float, seed: int = 0) -> Scene:
    """Divide the teacher's logits by a temperature: below 1 it is too sure, above 1 too unsure."""
    prepared = start.prepared
    assert isinstance(prepared.inputs, FrozenInputs)  # `scene` refuses others
    logits = prepared.inputs.teacher_logits / temperature
    return start._replace(prepared=_taught(prepared, replace(prepared.inputs, teacher_logits=logits)))


@checked(share="0 … 1")
def out_of_class(start: Scene, share: float, seed: int) -> Scene:
    """Keep the first half of the classes, and let a share of the pool, as large as before, show the other half.

    Who is asked about such an image answers "none of these": its class is −1, and the label is spent.
    """
    prepared = start.prepared
    train, C = prepared.task.train, max(2, prepared.task.num_classes // 2)
    known = torch.isin(torch.arange(len(train)), start.first) & (train.labels < C)
    order = torch.randperm(len(train), generator=generator(seed, "failures", "out"))
    order = torch.cat([known.nonzero().flatten(), order[~known[order]]])  # the first labels stay
    inside, outside = order[train.labels[order] < C], order[train.labels[order] >= C]
    size, strange = len(inside), round(share * len(inside))
    if strange > min(len(outside), size - C):
        raise SettingError(f"share must leave {C} images in the pool and find enough others, but got {share}.")
    rows = torch.cat([inside[: size - strange], outside[:strange]])
    test_rows = (prepared.task.test.labels < C).nonzero().flatten()
    labels = torch.where(train.labels[rows] < C, train.labels[rows], -1)
    task = replace(
        prepared.task,
        class_names=prepared.task.class_names[:C],
        train=Split("train", train.images[rows], labels),
        test=prepared.task.test.rows("test", test_rows),
        val=None,
    )
    assert isinstance(prepared.inputs, FrozenInputs)  # `scene` refuses others
    assert prepared.features is not None
    features = prepared.features[0][rows], prepared.features[1][test_rows]
    inputs = FrozenInputs(features[0], prepared.inputs.teacher_logits[rows, :C])
    smaller = _taught(replace(prepared, task=task, features=features), inputs)
    return Scene(smaller, torch.arange(int(known.sum())))


def _taught(prepared: Prepared, inputs: FrozenInputs) -> Prepared:
    """Return the parts with a teacher that says what the inputs hold."""
    assert prepared.taught is not None
    probabilities = inputs.teacher_logits.softmax(1).cpu()
    return replace(prepared, inputs=inputs, taught=replace(prepared.taught, probabilities=probabilities))


class Failure(NamedTuple):
    """One way to break the method.

    Attributes:
        spoil: `spoil(scene, level, seed)` gives the worse scene.
        levels: how bad, in the order of a slider; at the level `sound` nothing is wrong.
        says: what a level is.
        why: what to think of before looking.
    """

    spoil: Callable[[Scene, Any, int], Scene]
    levels: tuple[float, ...]
    sound: float
    says: str
    why: str


FAILURES = {
    "cold start": Failure(
        cold_start, (0, 0.3, 0.6, 0.8), 0, "share of the classes without a first label",
        "A selector that covers goes where no label's prediction is near, so it can reach a class that nobody has "
        "named; random picks find a class as often as it is common.",
    ),
    "noisy labels": Failure(
        noisy_labels, (0, 0.2, 0.4, 0.6), 0, "share of wrong answers",
        "A selector that covers asks about a region once, so a wrong answer has no right neighbour to outvote it. The "
        "teacher hears no answer, right or wrong.",
    ),
    "miscalibrated teacher": Failure(
        miscalibrated, (0.1, 1, 3, 10, 30), 1, "what the teacher's logits are divided by",
        "No temperature changes which class the teacher puts on top. But the student copies the whole row, and what is "
        "covered is what the student says; a flat row says nothing.",
    ),
    "images of no class": Failure(
        out_of_class, (0, 0.25, 0.5, 0.75), 0, "share of the pool that shows no class of the task",
        "What the student says of such an image may be far from what it says of any label: just what a selector that "
        "covers asks for. The person answers “none of these”, and the label is spent.",
    ),
}  # fmt: skip
"""The failures by name; `why` is an argument, what happens is measured."""


def play(
    start: Scene,
    method: str,
    selector: str,
    *,
    rounds: int,
    budget: int,
    seed: int,
    cancel: Callable[[], bool] | None = None,
) -> Outcome:
    """Run a few rounds on a scene by a method and a selector, and measure the last student.

    Random picks look at no student, so only the last one is trained.

    Raises:
        Cancelled: `cancel` said so.
    """
    prepared = replace(start.prepared, method=find_method(method))
    train, strangers = prepared.task.train, torch.empty(0, dtype=torch.int64)
    pool = Pool(train)
    pool.buy(start.first, round_index=0, source="initial")
    blind = selector == "random"
    for number in range(rounds + 1):
        ids = pool.unlabeled_ids
        if number == rounds or not blind:
            student, _ = train_student(prepared, pool, seed=seed, key=number, cancel=cancel)
            output, test = prepared.predict(student)
        if number == rounds:
            break
        g = generator(seed, "select", number)
        if blind:
            picks = ids[torch.randperm(len(ids), generator=g)[:budget]]
        else:
            view = pool_view(output, output.probabilities(), prepared.teacher_probabilities, pool, ids, round=number)
            picks = select(selector, view, budget, generator=g)
        named = train.labels[picks] >= 0
        strangers = torch.cat([strangers, picks[~named]])
        pool.buy(picks[named], round_index=number + 1, source="selector")
        pool = Pool(train, pool.ledger, strangers.tolist())
    found = accuracy(test.probabilities(), prepared.task.test.labels)
    return Outcome(found, len(pool.labeled_labels.unique()), len(strangers))
