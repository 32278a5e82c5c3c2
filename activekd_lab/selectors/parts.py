"""Parts of a run by name: the package's own, what `register` enters, and what other packages publish."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from activekd_lab.errors import SettingError, UnknownNameError
from activekd_lab.io.numbers import named


@dataclass(frozen=True, slots=True)
class Part:
    """A named function: what a run is made of.

    Attributes:
        name: Key in the registry.
        help: One line on what it does.
        citation: Its source in one line.
        function: The algorithm on tensors.
    """

    name: str
    help: str
    citation: str
    function: Callable[..., Any]


P = TypeVar("P", bound=Part)


class Registry(Generic[P]):
    """Every part of a kind: `own`, by name, and the entry points of the group `activekd_lab.<kind>s`."""

    def __init__(self, kind: str, part: type[P]) -> None:
        self.kind, self.part, self.group = kind, part, f"activekd_lab.{kind}s"
        self.own: dict[str, P] = {}
        self.families: dict[str, Callable[[str], P]] = {}
        """Makers of parts named "prefix:name", by prefix."""

    def enter(self, part: P) -> None:
        """Enter a part under its name, which must be free."""
        if part.name in self.own:
            raise SettingError(f"A {self.kind} named {part.name!r} is registered already; choose another name.")
        self.own[part.name] = part

    def find(self, part: object) -> P:
        """Return the part behind a name, a plain function, or a part itself.

        Raises:
            UnknownNameError: No part of that name. SettingError: Neither name nor function, or a broken entry point.
        """
        if isinstance(part, self.part):
            return part
        if callable(part):
            return self._made(getattr(part, "__name__", type(part).__name__), part)
        if not isinstance(part, str):
            raise SettingError(
                f"Expected a {self.kind}'s name, a {self.part.__name__} or a function, but got {named(part)}; see "
                f"list_{self.kind}s()."
            )
        if part in self.own:
            return self.own[part]
        prefix, colon, name = part.partition(":")
        if colon and prefix in self.families:
            return self.families[prefix](name)
        plugins = {p.name: p for p in entry_points(group=self.group)}
        if part in plugins:
            return self._loaded(plugins[part])
        raise UnknownNameError(self.kind, part, [*self.own, *plugins])

    def all(self) -> list[P]:
        """Return every part, by name; a plug-in that does not load is left out with a warning that says why."""
        found = list(self.own.values())
        for plugin in entry_points(group=self.group):
            if plugin.name not in self.own:
                try:
                    found.append(self._loaded(plugin))
                except SettingError as reason:
                    warnings.warn(str(reason), stacklevel=3)
        return sorted(found, key=lambda part: part.name)

    def knows(self, part: object) -> bool:
        """Return whether a name of this registry means this very part, so that a stored run can name it."""
        try:
            return isinstance(part, str) or (isinstance(part, self.part) and self.find(part.name) == part)
        except UnknownNameError:
            return False

    def _loaded(self, plugin: EntryPoint) -> P:
        try:
            loaded = plugin.load()
        except Exception as reason:
            raise SettingError(
                f"The {self.kind} {plugin.name!r} of another package ({plugin.value}) cannot be loaded: "
                f"{type(reason).__name__}: {reason}; repair or uninstall that package."
            ) from reason
        return loaded if isinstance(loaded, self.part) else self._made(plugin.name, loaded)

    def _made(self, name: str, function: Any) -> P:
        if not callable(function):
            raise SettingError(
                f"Expected {self.kind} {name!r} as a function, but got {function!r}; correct its entry point."
            )
        lines = (inspect.getdoc(function) or "").splitlines()
        return self.part(name, lines[0] if lines else "no help given", "user function", function)
