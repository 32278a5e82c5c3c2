"""The images that a report pictures, loaded only where a run kept the predictions to picture them with."""

from __future__ import annotations

from collections.abc import Sequence

from activekd_lab.plots import Pool
from activekd_lab.results import RunResult
from activekd_lab.variants import datasets


def load_pools(results: Sequence[RunResult]) -> dict[str, Pool]:
    """Return images and labels by data set (`variants.datasets`), of those with a run that kept its predictions."""
    named = zip(datasets(results), results, strict=True)
    configs = {name: result.config for name, result in named if result.keeps_predictions}
    if not configs:
        return {}
    from activekd_lab.data import load_task  # noqa: PLC0415  (slow import)

    tasks = {name: load_task(str(c["task"]), **c["task_options"]) for name, c in configs.items()}
    return {name: Pool(task.train.images.numpy(), task.train.labels.numpy()) for name, task in tasks.items()}
