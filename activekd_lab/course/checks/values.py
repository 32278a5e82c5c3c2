"""What a check asks of a value: its form, its numbers, sums of one, distinct positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


class Wrong(Exception):  # noqa: N818  (a message to the learner, no fault of the program)
    """What a check raises when the function is not right yet; the text goes to the learner."""


def tensor_like(found: Any, shape: tuple[int, ...], what: str) -> Tensor:
    """Return the answer as a float64 tensor of the expected shape.

    Args:
        found: a tensor, array, list or number.
        shape: expected.
        what: the shape in words, "one number an image".

    Raises:
        Wrong: it is no tensor, has another shape, or holds NaN or infinity.
    """
    import torch  # noqa: PLC0415  (slow import)

    try:
        values = torch.as_tensor(found).detach().to("cpu", torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise Wrong(f"Expected a tensor of shape {shape}, {what}, but got {type(found).__name__}.") from None
    if tuple(values.shape) != shape:
        raise Wrong(f"Expected shape {shape}, {what}, but got {tuple(values.shape)}.")
    if not bool(values.isfinite().all()):
        raise Wrong("The answer holds NaN or infinity: look for a logarithm of zero, or a division by zero.")
    return values


def close(found: Any, expected: Any, tolerance: float = 1e-4) -> bool:
    """Tell whether all numbers agree within `tolerance`, relative to the largest expected one (at least 1)."""
    import torch  # noqa: PLC0415  (slow import)

    a, b = (torch.as_tensor(x).detach().to("cpu", torch.float64) for x in (found, expected))
    return a.shape == b.shape and float((a - b).abs().max()) <= tolerance * max(1.0, float(b.abs().max()))


def same(found: Any, expected: Any, what: str, tolerance: float = 1e-4) -> None:
    """Raise Wrong, showing the first number that differs, unless all agree. `what`: "the entropies of three rows"."""
    import torch  # noqa: PLC0415  (slow import)

    if close(found, expected, tolerance):
        return
    a, b = (torch.as_tensor(x).detach().to("cpu", torch.float64).flatten() for x in (found, expected))
    i = int(((a - b).abs() > tolerance * max(1.0, float(b.abs().max()))).nonzero()[0])
    where = f" (number {i} of {len(b)})" if len(b) > 1 else ""
    raise Wrong(f"Not yet: {what} should give {float(b[i]):.4g}, but got {float(a[i]):.4g}{where}.")


def rows_sum_to_one(found: Tensor) -> None:
    """Raise Wrong unless the answer's rows are probabilities."""
    sums = found.sum(-1)
    if not close(sums, sums.new_ones(sums.shape)):
        worst = float(sums.flatten()[(sums - 1).abs().argmax()])
        raise Wrong(f"Each row should be probabilities and sum to 1, but one sums to {worst:.4g}.")
    if bool((found < 0).any()):
        raise Wrong("Each row should be probabilities, but some are negative.")


def distinct_positions(found: Any, count: int, size: int) -> list[int]:
    """Return `count` distinct positions in [0, size), as a selector's picks must be, or raise Wrong."""
    picks = tensor_like(found, (count,), f"{count} positions").tolist()
    if any(p != int(p) or not 0 <= p < size for p in picks):
        raise Wrong(f"Picks are positions, whole numbers from 0 to {size - 1}, but got {picks}.")
    if len(set(picks)) < count:
        raise Wrong(f"An image is picked twice: {[int(p) for p in picks]}. A picked image is a centre from then on.")
    return [int(p) for p in picks]
