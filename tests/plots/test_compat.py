"""Each test fails once the fault is mended upstream: then delete the workaround in plots/compat.py, and the test."""

import subprocess
import sys

import ipywidgets
import numpy as np
import plotly.graph_objects as go
import pytest

from activekd_lab.plots.compat import figure_widget_class


def imported(code):
    done = subprocess.run([sys.executable, "-c", f"import sys\n{code}\nprint('rfc3987_syntax' in sys.modules)"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    return done.stdout.strip() == "True"


def test_jsonschema_still_builds_a_grammar_for_iris_on_import():
    assert imported("import jsonschema"), "jsonschema no longer imports it: delete _fast_class and use go.FigureWidget"
    assert not imported("from activekd_lab.plots.compat import figure_widget_class; figure_widget_class()")


def test_plotly_still_asks_an_array_for_its_truth():
    ours, reported = {"x": np.arange(3)}, {"x": {"dtype": "i1", "bdata": "AAE="}}
    with pytest.raises(ValueError, match="truth value|ambiguous"):
        go.FigureWidget._remove_overlapping_props(ours, reported)
    assert figure_widget_class()._remove_overlapping_props(ours, reported) == []


def test_plotly_still_tells_the_page_of_an_empty_figure_first(monkeypatch):
    told = []
    monkeypatch.setattr(
        ipywidgets.DOMWidget, "open", lambda self: told.append(len(self._widget_data or ())), raising=False
    )
    for kind in (go.FigureWidget, figure_widget_class()):
        kind(go.Figure(go.Scatter(y=[1, 2])))
    assert told == [0, 1]
