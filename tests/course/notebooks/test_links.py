"""Links in the notebooks and pages lead to files that are there; badges lead to the notebook itself."""

import re
from pathlib import Path

import nbformat
import pytest

from activekd_lab import list_selectors

pytestmark = pytest.mark.quick

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", ROOT / "notebooks" / "INSTRUCTORS.md", *sorted((ROOT / "notebooks" / "src").glob("*.py"))]
_LINK = re.compile(r"\]\((?!https?://|#|data:|attachment:)([^)\s#]+)")
_WEB = re.compile(r"\]\((https?:[^)]*)\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_to_files(page):
    folder = page.parent if page.suffix == ".md" else page.parents[1]
    text = page.read_text("utf-8")
    assert [link for link in _LINK.findall(text) if not (folder / link).exists()] == []
    assert [link for link in _WEB.findall(text) if not re.match(r"https://[\w.-]+\.\w+(/|$)", link)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_notebooks_named_in_the_text_are_there(page):
    there = {path.stem for path in (ROOT / "notebooks" / "src").glob("*.py")}
    assert set(re.findall(r"`(\d\d_[a-z_]+)`", page.read_text("utf-8"))) <= there


def test_the_glossary_explains_every_selector():
    text = (ROOT / "notebooks" / "GLOSSARY.md").read_text("utf-8")
    assert [chosen.name for chosen in list_selectors() if f"| `{chosen.name}` |" not in text] == []


def test_the_check_sees_a_link_that_leads_nowhere():
    assert _LINK.findall("[a](none.md) [b](https://x.org) [c](#part) [d](src/x.py#L3)") == ["none.md", "src/x.py"]


def test_badges_lead_to_the_notebook_itself(builder, monkeypatch):
    monkeypatch.setattr(builder, "repository", lambda: "https://github.com/someone/activekd_lab")
    first = nbformat.reads(builder.build(builder.sources()[0], solutions=False), as_version=4).cells[0].source
    path = "someone/activekd_lab/blob/main/notebooks/00_quickstart.ipynb"
    assert f"](https://colab.research.google.com/github/{path})" in first
    assert "](https://mybinder.org/v2/gh/someone/activekd_lab/main?labpath=notebooks/00_quickstart.ipynb)" in first
    assert "pip install git+https://github.com/someone/activekd_lab" in first


def test_without_an_address_there_are_no_badges(builder, monkeypatch):
    monkeypatch.setattr(builder, "repository", lambda: None)
    first = nbformat.reads(builder.build(builder.sources()[0], solutions=False), as_version=4).cells[0].source
    assert "colab" not in first.lower().replace(builder.BADGES.lower(), "")
    assert "pip install" not in first
