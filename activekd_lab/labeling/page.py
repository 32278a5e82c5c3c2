"""The photo that is asked about, on a page of this machine's browser: a terminal can show none.

Only this machine reaches the page, only by its address with the random token, and only the photo of now is given out.
"""

from __future__ import annotations

import io
import json
import secrets
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from activekd_lab.data.images import read_whole
from activekd_lab.errors import DataError
from activekd_lab.io.files import shown

_LARGEST = 1600  # pixels of the longer side of the picture that is sent
_CLOSED = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_HTML = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>activekd-lab label</title>
<link rel="icon" href="data:,">
<style nonce="NONCE">
  body { margin: 0; height: 100vh; display: flex; flex-direction: column; background: #222; color: #eee }
  img { flex: 1; min-height: 0; object-fit: contain } p { margin: .5rem; text-align: center; font: 1rem sans-serif }
</style>
<img alt=""><p role="status">The first photo comes with the first question.</p>
<script nonce="NONCE">
const [image, text, token] = [document.querySelector("img"), document.querySelector("p"), location.search];
let number = 0;
async function look() {
  try {
    const now = await (await fetch("/now" + token, { cache: "no-store" })).json();
    if (now.number !== number) {
      number = now.number;
      image.src = "/photo/" + number + token;
      image.alt = text.textContent = now.name;
    }
    setTimeout(look, 300);
  } catch { text.textContent = "The command has ended; answers are kept."; }
}
look();
</script></html>
"""


class _Shown(NamedTuple):
    number: int
    path: Path | None
    name: str


class Page:
    """A page that follows the photo that `show` was last called with; it is there inside of a `with`.

    Attributes:
        url: its address; whoever has it, on this machine, sees the photo.

    Example:
        >>> with Page() as page:
        ...     page.show(session.path(session.current))
        ...     print(page.url)
    """

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(24)
        self.shown = _Shown(0, None, "")
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.page = self
        self.hosts = tuple(f"{name}:{self._server.server_port}" for name in ("127.0.0.1", "localhost"))
        self.url = f"http://{self.hosts[0]}/?token={self.token}"
        self._thread = Thread(target=self._server.serve_forever, name="label page", daemon=True)

    def __enter__(self) -> Page:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def show(self, path: Path) -> None:
        """Give out this photo from now on, and none before it."""
        if path != self.shown.path:
            self.shown = _Shown(self.shown.number + 1, path, shown(path.name))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    page: Page

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let a browser hang up without a word."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version, timeout = "activekd-lab", "", 10

    def do_GET(self) -> None:
        page = self.server.page
        try:
            url = urlsplit(self.path)
        except ValueError:  # such as an open bracket
            return self._send(400, "text/plain", b"This is no address.")
        token = parse_qs(url.query).get("token", [""])[0]
        if self.headers.get("Host", "").lower() not in page.hosts:  # a name that somebody lets lead here
            self._send(403, "text/plain", b"This page has another host.")
        elif not secrets.compare_digest(token.encode(), page.token.encode()):
            self._send(403, "text/plain", b"Open the address that activekd-lab printed.")
        else:
            self._send(*self._found(url.path, page.shown))

    do_HEAD = do_GET  # noqa: N815  (the standard library's name)

    def _found(self, path: str, now: _Shown) -> tuple[int, str, bytes]:
        if path == "/":
            return 200, "text/html", _HTML.encode()
        if path == "/now":
            return 200, "application/json", json.dumps({"number": now.number, "name": now.name}).encode()
        if now.path is None or path != f"/photo/{now.number}":
            return 404, "text/plain", b"There is nothing here."
        picture = io.BytesIO()
        try:
            read_whole(now.path, _LARGEST).save(picture, "JPEG", quality=92)
        except DataError as error:
            return 404, "text/plain", str(error).encode("utf-8", "backslashreplace")
        return 200, "image/jpeg", picture.getvalue()

    def _send(self, status: int, kind: str, content: bytes) -> None:
        nonce = secrets.token_urlsafe(12)
        content = content.replace(b"NONCE", nonce.encode()) if kind == "text/html" else content
        own = "default-src 'none'; img-src 'self' data:; connect-src 'self'"
        scripts = f"script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'"
        self.send_response(status)
        self.send_header("Content-Type", kind if kind == "image/jpeg" else f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", f"{own}; {scripts}; {_CLOSED}")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Say nothing: the terminal is the user's."""
