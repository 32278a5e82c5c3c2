"""A sweep's jobs on Dask: a running scheduler, or workers that a queue starts. What Dask has is not made again here."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import Any

from activekd_lab.course.process import NotebookProcess
from activekd_lab.errors import ConnectionLostError, MissingExtraError, SettingError, UnknownNameError
from activekd_lab.studies.workers import JobOutcome, Order, do

CLUSTERS = ("slurm",)
_LOSSES = 5  # workers that may die under a job before Dask gives it up, where the scheduler is ours


class DaskWorkers:
    """Orders done by the workers of a Dask cluster, which must see the sweep's folder at the same path.

    The dashboard, which shows names and paths to whoever reaches it, listens on this machine alone, unless
    dask-jobqueue's `scheduler-options` say otherwise; the scheduler listens where the queue's workers reach it.

    A job of a worker that is lost goes to another one, as often as the scheduler's `allowed-failures` says: 5 or more
    where a queue starts it, Dask's configuration otherwise. Finished jobs stay.

    Args:
        scheduler: address of a running scheduler, such as "tcp://node1:8786".
        cluster: "slurm", which starts `workers` workers as dask-jobqueue's configuration says.
        workers: how many a queue is asked for.
        gpu: each job takes one of the resource `GPU` that workers were started with (`dask worker --resources GPU=1`).

    Raises:
        MissingExtraError: Dask, or dask-jobqueue for a cluster, is not installed.
        SettingError: not exactly one of scheduler and cluster, or no scheduler at that address.
        UnknownNameError: an unknown cluster.
    """

    def __init__(
        self, *, scheduler: str | None = None, cluster: str | None = None, workers: int = 2, gpu: bool = False
    ) -> None:
        if (scheduler is None) == (cluster is None):
            raise SettingError(f"Give scheduler or cluster, one of them, but got {scheduler!r} and {cluster!r}.")
        distributed = _extra("distributed")
        self._cluster = _queue(cluster, workers) if cluster is not None else None
        try:
            self._client: Any = distributed.Client(self._cluster or scheduler, timeout=20)
        except (OSError, ValueError) as error:
            raise SettingError(f"No Dask scheduler answers at {scheduler}: {error}.") from error
        self._resources = {"GPU": 1} if gpu else {}

    def do(self, orders: Sequence[Order]) -> Iterator[JobOutcome]:
        """Yield outcomes as they come; a job that Dask gives up is a failed one.

        Raises:
            ConnectionLostError: the scheduler does not answer any more.
        """
        distributed = _extra("distributed")
        try:
            futures = {
                self._client.submit(_do_there, order, pure=False, resources=self._resources): order for order in orders
            }
            for future in distributed.as_completed(futures):
                if future.status == "finished":
                    yield JobOutcome(*future.result())
                else:
                    error = str(future.exception()).splitlines()
                    yield JobOutcome(futures[future].name, "failed", 0.0, 1, error[0] if error else "lost")
        except OSError as error:
            raise ConnectionLostError(
                f"The Dask scheduler does not answer any more ({error}); finished jobs stay: run the command again."
            ) from error

    def close(self) -> None:
        """Leave a running scheduler as it was; end the workers that we started."""
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


_idle: list[NotebookProcess] = []  # of this Dask worker, kept for its next orders; each ends itself after a while


def _do_there(order: Order) -> JobOutcome:
    """Do one order in a Dask worker, with its machine's cores shared by the jobs that it does at once."""
    try:
        process = _idle.pop()
    except IndexError:
        process = order.process(_extra("distributed").get_worker().state.nthreads)
    try:
        return do(order, process)
    finally:
        _idle.append(process)


def _extra(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingExtraError(package, "cluster") from error


def _queue(cluster: str, workers: int) -> Any:
    if cluster not in CLUSTERS:
        raise UnknownNameError("cluster", cluster, CLUSTERS)
    jobqueue, config = _extra("dask_jobqueue"), _extra("dask.config")
    losses = (
        "distributed.scheduler.allowed-failures"  # read as the scheduler starts; a task's retries are of its errors
    )
    said = config.get("jobqueue.slurm.scheduler-options", None) or {}
    try:
        with config.set({losses: max(_LOSSES, config.get(losses))}):
            found = jobqueue.SLURMCluster(scheduler_options={"dashboard_address": "127.0.0.1:0"} | said)
    except (TypeError, ValueError) as error:
        raise SettingError(
            f"dask-jobqueue cannot start a {cluster} cluster: {' '.join(str(error).split())} Set cores and memory in "
            "~/.config/dask/jobqueue.yaml."
        ) from error
    found.scale(jobs=workers)
    return found
