"""`activekd-lab bench teacher`: what the cache saves and a few-shot fit costs; with tables, what both bring.

Ratios have both sides measured here, one after the other, on the bundled teacher and task.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from activekd_lab.active.inputs import CachedViewInputs, ViewInputs
from activekd_lab.active.loop import ActiveRun
from activekd_lab.active.pool import initial_ids
from activekd_lab.active.prepare import prepare
from activekd_lab.active.views import encode_cached_views
from activekd_lab.bench.cost import empty_cache
from activekd_lab.compare.table import Table
from activekd_lab.config import RunConfig
from activekd_lab.data import Task, load_task
from activekd_lab.progress import silent
from activekd_lab.rng import generator
from activekd_lab.students.training import Inputs
from activekd_lab.teachers.bias import (
    Clusters,
    agreement,
    calibration,
    choose_count,
    find_clusters,
    shuffle_classes,
    stability,
)
from activekd_lab.teachers.clap import CLAP
from activekd_lab.teachers.clip import Teacher, load_teacher
from activekd_lab.teachers.few_shot import FEW_SHOT, few_shot
from activekd_lab.teachers.zero_shot import ZeroShotHead

SHOTS = (1, 2, 4, 8, 16)
Say = Callable[[str], None]


def speed(images: int = 2000, say: Say = silent) -> Table:
    """Time encoding against reading the cache, and a CLAP fit against one pass of the encoder over its images."""
    task = load_task("shapes", pool_size=images, test_per_class=1, val_per_class=1)
    teacher = load_teacher("bundled")
    teacher.fingerprint, task.train.fingerprint  # noqa: B018  (hashes both sides need, kept by both)
    say(f"encoding {images} images twice")
    with empty_cache():
        first, second = (_seconds(lambda: teacher.encode(task.train)) for _ in range(2))
        say("drawing batches of 128 views")
        fresh, cached = _view_batches(teacher, task)
    say("fitting CLAP")
    fit = _seconds(lambda: _fit_clap(labels=1000, classes=100, width=512))
    per_thousand = first / images * 1000
    rows = [
        [f"encode {images} images", f"{first:.2f} s", ""],
        ["the same from the cache", f"{second:.4f} s", f"{first / second:.0f}× faster"],
        ["20 batches of 128 crops, the teacher asked", f"{fresh:.2f} s", ""],
        ["the same from cached views", f"{cached:.3f} s", f"{fresh / cached:.0f}× faster"],
        ["CLAP, L 1000, C 100, D 512, all 300 epochs", f"{fit:.2f} s", ""],
        ["one epoch of the same if it encoded images", f"{per_thousand:.2f} s", f"{per_thousand * 300 / fit:.0f}× all"],
    ]
    return Table(f"teacher, {torch.get_num_threads()} threads", ["what", "time", "ratio"], rows)


def few_shot_table(name: str, *, seeds: int = 3, shots: Sequence[int] = SHOTS, say: Say = lambda t: None) -> Table:
    """Measure test accuracy of every few-shot teacher by labels a class, mean ± standard deviation over draws."""
    task, teacher = load_task(name), load_teacher("bundled")
    head = teacher.zero_shot(task)
    train, test = teacher.encode(task.train), teacher.encode(task.test)
    rows = []
    for method in FEW_SHOT:
        cells = []
        for count in shots:
            say(f"{name}: {method}, {count} shots")
            cells.append(_spread([_few_shot_accuracy(method, head, task, train, test, count, s) for s in range(seeds)]))
        rows.append([method, *cells])
    zero_shot = f"{100 * _accuracy(head.logits(test), task.test.labels):.1f}"
    title = f"{name}: test accuracy, %, of few-shot teachers by shots ({seeds} draws); zero-shot {zero_shot}"
    return Table(title, ["shots", *map(str, shots)], rows)


def bias_table(name: str, *, seeds: int = 3, say: Say = silent) -> Table:
    """Measure the bias of the teacher, of its two controls, and of students before and after distillation."""
    task, teacher = load_task(name), load_teacher("bundled")
    embeddings = teacher.encode(task.train)
    probabilities = teacher.zero_shot(task).probabilities(embeddings)
    C = task.num_classes
    K = choose_count(probabilities, sorted({max(2, C * k // 4) for k in range(1, 9)}))
    columns: dict[str, list[list[float]]] = {}
    for seed in range(seeds):
        say(f"{name}: bias, seed {seed}")
        reference = find_clusters(probabilities, K, seed=seed)
        points = {
            "teacher": probabilities,
            "control: classes shuffled": shuffle_classes(probabilities, generator=generator(seed, "bench", "shuffle")),
            "control: features": embeddings,
            **_students(name, seed),
        }
        for label, values in points.items():
            columns.setdefault(label, []).append(_bias(values, reference, task, K, seed, embeds=values is embeddings))
    heads = ["clusters", "classes each", "mass within r", "stability", "ARI with teacher", "NMI", "ECE", "accuracy"]
    rows = [[label, *(_spread(v, 1, 2) for v in zip(*found, strict=True))] for label, found in columns.items()]
    title = f"{name}: structured prediction bias, K = {K} (best silhouette of the teacher), {seeds} seeds"
    return Table(title, ["points", *heads], rows)


def _students(task: str, seed: int) -> dict[str, Tensor]:
    """Return (N, C) probabilities of students with one label a class: untrained, labels only, distilled."""
    found = {}
    for label, method in (("labels only", "ce"), ("DHO", "dho")):
        active = ActiveRun(prepare(RunConfig(task=task, method=method, rounds=0, seed=seed)))
        fresh = active.prepared.new_student(generator(seed, "student", 0))
        found["student, untrained"] = active.prepared.predict(fresh)[0].probabilities()
        list(active)
        assert active.student is not None
        output = active.prepared.predict(active.student)[0]
        found[f"student, {label}"] = output.probabilities()
        if method == "dho":
            found["student, DHO: CE head"] = output.probabilities(ce_weight=1)
            found["student, DHO: KD head"] = output.probabilities(ce_weight=0)
    return found


def _bias(points: Tensor, reference: Clusters, task: Task, count: int, seed: int, *, embeds: bool) -> list[float]:
    found = find_clusters(points, count, seed=seed)
    rand, information = agreement(found.assignment, reference.assignment)
    classes = float("nan") if embeds else float((found.classes_per_cluster().double() * found.masses).sum())
    ece = float("nan") if embeds else calibration(points, task.train.labels).ece
    accuracy = float("nan") if embeds else _accuracy(points, task.train.labels)
    steady = stability(points, count, range(seed * 3, seed * 3 + 3))
    return [found.effective_number, classes, found.mass_within_radius, steady, rand, information, ece, accuracy]


def _few_shot_accuracy(
    method: str, head: ZeroShotHead, task: Task, train: Tensor, test: Tensor, shots: int, seed: int
) -> float:

    ids = initial_ids(task.train, task.num_classes, shots, generator(seed, "bench", "shots"))
    fitted = few_shot(method, head).fit(train[ids], task.train.labels[ids], generator=generator(seed, "bench", "fit"))
    return 100 * _accuracy(fitted.logits(test), task.test.labels)


def _view_batches(teacher: Teacher, task: Task) -> tuple[float, float]:
    """Return the seconds of 20 training batches whose teacher logits are computed, and looked up."""
    head, size, device = teacher.zero_shot(task), 64, teacher.device
    views = encode_cached_views(teacher, task.train, views=1, size=size)
    fresh = ViewInputs(task.train, teacher, head, device, size)
    cached = CachedViewInputs(views, head, device)
    g = generator(0, "bench", "views")
    ids = [torch.randint(len(task.train), (128,), generator=g) for _ in range(20)]

    def seconds(inputs: Inputs) -> float:
        return _seconds(lambda: [inputs.batch(batch, g) for batch in ids])

    return seconds(fresh), seconds(cached)


def _fit_clap(*, labels: int, classes: int, width: int) -> ZeroShotHead:
    g = generator(0, "bench", "clap")
    text = torch.randn(classes, width, generator=g)
    y = torch.arange(labels) % classes
    embeddings = F.normalize(text[y] + 2 * torch.randn(labels, width, generator=g), dim=1)
    return CLAP(ZeroShotHead(F.normalize(text, dim=1), 100.0, 0.0, text)).fit(embeddings, y, generator=g)


def _accuracy(scores: Tensor, labels: Tensor) -> float:
    return float((scores.argmax(1) == labels).float().mean())


def _spread(values: Sequence[float], digits: int = 1, small: int | None = None) -> str:
    mean, deviation = float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    if np.isnan(mean):
        return "–"
    digits = small if small is not None and mean <= 1 else digits
    return f"{mean:.{digits}f} ± {deviation:.{digits}f}"


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def tables(*, seeds: int = 3, say: Say = silent) -> list[Table]:
    """Return the few-shot and the bias tables of `shapes` and `digits`."""
    names = ("shapes", "digits")
    return [few_shot_table(n, seeds=seeds, say=say) for n in names] + [
        bias_table(n, seeds=seeds, say=say) for n in names
    ]
