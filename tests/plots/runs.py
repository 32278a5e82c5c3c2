"""Small runs, built from the real records, whose numbers can be checked by hand."""

from __future__ import annotations

import numpy as np

from activekd_lab.runs.records import Label, RoundRecord, RunResult


def probabilities(n: int, c: int, sharpness: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, c)) + sharpness * np.eye(c)[rng.integers(0, c, n)]
    p = np.exp(logits)
    return (p / p.sum(axis=1, keepdims=True)).astype(np.float32)


def make_run(
    selector="pcoreset", seed=0, *, c=5, n=120, rounds=2, method="dho", task="toy", gain=0.1, **config
) -> RunResult:
    """Round r has (r + 1)·c labels and accuracy 0.3 + gain·r + 0.02·seed; ids are picked in order 0, 1, 2, …"""
    names = tuple(f"class {chr(97 + i)}" for i in range(c))
    order = np.random.default_rng(seed).permutation(n)
    labels = tuple(
        Label(int(i), int(i) % c, k // c, "initial" if k < c else "selector")
        for k, i in enumerate(order[: c * (rounds + 1)])
    )
    records = tuple(
        RoundRecord(
            round=r,
            labels=c * (r + 1),
            accuracy=0.3 + gain * r + 0.02 * seed,
            ce_accuracy=0.3,
            kd_accuracy=0.2,
            class_accuracy=(0.3,) * c,
            classes_covered=c,
            covering_radius=1.0 - 0.1 * r,
            mean_distance=0.5 - 0.1 * r,
            picks=tuple(int(i) for i in order[c * (r + 1) : c * (r + 2)]) if r < rounds else (),
            pick_radii=tuple(1.0 - 0.1 * r - 0.02 * k for k in range(c + 1)) if r < rounds else (),
            loss=1.0,
            seconds={"train": 1.0, "predict": 0.2, "select": 0.1, "measure": 0.3},
        )
        for r in range(rounds + 1)
    )
    kept = {r: probabilities(n, c, 1.0 + r, seed) for r in range(rounds + 1)}
    settings = {"task": task, "teacher": "bundled", "selector": selector, "method": method, "seed": seed} | config
    provenance = {"torch": "2.15", "device": "cpu", "git_commit": "abc1234"}
    return RunResult(settings, records, labels, 0.25, names, provenance=provenance, _kept=kept)


def make_images(n: int = 120, side: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (n, 3, side, side), dtype=np.uint8)
