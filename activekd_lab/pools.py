"""The images that a report pictures, loaded only where a run kept the predictions to picture them with."""

from __future__ import annotations

from collections.abc import Sequence

from activekd_lab.errors import DataError
from activekd_lab.plots import Pool
from activekd_lab.results import RunResult
from activekd_lab.variants import datasets


def load_pools(results: Sequence[RunResult]) -> dict[str, Pool | str]:
    """Return images and labels by data set (`variants.datasets`), of those with a run that kept its predictions.

    A data set that is not on this machine has the sentence that says so instead: tables and curves do without it.
    """
    named = zip(datasets(results), results, strict=True)
    configs = {name: result.config for name, result in named if result.keeps_predictions}
    if not configs:
        return {}
    from activekd_lab.data import load_task  # noqa: PLC0415  (slow import)

    pools: dict[str, Pool | str] = {}
    for name, config in configs.items():
        try:
            train = load_task(str(config["task"]), **config["task_options"]).train
            pools[name] = Pool(train.images.numpy(), train.labels.numpy())
        except DataError as error:
            pools[name] = str(error)
    return pools
