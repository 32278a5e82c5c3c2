"""JupyterLab on the loopback and Chromium: what a test needs to drive a notebook or a page as a reader would.

A test asks for `open_notebook` (a notebook in JupyterLab) or `open_page` (any address, no network) and gets a `Tab`.
Both keep the page's errors; `tab.errors` must be empty at the end of a test. Screenshots go to `test-artifacts/`.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

sys.path.insert(0, str(Path(__file__).parent))
_TEXTS = (Path(__file__).parent / "texts.js").read_text("utf-8")
ARTIFACTS = Path(__file__).parents[2] / "test-artifacts"
SECONDS = float(os.environ.get("ACTIVEKD_LAB_BROWSER_SECONDS", "300"))  # patience with a page, a notebook, JupyterLab
# anywidget says so of a script that takes more than two seconds to load, as Plotly's may on a busy machine; figures
# start and follow their controls all the same (test_late.py).
_SLOW = "[anywidget] Failed to initialize model."
_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
_SETTINGS = {  # no news prompt, no update check: nothing leaves the machine, nothing covers the notebook
    "@jupyterlab/apputils-extension/notification": {
        "fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True,
    },
}  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("browser")


def unavailable(reason: str) -> None:
    """Skip with the reason, unless the caller insists on a browser, as `.ci/run` does."""
    if os.environ.get("ACTIVEKD_LAB_REQUIRE_BROWSER"):
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass
class Tab:
    """A page in Chromium and what went wrong in it; `page` is Playwright's own."""

    page: Any
    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)  # addresses other than the loopback, files and data that it wanted

    def listen(self) -> Tab:
        self.page.set_default_timeout(SECONDS * 1000)
        self.page.on("console", lambda m: self.errors.append(f"console: {m.text}") if m.type == "error" else None)
        self.page.on("pageerror", lambda e: self.errors.append(f"exception: {e}") if _SLOW not in str(e) else None)
        self.page.on("request", self._note_request)
        return self

    def _note_request(self, request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "file:", "data:", "blob:")):
            self.outside.append(request.url)

    def text_problems(self) -> list[str]:
        """Say which texts of the page's plots overlap or are cut off, and stay so: figures follow their width late."""
        found: list[str] = []
        for _ in range(20):
            if not (found := self.page.evaluate(_TEXTS)):
                break
            self.page.wait_for_timeout(500)
        return found

    def screenshot(self, name: str, *, of: Any = None, full_page: bool = False) -> Path:
        """Save `test-artifacts/NAME.png`, of the window or of one locator."""
        ARTIFACTS.mkdir(exist_ok=True)
        path = ARTIFACTS / f"{name}.png"
        (of or self.page).screenshot(path=path, **({} if of else {"full_page": full_page}))
        return path


@dataclass
class NotebookTab(Tab):
    """A notebook in JupyterLab; cells are counted from 0, all kinds together.

    What a widget's callback raises in the kernel is shown in no cell; it stands in `errors`.
    """

    def run_all(self) -> None:
        """Run every cell and wait for the last one. A cell that raises fails the test with its traceback."""
        self.page.evaluate(_START)
        self.page.wait_for_function("() => window.allCellsRan", polling=250)
        failed, stderr = self.page.evaluate(_PROBLEMS)
        assert not failed, "\n".join(failed)
        self.errors += [f"stderr: {text}" for text in stderr]

    def cell(self, number: int) -> Any:
        """Return the locator of a cell, scrolled into view so that its output is drawn."""
        cell = self.page.locator(f".jp-Cell[data-windowed-list-index='{number}']")
        self.page.evaluate("n => window.jupyterapp.shell.currentWidget.content.scrollToItem(n)", number)
        cell.wait_for(state="visible")
        return cell

    def slide(self, slider: Any, share: float) -> None:
        """Click on a slider's rail, at a share of its width."""
        rail = slider.locator("xpath=ancestor::*[contains(@class,'widget-slider')]").locator(".noUi-base")
        box = rail.bounding_box()
        self.page.mouse.click(box["x"] + 1 + share * (box["width"] - 2), box["y"] + box["height"] / 2)

    def cell_with(self, text: str) -> Any:
        """Return the locator of the first cell whose source holds `text`."""
        number = self.page.evaluate(_FIND_CELL, text)
        assert number >= 0, f"no cell holds {text!r}"
        return self.cell(number)


_MODEL = "const nb = window.jupyterapp.shell.currentWidget.content.model;"
_CELLS = f"{_MODEL} const cells = Array.from({{length: nb.cells.length}}, (_, i) => nb.cells.get(i));"
_START = """() => { window.allCellsRan = false;
  window.jupyterapp.commands.execute('notebook:run-all-cells').finally(() => { window.allCellsRan = true; }); }"""
_PROBLEMS = f"""() => {{ {_CELLS}
  const outputs = cells.filter(c => c.type === 'code').flatMap(c => c.outputs.toJSON());
  const errors = outputs.filter(o => o.output_type === 'error');
  return [errors.map(o => [o.ename + ': ' + o.evalue, ...o.traceback].join('\\n')),
    outputs.filter(o => o.name === 'stderr').map(o => [].concat(o.text).join(''))]; }}"""
