"""Checks of 06_reproduce: the points of a grid, and a name for an experiment."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from activekd_lab.checks.base import Function, Wrong, call, register


@register("06.points")
def points(function: Function) -> str:
    """Check every combination of a grid's values, one dictionary each."""
    grid = {"selector": ["random", "pcoreset"], "seed": [0, 1, 2]}
    found = call(function, grid)
    if not isinstance(found, list) or not all(isinstance(point, dict) for point in found):
        raise Wrong(f"Expected a list of dictionaries, but got {_shown(found)}.")
    if len(found) == 2 and found[0].get("seed") == 0:
        raise Wrong("Two points: first with first, second with second. A grid takes every value with every other one.")
    if any(set(point) != set(grid) for point in found):
        raise Wrong("Every point has a value for every parameter, under the parameter's name.")
    if any(isinstance(value, list) for point in found for value in point.values()):
        raise Wrong("A point holds one value of each parameter, not the list of them.")
    different = {tuple(sorted(point.items())) for point in found}
    if len(different) < len(found):
        raise Wrong(
            f"{len(found)} points, but only {len(different)} different ones. If all are alike, the same dictionary was "
            "appended again and again: make a new one for each point."
        )
    if len(found) != 6:
        raise Wrong(f"Two selectors and three seeds are 2 × 3 = 6 points, but got {len(found)}.")
    if len(call(function, grid | {"rounds": [5]})) != 6 or len(call(function, grid | {"task": ["a", "b"]})) != 12:
        raise Wrong("It works for two parameters only; a grid may have any number, and one with one value adds none.")
    return "Right: the lengths of the axes multiply, which is why a grid grows faster than it looks."


@register("06.name")
def name(function: Function) -> str:
    """Check a short name that depends on an experiment's settings and on nothing else."""
    settings: dict[str, Any] = {"task": "digits", "seed": 0, "options": {"steps": 20}}
    turned = {"options": {"steps": 20}, "seed": 0, "task": "digits"}
    found = call(function, settings)
    if not isinstance(found, str):
        raise Wrong(f"Expected a string, but got {_shown(found)}.")
    if found != call(function, turned):
        raise Wrong("The same settings in another order get another name; sort the keys (`sort_keys=True`).")
    if found == call(function, settings | {"seed": 1}):
        raise Wrong("Another seed gets the same name, so the second run would be taken for the first.")
    if found == call(function, settings | {"options": {"steps": 21}}):
        raise Wrong("A change inside options gets the same name; the whole of the settings has to go into it.")
    if len(found) != 8:
        raise Wrong(f"Eight characters were asked for, but {found!r} has {len(found)}.")
    expected = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
    if found != expected:
        raise Wrong(
            f"These settings should get {expected!r}, but got {found!r}. Python's own `hash` differs from process to "
            "process; SHA-256 of the JSON text is the same everywhere."
        )
    return "Right: whoever has the settings has the name, on any machine, and a changed setting cannot hide."


def _shown(found: Any) -> str:
    text = repr(found)
    return text if len(text) < 60 else f"{text[:57]}…"
