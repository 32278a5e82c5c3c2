"""Grids: a small YAML file of parameters of `06_reproduce`, expanded into jobs and checked whole before anything runs.

```yaml
title: Two selectors            # shown by the report
about: What the grid asks.      # optional
grid:                           # a mapping, or a list of mappings whose jobs are joined
  task: digits                  # one value
  selector: [random, pcoreset]  # an axis; `all` takes every selector
  seed: [0, 1, 2]
profiles:                       # optional: what a profile changes in the grid
  smoke: {seed: 0, rounds: 1}
```
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from activekd_lab.config import ResolvedConfig, RunConfig
from activekd_lab.course.declared import Parameter, check_value, declared_parameters
from activekd_lab.course.lab import find_notebooks
from activekd_lab.course.notebooks import PROFILES, check_parameters
from activekd_lab.errors import ActiveKDError, SettingError, UnknownNameError
from activekd_lab.io.arguments import checked
from activekd_lab.studies.naming import code_version, files_version
from activekd_lab.studies.plain_yaml import read_yaml

NOTEBOOK = "06_reproduce.ipynb"
STUDIES = Path(__file__).parent
TEACHER_MODES: Mapping[str, Mapping[str, str]] = {
    "zero-shot": {},
    "clap": {"few_shot": "clap"},
    "tip": {"few_shot": "tip_adapter"},
    "tip-f": {"few_shot": "tip_adapter_f"},
    "linear-probe": {"few_shot": "linear_probe"},
    "none": {"method": "ce"},
}
"""What each teacher mode sets in RunConfig: distil the teacher as it is, refit to the labels, or not at all."""
NO_SETTINGS = ("store",)
"""Parameters of the notebook that are no setting of a run."""
MOST_JOBS = 20_000  # of one grid
_KEYS = ("title", "about", "grid", "profiles")
_SHOWN = 20  # mistakes; a wrong value may stand in thousands of jobs


@dataclass(frozen=True)
class Job:
    """One execution of the notebook.

    Attributes:
        parameters: what papermill is given.
        config: the run that they describe.
        code: version of code and weights, see `studies.naming`.
    """

    parameters: Mapping[str, Any]
    config: RunConfig
    code: str

    @cached_property
    def resolved(self) -> ResolvedConfig:
        """The run's settings with every "auto" answered, once: a study may hold a thousand jobs."""
        return self.config.resolve()

    @cached_property
    def name(self) -> str:
        """The job's folder name: readable first, then a hash of code, parameters and the run that they describe."""
        text = json.dumps([self.code, self.config.identity(), dict(self.parameters)], sort_keys=True)
        mode = str(self.parameters.get("teacher_mode", "zero-shot"))
        parts = (self.config.task, self.config.selector, mode, f"s{self.config.seed}")
        return "-".join([*parts, hashlib.sha256(text.encode()).hexdigest()[:12]])


@dataclass(frozen=True)
class Study:
    """A grid at one profile, expanded.

    Attributes:
        title, about: from the file.
        profile: smoke, quick or paper.
        axes: the parameters that the grid sets, each with its values.
        jobs: in the order of the grid, all different.
        notebook: what they execute.
    """

    title: str
    about: str
    profile: str
    axes: Mapping[str, Sequence[Any]]
    jobs: tuple[Job, ...]
    notebook: Path


