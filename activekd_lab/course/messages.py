"""Plain values as JSON and back: what the grader and the process that runs a learner's code may say to each other.

Numbers, texts, lists, tuples, dicts, sets, tensors and arrays come through; anything else arrives as a `Foreign` value
that knows no more than the name of its type. Nothing is ever executed on arrival, whoever wrote the line.
"""

from __future__ import annotations

import json
import math
import numbers
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from activekd_lab.errors import ActiveKDError

if TYPE_CHECKING:
    import torch

LIMIT = 8 * 2**20
"""The most bytes of one message, and of numbers in one tensor."""
_DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
_NUMPY = (
    "float64",
    "float32",
    "float16",
    "longdouble",
    *(f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)),
    "bool",
)
_MOST_KEYS = 10_000  # of a set or dict: numbers can be chosen so that each new one is compared with all before
Ask = Callable[[int], Callable[..., Any]]  # turns the number of a function on the other side into one that asks it


class MessageError(ActiveKDError, ValueError):
    """A value or a line that cannot be a message: too large, too deep, or malformed."""


class Foreign:
    """A value of a type that is not sent; its class bears that type's name, so that messages can tell."""


def dump(message: dict[str, Any]) -> bytes:
    """Return a message as a line. Values in it are those of `encode`."""
    line = json.dumps(message).encode() + b"\n"
    if len(line) > LIMIT:
        raise MessageError(f"The answer is larger than {LIMIT // 2**20} MiB.")
    return line


def load(line: bytes) -> dict[str, Any]:
    """Return the message of a line."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        raise MessageError("The line is no JSON.") from None
    if not isinstance(found, dict):
        raise MessageError("The line is no JSON object.")
    return found


def encode(value: Any, functions: list[Callable[..., Any]] | None = None) -> Any:
    """Return plain JSON for a value; functions are entered in the list and sent as their position there."""
    try:
        return _encode(value, functions)
    except RecursionError:
        raise MessageError("The answer holds itself, or lists too deep in lists.") from None


def _encode(value: Any, functions: list[Callable[..., Any]] | None) -> Any:  # noqa: PLR0911  (a line a kind)
    from activekd_lab.selectors import PoolView  # noqa: PLC0415  (imports torch)

    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, list):
        return [_encode(v, functions) for v in value]
    if isinstance(value, tuple | set | frozenset):
        kind = "tuple" if isinstance(value, tuple) else "set"
        return {kind: [_encode(v, functions) for v in value]}
    if isinstance(value, dict):
        return {"dict": [[_encode(k, functions), _encode(v, functions)] for k, v in value.items()]}
    if isinstance(value, PoolView):
        return {"view": {f.name: _encode(getattr(value, f.name), functions) for f in fields(value)}}
    if functions is not None and callable(value):
        functions.append(value)
        return {"function": len(functions) - 1}
    return _encode_numbers(value)


def _encode_numbers(value: Any) -> Any:
    import numpy as np  # noqa: PLC0415  (slow import)
    import torch  # noqa: PLC0415  (slow import)

    if isinstance(value, torch.Tensor):
        dtype, plain = str(value.dtype).removeprefix("torch."), value.detach().cpu()
        plain = plain.to_dense() if plain.layout != torch.strided else plain
        if dtype in _DTYPES and plain.numel() <= LIMIT:
            return {"tensor": [dtype, list(plain.shape), plain.flatten().tolist()]}
    elif isinstance(value, torch.Generator):
        return {"generator": value.initial_seed()}
    elif isinstance(value, np.generic) and value.dtype.kind in "biuf":
        return {"scalar": [value.dtype.name, value.item()]}
    elif isinstance(value, numbers.Real):
        return int(value) if isinstance(value, int) else float(value)
    elif hasattr(value, "__array__"):
        array = np.asarray(value)
        if array.dtype.kind in "biuf" and array.size <= LIMIT:
            return {"array": [array.dtype.name, list(array.shape), array.ravel().tolist()]}
    return {"foreign": type(value).__name__[:80]}


def decode(value: Any, ask: Ask | None = None) -> Any:
    """Return the value of plain JSON. Views, generators and functions are only taken with `ask`, by the learner's side.

    Raises:
        MessageError: it is not what `encode` writes.
    """
    try:
        return _decode(value, ask)
    except (TypeError, ValueError, KeyError, RuntimeError, OverflowError, RecursionError) as error:
        raise MessageError(f"The answer cannot be read ({type(error).__name__}).") from None


def _decode(value: Any, ask: Ask | None) -> Any:  # noqa: PLR0911  (a line a kind)
    if isinstance(value, list):
        return [_decode(v, ask) for v in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind in ("set", "dict") and len(content) > _MOST_KEYS:
        raise ValueError(kind)
    if kind in ("tuple", "set"):
        return (tuple if kind == "tuple" else set)(_decode(v, ask) for v in content)
    if kind == "dict":
        return {_decode(k, ask): _decode(v, ask) for k, v in content}
    if kind in ("tensor", "array", "scalar"):
        return _decode_numbers(kind, *content)
    if ask is not None and kind != "foreign":
        return _decode_inputs(kind, content, ask)
    return type(str(content)[:80] or "object", (Foreign,), {})()


def _decode_numbers(kind: str, dtype: str, *content: Any) -> Any:
    import numpy as np  # noqa: PLC0415  (slow import)
    import torch  # noqa: PLC0415  (slow import)

    if kind == "tensor" and dtype in _DTYPES:
        shape, flat = content
        return torch.tensor(flat, dtype=_torch_dtype(dtype)).reshape(shape)
    if dtype not in _NUMPY:
        raise ValueError(dtype)
    if kind == "scalar":
        return np.dtype(dtype).type(content[0])
    shape, flat = content
    if math.prod(shape) != len(flat):
        raise ValueError(shape)
    return np.array(flat, dtype=dtype).reshape(shape)


def _torch_dtype(name: str) -> torch.dtype:
    import torch  # noqa: PLC0415  (slow import)

    found: torch.dtype = getattr(torch, name)
    return found


def _decode_inputs(kind: str, content: Any, ask: Ask) -> Any:
    import torch  # noqa: PLC0415  (slow import)

    from activekd_lab.selectors import PoolView  # noqa: PLC0415  (imports torch)

    if kind == "view":
        return PoolView(**{name: _decode(v, ask) for name, v in content.items()})
    if kind == "generator":
        return torch.Generator().manual_seed(content)
    return ask(content)
