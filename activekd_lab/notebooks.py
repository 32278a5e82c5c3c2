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

from activekd_lab.config import RunConfig
from activekd_lab.errors import RunFolderError, SettingError, UnknownNameError
from activekd_lab.results import RunResult, write_atomic

RESULT_FILE = "result.json"
PROFILES: Mapping[str, Mapping[str, Any]] = {
    "smoke": {"rounds": 1, "steps": 20},  # does it run at all
    "quick": {},  # the values of the parameters cell
    "paper": {"rounds": 15, "epochs": 200, "steps": None},  # the papers' length of training, and of a run
}
"""What each profile sets, unless papermill was given that very parameter."""
_LENGTH = ("steps", "epochs")  # either sets the length of training, so one that was given leaves out both of a profile
SMOKE_TASKS: Mapping[str, Mapping[str, Any]] = {
    "shapes": {"num_classes": 12, "pool_size": 400, "test_per_class": 4, "val_per_class": 1}
}
"""The smoke profile's task options, unless the notebook sets its own."""
_INJECTED = "# Parameters"  # the first line of the cell that papermill adds
_KINDS = {"int": int, "float": float, "str": str, "bool": bool, "list": list, "dict": dict}
_started = time.perf_counter()


@dataclass(frozen=True)
class Parameter:
    """A declared parameter: its name, the name of its builtin type, the help behind its line, and its value there."""

    name: str
    kind: str
    help: str
    default: Any = None


@dataclass(frozen=True)
class Parameters:
    """A notebook's checked parameters.

    Attributes:
        profile: "smoke", "quick" or "paper".
        config: the run that the parameters describe.
        values: every parameter after the profile was applied, those that no run knows included.
    """

    profile: str
    config: RunConfig
    values: Mapping[str, Any]


def start(device: str = "auto") -> None:
    """Start the clock, and print versions and the device that will be used."""
    global _started  # noqa: PLW0603  (one kernel runs one notebook)
    _started = time.perf_counter()
    import torch  # noqa: PLC0415  (slow import)

    from activekd_lab.teacher import resolve_device  # noqa: PLC0415  (imports torch)

    place = resolve_device(device)
    name = torch.cuda.get_device_name(place) if place.type == "cuda" else f"{torch.get_num_threads()} threads"
    found = ", ".join(f"{package} {version(package)}" for package in ("activekd_lab", "torch", "plotly"))
    print(f"{found}, Python {platform.python_version()}\ndevice: {place.type} ({name})")  # noqa: T201


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
    return check_parameters(declared, values, given, also=also, profiles=profiles, translate=translate)


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
    preset = {name: value for name, value in profiles[profile].items() if name not in given}
    values |= {name: value for name, value in preset.items() if name in declared}
    if profile == "smoke":
        values["task_options"] = values.get("task_options") or dict(SMOKE_TASKS.get(values.get("task", ""), {}))
    settings = translate({name: value for name, value in values.items() if name not in also})
    chosen = {*given, *(settings.keys() - values.keys())}  # on purpose, as parameters or in words of the notebook's own
    if chosen & set(_LENGTH):
        chosen |= set(_LENGTH)
    rest = {name: value for name, value in preset.items() if name not in declared and name not in chosen}
    return Parameters(profile, RunConfig(**(rest | settings)), values | rest)


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
        return {name: Parameter(name, kind, "") for name, kind in kinds.items() if kind in _KINDS}
    raise SettingError("No cell declares `profile: str = …`; run the cell tagged parameters first.")


def declarations(source: str) -> list[Parameter]:
    """Return the lines `name: kind = value  # help` of a cell; a kind that is no builtin is refused."""
    try:
        tree, lines = ast.parse(source), source.splitlines()
    except SyntaxError:  # a cell with a %magic declares nothing
        return []
    found = []
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            kind, comment = ast.unparse(node.annotation), lines[node.lineno - 1].partition("#")[2]
            if kind not in _KINDS:
                raise SettingError(f"Parameter {node.target.id} must be one of {', '.join(_KINDS)}, but got {kind}.")
            found.append(Parameter(node.target.id, kind, comment.strip(), _literal(node.value)))
    return found


