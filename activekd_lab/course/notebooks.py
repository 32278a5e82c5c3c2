"""What every notebook does at its start and its end: versions and device, checked parameters, result.json.

A notebook declares its parameters in one cell tagged `parameters`, a line each: `rounds: int = 8  # help`. Papermill
puts the values it was given into a cell of its own after that one, and only warns about names that nobody declared.
Here they are errors.
"""

from __future__ import annotations

import ast
import json
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from activekd_lab.config import TIMINGS, RunConfig
from activekd_lab.course.declared import KINDS, Parameter, check_value, declarations, read_notebook
from activekd_lab.course.process import LOG_FILE, RESULT_FILE, NotebookProcess
from activekd_lab.errors import NotebookError, RunFolderError, SettingError, UnknownNameError
from activekd_lab.io.arguments import checked
from activekd_lab.io.files import disk, read_json, there, write_atomic
from activekd_lab.runs.records import RunResult

PROFILES: Mapping[str, Mapping[str, Any]] = {
    "smoke": {"rounds": 1, "steps": 20},  # does it run at all
    "quick": {},  # the values of the parameters cell
    "paper": {"rounds": 15, "epochs": 200, "steps": None},  # the papers' length of training, and of a run
}
"""What each profile sets, unless papermill was given that very parameter."""
_LENGTH = ("steps", "epochs")  # either sets the length of training, so one that was given leaves out both of a profile
SMOKE_TASKS: Mapping[str, Mapping[str, Any]] = {
    "shapes": {"num_classes": 12, "pool_size": 400, "test_per_class": 4, "val_per_class": 1},
    "tiles": {"pool_size": 400, "test_per_class": 4, "val_per_class": 1},
}
"""The smoke profile's task options, unless the notebook sets its own."""
_CHOSEN = ("protocol", "task", "task_options", "teacher_mode", "seed", "options")
"""What the parameters cell itself sets under a published experiment; the others are set by it, or by papermill."""
_INJECTED = "# Parameters"  # the first line of the cell that papermill adds
_WORKER = 100  # MB; a smaller process beside the kernel trains nothing
_started = time.perf_counter()


@dataclass(frozen=True)
class Parameters:
    """A notebook's checked parameters.

    Attributes:
        profile: "smoke", "quick" or "paper".
        config: the run that the parameters describe.
        values: every parameter after the profile was applied, those that no run knows included.
        given: the names that were set on purpose, by papermill.
    """

    profile: str
    config: RunConfig
    values: Mapping[str, Any]
    given: tuple[str, ...] = ()


def start(part: str | None = None, *, device: str = "auto") -> None:
    """Start the clock, print versions and the device that will be used, and draw the method with a part of it lit."""
    global _started  # noqa: PLW0603  (one kernel runs one notebook)
    _started = time.perf_counter()
    import torch  # noqa: PLC0415  (slow import)

    from activekd_lab.device import resolve_device  # noqa: PLC0415  (imports torch)

    place = resolve_device(device)
    name = torch.cuda.get_device_name(place) if place.type == "cuda" else f"{torch.get_num_threads()} threads"
    found = ", ".join(f"{package} {version(package)}" for package in ("activekd_lab", "torch", "plotly"))
    print(f"{found}, Python {platform.python_version()}\ndevice: {place.type} ({name})")  # noqa: T201
    if part is not None:
        from IPython.display import display  # noqa: PLC0415  (only inside IPython)

        from activekd_lab.plots.diagram import method_diagram  # noqa: PLC0415  (imports plotly)

        display(method_diagram(part))  # type: ignore[no-untyped-call]


