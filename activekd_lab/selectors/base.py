"""What every selector shares: the view of the pool, the registry, and `select`, which checks both sides of a choice."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

import numpy as np
import torch
from pydantic import PydanticUserError, TypeAdapter, ValidationError
from torch import Tensor

from activekd_lab.errors import PoolError, SettingError, UnknownNameError
from activekd_lab.selectors.validation import check_view, name_ids

ENTRY_POINT_GROUP = "activekd_lab.selectors"

SelectorFunction = Callable[..., Tensor]
"""`function(view, budget, *, generator, **options) -> (B,) ids`, B distinct ids out of `view.ids`."""


@dataclass(frozen=True, slots=True, eq=False)
class PoolView:
    """All that a selector may see of a round: tensors, never a dataset, a model or a hidden label.

    Attributes:
        ids: Unlabelled pool, (N,) int64 positions in the task's training split.
        probabilities: Student predictions mixed over its heads, (N, C), rows sum to 1.
        features: Student features, (N, D), any scale.
        labeled_ids: (L,) int64, none of them in `ids`.
        labeled_labels: (L,) int64 in [0, C).
        labeled_probabilities: (L, C), as `probabilities`.
        labeled_features: (L, D), as `features`.
        teacher_probabilities: (N, C) or None; `labeled_teacher_probabilities` is (L, C).
        ce_probabilities: Softmax of the student's CE head, (N, C) or None; `labeled_ce_probabilities` is (L, C).
        kd_probabilities: Softmax of the student's KD head, (N, C) or None; `labeled_kd_probabilities` is (L, C).
        round: Which round asks; errors name it.
    """

    ids: Tensor
    probabilities: Tensor
    features: Tensor
    labeled_ids: Tensor
    labeled_labels: Tensor
    labeled_probabilities: Tensor
    labeled_features: Tensor
    teacher_probabilities: Tensor | None = None
    ce_probabilities: Tensor | None = None
    kd_probabilities: Tensor | None = None
    labeled_teacher_probabilities: Tensor | None = None
    labeled_ce_probabilities: Tensor | None = None
    labeled_kd_probabilities: Tensor | None = None
    round: int | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def num_classes(self) -> int:
        """C, the width of `probabilities`."""
        return int(self.probabilities.shape[1])

    def validate(self, selector: str = "a selector") -> None:
        """Raise PoolError or NonFiniteError, naming `selector`, ids and round, when the data cannot be used."""
        check_view(self, selector)

    def need(self, field: str, selector: str, why: str) -> Tensor:
        """Return an optional tensor, or raise SettingError naming the `field` that the caller left out."""
        value: Tensor | None = getattr(self, field)
        if value is None:
            raise SettingError(f"Selector {selector!r} needs PoolView.{field} {why}, but it is None; fill it in.")
        return value


@dataclass(frozen=True, slots=True)
class Selector:
    """A named strategy: call it with `(view, budget, generator=…, **options)` to get (B,) ids.

    Attributes:
        name: Key in the registry.
        help: One line on what it looks for.
        citation: Its source in one line.
        function: The algorithm on tensors.
        deterministic: Whether the generator only breaks ties.
    """

    name: str
    help: str
    citation: str
    function: SelectorFunction
    deterministic: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """Keyword options of the strategy and their defaults."""
        named = inspect.signature(self.function).parameters.values()
        return {p.name: p.default for p in named if p.kind is p.KEYWORD_ONLY and p.name != "generator"}

    def __call__(self, view: PoolView, budget: int, *, generator: torch.Generator, **options: Any) -> Tensor:
        """Check the view, the budget and the options, choose, and check the answer; see `select`."""
        self.check_options(options)
        view.validate(self.name)
        _check_budget(self.name, budget, len(view))
        return _checked(self.function(view, budget, generator=generator, **options), view, budget, self.name)

    def check_options(self, options: dict[str, Any]) -> None:
        """Raise SettingError naming the first option that the strategy does not have, or that is of another type.

        Types are those of the function's annotations; what has none, or none that can be looked up, it checks itself.
        """
        takes_any = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(self.function).parameters.values())
        unknown = [] if takes_any else sorted(options.keys() - self.options.keys())
        if unknown:
            known = ", ".join(self.options) or "none"
            raise SettingError(
                f"Selector {self.name!r} has no option {unknown[0]!r}; its options are: {known}. Drop it or correct it."
            )
        for name, value in options.items():
            _check_type(self, name, value)


REGISTRY: dict[str, Selector] = {}
"""Every selector by name, filled by the `@register` of each strategy's file."""


