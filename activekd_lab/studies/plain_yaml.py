"""YAML as a person writes it, small and of texts, numbers, lists and mappings; else one sentence with file and line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from activekd_lab.errors import SettingError
from activekd_lab.io.files import damaged, read_bytes

_LARGEST = 1_000_000  # bytes, and values after aliases were written out
_DEEPEST = 20
_THEN = "mend the grid"


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Refuses a key that stands in a mapping twice, of which YAML keeps the last one in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:
        seen: set[Any] = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.MarkedYAMLError(problem=f"{key.value!r} stands there twice", problem_mark=key.start_mark)
            seen.add(key.value if isinstance(key.value, str) else id(key))
        return super().construct_mapping(node, deep)


def _whole(loader: _Loader, node: yaml.ScalarNode) -> int:
    """Return an integer as it reads: 010 would be 8 in YAML, and 1:30 would be 90."""
    if not re.fullmatch(r"[-+]?(0|[1-9][\d_]*)", node.value):
        raise yaml.MarkedYAMLError(problem=f"the number {node.value}; write it in digits", problem_mark=node.start_mark)
    return int(loader.construct_yaml_int(node))


_Loader.add_constructor("tag:yaml.org,2002:int", _whole)


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file, of JSON's types only.

    Raises:
        SettingError: no such file, no YAML, or more than a grid can hold: huge, deep, or multiplied by aliases.
    """
    content = read_bytes(path, "give a YAML file", kind=SettingError, largest=_LARGEST)
    try:
        found = yaml.load(content.decode("utf-8-sig"), _Loader)
        _check(found, [0], 0)
    except UnicodeDecodeError as error:
        raise SettingError(damaged(path, "not UTF-8", _THEN, content[: error.start].count(b"\n") + 1)) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise SettingError(damaged(path, f"no YAML: {error.problem}", _THEN, line)) from error
    except RecursionError as error:
        raise SettingError(damaged(path, "nested too deep", _THEN)) from error
    except (yaml.YAMLError, ValueError) as error:
        raise SettingError(damaged(path, f"no YAML: {' '.join(str(error).split())}", _THEN)) from error
    return found


def _check(value: Any, count: list[int], depth: int) -> None:
    """Count the values, an alias as often as it stands there, and refuse what JSON does not know."""
    count[0] += 1
    if depth > _DEEPEST:
        raise ValueError(f"nested deeper than {_DEEPEST}")
    if count[0] > _LARGEST // 10:
        raise ValueError(f"more than {_LARGEST // 10:,} values")
    if isinstance(value, dict):
        if odd := [key for key in value if not isinstance(key, str)]:
            raise ValueError(f"the key {odd[0]!r} is no text")
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            _check(part, count, depth + 1)
    elif isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError("an integer of more than 63 bits")
    elif not isinstance(value, str | int | float | None):
        raise ValueError(f"{value!r} is no text, number or truth value")
