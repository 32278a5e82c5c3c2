"""Numbers in any form that people have them, as one: tensors, arrays, lists, integers of every library."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from activekd_lab.errors import SettingError, short

if TYPE_CHECKING:
    from torch import Tensor

TOO_LARGE = 2**63  # for any integer that a tensor holds


def whole(value: object) -> int | None:
    """Return an integer, Python's, NumPy's or a tensor's of one number, as an int; None for True, 2.0 and all else."""
    if isinstance(value, bool) or "bool" in str(getattr(value, "dtype", "")) or getattr(value, "ndim", None):
        return None
    try:
        found = operator.index(value)  # type: ignore[arg-type]
    except (TypeError, RuntimeError, NotImplementedError):  # the last two of tensors without data
        return None
    return found if abs(found) < TOO_LARGE else None


def as_tensor(value: object, what: str, error: type[Exception] = SettingError) -> Tensor:
    """Return dense tensors as they are, NumPy arrays and memory maps without a copy, and what NumPy makes of lists.

    Args:
        value: A dense tensor with data behind it, an array, or nested lists of numbers.
        what: The argument, for the message.
        error: What to raise.

    Raises:
        Exception: As `error`, for anything else: None, text, sparse or meta tensors, ragged lists, masked values.
    """
    import torch  # noqa: PLC0415  (this module is read before any tensor is)

    if isinstance(value, torch.Tensor):
        if value.layout is not torch.strided or value.is_nested or value.is_quantized or value.is_meta:
            kind = "meta" if value.is_meta else "nested" if value.is_nested else str(value.layout)
            raise error(f"Expected {what} as a dense tensor with data behind it, but got a {kind} one; convert it.")
        return value.detach()
    array = as_array(value, what, error)
    try:
        return _shared(array)
    except (TypeError, ValueError, RuntimeError) as reason:  # such as of 16 bytes a number
        raise error(f"Expected {what} as a tensor or array of numbers, but got {named(value)}: {reason}.") from None


def as_array(value: object, what: str, error: type[Exception] = SettingError) -> Any:
    """Return arrays as they are and what NumPy makes of lists, with `as_tensor`'s arguments and errors."""
    import numpy as np  # noqa: PLC0415  (this module is read before any array is)

    if not (isinstance(value, np.ndarray | list | tuple) or hasattr(value, "__array__")):
        raise error(f"Expected {what} as a tensor or array, but got {named(value)}; pass numbers, a row an image.")
    try:
        array = np.asanyarray(value)
        if np.ma.isMaskedArray(array) and np.ma.getmaskarray(array).any():
            raise ValueError("it masks values")
        if array.dtype.kind not in "biufc":
            raise ValueError(f"its entries are {array.dtype}")
    except (TypeError, ValueError, RuntimeError) as reason:
        raise error(f"Expected {what} as a tensor or array of numbers, but got {named(value)}: {reason}.") from None
    return np.asarray(array)


def _shared(array: Any) -> Tensor:
    """Return a tensor on the same memory; read-only memory is no reason for PyTorch's warning, nothing writes here."""
    import numpy as np  # noqa: PLC0415
    import torch  # noqa: PLC0415

    if array.size == 0 and array.dtype == np.float64 and array.ndim == 1:
        return torch.empty(0, dtype=torch.long)  # what an empty list of ids becomes
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if any(stride < 0 for stride in array.strides):
        array = array.copy()
    return torch.from_numpy(array if array.flags.writeable or not array.size else np.asarray(_Writable(array)))


class _Writable:
    """The same memory under an interface that does not say read-only; it keeps the array alive."""

    def __init__(self, array: Any) -> None:
        self.array = array
        self.__array_interface__ = array.__array_interface__ | {"data": (array.__array_interface__["data"][0], False)}


def named(value: object) -> str:
    """Return a value for a message: an array by its type and shape, None as it is, anything else with its type."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        layout = getattr(value, "layout", None)
        kind = " meta" if getattr(value, "is_meta", False) else f" {layout}" if "sparse" in str(layout) else ""
        return f"{value.dtype} {tuple(value.shape)}{kind}"
    return "None" if value is None else f"{type(value).__name__} {short(value)}"
