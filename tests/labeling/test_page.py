"""The page that shows a terminal's photo: for this machine, by its token, only the photo of now."""

import io
import json
import os
import pty
import re
import select
import socket
import subprocess
import sys
from http.client import HTTPConnection
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import numpy as np
import pytest
from PIL import Image

from activekd_lab.labeling.page import Page


@pytest.fixture
def photo(tmp_path):
    """A photo that lies on its side, 40 × 20 as it is stored, red above when upright; and one of 16 bits."""
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, :20] = (250, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif, quality=95)
    Image.fromarray(np.full((2000, 2000), 65535, np.uint16)).save(tmp_path / "b.png")
    return tmp_path / "a.jpg"


def get(page, path="/", token=None, **headers):
    url = f"http://{page.hosts[0]}{path}?token={page.token if token is None else token}"
    with urlopen(Request(url, headers=headers), timeout=10) as answer:
        return answer.headers, answer.read()


def status(page, *args, **more):
    with pytest.raises(HTTPError) as error:
        get(page, *args, **more)
    return error.value.code


def test_the_page_gives_out_the_photo_of_now_and_nothing_else(photo):
    with Page() as page:
        with urlopen(page.url, timeout=10) as answer:
            html = answer.read().decode()
            policy = answer.headers["Content-Security-Policy"]
        nonces = {*re.findall(r'nonce="([^"]+)"', html)}
        assert len(nonces) == 1
        nonce = nonces.pop()
        assert f"script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; base-uri 'none'" in policy
        assert policy.startswith("default-src 'none'")
        assert status(page, "/photo/0") == 404  # nothing is shown yet
        page.show(photo)
        page.show(photo)  # asked again: the same
        headers, now = get(page, "/now")
        assert json.loads(now) == {"number": 1, "name": "a.jpg"}
        assert headers["Content-Type"] == "application/json; charset=utf-8"
        headers, content = get(page, "/photo/1")
        assert (headers["Content-Type"], headers["Content-Length"]) == ("image/jpeg", str(len(content)))
        assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")
        shown = np.asarray(Image.open(io.BytesIO(content)))
        assert shown.shape == (40, 20, 3)
        assert shown[5, 10, 0] > 200
        assert shown[35, 10, 0] < 50
        page.show(photo.with_name("b.png"))
        assert status(page, "/photo/1") == 404
        other = Image.open(io.BytesIO(get(page, "/photo/2")[1]))
        assert (other.size, other.getpixel((5, 5))) == ((1600, 1600), (255, 255, 255))
        photo.with_name("b.png").write_bytes(b"no picture")
        assert status(page, "/photo/2") == 404
    with pytest.raises(URLError, match="refused"):
        get(page)


def test_who_lacks_the_token_comes_by_another_host_or_wants_another_path_is_refused(photo):
    with Page() as page, Page() as other:
        page.show(photo)
        for path in ("/", "/now", "/photo/1", "/nothing", f"/{photo}"):
            for token in ("", "wrong", other.token, f"{page.token}x", "%ff"):
                assert status(page, path, token) == 403
        for path in ("/nothing", "/photo/", "/photo/2", "/photo/01", "/photo/../photo/1", f"/{photo}", "//etc/passwd"):
            assert status(page, path) == 404
        port = page.hosts[0].partition(":")[2]
        with socket.create_connection(("127.0.0.1", int(port)), timeout=10) as raw:
            raw.sendall(b"GET http://[ HTTP/1.0\r\n\r\n")
            assert raw.recv(99).startswith(b"HTTP/1.0 400 ")
        for host in (
            "evil.example",
            f"evil.example:{port}",
            "127.0.0.1",
            f"127.0.0.1:{int(port) + 1}",
            f"0.0.0.0:{port}",
        ):
            assert status(page, Host=host) == 403
        assert get(page, Host=f"localhost:{port}")[1].startswith(b"<!DOCTYPE html>")
        assert page._server.server_address[0] == "127.0.0.1"
        for method, code in (("HEAD", 200), ("POST", 501), ("PUT", 501)):
            connection = HTTPConnection(page.hosts[0], timeout=10)
            connection.request(method, f"/?token={page.token}")
            answer = connection.getresponse()
            assert (answer.status, method == "HEAD" and answer.read()) == (code, b"" if method == "HEAD" else False)
            connection.close()


def test_the_command_shows_each_photo_that_it_asks_about_and_closes_with_it(tmp_path):
    for i in range(4):
        Image.new("RGB", (20, 24), (60 * i, 255 - 60 * i, 9)).save(tmp_path / f"{i}.png")
    command = [sys.executable, "-m", "activekd_lab", "label", str(tmp_path), "--classes", "red,green", "--page"]
    master, slave = pty.openpty()
    env = os.environ | {"BROWSER": "true"}  # a program that opens nothing
    with subprocess.Popen([*command, "--device", "cpu"], stdin=slave, stdout=slave, stderr=slave, env=env) as process:
        os.close(slave)
        said = ""

        def until(pattern):
            nonlocal said
            while not (found := re.search(pattern, said)):
                assert select.select([master], [], [], 120)[0], said
                said += os.read(master, 4096).decode()
            said = said[found.end() :]
            return found[1]

        url = urlsplit(until(r"photos: (http://\S+) "))
        for step in (1, 2):
            name = until(rf"\[{step}\] \S*?(\d\.png) > ")
            now = urlopen(url._replace(path="/now").geturl(), timeout=10).read()
            assert json.loads(now) == {"number": step, "name": name}
            os.write(master, b"1\n")
        until(r"(\[3\])")
        os.write(master, b"q\n")
        until(r"(2 labels)")
        assert process.wait(60) == 0
    os.close(master)
    with pytest.raises(URLError, match="refused"):
        urlopen(url.geturl(), timeout=10)
