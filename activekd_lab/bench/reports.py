"""How long `compare` and `report` take on many runs: `activekd-lab bench reports`.

Targets on 1,008 runs: 8 s of processor time for the report, 4 s for `compare`. The run folders are made up, but the
real writer writes them: 12 selectors × 3 settings × 2 tasks over seeds, eight query rounds. Seed 0 keeps its
predictions, as the report draws one run a variant. Both commands are measured from start to end, each in a process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from activekd_lab.compare.table import Table
from activekd_lab.config import ResolvedConfig, RunConfig
from activekd_lab.data import load_task
from activekd_lab.progress import silent
from activekd_lab.runs.folder import RunFolder
from activekd_lab.runs.records import Label, RoundRecord

SELECTORS = (
    "pcoreset", "random", "entropy", "coreset", "badge", "class_balanced", "margin", "least_confidence",
    "head_disagreement", "typiclust", "probcover", "kmeans",
)  # fmt: skip
MODES: tuple[tuple[str, str], ...] = (("dho", "none"), ("dho", "clap"), ("ce", "none"))
ROUNDS = 8


def measure(count: int = 1000, *, say: Callable[[str], None] = silent) -> Table:
    """Time both commands on at least `count` runs."""
    with tempfile.TemporaryDirectory() as place:
        store = Path(place) / "runs"
        say(f"writing {count} runs")
        made = write_runs(store, count)
        rows = []
        for name, options in (("compare", ["--format", "html"]), ("report", [])):
            say(name)
            out = Path(place) / f"{name}.html"
            command = [sys.executable, "-m", "activekd_lab.cli", name, str(store), *options, "--out", str(out)]
            started, before = time.perf_counter(), os.times()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            wall, after = time.perf_counter() - started, os.times()
            spent = sum(after[2:4]) - sum(before[2:4])  # of children
            rows.append([name, f"{spent:.1f}", f"{wall:.1f}", f"{out.stat().st_size / 1e6:.1f}"])
    return Table(f"{made} runs of {ROUNDS + 1} rounds", ["command", "processor s", "wall s", "MB written"], rows)


def write_runs(store: Path, count: int) -> int:
    """Write at least `count` made-up runs to `store` and return how many."""
    configs = _configs(-(-count // (2 * len(SELECTORS) * len(MODES))))
    sizes = {name: (load_task(name).num_classes, len(load_task(name).train)) for name in ("digits", "shapes")}
    made = 0
    for made, config in enumerate(configs, start=1):  # noqa: B007  (the count is returned)
        _write(store, config, *sizes[config.task])
    return made


def _configs(seeds: int) -> Iterator[ResolvedConfig]:
    for seed in range(seeds):
        for task in ("digits", "shapes"):
            for method, few_shot in MODES:
                for selector in SELECTORS:
                    yield RunConfig(task=task, selector=selector, method=method, few_shot=few_shot, seed=seed).resolve()


def _write(store: Path, config: ResolvedConfig, classes: int, pool: int) -> None:
    rng = np.random.default_rng(int(config.hash, 16))
    header = {"teacher_accuracy": 0.6, "class_names": [f"class {c}" for c in range(classes)]}
    folder = RunFolder(store / config.run_name, config.model_dump(mode="json"), header)
    order = rng.permutation(pool)[: classes * (ROUNDS + 1)].tolist()
    sources = ["initial"] * classes + ["selector"] * (ROUNDS * classes)
    folder.write_labels(
        Label(i, i % classes, k // classes, s) for k, (i, s) in enumerate(zip(order, sources, strict=True))
    )
    for r in range(ROUNDS + 1):
        folder.append(_record(rng, r, classes, order))
        if config.seed == 0:
            folder.write_predictions(r, rng.dirichlet(np.full(classes, 0.1), pool))


def _record(rng: np.random.Generator, r: int, classes: int, order: list[int]) -> RoundRecord:
    level = float(0.4 + 0.05 * r + rng.normal(0, 0.01))
    record = RoundRecord(
        round=r, labels=classes * (r + 1), accuracy=level, ce_accuracy=level, kd_accuracy=level,
        class_accuracy=tuple(rng.random(classes).tolist()), classes_covered=classes, covering_radius=1.0,
        mean_distance=0.5, picks=tuple(order[classes * (r + 1) : classes * (r + 2)]),
        pick_radii=tuple(np.linspace(1, 0.9, classes + 1).tolist()), loss=1.0, seconds={"train": 1.0},
    )  # fmt: skip
    return record if r < ROUNDS else replace(record, picks=(), pick_radii=())
