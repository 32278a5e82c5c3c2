"""What every check shares. A check takes the learner's function, calls it on small inputs, and praises or raises.

    @register("03.entropy")
    def entropy(function: Function) -> str:
        rows = torch.tensor([[0.5, 0.5], [1.0, 0.0]])
        found = tensor_like(call(function, rows), (2,), "one number a row")
        if close(found, -expected):
            raise Wrong("Every entropy has the wrong sign: …")
        same(found, expected, "the entropies of …")
        return "The undecided row has the largest entropy."

`call` hands over copies, so that a change in place is seen, and names the line where the learner's code raised.
Messages are one or two sentences to the learner: what is wrong, and where to look.
"""

from __future__ import annotations

import copy
import dataclasses
import html
import importlib
import pkgutil
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from activekd_lab.errors import UnknownNameError

if TYPE_CHECKING:
    from torch import Tensor

Function = Callable[..., Any]
Status = Literal["passed", "failed", "not started"]
_LOOK: dict[Status, tuple[str, str]] = {
    "passed": ("✓", "#007a5a"),
    "failed": ("✗", "#b34700"),
    "not started": ("…", "#666666"),
}


class Wrong(Exception):  # noqa: N818  (a message to the learner, no fault of the program)
    """What a check raises when the function is not right yet; the text goes to the learner."""


@dataclass(frozen=True)
class Check:
    """A registered check: the function that examines the learner's, and what solving it is worth."""

    examine: Callable[[Function], str]
    points: int


@dataclass(frozen=True)
class CheckResult:
    """What a check found.

    Attributes:
        name: of the check, "03.entropy".
        status: "passed", "failed" or "not started".
        message: one or two sentences to the learner.
    """

    name: str
    status: Status
    message: str

    def __repr__(self) -> str:
        return f"{_LOOK[self.status][0]} {self.name}: {self.status}. {self.message}"

    def _repr_html_(self) -> str:
        sign, color = _LOOK[self.status]
        return (
            f'<div role="status" style="border-left:4px solid {color};padding:4px 12px">'
            f'<b style="color:{color}">{sign} {html.escape(self.name)}: {self.status}.</b> '
            f"{html.escape(self.message)}</div>"
        )


CHECKS: dict[str, Check] = {}
"""Every check by name, filled by `@register` in the file of each notebook; use `names` to have all of them loaded."""


def register(name: str, *, points: int = 1) -> Callable[[Callable[[Function], str]], Callable[[Function], str]]:
    """Enter the decorated check under `name`, the notebook's number and the exercise: "03.entropy"."""

    def enter(examine: Callable[[Function], str]) -> Callable[[Function], str]:
        CHECKS[name] = Check(examine, points)
        return examine

    return enter


def names() -> list[str]:
    """Return the names of all checks."""
    package = importlib.import_module(__package__)
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{__package__}.{module.name}")
    return sorted(CHECKS)


def points_of(name: str) -> int:
    """Return what an exercise is worth."""
    return _find(name).points


def check(name: str, function: Function) -> CheckResult:
    """Call the learner's function on small inputs and say what is right or wrong about it.

    Args:
        name: of the exercise, "03.entropy".
        function: the learner's; whatever it does, nothing is raised.

    Raises:
        UnknownNameError: no exercise of that name.
    """
    examine = _find(name).examine
    if not callable(function):
        return CheckResult(name, "failed", f"A function is expected, but got {type(function).__name__}.")
    try:
        return CheckResult(name, "passed", examine(function))
    except NotImplementedError:
        return CheckResult(name, "not started", "Replace the line that raises NotImplementedError, and run both cells.")
    except Wrong as wrong:
        return CheckResult(name, "failed", str(wrong))
    except Exception as error:  # the answer was of a kind that the check did not foresee
        message = f"What the function returned could not be examined ({type(error).__name__}: {error})."
        return CheckResult(name, "failed", f"{message} Compare its type with the docstring.")


def call(function: Function, *arguments: Any, **keywords: Any) -> Any:
    """Call the learner's function on copies of the arguments and return its answer.

    Raises:
        NotImplementedError: the exercise has not been started.
        Wrong: it raised, with the line; returned nothing; or changed an argument in place.
    """
    copies, named = copy.deepcopy(arguments), copy.deepcopy(keywords)
    try:
        found = function(*copies, **named)
    except NotImplementedError:
        raise
    except (Exception, SystemExit) as error:
        raise Wrong(_explain(function, error)) from None
    for before, after in zip([*arguments, *keywords.values()], [*copies, *named.values()], strict=True):
        if not _unchanged(before, after):
            raise Wrong("The function changes its input in place; work on a copy (`.clone()`) or on a new tensor.")
    if found is None:
        raise Wrong("The function returns None; the last line should return the answer.")
    return found


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


def _find(name: str) -> Check:
    if name not in names():
        raise UnknownNameError("exercise", name, CHECKS)
    return CHECKS[name]


def _explain(function: Function, error: BaseException) -> str:
    """Say what was raised and in which of the learner's lines."""
    code = getattr(function, "__code__", None)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if code and f.filename == code.co_filename]
    where = ""
    if frames and frames[-1].lineno is not None:
        line = (frames[-1].line or "").strip()
        where = f" at line {frames[-1].lineno} of the cell" + (f" (`{line}`)" if line else "")
    return f"The function raised {type(error).__name__}: {error}{where}."


def _unchanged(before: Any, after: Any) -> bool:
    return bool(_plain(before) == _plain(after))


def _plain(value: Any) -> Any:
    """Turn tensors, arrays and containers of them into lists that can be compared; other objects are left out."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if dataclasses.is_dataclass(value):
        return [_plain(getattr(value, field.name)) for field in dataclasses.fields(value)]
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value if isinstance(value, str | int | float | set) else None
