"""What runs are of: a *data set*, which is a task with its options, and a *variant*, which is all that was varied.

A variant is what differs between the runs of a data set beside the seed: selector, method, few-shot teacher, and
whatever else. What never differs is not named. A name that stood for other images or weights in other runs is followed
by a hash of them, "photos [1f0c2a]": such runs are no seeds of one another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from activekd_lab.errors import SettingError
from activekd_lab.io.arguments import checked
from activekd_lab.io.files import shown
from activekd_lab.runs.records import RunResult, without_copies

METHODS = {"dho": "DHO", "single_head": "one head, CE + KD", "ce": "labels only", "kd": "teacher only"}
FEW_SHOT = {
    "none": "zero-shot", "clap": "CLAP", "tip_adapter": "Tip-Adapter", "tip_adapter_f": "Tip-Adapter-F",
    "linear_probe": "linear probe",
}  # fmt: skip
_NOT_VARIED = ("task", "task_options", "seed", "device", "save_predictions")
_BEHIND = {
    "task": ("task", "task_options"), "teacher": ("task", "task_options", "teacher"),
    "backbone": ("task", "task_options", "backbone", "backbone_weights", "pretrained", "freeze_backbone", "image_size"),
}  # fmt: skip
"""The settings that say which content is meant: where they agree, so should its hash."""
_BEHIND_ALL = {key for keys in _BEHIND.values() for key in keys}


@checked()
def finished(result: RunResult) -> bool:
    """Return whether all rounds of a run are there; one that is still being written has fewer."""
    return len(result.records) > int(result.config.get("rounds", 0))


@checked()
def settings(results: Sequence[RunResult]) -> list[dict[str, Any]]:
    """Return each run's settings, with a hash after the name of a task, teacher or backbone of several contents."""
    found = [dict(result.config) for result in results]
    values = [{key: _key(config.get(key)) for key in _BEHIND_ALL} for config in found]
    for name, keys in _BEHIND.items():
        places = [tuple(value[key] for key in keys) for value in values]
        hashes: dict[tuple[object, ...], set[str]] = {}
        for place, result in zip(places, results, strict=True):
            hashes.setdefault(place, set()).update(filter(None, [result.content.get(name)]))
        for place, config, result in zip(places, found, results, strict=True):
            if len(hashes[place]) > 1 and (own := result.content.get(name)):
                config[name] = f"{config.get(name)} [{own[:6]}]"
    return found


@checked()
def varied_keys(results: Sequence[RunResult]) -> tuple[str, ...]:
    """Return the settings that differ between runs of the same data set, seed aside; selector first, always."""
    return _varied(settings(results), results)


def _varied(named: Sequence[Mapping[str, Any]], results: Sequence[RunResult]) -> tuple[str, ...]:
    firsts: dict[str, Mapping[str, Any]] = {}
    found: dict[str, None] = {}
    for config, dataset in zip(named, _datasets(named, results), strict=True):
        first = firsts.setdefault(dataset, config)
        found |= {k: None for k, v in config.items() if k not in _NOT_VARIED and v != first.get(k, v)}
    return tuple(dict.fromkeys(["selector", *(key for key in ("method", "few_shot") if key in found), *found]))


@checked()
def datasets(results: Sequence[RunResult]) -> list[str]:
    """Return each run's data set: the task's name, with its options where one task was run with several."""
    return _datasets(settings(results), results)


def _datasets(named: Sequence[Mapping[str, Any]], results: Sequence[RunResult]) -> list[str]:
    options: dict[str, set[object]] = {}
    tasks = [str(result.config["task"]) for result in results]
    for task, config in zip(tasks, named, strict=True):
        options.setdefault(task, set()).add(_key(config.get("task_options", {})))
    return [_dataset(config, len(options[task]) > 1) for task, config in zip(tasks, named, strict=True)]


def _dataset(config: Mapping[str, Any], with_options: bool) -> str:
    options = config.get("task_options", {})
    shown = ", ".join(f"{key}={value}" for key, value in sorted(options.items())) or "default"
    return f"{config['task']} ({shown})" if with_options else str(config["task"])


@checked()
def variants(results: Sequence[RunResult]) -> list[str]:
    """Return each run's variant in words, such as "pcoreset · DHO · CLAP"; what never differs is left out."""
    named = settings(results)
    keys = _varied(named, results)
    return [_variant(config, keys) for config in named]


@checked()
def distinct(results: Sequence[RunResult]) -> list[RunResult]:
    """Return the runs, each once: of copies, and of two with equal rounds, the one with the most.

    Raises:
        SettingError: two of one variant, data set and seed whose rounds differ, of which nothing says which one holds.
    """
    kept: dict[tuple[str, str, int], RunResult] = {}
    runs, _ = without_copies(results)
    for run, dataset, variant in zip(runs, datasets(runs), variants(runs), strict=True):
        seed = int(run.config["seed"])
        other = kept.setdefault((dataset, variant, seed), run)
        if any((a.labels, a.accuracy) != (b.labels, b.accuracy) for a, b in zip(run.records, other.records)):  # noqa: B905
            raise SettingError(
                f"results hold two runs of {variant} on {dataset} with seed {seed}{_places(other, run)}; leave one out."
            )
        if len(run.records) > len(other.records):
            kept[dataset, variant, seed] = run
    return list(kept.values())


def _places(*runs: RunResult) -> str:
    folders = [shown(run.folder) for run in runs if run.folder]
    return f" ({' and '.join(folders)})" if len(folders) > 1 else ""


def _variant(config: Mapping[str, Any], keys: Sequence[str]) -> str:
    teacherless = config.get("method") == "ce"
    return " · ".join(_named(key, config.get(key)) for key in keys if not (teacherless and key == "few_shot"))


def _named(key: str, value: Any) -> str:
    names = {"method": METHODS, "few_shot": FEW_SHOT}.get(key, {})
    text = value if isinstance(value, str) else _text(value)
    return names.get(text, text) if key in ("selector", "method", "few_shot") else f"{key}={text}"


def _key(value: Any) -> object:
    return value if value is None or isinstance(value, str | int | float) else (_text(value),)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


@checked()
def plain(value: Any) -> Any:
    """Return a setting's value as something that can be compared and sorted: lists and None become text."""
    return value if isinstance(value, str | int | float | bool) else _text(value)