def run_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the notebook's own words into settings of `RunConfig`.

    `teacher_mode` becomes few_shot or method, a budget of 0 the number of classes, and `options` any other settings.

    Raises:
        UnknownNameError: an unknown teacher mode.
        SettingError: options that repeat a parameter or what teacher_mode sets, or a method beside teacher_mode="none".
    """
    found = {**values}
    mode, options = found.pop("teacher_mode", "zero-shot"), found.pop("options", {})
    if mode not in TEACHER_MODES:
        raise UnknownNameError("teacher_mode", mode, TEACHER_MODES)
    if mode == "none" and found.get("method", "dho") != "dho":
        raise SettingError(
            f"method={found['method']!r} needs a teacher, but got teacher_mode='none'; give one of them."
        )
    repeated = sorted(options.keys() & found.keys())
    if repeated:
        raise SettingError(f"options may not hold {repeated[0]}, a parameter of its own; set that one.")
    if "few_shot" in options:  # the job is named after its mode
        raise SettingError(f"options may not hold few_shot; set teacher_mode to one of {', '.join(TEACHER_MODES)}.")
    if found.get("budget") == 0:
        del found["budget"]
    if not found.get("task_options", True):
        del found["task_options"]
    return {**found, **TEACHER_MODES[mode], **options}


def list_studies() -> dict[str, str]:
    """Return the names of the packaged studies and their titles."""
    return {path.stem: str(_read(path)["title"]) for path in sorted(STUDIES.glob("*.yaml"))}


@checked()
def load_study(name: str, *, profile: str = "paper", notebooks: str | Path = "notebooks") -> Study:
    """Read a packaged study, see `list_studies`.

    Raises:
        UnknownNameError: no such study.
        SettingError: as `read_grid`.
    """
    known = [path.stem for path in STUDIES.glob("*.yaml")]
    if name not in known:
        raise UnknownNameError("study", name, known)
    return read_grid(STUDIES / f"{name}.yaml", profile=profile, notebooks=notebooks)


@checked()
def read_grid(path: str | Path, *, profile: str = "quick", notebooks: str | Path = "notebooks") -> Study:
    """Read a grid and expand it at a profile; nothing runs, and a single mistake refuses it whole.

    Args:
        path: the YAML file.
        profile: smoke, quick or paper; also given to the notebook.
        notebooks: folder of the notebooks, for an installation without a checkout beside it.

    Raises:
        SettingError: no readable grid, an empty one, or mistakes in it; the message lists all of them.
        UnknownNameError: an unknown profile.
        DataError: no notebooks.
    """
    path = Path(path)
    if profile not in PROFILES:
        raise UnknownNameError("profile", profile, PROFILES)
    content, notebook = _read(path), find_notebooks(Path(notebooks)) / NOTEBOOK
    expander = _Expander(declared_parameters(notebook), profile, code_version(notebook))
    changes = (content.get("profiles") or {}).get(profile) or {}
    jobs = [job for grid in _parts(content) for job in expander.jobs(grid | changes)]
    expander.look_for_repeats(jobs)
    if expander.mistakes:
        first, more = list(expander.mistakes)[:_SHOWN], len(expander.mistakes) - _SHOWN
        text = "\n- ".join([*first, *([f"and {more:,} more"] if more > 0 else [])])
        raise SettingError(f"{path} was refused, and nothing ran:\n- {text}")
    if not jobs:
        raise SettingError(f"{path} holds no job at profile {profile!r}; give its grid at least one value.")
    about = " ".join(str(content.get("about", "")).split())
    axes = {key: list(values.values()) for key, values in expander.axes.items()}
    return Study(str(content["title"]), about, profile, axes, tuple(jobs), notebook)


def _read(path: Path) -> dict[str, Any]:
    """Return the file's content with its outer form checked."""
    content = read_yaml(path)
    if not isinstance(content, dict) or not content.get("grid"):
        raise SettingError(f"The grid {path} is empty; it needs at least `grid:` with one parameter.")
    unknown = [key for key in content if key not in _KEYS]
    if unknown:
        raise SettingError(f"{path}: {UnknownNameError('key', unknown[0], _KEYS)}")
    grids = _parts(content)
    profiles = content.get("profiles") or {}
    wrong = [p for p in profiles if p not in PROFILES] if isinstance(profiles, dict) else ["profiles"]
    if wrong:
        raise SettingError(f"{path}: {UnknownNameError('profile', wrong[0], PROFILES)}")
    if not all(isinstance(part, dict) for part in (*grids, *(value or {} for value in profiles.values()))):
        raise SettingError(f"{path}: grid and each profile must map parameters to values, such as `selector: random`.")
    return {"title": path.stem, **content}


def _parts(content: Mapping[str, Any]) -> list[Any]:
    grid = content["grid"]
    return grid if isinstance(grid, list) else [grid]


class _Expander:
    """Turns mappings into jobs and collects every mistake on the way."""

    def __init__(self, declared: Mapping[str, Parameter], profile: str, code: str) -> None:
        self.declared, self.profile, self.code = declared, profile, code
        self.mistakes: dict[str, None] = {}  # each once, in order
        self.axes: dict[str, dict[str, Any]] = {}
        self.points = 0

    def jobs(self, grid: Mapping[str, Any]) -> list[Job]:
        """Return one job for each combination of values that can be run."""
        axes = {key: self._values(key, value) for key, value in grid.items()}
        axes = {key: values for key, values in axes.items() if values}
        self.points += math.prod(map(len, axes.values()))
        if self.points > MOST_JOBS:
            self._note(SettingError(f"The grid makes {self.points:,} jobs, at most {MOST_JOBS:,} are run; split it."))
            return []
        for key, values in axes.items():
            self.axes.setdefault(key, {}).update((repr(value), value) for value in values)
        return [job for point in _points(axes) if (job := self._job(point)) is not None]

    def _values(self, key: str, value: Any) -> list[Any]:
        if key not in self.declared or key in ("profile", *NO_SETTINGS):
            known = [name for name in self.declared if name not in ("profile", *NO_SETTINGS)]
            self._note(UnknownNameError("parameter", key, known))
            return []
        if key == "selector" and value == "all":
            return _all_selectors()
        values = value if isinstance(value, list) else [value]
        if not values:
            self._note(SettingError(f"Parameter {key} has no value; give one, or leave it out."))
        return [found for found in values if self._fits(key, found)]

    def _fits(self, key: str, value: Any) -> bool:
        try:
            check_value(self.declared[key], value)
        except SettingError as error:
            self._note(error)
            return False
        return True

    def _job(self, point: Mapping[str, Any]) -> Job | None:
        parameters = {"profile": self.profile, **point}
        values = {name: parameter.default for name, parameter in self.declared.items()} | parameters
        try:
            config = check_parameters(
                self.declared, values, list(parameters), also=NO_SETTINGS, translate=run_settings
            ).config
            job = Job(parameters, config, f"{self.code}-{files_version(config)}")
            job.resolved  # noqa: B018  (refuses what cannot be run)
        except ActiveKDError as error:
            self._note(error)
            return None
        return job

    def look_for_repeats(self, jobs: Sequence[Job]) -> None:
        """Note a run that stands in the grid twice."""
        seen: dict[str, Job] = {}
        for job in jobs:
            if seen.setdefault(job.name, job) is not job:
                self._note(SettingError(f"The run {job.name} stands there twice; take one out."))

    def _note(self, error: ActiveKDError) -> None:
        self.mistakes[str(error)] = None


def _points(axes: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Yield every combination, the last axis fastest; none at all where there is no axis."""
    for values in itertools.product(*axes.values()) if axes else ():
        yield dict(zip(axes, values, strict=True))


def _all_selectors() -> list[str]:
    from activekd_lab.selectors import list_selectors  # noqa: PLC0415  (imports torch)

    return [selector.name for selector in list_selectors()]
