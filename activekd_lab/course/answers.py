"""Find a learner's answers in a notebook as Jupyter would: by the name that the check is given, wherever it is defined.

An answer is a *slice* of the notebook: the statements above the check, in order, that its function needs, imports,
classes, helpers and constants included, and no others. Magics and shell commands are read as IPython reads them. Cells
need no tags. Nothing of a learner is executed here.
"""

from __future__ import annotations

import ast
import linecache
import re
import symtable
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from activekd_lab.course.effects import aliases, changes, effects, root
from activekd_lab.errors import DataError
from activekd_lab.io.files import read_text, shown

FUNCTION = "_the_answer"
"""The name under which a slice leaves the learner's function."""
_CELL_MAGICS = re.compile(r"\s*%%(time|timeit|capture|prun)\b[^\n]*")  # their cells define names as others do
_MOST = 200_000  # characters of code that are read
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Piece:
    """Statements of one cell.

    Attributes:
        file: the cell's name in tracebacks.
        source: its text.
        positions: of the statements that count.
        own: it is the answer's own cell, whose faults are reported.
    """

    file: str
    source: str
    positions: list[int]
    own: bool

    def statements(self) -> list[ast.stmt]:
        """Return the chosen statements."""
        body = ast.parse(self.source).body
        return [body[i] for i in self.positions]

    def show_in_tracebacks(self) -> None:
        """Let messages quote the learner's lines."""
        linecache.cache[self.file] = (len(self.source), None, self.source.splitlines(keepends=True), self.file)


@dataclass(frozen=True)
class Exercise:
    """An exercise as it stands in a notebook.

    Attributes:
        name: of its check, "03.entropy".
        function: what the check is given, a name or an expression.
        pieces: the slice that leaves the function; empty where there is none.
        problem: why there is none.
        missing: neither the exercise nor its check is there.
        flags: what a teacher should look at.
    """

    name: str
    function: str
    pieces: list[Piece] = field(default_factory=list)
    problem: str = ""
    missing: bool = False
    flags: tuple[str, ...] = ()


@dataclass
class _Cell:
    """A code cell: the text that Python reads, its statements, what each binds, needs and changes, its syntax error."""

    source: str
    tagged: bool
    body: list[ast.stmt]
    binds: list[set[str]]
    needs: list[set[str]]
    changes: list[set[str]] = field(default_factory=list)
    error: str = ""


def read_exercises(notebook: str | Path, known: dict[str, str]) -> list[Exercise]:
    """Return the exercises of a notebook in the order of their checks, then those of its numbers that are missing.

    Args:
        notebook: an .ipynb file.
        known: the functions' usual names by exercise, {"03.entropy": "entropy"}.

    Raises:
        DataError: it cannot be read, or has no exercise of this package.
    """
    cells, left = list[_Cell](), _MOST
    for cell in read_notebook(notebook).cells:
        if cell.cell_type == "code":
            cells.append(_read(cell, left))
            left -= len(cell.source) if len(cell.source) <= left else 0
    _see_changes(cells)
    found: dict[str, tuple[int, int, str]] = {}  # the last check of each name: cell, statement, what it is given
    for i, cell in enumerate(cells):
        for j, statement in enumerate(cell.body):
            found |= {name: (i, j, given) for name, given in _checks(statement) if name in known}
    numbers = {name.partition(".")[0] for name in found} or _numbers(cells, known)
    if not numbers:
        raise DataError(f"{shown(notebook)} has no exercise of this package; hand in one of the folder notebooks.")
    rest = {n: (len(cells), 0, function) for n, function in known.items() if n.partition(".")[0] in numbers}
    order = {**dict(sorted(found.items(), key=lambda item: item[1][:2])), **(rest | found)}
    return [_exercise(cells, name, *place, checked=name in found) for name, place in order.items()]


def read_notebook(notebook: str | Path) -> Any:
    """Return a notebook; a byte order mark does not disturb.

    Raises:
        DataError: it cannot be read.
    """
    import nbformat  # noqa: PLC0415  (slow import)

    text = read_text(notebook, "hand in a notebook that Jupyter opens", kind=DataError)
    try:
        found = nbformat.reads(text, as_version=4)
        for cell in found.cells:
            if not (
                isinstance(cell.source, str) and isinstance(cell.cell_type, str) and isinstance(cell.metadata, dict)
            ):
                raise TypeError("a cell is malformed")
    except Exception as error:  # nbformat raises a different one for each way a file can be wrong
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{shown(notebook)} cannot be read as a notebook ({type(error).__name__}: {reason}).") from None
    return found