def register(
    name: str, *, help: str, citation: str, deterministic: bool = False
) -> Callable[[SelectorFunction], SelectorFunction]:
    """Enter the decorated function in the registry under `name`; the function itself is returned unchanged."""

    def enter(function: SelectorFunction) -> SelectorFunction:
        if name in REGISTRY:
            raise SettingError(f"A selector named {name!r} is registered already; choose another name.")
        REGISTRY[name] = Selector(name, help, citation, function, deterministic)
        return function

    return enter


def select(
    selector: str | Selector | SelectorFunction,
    view: PoolView,
    budget: int,
    *,
    generator: torch.Generator,
    **options: Any,
) -> Tensor:
    """Choose `budget` ids of the pool.

    Args:
        selector: A registered name, a Selector, or a function `(view, budget, *, generator, **options) -> (B,) ids`.
        view: The pool as the student sees it.
        budget: B, from 1 to N.
        generator: Source of every random draw; the same one gives the same ids.
        **options: Options of that selector; unknown ones are refused.

    Returns:
        (B,) int64 distinct ids from `view.ids`, in the order chosen.

    Raises:
        UnknownNameError: No selector of that name.
        SettingError: An option the selector does not have, or one outside its range.
        PoolError: A budget, view or answer that does not fit the pool.
        NonFiniteError: NaN or infinity in the view.
    """
    return resolve(selector)(view, budget, generator=generator, **options)


def resolve(selector: str | Selector | SelectorFunction) -> Selector:
    """Return the Selector behind a registered name, a plain function, or a Selector itself."""
    if isinstance(selector, Selector):
        return selector
    if callable(selector):
        return _from_function(getattr(selector, "__name__", type(selector).__name__), selector)
    if selector in REGISTRY:
        return REGISTRY[selector]
    plugins = {p.name: p for p in entry_points(group=ENTRY_POINT_GROUP)}
    if selector in plugins:
        return _from_plugin(selector, plugins[selector].load())
    raise UnknownNameError("selector", selector, [*REGISTRY, *plugins])


def list_selectors() -> list[Selector]:
    """Return every selector, by name: the package's own and those installed under the entry-point group."""
    plugins = [_from_plugin(p.name, p.load()) for p in entry_points(group=ENTRY_POINT_GROUP) if p.name not in REGISTRY]
    return sorted([*REGISTRY.values(), *plugins], key=lambda s: s.name)


def _from_plugin(name: str, loaded: Selector | SelectorFunction) -> Selector:
    return loaded if isinstance(loaded, Selector) else _from_function(name, loaded)


def _from_function(name: str, function: SelectorFunction) -> Selector:
    lines = (inspect.getdoc(function) or "").splitlines()
    return Selector(name, lines[0] if lines else "no help given", "user function", function)


def _check_type(selector: Selector, option: str, value: object) -> None:
    """Refuse an option's value that is not of its annotated type; a NumPy number is as good as Python's."""
    try:
        annotations = inspect.signature(selector.function, eval_str=True).parameters
        kind = annotations[option].annotation if option in annotations else Any
        fits = TypeAdapter(Any if kind is inspect.Parameter.empty else kind)
    except (NameError, AttributeError, TypeError, PydanticUserError):  # known to type checkers only, or not to pydantic
        return
    try:
        fits.validate_python(value.item() if isinstance(value, np.generic) else value, strict=True)
    except ValidationError as error:
        expected = error.errors()[0]["msg"].removeprefix("Input ")
        raise SettingError(f"Selector {selector.name!r}: option {option!r} {expected}, but got {value!r}.") from None


def _check_budget(name: str, budget: int, size: int) -> None:
    if isinstance(budget, bool) or not isinstance(budget, int) or budget <= 0:
        raise PoolError(f"Selector {name!r} expected a budget of at least 1, but got {budget!r}; ask for 1 to {size}.")
    if budget > size:
        raise PoolError(f"Selector {name!r} was asked for {budget} ids, but only {size} are left; lower the budget.")


def _checked(ids: Tensor, view: PoolView, budget: int, name: str) -> Tensor:
    """Refuse an answer that is no choice of `budget` distinct pool ids."""
    if not isinstance(ids, Tensor) or ids.dtype != torch.int64 or ids.shape != (budget,):
        got = f"{ids.dtype} {tuple(ids.shape)}" if isinstance(ids, Tensor) else type(ids).__name__
        raise PoolError(
            f"Selector {name!r} must return ({budget},) int64 ids, but returned {got}; correct the selector."
        )
    if len(ids.unique()) < budget:
        raise PoolError(f"Selector {name!r} returned an id twice among its {budget}; correct the selector.")
    strange = ids[~torch.isin(ids, view.ids)]
    if len(strange):
        raise PoolError(
            f"Selector {name!r} returned {name_ids(strange)}, not in the unlabelled pool; it may only return view.ids."
        )
    return ids
