"""Where to compute, in which arithmetic, with how many threads. torch is imported on use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, get_args

from activekd_lab.errors import SettingError, UnknownNameError

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "fp32", "bf16", "fp16"]


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Return the device to use: "auto" is cuda, else mps, else cpu.

    Raises:
        SettingError: the device does not exist on this machine.
    """
    import torch  # noqa: PLC0415  (slow import)

    if isinstance(device, torch.device):
        return device
    if device == "auto":
        found = torch.accelerator.current_accelerator(check_available=True)
        return torch.device(found.type) if found is not None and found.type in ("cuda", "mps") else torch.device("cpu")
    kind = device.split(":")[0]
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if kind not in available:
        raise UnknownNameError("device", device, ["auto", *available])
    if not available[kind]:
        raise SettingError(f"device={device!r} is not available on this machine; use device='auto' or 'cpu'.")
    return torch.device(device)


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return the arithmetic of a teacher: "auto" is fp16 on CUDA (as CLIP's own code runs), fp32 elsewhere.

    Raises:
        SettingError: fp16 without a GPU.
    """
    if precision not in get_args(Precision):
        raise UnknownNameError("precision", precision, get_args(Precision))
    if precision == "auto":
        return "fp16" if device.type == "cuda" else "fp32"
    if precision == "fp16" and device.type == "cpu":
        raise SettingError("precision='fp16' needs a GPU; use 'fp32' (or 'bf16') on the CPU.")
    return precision


def batch_size(device: torch.device) -> int:
    """Return how many images a network is asked about at once: more gain nothing on a CPU, and keep it waiting."""
    return 256 if device.type == "cuda" else 16


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_of_cores(jobs: int) -> int:
    """Return the threads of each of so many jobs at once on this machine."""
    return max(1, cores() // jobs)


@contextmanager
def threads_set(count: int | None) -> Iterator[None]:
    """Let PyTorch use `count` threads inside the block; None leaves its choice."""
    import torch  # noqa: PLC0415  (slow import)

    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def calm_threads() -> None:
    """Let OpenMP's threads spin only shortly while they wait, unless the user has said otherwise.

    PyTorch's threads spin while they wait for each other, also for one that another busy process keeps from running. A
    short spin costs nothing where it is quiet. Read when torch is loaded, so the command line and the processes of a
    study call this first.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = "2000"
