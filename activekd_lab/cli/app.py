"""The command line: `activekd-lab COMMAND`. It parses, calls the library, and prints; nothing is computed here.

A command's file is imported when the command is called: `--help` reads the first lines of their docstrings only.
"""

from __future__ import annotations

import ast
import re
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from activekd_lab import __version__
from activekd_lab.device import calm_threads
from activekd_lab.errors import ActiveKDError, SettingError

_CTRL_C = 130  # exit code
_FILES = {
    "demo": "run", "lab": "lists", "notebooks": "course", "course": "course", "run": "run", "report": "report",
    "compare": "compare", "sweep": "sweep", "reproduce": "sweep", "label": "label", "merge": "merge",
    "predict": "models", "export": "models", "grade": "grade", "tasks": "lists", "selectors": "lists",
    "methods": "lists", "doctor": "lists", "data": "data",
    "cache": "cache", "bench": "bench",
}  # fmt: skip
"""Command or group -> the file of this folder that holds it, under its own name."""


class _Commands(TyperGroup):
    """The commands, each imported when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(_FILES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _FILES:
            return None
        found = getattr(import_module(f"activekd_lab.cli.{_FILES[cmd_name]}"), cmd_name)
        group = found if isinstance(found, typer.Typer) else typer.Typer(rich_markup_mode=None)
        group._add_completion = False  # that of the whole command line
        if group is not found:
            group.command(cmd_name)(found)
        command = typer.main.get_command(group)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _about(name)) for name in _FILES])


def _about(name: str) -> str:
    """Return what a command does: its docstring's first line, or the `help` of a group, read without an import."""
    tree = ast.parse(Path(__file__).with_name(f"{_FILES[name]}.py").read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return (ast.get_docstring(node) or "").partition("\n")[0]
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name and isinstance(node.value, ast.Call):
            return next((ast.literal_eval(word.value) for word in node.value.keywords if word.arg == "help"), "")
    return ""


app = typer.Typer(
    cls=_Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Learn and reproduce active learning with distillation from vision-language models.",
)  # fmt: skip


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", help="print the version and exit", is_eager=True)] = False,
) -> None:
    pass


class _Terminated(KeyboardInterrupt):
    """Python ends by SIGINT, whatever the exit code, once a KeyboardInterrupt itself has left an `exec` of a text."""


def main() -> None:
    """Run the command line; an error of the package prints one sentence and exits with 1.

    SIGTERM ends a command as Ctrl-C does: what is finished is kept, child processes end. They exit with 143 and 130.
    """
    from activekd_lab.cli.plain import speak_anywhere

    speak_anywhere()
    if sys.argv[1:] == ["--version"]:
        print(f"activekd-lab {__version__}")
        return
    calm_threads()
    signals: list[int] = []

    def terminate(number: int, frame: object) -> None:
        signals.append(number)
        if number == signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)  # once is enough: what follows is putting away
        raise _Terminated

    ours = [number for number in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, terminate) for number in ours}  # a shell's background job ignores Ctrl-C
    try:
        _refuse_empty(sys.argv[1:])
        app()
    except ActiveKDError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except SystemExit as end:
        if end.code != _CTRL_C:
            raise
        name = "SIGTERM" if signal.SIGTERM in signals else "Ctrl-C"
        print(f"stopped by {name}; what was finished is kept", file=sys.stderr)
        sys.exit(128 + signals[0] if signals else _CTRL_C)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _refuse_empty(arguments: Sequence[str]) -> None:
    """Refuse an empty text, as of a shell's unset variable: as a path it would mean the current folder.

    Raises:
        SettingError: the flag, or the place of the argument.
    """
    own = arguments[: arguments.index("--")] if arguments[:1] == ["lab"] and "--" in arguments else arguments
    for before, text in pairwise(["", *own]):
        if text == "" or re.fullmatch(r"--[\w-]+=", text):
            flag = text[:-1] or (before if before.startswith("--") and "=" not in before else "an argument")
            raise SettingError(f"Expected a value for {flag}, but got an empty text; give one, or leave it out.")


if __name__ == "__main__":
    main()
