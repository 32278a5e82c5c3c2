"""A figure in a widget: what the page reports back may hold typed arrays."""

import numpy as np
import plotly.graph_objects as go
import pytest

from activekd_lab.widgets.panels import figure_widget


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
