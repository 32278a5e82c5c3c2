"""What a notebook declares: the cell tagged `parameters`, a line each, `rounds: int = 8  # help`."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, field_validator

from activekd_lab.errors import DataError, SettingError
from activekd_lab.io.files import read_json

KINDS = {"int": int, "float": float, "str": str, "bool": bool, "list": list, "dict": dict}


@dataclass(frozen=True)
class Parameter:
    """A declared parameter: its name, the name of its builtin type, the help behind its line, and its value there."""

    name: str
    kind: str
    help: str
    default: Any = None


class _Cell(BaseModel, extra="allow"):
    cell_type: str
    source: str
    metadata: dict[str, Any]

    @field_validator("source", mode="before")
    @classmethod
    def _joined(cls, lines: Any) -> Any:
        return "".join(map(str, lines)) if isinstance(lines, list) else lines


class _Notebook(BaseModel, extra="allow"):
    cells: list[_Cell]


def read_notebook(path: Path) -> dict[str, Any]:
    """Return a notebook's content.

    Raises:
        DataError: no such file, or no notebook.
    """
    return read_json(path, "give a notebook as JupyterLab saves it", schema=_Notebook, kind=DataError).model_dump()


def declared_parameters(path: Path) -> dict[str, Parameter]:
    """Return the parameters that a notebook's cell tagged `parameters` declares.

    Raises:
        DataError: no notebook, or not exactly one such cell: papermill would set values that the cells do not use.
    """
    cells = [c for c in read_notebook(path)["cells"] if "parameters" in c["metadata"].get("tags", ())]
    if len(cells) != 1:
        raise DataError(
            f"{path} must hold one cell with the tag parameters, but holds {len(cells)}; give it back to the cell that "
            "declares `profile: str` (JupyterLab: Property Inspector, Cell Tags)."
        )
    return {parameter.name: parameter for parameter in declarations(cells[0]["source"])}


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
            if kind not in KINDS:
                raise SettingError(f"Parameter {node.target.id} must be one of {', '.join(KINDS)}, but got {kind}.")
            found.append(Parameter(node.target.id, kind, comment.strip(), _literal(node.value)))
    return found


def _literal(node: ast.expr | None) -> Any:
    """Return the value of a literal; an expression is known only once it has run."""
    try:
        return None if node is None else ast.literal_eval(node)
    except ValueError:
        return None


def check_value(parameter: Parameter, value: Any) -> Any:
    """Return the value if it is of the declared type; a whole number will do for a float, True not for a number."""
    kind = KINDS[parameter.kind]
    fits = isinstance(value, kind) or (kind is float and isinstance(value, int))
    if not fits or (isinstance(value, bool) and kind is not bool):
        raise SettingError(f"Parameter {parameter.name} ({parameter.help}) must be {kind.__name__}, but got {value!r}.")
    return float(value) if kind is float else value
