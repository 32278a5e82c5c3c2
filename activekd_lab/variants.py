"""What runs are of: a *data set*, which is a task with its options, and a *variant*, which is all that was varied.

A variant is what differs between the runs of a data set beside the seed: selector, method, few-shot teacher, and
whatever else. What never differs is not named.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from activekd_lab.results import RunResult

METHODS = {"dho": "DHO", "single_head": "one head, CE + KD", "ce": "labels only", "kd": "teacher only"}
FEW_SHOT = {
    "none": "zero-shot", "clap": "CLAP", "tip_adapter": "Tip-Adapter", "tip_adapter_f": "Tip-Adapter-F",
    "linear_probe": "linear probe",
}  # fmt: skip
_NOT_VARIED = ("task", "task_options", "seed", "device", "save_predictions")


def finished(result: RunResult) -> bool:
    """Return whether all rounds of a run are there; one that is still being written has fewer."""
    return len(result.records) > int(result.config.get("rounds", 0))


def varied_keys(results: Sequence[RunResult]) -> tuple[str, ...]:
    """Return the settings that differ between runs of the same data set, seed aside; selector first, always."""
    firsts: dict[str, Mapping[str, Any]] = {}
    found: dict[str, None] = {}
    for result, dataset in zip(results, datasets(results), strict=True):
        first = firsts.setdefault(dataset, result.config)
        found |= {k: None for k, v in result.config.items() if k not in _NOT_VARIED and v != first.get(k, v)}
    return tuple(dict.fromkeys(["selector", *(key for key in ("method", "few_shot") if key in found), *found]))


def datasets(results: Sequence[RunResult]) -> list[str]:
    """Return each run's data set: the task's name, with its options where one task was run with several."""
    options: dict[str, set[str]] = {}
    for result in results:
        options.setdefault(str(result.config["task"]), set()).add(_text(result.config.get("task_options", {})))
    return [_dataset(result, len(options[str(result.config["task"])]) > 1) for result in results]


def _dataset(result: RunResult, with_options: bool) -> str:
    options = result.config.get("task_options", {})
    shown = ", ".join(f"{key}={value}" for key, value in sorted(options.items())) or "default"
    return f"{result.config['task']} ({shown})" if with_options else str(result.config["task"])


def variants(results: Sequence[RunResult]) -> list[str]:
    """Return each run's variant in words, such as "pcoreset · DHO · CLAP"; what never differs is left out."""
    keys = varied_keys(results)
    return [_variant(result, keys) for result in results]


def _variant(result: RunResult, keys: Sequence[str]) -> str:
    config = result.config
    teacherless = config.get("method") == "ce"
    return " · ".join(_named(key, config.get(key)) for key in keys if not (teacherless and key == "few_shot"))


def _named(key: str, value: Any) -> str:
    names = {"method": METHODS, "few_shot": FEW_SHOT}.get(key, {})
    text = value if isinstance(value, str) else _text(value)
    return names.get(text, text) if key in ("selector", "method", "few_shot") else f"{key}={text}"


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def plain(value: Any) -> Any:
    """Return a setting's value as something that can be compared and sorted: lists and None become text."""
    return value if isinstance(value, str | int | float | bool) else _text(value)
