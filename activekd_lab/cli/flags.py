"""One command-line flag for every field of RunConfig, made from the fields themselves."""

from __future__ import annotations

import inspect
import json
import re
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer

from activekd_lab.config import RunConfig
from activekd_lab.errors import SettingError

JSON = Annotated[bool, typer.Option("--json", help="print JSON for scripts")]
Store = Annotated[Path, typer.Option(help="folder of run folders; an existing run of the same settings resumes")]
SaveStudent = Annotated[Path | None, typer.Option(help="folder to save the last round's student to, for predict")]


def settings(options: dict[str, Any]) -> dict[str, Any]:
    """Drop flags that were not given and turn repeated name=value flags into dictionaries."""
    given = {name: value for name, value in options.items() if value is not None and value != []}
    found = {name: _setting(name, value) for name, value in given.items()}
    if "task_options" in found:
        from activekd_lab.data.task import text_options  # torch, which whoever runs a task imports anyway

        texts = dict(text.partition("=")[::2] for text in given["task_options"])
        of_text = text_options(given.get("task", RunConfig.model_fields["task"].default))
        found["task_options"] |= {name: text for name, text in texts.items() if name in of_text}  # 1.10 is not 1.1
    return found


def _setting(name: str, value: Any) -> Any:
    """Return a flag's value as its field takes it: texts of a list or of a choice may be numbers or truths."""
    if isinstance(value, list):
        return _pairs(name, value) if _is_mapping(name) else tuple(_plain(name, text) for text in value)
    return _plain(name, value)


def _plain(name: str, value: Any) -> Any:
    kinds = re.findall(r"\b(?:float|bool|str)\b", str(RunConfig.model_fields[name].annotation))
    if not isinstance(value, str) or "str" in kinds:
        return value
    if "bool" in kinds:
        return {"true": True, "false": False}.get(value.lower(), value)
    try:
        return float(value) if "float" in kinds else value
    except ValueError:
        return value


def _is_mapping(name: str) -> bool:
    return get_origin(RunConfig.model_fields[name].annotation) is dict


def _pairs(option: str, texts: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise SettingError(f"--{option.replace('_', '-')} expected name=value, but got {text!r}.")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _flag(name: str) -> inspect.Parameter:
    """Return the CLI flag of one RunConfig field; None means not given, so that RunConfig keeps its default."""
    field = RunConfig.model_fields[name]
    kind = _flag_type(field.annotation)
    text = f"{field.description} [default: {field.default}]" if field.default not in (None, {}) else field.description
    if _flag_type(field.annotation) == list[str]:
        text = f"{text} (repeatable: give the flag once for each)"
    metavar = "NAME=VALUE" if _is_mapping(name) else None
    optional: Any = kind | None
    annotation = Annotated[optional, typer.Option(help=text, show_default=False, metavar=metavar)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _flag_type(annotation: Any) -> Any:
    """Map a field's type to what typer parses; RunConfig checks the value itself."""
    origin = get_origin(annotation)
    if origin in (dict, tuple):
        return list[str]
    if origin is Annotated:
        return _flag_type(get_args(annotation)[0])
    if origin is Literal:
        return str
    if origin in (Union, types.UnionType):
        options = [option for option in get_args(annotation) if option is not type(None)]
        return str if len(options) > 1 else _flag_type(options[0])
    return annotation


def with_some_config_flags(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add flags for some fields of RunConfig to those that a function has; they come as its `**options`."""

    def add(function: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(function, eval_str=True).parameters.values()
        kept = [parameter for parameter in own if parameter.kind is not inspect.Parameter.VAR_KEYWORD]
        return _with_parameters(function, [*kept, *map(_flag, names)])

    return add


def with_config_flags(function: Callable[..., None]) -> Callable[..., None]:
    """Give `function` one flag for every field of RunConfig, `--store`, `--save-student` and `--json`."""
    fields = [_flag(name) for name in RunConfig.model_fields]
    keyword = inspect.Parameter.KEYWORD_ONLY
    fields.append(inspect.Parameter("store", keyword, default=Path("runs"), annotation=Store))
    fields.append(inspect.Parameter("save_student", keyword, default=None, annotation=SaveStudent))
    fields.append(inspect.Parameter("json_", keyword, default=False, annotation=JSON))
    return _with_parameters(function, fields)


def _with_parameters(function: Callable[..., None], parameters: list[inspect.Parameter]) -> Callable[..., None]:
    """Let typer see these parameters."""
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in parameters}
    return function
