"""What callers hand over: taken in the usual forms or refused in one sentence, by the annotations of public functions.

`@checked()` on a function or a class reads its annotations once and looks at every argument before the body runs. So a
public function says what it expects without a line of its own, and all of them take the same for the same.
"""

from __future__ import annotations

import functools
import inspect
import math
import operator
import sys
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin

from activekd_lab.errors import SettingError, UnknownNameError
from activekd_lab.io.numbers import named
from activekd_lab.io.values import LARGE, Unfit, described, same, taken

T = TypeVar("T", bound=Callable[..., Any])


def checked(**ranges: str) -> Callable[[T], T]:
    """Check the arguments of a public function, or of a class's constructor, against its annotations.

    Taken: any integer but True for a whole number; a finite number for a float; tensors, arrays and lists for each
    other where numbers are expected, a tensor in its graph and on its device; a list for a tuple. Refused by name: all
    else, such as NaN, "3", 2.0 for a whole number, sparse and meta tensors, a generator of another library.

    Args:
        ranges: by argument, what its annotation doesn't say. Of a number, or every number of a list: "> 0", ">= 1",
            "0 … 1" or "between 0 and 1", which are outside; "or NaN" takes that too. Of a tensor or array: its shape,
            where a letter is one size in all arguments, "(N, 3, H, W)", and what it holds, "(N,) integers" (which come
            as int64), "(N, C) floats" or "(N, C) finite" floats.

    Raises:
        SettingError: from the decorated function; UnknownNameError for a text that is none of a `Literal`. TypeError
            stays Python's own for unknown and missing arguments.

    Example:
        >>> @checked(temperature="> 0")
        ... def soften(logits: Tensor, *, temperature: float) -> Tensor: ...
        >>> soften(logits, temperature=0.0)
        SettingError: soften expected temperature as a finite number > 0, but got float 0.0.
    """

    def decorate(target: T) -> T:
        if not isinstance(target, type):
            return _guarded(target, target.__name__, ranges)
        target.__init__ = _guarded(target.__init__, target.__name__, ranges)  # type: ignore[misc]
        return target

    return decorate


def unchecked(function: T) -> T:
    """Return a checked function or class as it is below its check, for our own inner loops."""
    if not isinstance(function, type):
        return function.__wrapped__  # type: ignore[attr-defined,no-any-return]
    begin = unchecked(function.__init__)  # type: ignore[misc]

    def made(*args: Any) -> Any:
        new: Any = object.__new__(function)
        begin(new, *args)
        return new

    return made  # type: ignore[return-value]


def _guarded(function: T, name: str, ranges: Mapping[str, str]) -> T:
    signature = inspect.signature(function)

    @functools.cache
    def kinds() -> dict[str, Any]:
        space = vars(sys.modules[function.__module__])
        named = (p for p in signature.parameters.values() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL))
        return {p.name: _evaluated(p.annotation, space) for p in named if p.annotation is not p.empty}

    ordered = {name: number for number, name in enumerate(signature.parameters)}
    by_position = [
        p.name for p in signature.parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]

    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        sizes: dict[str, int] = {}

        def look(argument: str, value: Any) -> Any:
            kind = kinds().get(argument, Any)
            if kind is Any or (
                type(value) is kind
                and argument not in ranges
                and (kind in (str, bool) or (kind is int and abs(value) < LARGE))
            ):
                return value
            return _fitting(name, argument, value, kind, ranges.get(argument, ""), sizes)

        values = [*map(look, by_position, args), *args[len(by_position) :]]
        named = sorted(keywords, key=lambda argument: ordered.get(argument, 0))  # sizes are said in this order
        return function(*values, **{argument: look(argument, keywords[argument]) for argument in named})

    return call  # type: ignore[return-value]


def _evaluated(annotation: Any, space: dict[str, Any]) -> Any:
    """Return what an annotation means; one that is imported for type checkers only is not checked."""
    try:
        return eval(annotation, space) if isinstance(annotation, str) else annotation
    except NameError:
        return Any


def _fitting(function: str, argument: str, value: Any, kind: Any, bounds: str, sizes: dict[str, int]) -> Any:
    if get_origin(kind) is Literal and isinstance(value, str) and value not in get_args(kind):
        raise UnknownNameError(argument, value, get_args(kind))
    try:
        if bounds == "or NaN" and isinstance(value, float) and math.isnan(value):
            return value
        value = taken(value, kind)
        if hasattr(value, "shape") and bounds[:1] == "(":
            return _shaped(value, bounds, sizes)
        if bounds[1:] and bounds[0] not in "(o" and not _within(value, bounds):
            raise Unfit
    except Unfit:
        where = f" {bounds}" * bool(bounds)
        known = ", ".join(f"{letter} = {size}" for letter, size in sizes.items() if letter in bounds)
        raise SettingError(
            f"{function} expected {argument} as {described(kind)}{where}{f' with {known}' * bool(known)}, but got "
            f"{named(value)}."
        ) from None
    return value


def _shaped(value: Any, bounds: str, sizes: dict[str, int]) -> Any:
    """Return a tensor or array of this shape and content, integers as int64; `sizes` are the letters known so far."""
    shape, _, content = bounds[1:].partition(")")
    letters = [letter.strip() for letter in shape.split(",") if letter.strip()]
    same(value, len(letters) == len(value.shape))
    for letter, size in zip(letters, value.shape, strict=True):
        same(value, size == (int(letter) if letter.isdigit() else sizes.setdefault(letter, size)))
    kind = str(value.dtype).removeprefix("torch.")
    if content == " integers":
        import numpy as np  # noqa: PLC0415  (most callers have no arrays)

        same(value, kind.startswith(("int", "uint")) or not len(value))
        return value.astype(np.int64) if isinstance(value, np.ndarray) else value.long()
    if content:
        same(value, kind.startswith(("float", "bfloat")) or not len(value))
    if content == " finite":
        same(value, bool((value - value == 0).all()))
    return value


def _within(value: Any, bounds: str) -> bool:
    if isinstance(value, list | tuple):
        return all(_within(v, bounds) for v in value)
    if not isinstance(value, int | float):  # None, or the other half of a union
        return True
    first, both, last = bounds.partition(" … ")
    if both:
        return float(first) <= value <= float(last)
    if bounds == "between 0 and 1":
        return 0 < value < 1
    sign, _, limit = bounds.partition(" ")
    return bool({">": operator.gt, ">=": operator.ge}[sign](value, float(limit)))


def check_generator(generator: object, who: str) -> None:
    """Raise SettingError unless this is a generator of torch on the processor."""
    import torch  # noqa: PLC0415

    _fitting(who, "generator", generator, torch.Generator, "", {})
