import subprocess
import sys

import pytest

from activekd_lab import plots
from activekd_lab.errors import UnknownNameError
from activekd_lab.plots.theme import _STYLES, figure, rgba, selector_style, use_theme
from activekd_lab.selectors import REGISTRY


def test_known_selectors_differ_in_colour_or_dash_and_never_only_in_hue():
    looks = [(style.color, style.dash) for style in _STYLES.values()]
    assert len(set(looks)) == len(looks)
    assert len({style.symbol for style in _STYLES.values()}) == len(looks)
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


def test_a_figure_stays_a_function_after_its_module_is_imported():
    code = "import activekd_lab.plots.report; from activekd_lab import plots; "
    assert fresh(code + "print({n for n in plots.__all__ if not callable(getattr(plots, n))})") == "set()"
