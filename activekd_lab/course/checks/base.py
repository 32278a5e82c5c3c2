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
import importlib.metadata
import importlib.util
import pkgutil
import traceback
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from activekd_lab.course.checks.values import Wrong, same, tensor_like
from activekd_lab.course.declared import read_notebook
from activekd_lab.errors import DataError, UnknownNameError

if TYPE_CHECKING:
    from torch import Generator

Function = Callable[..., Any]
Status = Literal["passed", "failed", "not started"]
_LOOK: dict[Status, tuple[str, str]] = {
    "passed": ("✓", "#007a5a"),
    "failed": ("✗", "#b34700"),
    "not started": ("…", "#666666"),
}


@dataclass(frozen=True)
class Check:
    """A registered check: the function that examines the learner's, what solving it is worth, the function's name."""

    examine: Callable[[Function], str]
    points: int
    function: str


@dataclass(frozen=True)
class CheckResult:
    """What a check found.

    Attributes:
        name: of the check, "03.entropy".
        status: "passed", "failed" or "not started".
        message: one or two sentences to the learner.
        solution: the right cell, offered from the second failure on where the notebooks with solutions lie beside.
    """

    name: str
    status: Status
    message: str
    solution: str = ""

    def __repr__(self) -> str:
        return f"{_LOOK[self.status][0]} {self.name}: {self.status}. {self.message}"

    def _repr_html_(self) -> str:
        sign, color = _LOOK[self.status]
        return (
            f'<div role="status" style="border-left:4px solid {color};padding:4px 12px">'
            f'<b style="color:{color}">{sign} {html.escape(self.name)}: {self.status}.</b> '
            f"{html.escape(self.message)}{self._fold()}</div>"
        )

    def _fold(self) -> str:
        shown = f"<details><summary>A solution</summary><pre>{html.escape(self.solution)}</pre></details>"
        return shown if self.solution else ""


CHECKS: dict[str, Check] = {}
"""Every check by name, filled by `@register` in the file of each notebook; use `names` to have all of them loaded."""


_ENTRY_POINTS = "activekd_lab.checks"  # modules of other packages that register checks
_seed: ContextVar[int] = ContextVar("seed", default=0)
_solved: set[str] = set()
_failures: Counter[str] = Counter()


def register(
    name: str, *, points: int = 1, function: str = ""
) -> Callable[[Callable[[Function], str]], Callable[[Function], str]]:
    """Enter the decorated check under `name`, the notebook's number and the exercise: "03.entropy".

    `function` is what learners are asked to write, usually the exercise's own name.
    """

    def enter(examine: Callable[[Function], str]) -> Callable[[Function], str]:
        CHECKS[name] = Check(examine, points, function or name.rpartition(".")[2])
        return examine

    return enter


def names() -> list[str]:
    """Return the names of all checks, those of other packages' entry points included."""
    package = importlib.import_module(__package__)
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{__package__}.{module.name}")
    for entry in importlib.metadata.entry_points(group=_ENTRY_POINTS):
        entry.load()
    return sorted(CHECKS)


def functions() -> dict[str, str]:
    """Return the name of the learner's function by exercise, of all checks."""
    return {name: CHECKS[name].function for name in names()}


def load_checks(file: str | Path) -> None:
    """Run a Python file that registers checks of one's own.

    Raises:
        DataError: it cannot be run, or registers none.
    """
    before = set(names())
    try:
        spec = importlib.util.spec_from_file_location("own_checks", file)
        if spec is None or spec.loader is None:
            raise ImportError("no Python file")
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    except (Exception, SystemExit) as error:
        raise DataError(f"{file} cannot be run as a file of checks ({type(error).__name__}: {error}).") from None
    if not set(CHECKS) - before:
        raise DataError(f'{file} registers no check; write functions under @register("50.mine"), see checks/base.py.')


def points_of(name: str) -> int:
    """Return what an exercise is worth."""
    return _find(name).points


