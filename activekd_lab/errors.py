"""Exceptions: one clear sentence each, saying what was expected, what came, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ActiveKDError(Exception):
    """Base of every error that activekd_lab raises on purpose."""


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


class RunFolderError(ActiveKDError, OSError):
    """A run folder that cannot be written, or that another configuration or version wrote."""


class ConnectionLostError(ActiveKDError, ConnectionError):
    """A Dask scheduler that stopped answering."""


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
