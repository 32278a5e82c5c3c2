"""Exceptions: one clear sentence each, saying what was expected, what came, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError


class ActiveKDError(Exception):
    """Base of every error that activekd_lab raises on purpose.

    What a message quotes of files and arguments is written out where it cannot be printed: a terminal obeys none of it.
    """

    def __init__(self, *parts: object) -> None:
        super().__init__(*(printable(part, but="\n") if isinstance(part, str) else part for part in parts))


class UnknownNameError(ActiveKDError, ValueError):
    """A name that no registry knows; the message lists the known ones, nearest first."""

    def __init__(self, kind: str, name: object, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, tuple(known)
        super().__init__(
            f"Unknown {kind} {name!r}. Known, nearest first: {', '.join(nearest_first(str(name), self.known))}."
        )

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:  # errors cross process borders in a sweep
        return type(self), (self.kind, self.name, self.known)


class SettingError(ActiveKDError, ValueError):
    """An argument or setting outside its range, or one that would have no effect."""


class PoolError(ActiveKDError, ValueError):
    """A pool, budget or label that does not fit: too small, already labelled, outside the pool."""


class DataError(ActiveKDError, ValueError):
    """Images, labels or split files that cannot be used as they are."""


class ModelFilesError(ActiveKDError, OSError):
    """Weights or model files that are missing, unreachable or do not fit the architecture."""


class FileError(ActiveKDError, OSError):
    """A file or folder that cannot be read or written, or does not hold what it should."""


class RunFolderError(FileError):
    """A run folder that cannot be written, or that another configuration or version wrote."""


class NotebookError(ActiveKDError, RuntimeError):
    """A notebook that did not run to its result: a cell raised, its process died, or it wrote none."""


class ConnectionLostError(ActiveKDError, ConnectionError):
    """A Dask scheduler that stopped answering, or a process of ours that was killed."""


class NonFiniteError(ActiveKDError, ArithmeticError):
    """A loss, probability or score that is NaN or infinite."""


class MissingExtraError(ActiveKDError, ImportError):
    """An optional dependency that is not installed; the message holds the install line."""

    def __init__(self, package: str, extra: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(f'This needs the package {package}. Install it with: pip install "activekd_lab[{extra}]"')

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return type(self), (self.package, self.extra)


class Cancelled(ActiveKDError):  # noqa: N818  (not a fault: the user asked for it)
    """A long operation stopped because its cancel callback said so; finished work is on disk."""


def nearest_first(name: str, known: Iterable[str]) -> list[str]:
    """Order `known` by similarity to `name`, most similar first."""
    return sorted(known, key=lambda k: (-difflib.SequenceMatcher(None, name.lower(), k.lower()).ratio(), k))


def setting_sentence(error: ValidationError) -> str:
    """Turn pydantic's report into one sentence: the setting, what was expected, what came."""
    parts: dict[tuple[str, object], list[str]] = {}
    for item in error.errors():
        field = ".".join(map(str, item["loc"][: 2 if item["loc"][:1] in _DICTIONARIES else 1]))
        message = item["msg"].removeprefix("Value error, ").removeprefix("Input ")
        parts.setdefault((field, f", but got {short(item['input'])}" if field else ""), []).append(message)
    return "; ".join(f"{field} {_either(found)}{came}".strip() for (field, came), found in parts.items()) + "."


_DICTIONARIES = [("task_options",), ("selector_options",)]
_PLAIN_TYPES = {"a valid tuple": "a list or tuple", "a valid integer": "an integer", "a valid boolean": "true or false"}


def _either(messages: list[str]) -> str:
    """Join what a value may be: "should be an integer, a valid number or a valid string"."""
    for theirs, ours in _PLAIN_TYPES.items():
        messages = [message.replace(theirs, ours) for message in messages]
    first, *more = dict.fromkeys(messages)
    return first + "".join(f" or {message.removeprefix('should be ')}" for message in more)


def printable(text: str, *, but: str = "") -> str:
    r"""Return a text with every character that cannot be printed written out, as in `a\x1b`; those of `but` stay."""
    return "".join(c if c.isprintable() or c in but else ascii(c)[1:-1] for c in text)


def short(value: object) -> str:
    """Return a value for a message: at most 80 characters of it, on one line."""
    try:
        text = printable(repr(value))
    except Exception:  # a value whose __repr__ fails, or an integer of more digits than Python prints
        return f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:80]}…"


def attach_names(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return `__getattr__`, `__dir__` and `__all__` of a package whose names load on first use.

    Its `__init__.pyi` is the one list of them (see `lazy_loader.attach_stub`); an unknown name lists the nearest.
    """
    import lazy_loader  # noqa: PLC0415  (only packages ask)

    load, listed, names = lazy_loader.attach_stub(package, file)

    def get(name: str) -> Any:
        if name in names:
            return load(name)
        unknown = UnknownNameError(f"name in {package}", name, names)
        raise AttributeError(f"module {package!r} has no attribute {name!r}. {unknown}")

    return get, listed, names
