"""Which objects a learner's statements change without binding their names: by methods, calls, aliases, decorators."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_CHANGING = frozenset([  # methods that change their object, wherever they are called; torch's own end in "_"
    "add", "append", "appendleft", "clear", "discard", "extend", "extendleft", "insert", "pop", "popitem", "popleft",
    "remove", "reverse", "rotate", "setdefault", "sort", "update",
])  # fmt: skip


class Effect(NamedTuple):
    """What calling a function changes: global names, and which of its arguments, by position."""

    names: set[str]
    arguments: set[int]


def root(node: ast.AST) -> str:
    """Return the name at the root of `name.a[b].c(…)`."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def effects(statements: Iterable[ast.stmt]) -> dict[str, Effect]:
    """Return what the functions that are defined in the statements change when they are called."""
    functions = [node for s in statements for node in ast.walk(s) if isinstance(node, _FUNCTIONS)]
    return {function.name: _effect(function) for function in functions}


def _effect(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Effect:
    given = function.args
    parameters = [argument.arg for argument in (*given.posonlyargs, *given.args)]
    nodes = [node for statement in function.body for node in ast.walk(statement)]
    outer = {name for node in nodes if isinstance(node, ast.Global) for name in node.names}
    local = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)} - outer
    changed = {name for node in nodes for name in _changed(node)}
    return Effect(outer | changed - local - {*parameters}, {i for i, p in enumerate(parameters) if p in changed})


def changes(statement: ast.stmt, known: dict[str, Effect]) -> set[str]:
    """Return the names of the objects that a statement may change when it runs, beside those that it binds.

    Args:
        statement: of a cell.
        known: what the notebook's functions change.
    """
    found = {name for node in _running(statement) for name in (*_changed(node), *_called(node, known))}
    match statement:
        case ast.Assign(value=ast.Name(id=name)):  # `t = terms`: what changes t changes terms
            found.add(name)
    return found - {""}


def aliases(statement: ast.stmt) -> set[str]:
    """Return the further names that a statement gives to an object that has one."""
    match statement:
        case ast.Assign(value=ast.Name()):
            return {target.id for target in statement.targets if isinstance(target, ast.Name)}
    return set()


def _changed(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Attribute(ctx=ast.Store() | ast.Del()) | ast.Subscript(ctx=ast.Store() | ast.Del()):
            yield root(node)
        case ast.Expr(value=ast.Call(func=ast.Attribute() as method)):
            yield root(method)
        case ast.Call(func=ast.Attribute(attr=name) as method) if name in _CHANGING or name.rstrip("_") != name:
            yield root(method)
        case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[first, *_]):
            yield root(first)


def _called(node: ast.AST, known: dict[str, Effect]) -> Iterator[str]:
    decorators = node.decorator_list if isinstance(node, (*_FUNCTIONS, ast.ClassDef)) else ()
    for function in decorators:
        yield from known.get(root(function), Effect(set(), set())).names
    match node:
        case ast.Call(func=ast.Name(id=name), args=given) if name in known:
            yield from known[name].names
            yield from (root(given[i]) for i in known[name].arguments if i < len(given))
        case ast.Expr(value=ast.Call(func=ast.Attribute(), args=given)):  # heapq.heappush(terms, 1)
            yield from (found for found in map(root, given) if found not in known)


def _running(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield the parts of a statement that run with it, so not the bodies of the functions that it defines."""
    yield statement
    for name, value in ast.iter_fields(statement):
        if name == "body" and isinstance(statement, _FUNCTIONS):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.stmt):
                yield from _running(child)
            elif isinstance(child, ast.AST):
                yield from ast.walk(child)
