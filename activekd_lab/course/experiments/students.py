"""`activekd-lab bench students`: what two heads buy at few labels, and whether the two losses pull apart.

Shots a class × method × seed on the bundled tasks, each a training on the same cached features, labels drawn alike for
every method. The mix of the two heads is ActiveKD's on ten data sets; no validation label is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from activekd_lab.active.pool import Pool, initial_ids
from activekd_lab.active.prepare import prepare
from activekd_lab.active.prepared import Prepared
from activekd_lab.active.rounds import accuracy, train_student
from activekd_lab.compare.table import Table
from activekd_lab.config import RunConfig
from activekd_lab.progress import silent
from activekd_lab.rng import generator
from activekd_lab.stats import Interval, mean_interval
from activekd_lab.students.conflict import ConflictLog
from activekd_lab.students.student import DualHeadStudent, StudentOutput

SHOTS = (1, 2, 4, 8, 16)
METHODS = ("dho", "single_head", "ce", "kd")
APART, LABEL_HEAD = "ce + kd apart", "dho, CE head"
Say = Callable[[str], None]


class Shot(NamedTuple):
    """One training, or a control made of some.

    Attributes:
        method: or `APART`, the mean of the answers of a ce and a kd student; or `LABEL_HEAD`, what dho's CE head says.
        accuracy: on the test split, a fraction; of the mixed prediction where there are two heads.
        steps, cosines: gradient conflict along training (`students.conflict.ConflictLog`), empty without both losses.
    """

    task: str
    method: str
    shots: int
    seed: int
    accuracy: float
    steps: tuple[int, ...] = ()
    cosines: tuple[float, ...] = ()


def measure(
    task: str, *, shots: Sequence[int] = SHOTS, seeds: int = 3, say: Say = silent, **settings: object
) -> list[Shot]:
    """Train every method with every number of labels a class, and add the two controls of `Shot`.

    `settings` are RunConfig's, such as `steps`.
    """
    found, tested = [], dict[tuple[str, int, int], StudentOutput]()
    for method in METHODS:
        prepared = prepare(RunConfig(task=task, method=method, **settings))
        for count in shots:
            say(f"{task}: {method}, {count} labels a class")
            for seed in range(seeds):
                student, shot = train(prepared, count, seed)
                found.append(shot)
                tested[method, count, seed] = prepared.predict(student)[1]
    for count, seed in ((count, seed) for count in shots for seed in range(seeds)):
        ce, kd, dho = (tested[method, count, seed] for method in ("ce", "kd", "dho"))
        controls = {APART: (ce.probabilities() + kd.probabilities()) / 2, LABEL_HEAD: dho.ce_logits.softmax(1)}
        for name, answer in controls.items():
            found.append(Shot(task, name, count, seed, accuracy(answer, prepared.task.test.labels)))
    return found


def train(prepared: Prepared, shots: int, seed: int) -> tuple[DualHeadStudent, Shot]:
    """Train one student on `shots` labels a class, drawn by the seed alike for every method, and measure it."""
    task, config = prepared.task, prepared.config
    pool = Pool(task.train)
    pool.buy(
        initial_ids(task.train, task.num_classes, shots, generator(seed, "initial")), round_index=0, source="initial"
    )
    log = ConflictLog()
    both = config.method in ("dho", "single_head")
    student, _ = train_student(prepared, pool, seed=seed, key=0, on_loss=log.on_loss if both else None)
    found = accuracy(prepared.predict(student)[1].probabilities(), task.test.labels)
    curve = (tuple(log.steps), tuple(log.cosines["all"])) if both else ()
    return student, Shot(config.task, config.method, shots, seed, found, *curve)


def accuracy_table(found: Sequence[Shot]) -> Table:
    """Return accuracies in percent, a row a method, a column a number of labels a class: mean ± deviation."""
    shots = sorted({s.shots for s in found})
    rows = [
        [method, *(_spread([100 * s.accuracy for s in found if (s.method, s.shots) == (method, k)]) for k in shots)]
        for method in dict.fromkeys(s.method for s in found)
    ]
    seeds = len({s.seed for s in found})
    return Table(f"{found[0].task}: test accuracy, {seeds} seeds", ["method", *(f"{k} a class" for k in shots)], rows)


def gap(found: Sequence[Shot], method: str, other: str) -> Interval:
    """Return by how many points of accuracy a method leads another, over the pairs of equal labels: mean and 95%."""
    scores = [{(s.shots, s.seed): 100 * s.accuracy for s in found if s.method == name} for name in (method, other)]
    return mean_interval([scores[0][pair] - scores[1][pair] for pair in scores[1]])


def gap_text(found: Sequence[Shot], method: str, other: str) -> str:
    """Return `gap` in words: the mean with its interval, and whether that holds 0."""
    mean, low, high, n = gap(found, method, other)
    unclear = "" if low > 0 or high < 0 else ", may be luck"
    return f"{method:14} less {other:14} {mean:+5.1f} points (95%: {low:+.1f} to {high:+.1f}, {n} seeds){unclear}"


def lineup(found: Sequence[Shot]) -> Table:
    """Return mean accuracies (%), a row a task and number of labels a class, a column a method; the best is bold."""
    settings, methods = _settings(found), [*dict.fromkeys(s.method for s in found)]
    means = [
        [np.mean([100 * s.accuracy for s in found if (s.task, s.shots, s.method) == (*at, m)]) for m in methods]
        for at in settings
    ]
    rows = [
        [f"{task}, {shots}", *map("{:.1f}".format, row)] for (task, shots), row in zip(settings, means, strict=True)
    ]
    best = frozenset((i, 1 + int(np.argmax(row))) for i, row in enumerate(means))
    seeds = len({s.seed for s in found})
    return Table(f"test accuracy (%), {seeds} seeds", ["task, labels a class", *methods], rows, best=best)


def tally(found: Sequence[Shot], method: str, other: str) -> str:
    """Return in words in how many settings a method leads another, in how many beyond luck, and by how much."""
    gaps = [gap([s for s in found if (s.task, s.shots) == at], method, other) for at in _settings(found)]
    ahead, sure = sum(g.mean > 0 for g in gaps), sum(g.low > 0 for g in gaps)
    behind = sum(g.high < 0 for g in gaps)
    each = ", ".join(f"{g.mean:+.1f}" for g in gaps)
    beyond = f"beyond luck in {sure}" + (f", and behind beyond luck in {behind}" if behind else "")
    return f"{method} leads {other} in {ahead} of {len(gaps)} settings, {beyond} ({each} points)"


def _settings(found: Sequence[Shot]) -> list[tuple[str, int]]:
    return [*dict.fromkeys((s.task, s.shots) for s in found)]


def interval_text(values: Sequence[float] | np.ndarray) -> str:
    """Return differences in words: their mean, its 95% interval, and "more", "less" or, where that holds 0, neither."""
    mean, low, high, _ = mean_interval(values)
    verdict = "more" if low > 0 else "less" if high < 0 else "cannot tell"
    return f"{mean:+.1f} (95%: {low:+.1f} to {high:+.1f}): {verdict}"


def conflict_table(found: Sequence[Shot]) -> Table:
    """Return the mean cosine between the two losses' gradients in each third of the training, one head against two."""
    rows = []
    for method in ("single_head", "dho"):
        for k in sorted({s.shots for s in found}):
            curves = np.array([s.cosines for s in found if (s.method, s.shots) == (method, k)])  # (seeds, measured)
            thirds = [_spread(part.mean(1), 2) for part in np.array_split(curves, 3, axis=1)]
            rows.append([method, str(k), *thirds, f"{(curves < 0).mean():.0%}"])
    columns = ["method", "labels a class", "first third", "second", "last", "negative"]
    return Table(f"{found[0].task}: cosine between the gradients of CE and KD, shared layers", columns, rows)


def _spread(values: Sequence[float] | np.ndarray, digits: int = 1) -> str:
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return f"{np.mean(values):.{digits}f} ± {deviation:.{digits}f}"