def read_parameters(
    namespace: Mapping[str, Any],
    *,
    also: Sequence[str] = (),
    profiles: Mapping[str, Mapping[str, Any]] = PROFILES,
    translate: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> Parameters:
    """Check the parameters cell and what papermill was given, and make the `RunConfig`.

    Args:
        namespace: the notebook's `globals()`.
        also: parameters that are no setting of a run, beside `profile`.
        profiles: what each profile sets.
        translate: turns the parameters into settings of a run, where a notebook has words of its own for them.

    Raises:
        UnknownNameError: papermill was given a name that the notebook does not declare, or an unknown profile.
        SettingError: a value of another type than declared, or one that RunConfig refuses.
    """
    sources = namespace.get("In")
    if sources is None:
        raise SettingError("Parameters are read from a notebook's cells, but there are none; run this in Jupyter.")
    declared, given = _declared(sources, namespace.get("__annotations__", {})), _injected(sources)
    values = {name: namespace[name] for name in (*declared, *given)}
    for name, value in given.items():
        if repr(value) != repr(values[name]):  # papermill puts its cell first where no cell has the tag
            raise SettingError(
                f"Parameter {name} was given as {value!r}, but the cells set it to {values[name]!r}; the cell with the "
                "parameters must have the tag parameters, and none after papermill's may set them again."
            )
    return check_parameters(declared, values, list(given), also=also, profiles=profiles, translate=translate)


def check_parameters(
    declared: Mapping[str, Parameter],
    values: Mapping[str, Any],
    given: Sequence[str],
    *,
    also: Sequence[str] = (),
    profiles: Mapping[str, Mapping[str, Any]] = PROFILES,
    translate: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> Parameters:
    """Check parameters without a notebook: `values` of all `declared` ones, of which `given` were set on purpose.

    Raises:
        UnknownNameError, SettingError: as `read_parameters`.
    """
    for name in given:
        if name not in declared:
            raise UnknownNameError("parameter", name, declared)
    values = {p.name: check_value(p, values[p.name]) for p in declared.values()}
    profile = values.pop("profile", "quick")
    if profile not in profiles:
        raise UnknownNameError("profile", profile, profiles)
    named = "protocol" in values and values["protocol"] not in TIMINGS
    if named:  # a published experiment sets all that nobody set on purpose, the length of training too
        values = {name: value for name, value in values.items() if name in (*given, *_CHOSEN, *also)}
    if named and profile == "paper":
        profiles = {**profiles, "paper": {}}
    preset = {name: value for name, value in profiles[profile].items() if name not in given}
    values |= {name: value for name, value in preset.items() if name in declared}
    if profile == "smoke":
        values["task_options"] = values.get("task_options") or dict(SMOKE_TASKS.get(values.get("task", ""), {}))
    settings = translate({name: value for name, value in values.items() if name not in also})
    chosen = {*given, *(settings.keys() - values.keys())}  # on purpose, as parameters or in words of the notebook's own
    if chosen & set(_LENGTH):
        chosen |= set(_LENGTH)
    rest = {name: value for name, value in preset.items() if name not in declared and name not in chosen}
    return Parameters(profile, RunConfig(**(rest | settings)), values | rest, tuple(given))


def _declared(sources: Sequence[str], annotations: Mapping[str, Any]) -> dict[str, Parameter]:
    """Return the parameters of the last cell run that annotates `profile`.

    Where cells leave no history (nbval runs them so), the annotations that they left tell the names and types.
    """
    for source in reversed(sources):
        found = {p.name: p for p in declarations(source)}
        if "profile" in found:
            return found
    kinds = {name: getattr(kind, "__name__", "") for name, kind in annotations.items()}
    if "profile" in kinds:
        return {name: Parameter(name, kind, "") for name, kind in kinds.items() if kind in KINDS}
    raise SettingError("No cell declares `profile: str = …`; run the cell tagged parameters first.")


def _injected(sources: Sequence[str]) -> dict[str, Any]:
    """Return what papermill assigned, in order.

    Raises:
        SettingError: two cells assign different values, as when a notebook is executed again after its cells lost tags.
    """
    found: dict[str, Any] = {}
    for source in sources:
        for node in ast.parse(source).body if source.startswith(_INJECTED) else ():
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name, value = node.targets[0].id, _written(node.value)
                if repr(found.setdefault(name, value)) != repr(value):
                    raise SettingError(
                        f"Parameter {name} was given as {found[name]!r} and as {value!r}; take out the older cell that "
                        f"begins with {_INJECTED!r}, and restart."
                    )
    return found


def _written(node: ast.expr) -> Any:
    """Return a value as papermill writes it: a literal, or float('nan') and the infinities."""
    return eval(ast.unparse(node), {"__builtins__": {}, "float": float})


def finish(parameters: Parameters, result: RunResult | Mapping[str, Any], path: str | Path = RESULT_FILE) -> None:
    """Write what was found to `result.json`, the only sign of success, and print time and peak memory.

    Args:
        parameters: what `read_parameters` returned.
        result: a run, or findings of another kind as plain data.
        path: the file.
    """
    seconds, megabytes, beside = time.perf_counter() - _started, peak_memory() / 2**20, peak_memory(beside=True) / 2**20
    found = {
        "profile": parameters.profile,
        "parameters": dict(parameters.values),
        **(_run_findings(result) if isinstance(result, RunResult) else result),
        "seconds": round(seconds, 1),
        "peak_memory_mb": round(megabytes),
        "peak_memory_beside_mb": round(beside),
    }
    write_atomic(Path(path), json.dumps(found, indent=2) + "\n")
    workers = f", and at most {beside:.0f} MB in a process beside it" if beside > _WORKER else ""
    print(f"{seconds:.0f} s, at most {megabytes:.0f} MB{workers}; written to {path}")  # noqa: T201


def _run_findings(result: RunResult) -> dict[str, Any]:
    return {
        "config": dict(result.config),
        "teacher_accuracy": result.teacher_accuracy,
        "rounds": [json.loads(record.to_json()) for record in result.records],
        "provenance": dict(result.provenance),
    }


def peak_memory(*, beside: bool = False) -> int:
    """Return the most memory that this process ever held, or the largest that it started and has ended, in bytes.

    Windows keeps no account of processes that have ended: 0.
    """
    if sys.platform == "win32" and beside:
        return 0
    if sys.platform == "win32":
        import psutil  # noqa: PLC0415  (ipykernel brings it)

        return int(psutil.Process().memory_info().peak_wset)
    import resource  # noqa: PLC0415  (not on Windows)

    found = resource.getrusage(resource.RUSAGE_CHILDREN if beside else resource.RUSAGE_SELF).ru_maxrss
    return found * (1 if sys.platform == "darwin" else 1024)


@checked()
def execute(notebook: str | Path, folder: str | Path, **parameters: Any) -> dict[str, Any]:
    """Execute a notebook by papermill, in a process of its own that ends with this one, and return its result.json.

    Args:
        notebook: the .ipynb file.
        folder: made if needed; it may not hold a result yet. The executed notebook lies beside the result.
        **parameters: passed to papermill.

    Raises:
        RunFolderError: the folder holds a result already or the notebook itself, or cannot be written.
        NotebookError: a cell raised, the process died, or the notebook ended without writing a result.
    """
    notebook, folder = Path(notebook).absolute(), Path(folder).absolute()
    if there(folder / RESULT_FILE, kind=RunFolderError):
        raise RunFolderError(f"{folder / RESULT_FILE} is there already; choose a new folder for a new execution.")
    if folder.resolve() == notebook.parent.resolve():
        raise RunFolderError(f"{notebook} lies in {folder} itself, and would be replaced; choose another folder.")
    read_notebook(notebook)
    with disk(folder, "written", "choose another folder", kind=RunFolderError):
        folder.mkdir(parents=True, exist_ok=True)
    with NotebookProcess(folder / LOG_FILE) as process:
        failure = process.execute(notebook, folder, parameters)
    if failure is not None:
        raise NotebookError(f"{notebook.name} did not finish: {failure.error} (see {folder / notebook.name}).")
    if not (folder / RESULT_FILE).exists():
        raise NotebookError(
            f"{notebook.name} ended without {RESULT_FILE}; see its last cells in {folder / notebook.name}."
        )
    found: dict[str, Any] = read_json(folder / RESULT_FILE, kind=RunFolderError)
    return found