def _read(cell: Any, most: int) -> _Cell:
    tags = cell.metadata.get("tags") or []
    source, body, pairs, error = cell.source, list[ast.stmt](), list[tuple[set[str], set[str]]](), ""
    try:
        if len(source) > most:
            raise SyntaxError(f"up to here the notebook has more than {_MOST:,} characters of code")
        source, found = _parse(source)
        pairs = [_names(statement) for statement in found]
        body = found
    except (SyntaxError, ValueError, RecursionError, MemoryError) as fault:
        error = f"{type(fault).__name__}: {fault}"
    return _Cell(source, "exercise" in tags, body, [b for b, _ in pairs], [n for _, n in pairs], error=error)


def _parse(source: str) -> tuple[str, list[ast.stmt]]:
    """Return a cell as Python, by IPython's transformations where it is none yet, and its statements."""
    source = _CELL_MAGICS.sub("", source, count=1) if _CELL_MAGICS.match(source) else source
    try:
        tree = ast.parse(source)
    except SyntaxError:
        from IPython.core.inputtransformer2 import TransformerManager  # noqa: PLC0415  (slow import)

        source = TransformerManager().transform_cell(source)  # type: ignore[no-untyped-call]
        tree = ast.parse(source)
    compile(tree, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)  # such as `return` outside
    return source, tree.body


def _names(statement: ast.stmt) -> tuple[set[str], set[str]]:
    """Return the global names that a statement binds or changes, and those that it reads, then or when called."""
    table = symtable.symtable(ast.unparse(statement), "<cell>", "exec")
    binds = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
    needs = {s.get_name() for s in table.get_symbols() if s.is_referenced()} | _globals(table)
    for node in ast.walk(statement):
        changed = isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del)
        if changed and (name := root(node)):
            binds.add(name)
    match statement:
        case ast.Expr(ast.Call(ast.Attribute() as method)):  # seen.update(…) may change `seen`
            binds.add(root(method))
    return binds, needs


def _see_changes(cells: Sequence[_Cell]) -> None:
    """Note for every statement what it changes; modules are left out, which any call would seem to change."""
    statements = [statement for cell in cells for statement in cell.body]
    known = effects(statements)
    modules = {name for s in statements if isinstance(s, ast.Import | ast.ImportFrom) for name in _names(s)[0]}
    for cell in cells:
        cell.changes = [changes(statement, known) - modules for statement in cell.body]
        cell.needs = [needs | aliases(s) for needs, s in zip(cell.needs, cell.body, strict=True)]


def _globals(table: symtable.SymbolTable) -> set[str]:
    found: set[str] = set()
    for child in table.get_children():
        found |= {s.get_name() for s in child.get_symbols() if s.is_global()} | _globals(child)
    return found


