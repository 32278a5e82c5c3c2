"""The learning rate over a training, as a share of its peak: how it rises and how it falls."""

from __future__ import annotations

from math import cos, pi

from activekd_lab.errors import SettingError

SCHEDULES = ("linear", "linear-from-0", "cosine", "chained")


def rate_at(
    step: int, steps: int, warmup: float = 0.1, *, schedule: str = "linear", warmup_steps: int | None = None
) -> float:
    """Return the share of the peak learning rate at a step, from 0.

    With w warm-up steps of N, at step k:

    - "linear": (k + 1) / w, then (N − k) / (N − w), so that no step is wasted; w is rounded.
    - "linear-from-0": k / w, then (N − k) / (N − w), as in the papers' code on ten data sets: step 0 changes nothing.
    - "cosine": k / w, then (1 + cos(π (k − w) / (N − w))) / 2; ImageNet in the papers' code, w = 0.
    - "chained": (.01 + .99 min(k, w) / w) · (1 + cos(π k / (N − w))) / 2, both at once as in the papers' low-shot
      code: the cosine ends w steps early, and the last w steps rise again by a trace.

    Args:
        step: k, from 0.
        steps: N.
        warmup: w as a share of N.
        schedule: one of the four.
        warmup_steps: w itself, instead.

    Raises:
        SettingError: a chained warm-up as long as the training.
    """
    w = warmup * steps if warmup_steps is None else warmup_steps
    if schedule == "chained":
        if not 0 < w < steps:
            raise SettingError(f"warmup_steps must be fewer than the {steps} steps of the training, but got {w:g}.")
        return (0.01 + 0.99 * min(step, w) / w) * (1 + cos(pi * step / (steps - w))) / 2
    if schedule == "linear":
        w = round(w)
        return (step + 1) / w if step < w else (steps - step) / max(1, steps - w)
    if step < w:
        return step / max(1, w)
    left = max(0.0, (steps - step) / max(1, steps - w))  # 1 at the end of the warm-up, 0 at the last step's end
    return left if schedule == "linear-from-0" else (1 + cos(pi * (1 - left))) / 2
