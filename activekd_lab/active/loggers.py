"""Tell others of a run's rounds: a protocol of three calls, and adapters that import nothing until they are made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from activekd_lab.active.loop import ActiveRun
from activekd_lab.errors import ActiveKDError
from activekd_lab.io.arguments import checked
from activekd_lab.runs.records import RoundRecord, RunResult


class Logger(Protocol):
    """What a run tells: its settings, each round, its end. A class of these three methods is one."""

    def on_start(self, config: Mapping[str, Any]) -> None:
        """Hear of a run that begins, by its settings."""

    def on_round(self, record: RoundRecord) -> None:
        """Hear of a finished round, stored ones included."""

    def on_end(self, result: RunResult) -> None:
        """Hear of the end."""


@checked()
def logged(active: ActiveRun, logger: Logger | None) -> Iterator[RoundRecord]:
    """Yield a run's rounds and tell a logger of them."""
    if logger is None:
        yield from active
        return
    logger.on_start(active.config.identity())
    for record in active:
        logger.on_round(record)
        yield record
    logger.on_end(active.result())


@checked()
def scalars(record: RoundRecord) -> dict[str, float]:
    """Return a round's single numbers by name: labels, accuracies (fractions), coverage, loss."""
    names = ("labels", "accuracy", "ce_accuracy", "kd_accuracy", "covering_radius", "mean_distance", "loss")
    return {name: float(getattr(record, name)) for name in names}


@checked()
class TensorBoardLogger:
    """Writes a round's numbers for TensorBoard into a folder (`pip install tensorboard`)."""

    def __init__(self, folder: str | Path) -> None:
        self.writer = _need("torch.utils.tensorboard", "tensorboard").SummaryWriter(str(folder))

    def on_start(self, config: Mapping[str, Any]) -> None:
        """Write the settings as text."""
        self.writer.add_text("config", "\n".join(f"    {name} = {value!r}" for name, value in config.items()))

    def on_round(self, record: RoundRecord) -> None:
        """Write the numbers, by labels spent."""
        for name, value in scalars(record).items():
            self.writer.add_scalar(name, value, record.labels)

    def on_end(self, result: RunResult) -> None:
        """Write what is left to write."""
        self.writer.close()


class MLflowLogger:
    """Logs a run to MLflow's current experiment (`pip install mlflow`)."""

    def __init__(self) -> None:
        self.mlflow = _need("mlflow", "mlflow")

    def on_start(self, config: Mapping[str, Any]) -> None:
        """Begin a run with the settings as its parameters."""
        self.mlflow.start_run()
        self.mlflow.log_params(dict(config))

    def on_round(self, record: RoundRecord) -> None:
        """Log the numbers, by labels spent."""
        self.mlflow.log_metrics(scalars(record), step=record.labels)

    def on_end(self, result: RunResult) -> None:
        """End the run."""
        self.mlflow.end_run()


class WandbLogger:
    """Logs a run to Weights & Biases, or to trackio, which has the same calls (`pip install wandb`, or `trackio`).

    Args:
        project: the project's name.
        package: "wandb" or "trackio".
    """

    def __init__(self, project: str, *, package: str = "wandb") -> None:
        self.project, self.client = project, _need(package, package)

    def on_start(self, config: Mapping[str, Any]) -> None:
        """Begin a run with the settings as its configuration."""
        self.client.init(project=self.project, config=dict(config))

    def on_round(self, record: RoundRecord) -> None:
        """Log the numbers."""
        self.client.log(scalars(record) | {"round": record.round})

    def on_end(self, result: RunResult) -> None:
        """End the run."""
        self.client.finish()


def _need(module: str, package: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise LoggerMissingError(f"This logger needs {package}; run pip install {package}.") from error


class LoggerMissingError(ActiveKDError, ImportError):
    """A logger's package that is not installed."""
