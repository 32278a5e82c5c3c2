"""`activekd-lab bench students`: what two heads buy at few labels, and whether the two losses pull apart.

Shots a class × method × seed on the bundled tasks, each a training on the same cached features, labels drawn alike for
every method. The mix of the two heads is the fixed one of ActiveKD; no validation label is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, get_args

import numpy as np
import torch

from activekd_lab.bench.teacher import BenchTable
from activekd_lab.config import Method, RunConfig
from activekd_lab.data.pool import initial_ids
from activekd_lab.gradients import ConflictLog
from activekd_lab.prepare import Prepared, prepare, resolve_backbone
from activekd_lab.rng import generator
from activekd_lab.rounds import training_plan
from activekd_lab.student import DualHeadStudent
from activekd_lab.training import fit

SHOTS = (1, 2, 4, 8, 16)
METHODS: tuple[Method, ...] = get_args(Method)
Say = Callable[[str], None]


class Shot(NamedTuple):
    """One training.

    Attributes:
        accuracy: on the test split, a fraction; of the mixed prediction where there are two heads.
        steps, cosines: gradient conflict along training (`gradients.ConflictLog`), empty without both losses.
    """

    task: str
    method: Method
    shots: int
    seed: int
    accuracy: float
    steps: tuple[int, ...] = ()
    cosines: tuple[float, ...] = ()


def measure(
    task: str, *, shots: Sequence[int] = SHOTS, seeds: int = 3, say: Say = lambda text: None, **settings: object
) -> list[Shot]:
    """Train every method with every number of labels a class; `settings` are RunConfig's, such as `steps`."""
    found = []
    for method in METHODS:
        config = resolve_backbone(RunConfig(task=task, method=method, **settings))
        prepared = prepare(config)
        for count in shots:
            say(f"{task}: {method}, {count} labels a class")
            found += [train(prepared, config.with_(seed=seed), count)[1] for seed in range(seeds)]
    return found


def train(prepared: Prepared, config: RunConfig, shots: int) -> tuple[DualHeadStudent, Shot]:
    """Train one student on `shots` labels a class, drawn by the seed alike for every method, and measure it."""
    task, seed = prepared.task, config.seed
    ids = initial_ids(task.train, task.num_classes, shots, generator(seed, "initial"))
    rest = torch.ones(len(task.train), dtype=torch.bool).index_fill(0, ids, False).nonzero().flatten()
    student = prepared.new_student(config, generator(seed, "student", 0))
    log = ConflictLog(student) if config.method in ("dho", "single_head") else None
    fit(
        student,
        prepared.inputs,
        ids,
        task.train.labels[ids],
        rest,
        training_plan(config, len(ids)),
        generator=generator(seed, "train", 0),
        on_loss=log.on_loss if log else None,
    )
    predicted = prepared.predict(student)[1].probabilities().argmax(1)
    accuracy = float((predicted == task.test.labels).float().mean())
    curve = (tuple(log.steps), tuple(log.cosines["all"])) if log else ()
    return student, Shot(config.task, config.method, shots, seed, accuracy, *curve)


def accuracy_table(found: Sequence[Shot]) -> BenchTable:
    """Return accuracies in percent, a row a method, a column a number of labels a class: mean ± deviation."""
    shots = sorted({s.shots for s in found})
    rows = [
        [method, *(_spread([100 * s.accuracy for s in found if (s.method, s.shots) == (method, k)]) for k in shots)]
        for method in METHODS
    ]
    seeds = len({s.seed for s in found})
    return BenchTable(
        f"{found[0].task}: test accuracy, {seeds} seeds", ["method", *(f"{k} a class" for k in shots)], rows
    )


def conflict_table(found: Sequence[Shot]) -> BenchTable:
    """Return the mean cosine between the two losses' gradients in each third of the training, one head against two."""
    rows = []
    for method in ("single_head", "dho"):
        for k in sorted({s.shots for s in found}):
            curves = np.array([s.cosines for s in found if (s.method, s.shots) == (method, k)])  # (seeds, measured)
            thirds = [_spread(part.mean(1), 2) for part in np.array_split(curves, 3, axis=1)]
            rows.append([method, str(k), *thirds, f"{(curves < 0).mean():.0%}"])
    columns = ["method", "labels a class", "first third", "second", "last", "negative"]
    return BenchTable(f"{found[0].task}: cosine between the gradients of CE and KD, shared layers", columns, rows)


def _spread(values: Sequence[float] | np.ndarray, digits: int = 1) -> str:
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return f"{np.mean(values):.{digits}f} ± {deviation:.{digits}f}"