def check(name: str, function: Function, *, seed: int = 0) -> CheckResult:
    """Call the learner's function on small inputs and say what is right or wrong about it.

    Args:
        name: of the exercise, "03.entropy".
        function: the learner's; whatever it does, nothing is raised.
        seed: of the inputs that are drawn; grading takes one that nobody knows.

    Raises:
        UnknownNameError: no exercise of that name.
    """
    found = _examined(name, function, seed)
    (_solved.add if found.status == "passed" else _solved.discard)(name)
    _failures[name] += found.status == "failed"
    twice = found.status == "failed" and _failures[name] > 1
    return dataclasses.replace(found, solution=_solution(name)) if twice else found


def solved(name: str) -> bool:
    """Say whether the last check of an exercise passed here; a notebook's next cell then uses the learner's function.

    Raises:
        UnknownNameError: no exercise of that name.
    """
    return bool(_find(name)) and name in _solved


def _solution(name: str) -> str:
    """Return an exercise's cell of the notebook with solutions; empty where none lies in `instructor/` beside."""
    for path in Path("instructor").glob(f"{name.partition('.')[0]}_*.ipynb"):
        for cell, following in pairwise(read_notebook(path)["cells"]):
            if f'check("{name}"' in following["source"]:
                return str(cell["source"])
    return ""


def _examined(name: str, function: Function, seed: int) -> CheckResult:
    examine = _find(name).examine
    if not callable(function):
        return CheckResult(name, "failed", f"A function is expected, but got {type(function).__name__}.")
    _seed.set(seed)
    try:
        return CheckResult(name, "passed", examine(function))
    except NotImplementedError:
        return CheckResult(name, "not started", "Replace the line that raises NotImplementedError, and run both cells.")
    except Wrong as wrong:
        return CheckResult(name, "failed", str(wrong))
    except Exception as error:  # the answer was of a kind that the check did not foresee
        message = f"What the function returned could not be examined ({type(error).__name__}: {error})."
        return CheckResult(name, "failed", f"{message} Compare its type with the docstring.")


NOTHING = "The function returns None; the last line should return the answer."
CHANGED = "The function changes its input in place; work on a copy (`.clone()`) or on a new tensor."


def call(function: Function, *arguments: Any, none: str = NOTHING, **keywords: Any) -> Any:
    """Call the learner's function on copies of the arguments and return its answer.

    Args:
        function: the learner's, or its stand-in while grading.
        *arguments: what it gets.
        none: what to say where it returns None.
        **keywords: what it gets by name.

    Raises:
        NotImplementedError: the exercise has not been started.
        Wrong: it raised, with the line; returned nothing; or changed an argument in place.
    """
    copies, named = copy.deepcopy(arguments), copy.deepcopy(keywords)
    try:
        found = function(*copies, **named)
    except (NotImplementedError, Wrong):
        raise
    except (Exception, SystemExit) as error:
        raise Wrong(explain(function, error)) from None
    for before, after in zip([*arguments, *keywords.values()], [*copies, *named.values()], strict=True):
        if not _unchanged(before, after):
            raise Wrong(CHANGED)
    if found is None:
        raise Wrong(none)
    return found


def drawing() -> Generator:
    """Return the generator from which a check draws its inputs."""
    import torch  # noqa: PLC0415  (slow import)

    return torch.Generator().manual_seed(_seed.get())


def at_random(
    function: Function, right: Function, draw: Callable[[Generator], tuple[Any, ...]], what: str, *, times: int = 4
) -> None:
    """Compare the learner's function with the right one on drawn inputs, so that no fixed answer passes.

    Args:
        function: the learner's.
        right: gives the right answer, numbers of any shape.
        draw: makes the arguments of one call from a generator.
        what: the answer in words, "the entropies of drawn rows".
        times: calls.

    Raises:
        Wrong: an answer of another shape or with other numbers.
    """
    import torch  # noqa: PLC0415  (slow import)

    generator = drawing()
    for _ in range(times):
        arguments = draw(generator)
        expected = torch.as_tensor(right(*copy.deepcopy(arguments))).detach().to("cpu", torch.float64)
        found = tensor_like(call(function, *arguments), tuple(expected.shape), "as before")
        same(found, expected, f"{what}, other inputs than before,")


def _find(name: str) -> Check:
    if name not in names():
        raise UnknownNameError("exercise", name, CHECKS)
    return CHECKS[name]


def explain(function: Function, error: BaseException) -> str:
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