_FIND_CELL = f"text => {{ {_CELLS} return cells.findIndex(c => c.sharedModel.getSource().includes(text)); }}"


@dataclass(frozen=True)
class LabServer:
    """A running JupyterLab: its address, its token, and the folder it serves."""

    url: str
    token: str
    root: Path


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Chromium, headless, with WebGL in software and no way out of the machine."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        unavailable("needs Chromium: install the system's package `chromium`")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        unavailable('needs Playwright for Python: pip install -e ".[test]"')
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(_FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory, chromium: Any) -> Iterator[LabServer]:
    """JupyterLab on a free loopback port, with its own settings, serving an empty temporary folder."""
    home = tmp_path_factory.mktemp("jupyter")
    root = tmp_path_factory.mktemp("notebooks")
    server = LabServer(f"http://127.0.0.1:{_free_port()}", secrets.token_hex(16), root)
    log = (home / "lab.log").open("w")
    process = subprocess.Popen(_command(server), env=_environment(home), stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_for(server, process, home / "lab.log")
        yield server
    finally:
        _end(process)
        log.close()


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Callable[..., Tab]]:
    """Return a function that opens an address, `open_page(url, width=1280, height=900)`, and gives its Tab."""
    contexts = []

    def open_(url: str, *, width: int = 1280, height: int = 900, **options: Any) -> Tab:
        contexts.append(chromium.new_context(viewport={"width": width, "height": height}, **options))
        tab = Tab(contexts[-1].new_page()).listen()
        tab.page.goto(url)
        return tab

    yield open_
    for context in contexts:
        context.close()


@pytest.fixture
def open_notebook(chromium: Any, lab: LabServer) -> Iterator[Callable[..., NotebookTab]]:
    """Return a function that opens a notebook, `open_notebook(path or [source, …])`, and gives its tab.

    The file is copied into JupyterLab's folder, so the checkout stays as it is. A list of sources makes a notebook of
    code cells.
    """
    yield from _notebooks(chromium, lab)


@pytest.fixture(scope="module")
def shared_notebook(chromium: Any, lab: LabServer) -> Iterator[Callable[..., NotebookTab]]:
    """Return `open_notebook` for tests of one file that share a page and a kernel."""
    yield from _notebooks(chromium, lab)


def _notebooks(chromium: Any, lab: LabServer) -> Iterator[Callable[..., NotebookTab]]:
    contexts = []

    def open_(notebook: Path | list[str], *, width: int = 1280, height: int = 900, script: str = "") -> NotebookTab:
        name = f"{secrets.token_hex(4)}.ipynb"
        content = notebook.read_text("utf-8") if isinstance(notebook, Path) else _notebook(notebook)
        (lab.root / name).write_text(content, "utf-8")
        contexts.append(chromium.new_context(viewport={"width": width, "height": height}))
        contexts[-1].add_init_script(script)
        tab = NotebookTab(contexts[-1].new_page())
        tab.listen()
        tab.page.goto(f"{lab.url}/lab/tree/{name}?token={lab.token}&reset")
        tab.page.wait_for_function(_READY, polling=250)
        tab.page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
        tab.page.evaluate(_TELL_ERRORS)
        return tab

    yield open_
    for context in contexts:
        context.close()


_READY = """() => { const app = window.jupyterapp; const panel = app && app.shell && app.shell.currentWidget;
  return !!(panel && panel.content && panel.content.model && panel.content.model.cells.length > 0 &&
    panel.sessionContext && panel.sessionContext.session && panel.sessionContext.session.kernel); }"""


_TELL_ERRORS = """() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.iopubMessage.connect(
  (_, message) => { if (message.header.msg_type === 'error')
    console.error(`kernel: ${message.content.ename}: ${message.content.evalue}`); })"""


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def _command(server: LabServer) -> list[str]:
    options = {
        "ServerApp.ip": "127.0.0.1", "ServerApp.port": server.url.rsplit(":", 1)[1], "ServerApp.port_retries": "0",
        "IdentityProvider.token": server.token, "ServerApp.root_dir": str(server.root),
        "ServerApp.open_browser": "False", "ServerApp.allow_root": "True", "LabApp.expose_app_in_browser": "True",
    }  # fmt: skip
    return [sys.executable, "-m", "jupyterlab", *(f"--{k}={v}" for k, v in options.items())]


def _environment(home: Path) -> dict[str, str]:
    for name, values in _SETTINGS.items():
        path = home / "settings" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(values))
    own = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_RUNTIME_DIR": "runtime", "JUPYTERLAB_SETTINGS_DIR": "settings",
           "JUPYTERLAB_WORKSPACES_DIR": "workspaces", "IPYTHONDIR": "ipython"}  # fmt: skip
    return os.environ | {key: str(home / folder) for key, folder in own.items()}


def _wait_for(server: LabServer, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + SECONDS
    request = Request(f"{server.url}/api/status", headers={"Authorization": f"token {server.token}"})
    while time.monotonic() < until and process.poll() is None:
        try:
            with urlopen(request, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.3)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-4000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, which on a busy machine may take long, and then make it."""
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _notebook(sources: list[str]) -> str:
    code = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    cells = [code | {"id": f"cell-{i}", "source": source} for i, source in enumerate(sources)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return json.dumps({"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5})
