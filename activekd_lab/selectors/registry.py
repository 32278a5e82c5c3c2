"""Every selector by name, and `select`, which checks both sides of a choice."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from pydantic import PydanticUserError, TypeAdapter, ValidationError
from torch import Tensor

from activekd_lab.errors import PoolError, SettingError
from activekd_lab.io.arguments import check_generator
from activekd_lab.io.numbers import named, whole
from activekd_lab.selectors.parts import Part, Registry
from activekd_lab.selectors.view import PoolView, name_ids

Variant = Literal["paper", "released"]
"""How a strategy runs: as its paper describes it, or as its authors' code does."""

SelectorFunction = Callable[..., Tensor]
"""`function(view, budget, *, generator, **options) -> (B,) ids`, B distinct ids out of `view.ids`."""


@dataclass(frozen=True, slots=True)
class Selector(Part):
    """A named strategy: call it with `(view, budget, generator=…, **options)` to get (B,) ids.

    Attributes:
        deterministic: Whether the generator only breaks ties.
        released: Options under which it picks as the authors' released code does, where that differs.
        features: Whether it compares features; False where probabilities, or the generator, are enough.
    """

    deterministic: bool = False
    released: Mapping[str, Any] = field(default_factory=dict)
    features: bool = True

    @property
    def options(self) -> dict[str, Any]:
        """Keyword options of the strategy and their defaults."""
        named = self._parameters().values()
        return {p.name: p.default for p in named if p.kind is p.KEYWORD_ONLY and p.name != "generator"}

    def __call__(self, view: PoolView, budget: int, *, generator: torch.Generator, **options: Any) -> Tensor:
        """Check the view, the budget and the options, choose, and check the answer; see `select`."""
        self.check_options(options)
        if not isinstance(view, PoolView):
            raise PoolError(f"Selector {self.name!r} expected a PoolView, but got {type(view).__name__}; make one.")
        check_generator(generator, f"Selector {self.name!r}")
        view.validate(self.name)
        budget = _budget(self.name, budget, len(view))
        return _checked(self.function(view, budget, generator=generator, **options), view, budget, self.name)

    def check_options(self, options: dict[str, Any]) -> None:
        """Raise SettingError naming the first option that the strategy does not have, or that is of another type.

        Types are those of the function's annotations; what has none, or none that can be looked up, it checks itself.
        """
        takes_any = any(p.kind is p.VAR_KEYWORD for p in self._parameters().values())
        unknown = [] if takes_any else sorted(options.keys() - self.options.keys())
        if unknown:
            known = ", ".join(self.options) or "none"
            raise SettingError(
                f"Selector {self.name!r} has no option {unknown[0]!r}; its options are: {known}. Drop it or correct it."
            )
        for name, value in options.items():
            _check_type(self, name, value)

    def _parameters(self) -> Mapping[str, inspect.Parameter]:
        """Return the function's parameters; SettingError when it cannot be called as a selector is."""
        try:
            signature = inspect.signature(self.function)
            signature.bind(None, 1, generator=None, **dict.fromkeys(_required(signature)))
        except (TypeError, ValueError) as reason:
            raise SettingError(
                f"Expected selector {self.name!r} as a function (view, budget, *, generator, **options), but it cannot "
                f"be called so: {reason}."
            ) from None
        return signature.parameters


SELECTORS = Registry("selector", Selector)
REGISTRY = SELECTORS.own
"""The package's selectors by name, filled by the `@register` of each strategy's file."""


def register(
    name: str,
    *,
    help: str,
    citation: str,
    deterministic: bool = False,
    released: Mapping[str, Any] | None = None,
    features: bool = True,
) -> Callable[[SelectorFunction], SelectorFunction]:
    """Enter the decorated function in the registry under `name`; the function itself is returned unchanged."""

    def enter(function: SelectorFunction) -> SelectorFunction:
        SELECTORS.enter(Selector(name, help, citation, function, deterministic, released or {}, features))
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
    return SELECTORS.find(selector)


def list_selectors() -> list[Selector]:
    """Return every selector, by name: the package's own and those installed under the entry-point group.

    A plug-in that does not load is left out with a warning that says why.
    """
    return SELECTORS.all()


def released_options(selector: str | Selector | SelectorFunction) -> dict[str, Any]:
    """Return the options with which a selector picks as its authors' released code does; empty where that is the same.

    Example:
        >>> released_options("badge"), released_options("pcoreset")
        ({'protocol': 'released'}, {})
    """
    return dict(resolve(selector).released)


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


def _required(signature: inspect.Signature) -> list[str]:
    """Return keyword-only options without a default; whether they are given is for the call to say."""
    named = signature.parameters.values()
    return [p.name for p in named if p.kind is p.KEYWORD_ONLY and p.default is p.empty and p.name != "generator"]


def _budget(name: str, budget: object, size: int) -> int:
    count = whole(budget)
    if count is None or count <= 0:
        raise PoolError(
            f"Selector {name!r} expected a budget of 1 or more, but got {named(budget)}; ask for 1 to {size}."
        )
    if count > size:
        raise PoolError(f"Selector {name!r} was asked for {count} ids, but only {size} are left; lower the budget.")
    return count


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