def _literal(node: ast.expr | None) -> Any:
    """Return the value of a literal; an expression is known only once it has run."""
    try:
        return None if node is None else ast.literal_eval(node)
    except ValueError:
        return None


def _injected(sources: Sequence[str]) -> list[str]:
    """Return the names that papermill assigned, in order."""
    cells = [ast.parse(source).body for source in sources if source.startswith(_INJECTED)]
    targets = [node.targets[0] for body in cells for node in body if isinstance(node, ast.Assign)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def check_value(parameter: Parameter, value: Any) -> Any:
    """Return the value if it is of the declared type; a whole number will do for a float, True not for a number."""
    kind = _KINDS[parameter.kind]
    fits = isinstance(value, kind) or (kind is float and isinstance(value, int))
    if not fits or (isinstance(value, bool) and kind is not bool):
        raise SettingError(f"Parameter {parameter.name} ({parameter.help}) must be {kind.__name__}, but got {value!r}.")
    return float(value) if kind is float else value


def finish(parameters: Parameters, result: RunResult | Mapping[str, Any], path: str | Path = RESULT_FILE) -> None:
    """Write what was found to `result.json`, the only sign of success, and print time and peak memory.

    Args:
        parameters: what `read_parameters` returned.
        result: a run, or findings of another kind as plain data.
        path: the file.
    """
    seconds, megabytes = time.perf_counter() - _started, peak_memory() / 2**20
    found = {
        "profile": parameters.profile,
        "parameters": dict(parameters.values),
        **(_run_findings(result) if isinstance(result, RunResult) else result),
        "seconds": round(seconds, 1),
        "peak_memory_mb": round(megabytes),
    }
    write_atomic(Path(path), json.dumps(found, indent=2) + "\n")
    print(f"{seconds:.0f} s, at most {megabytes:.0f} MB; written to {path}")  # noqa: T201


def _run_findings(result: RunResult) -> dict[str, Any]:
    return {
        "config": dict(result.config),
        "teacher_accuracy": result.teacher_accuracy,
        "rounds": [json.loads(record.to_json()) for record in result.records],
        "provenance": dict(result.provenance),
    }


def peak_memory() -> int:
    """Return the most memory that this process ever held, in bytes."""
    if sys.platform == "win32":
        import psutil  # noqa: PLC0415  (ipykernel brings it)

        return int(psutil.Process().memory_info().peak_wset)
    import resource  # noqa: PLC0415  (not on Windows)

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def execute(
    notebook: str | Path, folder: str | Path, *, kernel_manager: type | None = None, **parameters: Any
) -> dict[str, Any]:
    """Execute a notebook by papermill in a new folder and return its result.json.

    Args:
        notebook: the .ipynb file.
        folder: made if needed; it may not hold a result yet. The executed notebook lies beside the result.
        kernel_manager: class that starts the kernel; None means Jupyter's own.
        **parameters: passed to papermill.

    Raises:
        RunFolderError: the folder holds a result already, or the notebook ended without writing one.
        PapermillExecutionError: a cell raised; the message holds its traceback.
    """
    import papermill  # noqa: PLC0415  (slow import)

    folder, name = Path(folder), Path(notebook).name
    if (folder / RESULT_FILE).exists():
        raise RunFolderError(f"{folder / RESULT_FILE} is there already; choose a new folder for a new execution.")
    folder.mkdir(parents=True, exist_ok=True)
    options = {"store_widget_state": False} | ({"kernel_manager_class": kernel_manager} if kernel_manager else {})
    papermill.execute_notebook(
        notebook, folder / name, parameters=parameters, cwd=folder, progress_bar=False, **options
    )
    try:
        found: dict[str, Any] = json.loads((folder / RESULT_FILE).read_text("utf-8"))
    except FileNotFoundError:
        raise RunFolderError(f"{name} ended without {RESULT_FILE}; see its last cells in {folder / name}.") from None
    return found
