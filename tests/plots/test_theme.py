import subprocess
import sys

import pytest

from activekd_lab import plots
from activekd_lab.errors import UnknownNameError
from activekd_lab.plots.theme import _STYLES, figure, looks, rgba, selector_style, use_theme
from activekd_lab.selectors import REGISTRY

pytestmark = pytest.mark.quick


def test_known_selectors_differ_in_colour_or_dash_and_never_only_in_hue():
    known = [(style.color, style.dash) for style in _STYLES.values()]
    assert len(set(known)) == len(known)
    assert len({style.symbol for style in _STYLES.values()}) == len(known)
    assert set(_STYLES) <= set(REGISTRY)  # a renamed selector keeps its look


def test_a_selector_of_ones_own_looks_the_same_every_time():
    assert selector_style("mine") == selector_style("mine")
    assert selector_style("mine").symbol.endswith("open")


def test_unknown_themes_and_names_list_the_known_ones():
    with pytest.raises(UnknownNameError, match="nearest first: dark"):
        use_theme(figure("t"), "darc")
    with pytest.raises(AttributeError, match="nearest first: learning_curves"):
        _ = plots.learning_curve


def test_colours_turn_translucent():
    assert rgba("#D55E00", 0.5) == "rgba(213,94,0,0.5)"


def fresh(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_plots_loads_neither_plotly_nor_torch():
    heavy = "('plotly', 'torch', 'umap', 'PIL')"
    assert fresh(f"import sys, activekd_lab.plots; print([m for m in {heavy} if m in sys.modules])") == "[]"


@pytest.mark.slow
def test_a_figure_stays_a_function_after_its_module_is_imported():
    code = "import activekd_lab.plots.report; from activekd_lab import plots; "
    assert fresh(code + "print({n for n in plots.__all__ if not callable(getattr(plots, n))})") == "set()"


def test_a_figure_in_a_notebook_brings_the_style_that_follows_a_dark_page(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.core.display_functions.display", lambda data, raw: shown.append(data))

    def as_plotly(self):
        shown.append(self)

    monkeypatch.setattr("plotly.basedatatypes.BaseFigure._ipython_display_", as_plotly)
    fig = figure("<title>")
    fig._ipython_display_()
    own = shown[1].layout.template.layout.font.color  # readable on both pages, where no style is allowed
    assert (own, shown[1].layout.title.text) == ("#767676", fig.layout.title.text)
    said = shown[0]["text/html"]
    assert ".js-plotly-plot text[style*='fill: rgb(118, 118, 118)']:not(.hoverlayer *){fill:#1d2530!important}" in said
    assert "text[style*='fill: rgb(118, 118, 118)']:not(.hoverlayer *){fill:#e8ecf2!important}" in said
    use_theme(fig, "dark")._ipython_display_()
    assert shown[3].layout.template.layout.font.color == "#e8ecf2"
    use_theme(fig, "light")
    assert fig.layout.font.color is None
    assert fig.layout.template.layout.font.color == "#1d2530"
    assert fig.layout.title.text == "&lt;title&gt;"


def test_another_teacher_of_the_same_pair_changes_the_dash_and_nothing_else():
    found = looks([("coreset", "dho"), ("entropy", "ce"), *[("coreset", "dho")] * 3])
    assert len(set(found)) == 5
    assert {(style.color, style.symbol) for style in (found[0], *found[2:])} == {(found[0].color, found[0].symbol)}
