"""A value in the form that an annotation asks for, or none: what `arguments.checked` takes and refuses."""

from __future__ import annotations

import functools
import math
import os
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from activekd_lab.io.numbers import as_array, as_tensor, whole

LARGE = 2**31
_FOREIGN = ("Tensor", "ndarray", "Generator")  # of torch and NumPy, which load on use
_WORDS = {
    int: "a whole number", float: "a finite number", bool: "True or False", str: "a text", Path: "a path (not empty)",
    None: "None", types.NoneType: "None", Callable: "a function",
}  # fmt: skip


class Unfit(Exception):  # noqa: N818  (never leaves `checked`)
    """A value that its annotation does not take."""


def taken(value: Any, kind: Any) -> Any:  # noqa: PLR0911  (one a kind of annotation)
    """Return a value in the form that an annotation asks for.

    Raises:
        Unfit: it is of another kind.
    """
    origin = get_origin(kind) or kind
    if origin in (Union, types.UnionType):
        nowhere = isinstance(value, str) and value == "" and Path in get_args(kind)  # not the current folder
        return _one_of(same(value, not nowhere), get_args(kind))
    if kind in (Any, object) or isinstance(kind, TypeVar | str):
        return value
    if origin is Literal:
        found = [v for v in get_args(kind) if _alike(v, value)]
        return found[0] if found else same(value, False)
    if origin in _TAKERS:
        return _TAKERS[origin](value)
    if origin is Callable or not isinstance(origin, type):
        return same(value, callable(value) or origin is not Callable)
    if origin.__name__ in _FOREIGN and origin.__module__.partition(".")[0] in ("torch", "numpy"):
        return _foreign(value, origin)
    if origin.__module__ in ("builtins", "collections.abc") and issubclass(origin, Iterable):
        return _several(value, origin, get_args(kind))
    if getattr(origin, "_is_protocol", False):
        needed = [name for name, member in vars(origin).items() if name[0] != "_" and callable(member)]
        return same(value, all(callable(getattr(value, name, None)) for name in needed))
    return same(value, isinstance(value, origin))


def _alike(one: Any, value: Any) -> bool:
    """Tell whether two values are the same of a `Literal`, any text for a text; True is no 1."""
    texts = isinstance(one, str) and isinstance(value, str)
    return bool((texts or type(one) is type(value)) and one == value)


def same(value: Any, fits: bool) -> Any:
    """Return a value that fits; Unfit for one that does not."""
    if not fits:
        raise Unfit
    return value


def _one_of(value: Any, kinds: tuple[Any, ...]) -> Any:
    """Take a value as the first kind that takes it, those of which it is an instance already before the others."""
    if _are_array_like(kinds):
        import numpy as np  # noqa: PLC0415  (most callers have no arrays)

        return _foreign(value, np.ndarray)
    for kind in sorted(kinds, key=lambda kind: not _instance(value, get_origin(kind) or kind)):
        try:
            return taken(value, kind)
        except Unfit:
            continue
    raise Unfit


@functools.cache
def _are_array_like(kinds: tuple[Any, ...]) -> bool:
    """Tell whether a union is numpy.typing's ArrayLike."""
    return any("_SupportsArray" in str(kind) for kind in kinds)


def _instance(value: Any, kind: Any) -> bool:
    return isinstance(kind, type) and not getattr(kind, "_is_protocol", False) and isinstance(value, kind)


def _whole(value: Any) -> int:
    found = whole(value)
    if found is None:
        raise Unfit
    return found


def _finite(value: Any) -> float | int:
    if hasattr(value, "dtype") and not getattr(value, "ndim", 1) and not getattr(value, "is_meta", False):
        value = value.item()
    try:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        fits = False
    found: float | int = same(value, fits)
    return found if abs(found) < LARGE else float(found)  # its square has to be a number of torch, too


def _truth(value: Any) -> bool:
    return bool(same(value, isinstance(value, bool) or type(value).__name__ in ("bool_", "bool")))


def _text(value: Any) -> str:
    found: str = same(value, isinstance(value, str))
    return found


def _path(value: Any) -> Path:
    return Path(same(value, isinstance(value, str | os.PathLike) and value != ""))


def _nothing(value: Any) -> None:
    same(value, value is None)


_TAKERS: dict[Any, Callable[[Any], Any]] = {
    int: _whole, float: _finite, bool: _truth, str: _text, Path: _path, None: _nothing, types.NoneType: _nothing,
}  # fmt: skip


def _foreign(value: Any, kind: type) -> Any:
    """Return numbers as a tensor or an array, whatever they came as; or a generator as it is."""
    if kind.__name__ == "ndarray" and "torch" not in sys.modules:  # which takes seconds to load
        array = as_array(value, "", Unfit)
        return same(array, array.dtype.kind != "c")
    import torch  # noqa: PLC0415  (only who is given arrays needs it)

    if issubclass(kind, torch.Generator):
        return same(value, isinstance(value, torch.Generator) and value.device.type == "cpu")
    tensor = as_tensor(value, "", Unfit)
    same(value, not tensor.is_complex())
    if kind is torch.Tensor:
        listed = isinstance(value, list | tuple) and tensor.is_floating_point()
        return value if isinstance(value, kind) else tensor.float() if listed else tensor
    return value if isinstance(value, kind) else tensor.cpu().numpy()


def _several(value: Any, kind: type, parts: tuple[Any, ...]) -> Any:
    """Return a collection whose entries fit; text is none, and an array is one where its entries are numbers."""
    if hasattr(value, "tolist") and str(getattr(value, "dtype", "")).startswith(("object", "<U", "str")):
        value = same(value, value.ndim == 1).tolist()  # an array or a Series of texts
    elif hasattr(value, "tolist") and hasattr(value, "dtype"):
        tensor = as_tensor(value, "", Unfit)
        value = same(tensor, tensor.ndim == 1).tolist()
    fits = isinstance(value, kind) or (kind is tuple and isinstance(value, list))
    same(value, fits and not isinstance(value, str | bytes))
    if isinstance(value, Mapping):
        return {taken(k, parts[0]): taken(v, parts[1]) for k, v in value.items()} if len(parts) > 1 else value
    if not isinstance(value, list | tuple) or not parts:  # an iterator is read once, by whom it is for
        return value
    each = parts[:1] * len(value) if kind is not tuple or parts[-1] is ... else parts
    found = [taken(v, part) for v, part in zip(value, each, strict=False)]
    same(value, len(each) == len(value))
    return tuple(found) if kind is tuple or isinstance(value, tuple) else found


def described(kind: Any) -> str:  # noqa: PLR0911  (one a kind of annotation)
    """Say in words what an annotation takes."""
    origin, parts = get_origin(kind) or kind, get_args(kind)
    if origin in (Union, types.UnionType):
        if _are_array_like(parts):
            return "an array of numbers"
        return " or ".join(dict.fromkeys(map(described, parts)))
    if origin is Literal:
        return f"one of {', '.join(map(str, parts))}"
    if origin in _WORDS:
        return _WORDS[origin]
    name = getattr(origin, "__name__", str(origin))
    if name in ("Tensor", "ndarray"):
        return "a tensor or array of numbers"
    if name == "Generator":
        return f"a {origin.__module__.partition('.')[0]}.Generator on the CPU"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "a mapping"
    if isinstance(origin, type) and origin.__module__ in ("builtins", "collections.abc") and parts:
        size = f" of {len(parts)}" if origin is tuple and parts[-1] is not ... else ""
        return f"a list{size}, each {described(parts[0])}"
    return f"a {name}"
