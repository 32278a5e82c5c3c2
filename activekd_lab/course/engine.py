"""A papermill engine that runs the cells here: no kernel is started, so no kernelspec, socket or port can fail.

Papermill puts the parameters in, keeps times and states, and writes the notebook; IPython runs a cell as it does below
Jupyter. Widgets, which need a kernel to answer them, show their static figures.
"""

from __future__ import annotations

import asyncio
import io
import platform
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import nbformat
import papermill.engines
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from nbformat import NotebookNode
from traitlets.config import Config

NAME = "activekd_lab"


class Engine(papermill.engines.Engine):  # type: ignore[misc]
    """Runs the code cells of a notebook in order, up to the first that raises; the working folder is the process's."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> None:
        """Fill in outputs and counts; what a cell raised is an output, of which papermill makes an error."""
        _Shell.clear_instance()  # the last notebook's names must not be found by this one
        shell = _Shell.instance(config=Config(HistoryManager={"enabled": False}), colors="nocolor")
        nb_man.nb.metadata.language_info = {"name": "python", "version": platform.python_version()}
        for index, cell in enumerate(nb_man.nb.cells):
            nb_man.cell_start(cell, index)
            if cell.cell_type == "code" and cell.source.strip() and not shell.run_notebook_cell(cell):
                nb_man.cell_exception(cell, cell_index=index)
            nb_man.cell_complete(cell, cell_index=index)
            if cell.metadata.papermill["exception"]:
                break


papermill.engines.papermill_engines.register(NAME, Engine)


class _Outputs:
    """What a cell has shown, in Jupyter's format, in order."""

    def __init__(self) -> None:
        self.count, self.nodes = 0, list[NotebookNode]()
        self.updatable: dict[str, list[NotebookNode]] = {}  # all displays of an id, those of earlier cells too
        self._clear_first = False

    def start(self, count: int) -> list[NotebookNode]:
        """Begin another cell, the count-th, and return its outputs, which fill up."""
        self.count, self.nodes, self._clear_first = count, [], False
        return self.nodes

    def add(self, kind: str, **content: Any) -> NotebookNode:
        if self._clear_first:
            self.clear(wait=False)
        self.nodes.append(nbformat.v4.new_output(kind, **content))
        return self.nodes[-1]

    def write(self, name: str, text: str) -> None:
        last = self.nodes[-1] if self.nodes and not self._clear_first else {}
        if last.get("name") == name:
            last["text"] += text
        elif text:
            self.add("stream", name=name, text=text)

    def display(self, data: Any, metadata: Any, display_id: str | None, *, update: bool) -> None:
        for node in self.updatable.get(display_id or "", []) if update else ():
            node.data, node.metadata = data, metadata
        if not update:
            node = self.add("display_data", data=data, metadata=metadata)
            self.updatable.setdefault(display_id or "", []).append(node)

    def clear(self, *, wait: bool) -> None:
        self._clear_first = wait
        if not wait:
            self.nodes.clear()


class _Stream(io.TextIOBase):
    """Standard output or error of a cell."""

    encoding = "utf-8"

    def __init__(self, write: Callable[[str, str], None], name: str) -> None:
        self._write, self._name = write, name

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._write(self._name, text)
        return len(text)


class _Publisher(DisplayPublisher):
    shell: Any

    def publish(
        self, data: Any, metadata: Any = None, *args: Any, transient: Any = None, update: bool = False, **more: Any
    ) -> None:
        self.shell.outputs.display(data, metadata or {}, (transient or {}).get("display_id"), update=update)

    def clear_output(self, wait: bool = False) -> None:
        self.shell.outputs.clear(wait=wait)


class _Hook(DisplayHook):
    """Takes the value of a cell's last line."""

    def write_output_prompt(self) -> None:
        """Say nothing: the count is part of the output."""

    def write_format_data(self, format_dict: Mapping[str, Any], md_dict: Mapping[str, Any] | None = None) -> None:
        shell: Any = self.shell
        if format_dict:
            shell.outputs.add(
                "execute_result", data=format_dict, metadata=md_dict or {}, execution_count=shell.outputs.count
            )

    def finish_displayhook(self) -> None:
        self._is_active = False


def _await(cell: Coroutine[Any, Any, Any]) -> Any:
    """Run a cell that awaits, on a loop of its own: where papermill is called, one may be running already."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, cell).result()


class _Shell(InteractiveShell):
    """IPython without a terminal and without a history on disk."""

    def __init__(self, **options: Any) -> None:
        self.outputs = _Outputs()
        self.display_pub_class, self.displayhook_class = _Publisher, _Hook
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self.loop_runner = _await

    def run_notebook_cell(self, cell: NotebookNode) -> bool:
        """Run a cell, fill in its outputs and count, and tell whether it succeeded."""
        cell.execution_count = self.execution_count
        cell.outputs = self.outputs.start(cell.execution_count)
        streams = [_Stream(self.outputs.write, name) for name in ("stdout", "stderr")]
        with redirect_stdout(streams[0]), redirect_stderr(streams[1]):
            return bool(self.run_cell(cell.source, store_history=True).success)  # type: ignore[no-untyped-call]

    def _showtraceback(self, etype: Any, evalue: Any, stb: list[str]) -> None:
        """Keep the traceback as an output, where IPython's subclasses are asked to put it elsewhere."""
        self.outputs.add("error", ename=etype.__name__, evalue=str(evalue), traceback=stb)
