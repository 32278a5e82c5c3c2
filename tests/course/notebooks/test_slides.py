"""nbconvert makes slides of every notebook as it stands, without a network."""

import re
import socket

import nbformat
import pytest
from nbconvert import SlidesExporter


@pytest.fixture
def offline(monkeypatch):
    def refuse(*arguments, **keywords):
        raise AssertionError("slides must not need a network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_slides_begin_at_headings_and_leave_settings_out(notebook, offline):
    html, _ = SlidesExporter().from_filename(str(notebook))
    cells = nbformat.read(notebook, as_version=4).cells
    kinds = [cell.metadata.slideshow.slide_type for cell in cells]
    assert html.count("<section") == 2 * kinds.count("slide") + kinds.count("subslide")
    assert kinds[0] == "slide"
    assert kinds.count("slide") > 3
    shown = re.sub(r"<[^>]+>", "", html)
    assert cells[0].source.splitlines()[0].removeprefix("# ") in shown
    assert "notebooks.start()" not in shown
    assert "read_parameters" not in shown
