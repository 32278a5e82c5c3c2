"""A figure in a widget: what the page reports back may hold typed arrays."""

import numpy as np
import plotly.graph_objects as go
import pytest
from runs import make_run

from activekd_lab.plots.page import figure_widget, stack, stepped
from activekd_lab.plots.race import selector_race
from activekd_lab.plots.words import describe


def report(widget):
    """Hand over what a page sends after a change: its own defaults, arrays as buffers."""
    array = {"dtype": "float32", "shape": [3], "buffer": b"\0" * 12}
    delta = {"uid": widget.data[0].uid, "x": array, "marker": {"color": array, "opacity": 0.5}}
    widget._js2py_traceDeltas = {"trace_edit_id": widget._last_trace_edit_id, "trace_deltas": [delta]}


def test_an_array_that_the_page_reports_leaves_ours_in_place():
    values = np.arange(3, dtype=np.float32)
    fig = go.Figure(go.Scattergl(x=values, marker={"color": values, "opacity": 0.7}))
    with pytest.raises(ValueError, match="truth value of an array"):
        report(go.FigureWidget(fig))  # Plotly's own; once this no longer raises, ours can go
    widget = figure_widget(fig)
    report(widget)
    assert widget.data[0].x.tolist() == widget.data[0].marker.color.tolist() == [0, 1, 2]
    assert widget.data[0].marker.opacity == 0.5


def test_a_slider_with_a_name_moves_the_steps_and_a_dark_page_the_inks():
    view = stepped(selector_race([make_run("random"), make_run("pcoreset")]))
    bar, picture, page = view.children
    slider = bar.children[1]
    assert (slider.description, slider.options) == ("labels spent", ("5", "10", "15"))
    assert not picture.layout.sliders
    slider.value = "15"
    np.testing.assert_allclose(picture.data[0].x, [50, 50])
    page.dark = True
    assert picture.layout.template.layout.font.color == "#e8ecf2"
    assert page.labels[0].startswith("Selector race. test accuracy, mean over 1 seed.")


def test_a_page_is_told_again_of_a_figure_that_changed_since_it_opened(monkeypatch):
    widget, sent = figure_widget(go.Figure([go.Scatter(y=[1, 2], marker={"size": 4}), go.Scatter(y=[7])])), []
    monkeypatch.setattr(type(widget), "_send_update_msg", lambda _, *told: sent.append(told))
    page = stack(widget).children[-1]
    page.drawn = 1
    assert sent == [], "it was opened whole"
    widget.data[0].y, widget.layout.title.text = [3, 4, 5], "new"
    page.drawn = 2
    [(style, layout, traces)] = sent
    assert (style["y"], style["marker.size"], traces) == ([[3, 4, 5], [7]], [4, "_undefined_"], [0, 1])
    assert layout["title.text"] == "new"
    assert not {"uid", "type"} & style.keys()
    assert not [key for key in layout if key.startswith("template")]


def test_outlines_with_gaps_are_named_and_curves_told_by_their_ends():
    nan = float("nan")
    fig = go.Figure([go.Scatter(y=[1, 2, nan], mode="lines", name="discs"), go.Scatter(y=[3, 4], name="curve")])
    assert describe(fig) == "discs. curve: 2 points, from 3 to 4."
