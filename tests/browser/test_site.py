"""The site opens without a network, and its notebooks' figures live. `.ci/run` hands over the whole of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser
BUILD = Path(__file__).parents[2] / "docs" / "build.py"


@pytest.fixture(scope="module")
def site(chromium, tmp_path_factory):
    if made := os.environ.get("ACTIVEKD_LAB_SITE"):
        return Path(made)
    pytest.importorskip("myst_nb")
    target = tmp_path_factory.mktemp("site")
    subprocess.run([sys.executable, BUILD, target, "03*.ipynb"], check=True)
    return target


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figures_live_and_nothing_comes_from_elsewhere(open_page, site, scheme):
    tab = open_page((site / "notebooks" / "03_selectors.html").as_uri(), color_scheme=scheme)
    tab.page.locator(".js-plotly-plot .gtitle").first.wait_for()
    tab.page.locator("math").first.wait_for()
    ink = tab.page.evaluate("getComputedStyle(document.querySelector('.js-plotly-plot .gtitle')).fill")
    assert (sum(map(int, ink[4:-1].split(", "))) > 384) == (scheme == "dark")
    assert (tab.errors, tab.outside) == ([], [])


def test_every_public_name_has_its_entry(open_page, site):
    tab = open_page((site / "docs" / "api.html").as_uri())
    for name in ("run", "selectors.PoolView", "students.export_onnx", "LabelSession.answer"):
        assert tab.page.locator(f"[id='activekd_lab.{name}']").count() == 1
    assert (tab.errors, tab.outside) == ([], [])
