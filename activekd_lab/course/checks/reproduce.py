"""Checks of 06_reproduce: the points of a grid, and a name for an experiment."""

from __future__ import annotations

import hashlib
import itertools
import json
from typing import Any

from activekd_lab.course.checks.base import Function, call, drawing, register
from activekd_lab.course.checks.values import Wrong


@register("06.points", function="grid_points")
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
    import torch  # noqa: PLC0415  (slow import)

    for _ in range(3):
        drawn: dict[str, list[Any]] = {
            letter: torch.randperm(9, generator=drawing())[:k].tolist() for k, letter in ((2, "a"), (3, "b"), (2, "c"))
        }
        expected = [dict(zip(drawn, values, strict=True)) for values in itertools.product(*drawn.values())]
        if sorted(map(str, call(function, drawn))) != sorted(map(str, expected)):
            raise Wrong(f"The grid {drawn} has {len(expected)} points, but these are others.")
    return "Right: the lengths of the axes multiply, which is why a grid grows faster than it looks."


@register("06.name", function="experiment_name")
def name(function: Function) -> str:
    """Check a short name that depends on an experiment's settings and on nothing else."""
    import torch  # noqa: PLC0415  (slow import)

    settings: dict[str, Any] = {"task": "digits", "seed": 0, "options": {"steps": 20}}
    generator = drawing()
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
    if (expected := _name(settings)) != found:
        raise Wrong(_other_name(settings, found, expected))
    for _ in range(3):
        seed, steps, extra = torch.randint(10**6, (3,), generator=generator).tolist()
        drawn = {"seed": seed, "task": f"task {extra}", "options": {"z": None, "steps": steps, "a": [0.5, True]}}
        if call(function, drawn) != _name(drawn):
            raise Wrong(f"The settings {drawn} should get {_name(drawn)!r}.")
    return "Right: whoever has the settings has the name, on any machine, and a changed setting cannot hide."


def _name(settings: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]


def _other_name(settings: dict[str, Any], found: str, expected: str) -> str:
    """Say how a stable name of eight characters may have come about."""
    text = json.dumps(settings, sort_keys=True)
    compact = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    indented = json.dumps(settings, sort_keys=True, indent=2)
    ways = {
        hashlib.sha256(text.encode()).hexdigest()[-8:]: "These are the last eight digits; take the first eight.",
        hashlib.md5(text.encode()).hexdigest()[:8]: "This is MD5 of the right text; SHA-256 is asked for.",
        hashlib.sha1(text.encode()).hexdigest()[:8]: "This is SHA-1 of the right text; SHA-256 is asked for.",
        hashlib.sha256(compact.encode()).hexdigest()[:8]: "The text has no spaces here; keep json.dumps's own.",
        hashlib.sha256(indented.encode()).hexdigest()[:8]: "The text is indented here; leave `indent` out.",
        hashlib.sha256(str(sorted(settings.items())).encode()).hexdigest()[:8]: (
            "This is the name of Python's own text of the settings; take the JSON text, which any language writes."
        ),
    }
    return ways.get(
        found,
        f"These settings should get {expected!r}, but got {found!r}: the first eight digits of SHA-256 of the text of "
        "`json.dumps(settings, sort_keys=True)`. Python's own `hash` differs from process to process.",
    )


def _shown(found: Any) -> str:
    text = repr(found)
    return text if len(text) < 60 else f"{text[:57]}…"