def _checks(statement: ast.stmt) -> Iterator[tuple[str, str]]:
    """Yield name and function of every `check("name", function)` in a statement, whatever `check` is called there."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Call):
            given = dict(zip(("name", "function"), node.args, strict=False))
            given |= {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
            match given.get("name"), given.get("function"):
                case ast.Constant(value=str(name)), ast.expr() as function:
                    yield name, ast.unparse(function)


def _numbers(cells: Sequence[_Cell], known: dict[str, str]) -> set[str]:
    """Return the number of the notebook whose functions are defined, for one that has lost its checks."""
    defined = {name for cell in cells for names in cell.binds for name in names}
    share: dict[str, list[bool]] = {}
    for name, function in known.items():
        share.setdefault(name.partition(".")[0], []).append(function in defined)
    best = max(share, key=lambda number: sum(share[number]) / len(share[number]), default="")
    return {best} if best and 2 * sum(share[best]) >= len(share[best]) else set()


def _exercise(cells: Sequence[_Cell], name: str, cell: int, statement: int, given: str, *, checked: bool) -> Exercise:
    everything = [(i, j) for i, c in enumerate(cells) for j in range(len(c.body))]
    above = [place for place in everything if place < (cell, statement)]
    try:
        needs = _names(ast.parse(f"{FUNCTION} = {given}").body[0])[1]
    except (SyntaxError, RecursionError):  # an expression that holds IPython's words, or is too deep
        needs = {given}
    for places in (above, everything):  # a function that is only defined below its check was moved
        own = [(i, j) for i, j in places if cells[i].binds[j] & needs and isinstance(cells[i].body[j], _defining())]
        if own or not given.isidentifier():
            chosen = _slice(cells, places, needs)
            pieces = _pieces(cells, chosen, own[-1][0] if own else cell)
            last = Piece("<check>", f"{FUNCTION} = {given}", [0], True)
            return Exercise(name, given, [*pieces, last], flags=_flags(cells, chosen))
    if not checked and not any(re.search(rf"\bdef {given}\b", c.source) for c in cells):
        return Exercise(name, given, problem="The exercise's cell is missing from the notebook.", missing=True)
    return Exercise(name, given, problem=_problem(cells[: cell or None], given))


def _defining() -> tuple[type[ast.stmt], ...]:
    return (*_DEFINITIONS, ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom, ast.If, ast.With, ast.Try, ast.For,
            ast.While, ast.Match)  # fmt: skip


def _slice(cells: Sequence[_Cell], places: Sequence[tuple[int, int]], needs: set[str]) -> list[tuple[int, int]]:
    """Return the statements among places that the names need, directly or through others, in order."""
    binding: dict[str, list[tuple[int, int]]] = {}
    for i, j in places:
        for name in cells[i].binds[j] | cells[i].changes[j]:
            binding.setdefault(name, []).append((i, j))
    wanted, seen, chosen = set(needs), set[str](), set[tuple[int, int]]()
    more = [(i, j) for i, j in places if _takes_all(cells[i].body[j])]
    while wanted or more:
        chosen.update(more)
        wanted.update(*(cells[i].needs[j] for i, j in more))
        wanted -= seen
        seen |= wanted
        more, wanted = [place for name in wanted for place in binding.pop(name, []) if place not in chosen], set()
    return sorted(chosen)


def _takes_all(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*"


def _pieces(cells: Sequence[_Cell], chosen: Sequence[tuple[int, int]], own: int) -> list[Piece]:
    used = sorted({i for i, _ in chosen})
    return [Piece(f"<cell {i + 1}>", cells[i].source, [j for k, j in chosen if k == i], i == own) for i in used]


def _problem(above: Sequence[_Cell], function: str) -> str:
    """Say why no cell above the check leaves the function."""
    for cell in reversed(above):
        if cell.error and (cell.tagged or re.search(rf"\b{function}\b", cell.source)):
            return f"The cell itself raised {cell.error}."
        if cell.tagged:
            others = [node.name for node in cell.body if isinstance(node, _DEFINITIONS)]
            found = f", but {', '.join(others)}" if others else ""
            return f"The cell defines no function {function}{found}."
    return (
        f"No cell defines the function {function}, and the tag `exercise` of its cell is missing: was the function "
        "renamed, or its cell deleted?"
    )


_LOOK = {"os", "sys", "subprocess", "socket", "ctypes", "inspect", "gc", "builtins", "importlib", "pickle", "marshal",
         "threading", "multiprocessing", "signal", "shutil", "io", "exec", "eval", "compile", "__import__", "open",
         "globals", "vars", "setattr", "get_ipython"}  # fmt: skip


def _flags(cells: Sequence[_Cell], chosen: Sequence[tuple[int, int]]) -> tuple[str, ...]:
    """Return what a teacher should look at in a slice: the library itself, and words that no exercise needs."""
    nodes = [cells[i].body[j] for i, j in chosen]
    imported = {name for node in nodes for name in _from_library(node)}
    library, words = set(), set()
    for node in (n for statement in nodes for n in ast.walk(statement)):
        if isinstance(node, ast.Attribute | ast.Name) and root(node) in imported:
            library.add(ast.unparse(node))
        if isinstance(node, ast.Import | ast.ImportFrom):
            roots = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
            words |= {root.partition(".")[0] for root in roots} & _LOOK
            library |= {root for root in roots if root.startswith("activekd_lab.")}
        elif isinstance(node, ast.Name):
            words |= {node.id} & _LOOK
        elif isinstance(node, ast.Attribute) and node.attr.startswith("__"):
            words.add(node.attr)
    library = {text for text in library if not any(other != text and other.startswith(f"{text}.") for other in library)}
    found = [f"calls the library: {', '.join(sorted(library))}"] if library else []
    return tuple(found + ([f"uses {', '.join(sorted(words))}"] if words else []))


def _from_library(statement: ast.stmt) -> list[str]:
    """Return the names that an import binds to parts of this package."""
    if isinstance(statement, ast.Import):
        return [a.asname or a.name.partition(".")[0] for a in statement.names if a.name.startswith("activekd_lab")]
    if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith("activekd_lab"):
        return [a.asname or a.name for a in statement.names]
    return []
