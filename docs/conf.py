"""Sphinx' settings; `docs/build.py` gathers what it builds."""

from typing import Any

from docutils.nodes import SkipNode
from latex2mathml.converter import convert

from activekd_lab import __version__

project, release = "activekd_lab", __version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
html_theme, html_title = "furo", "activekd_lab"
html_math_renderer = "mathml"
html_static_path = ["static"]
html_js_files = [("plotly.min.js", {"priority": 100})]
nb_execution_mode = "off"
myst_heading_anchors = 3
myst_enable_extensions = ["dollarmath", "amsmath"]
autodoc_typehints = "none"
napoleon_use_ivar = True
suppress_warnings = ["toc.not_included"]  # the cards of the assets, which pages link to
exclude_patterns = ["work", "notebooks/src", "notebooks/instructor", "notebooks/INSTRUCTORS.md"]

FOLLOW = """
const follow = () => {
  const theme = document.body.dataset.theme, dark = matchMedia("(prefers-color-scheme: dark)").matches;
  document.body.dataset.jpThemeLight = theme === "light" || (theme !== "dark" && !dark);
};
addEventListener("load", () => {
  follow();
  new MutationObserver(follow).observe(document.body, { attributeFilter: ["data-theme"] });
});
"""


def setup(app: Any) -> None:
    """Write formulas as MathML, which needs no script from elsewhere."""

    def shown(display: str) -> tuple[Any, None]:
        return lambda visitor, node: _math(visitor, node, display), None

    app.add_js_file(None, body=FOLLOW)  # figures take the page for JupyterLab's, dark or light
    app.add_html_math_renderer("mathml", shown("inline"), shown("block"))


def _math(visitor: Any, node: Any, display: str) -> None:
    visitor.body.append(convert(node.astext(), display=display))
    raise SkipNode
