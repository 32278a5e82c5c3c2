"""Faults of other packages that a widget must work around; `tests/plots/test_compat.py` says when each can go."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
import plotly.graph_objects as go

_SLOW = "rfc3987_syntax"


@cache
def _fast_class() -> Any:
    """Import Plotly's FigureWidget, without the seconds that go into a grammar for IRIs.

    Plotly imports nbformat, that jsonschema, and that, if it is there, rfc3987_syntax, which builds its parser on
    import. Without it, and only if nothing in this process asked for it before, jsonschema does not check IRIs.
    """
    if "jsonschema" in sys.modules or _SLOW in sys.modules:
        return go.FigureWidget
    sys.modules[_SLOW] = None  # type: ignore[assignment]  # Python's own sign for "this cannot be imported"
    try:
        return go.FigureWidget
    finally:
        del sys.modules[_SLOW]


@cache
def figure_widget_class() -> Any:
    """Return a FigureWidget that reaches the page whole, and bears a typed array among the defaults that it reports.

    Plotly's tells the page of an empty figure first, which stays empty where what follows is late or lost, and so does
    what changes before the page draws it: then `tell`. And it asks our own array of a reported name for its truth: the
    message's handler ends in a ValueError.
    """

    class Figure(_fast_class()):  # type: ignore[misc]
        _whole = False

        def __init__(self, *args: Any, **settings: Any) -> None:
            super().__init__(*args, **settings)
            self._config = {"responsive": True, "displaylogo": False}
            self._whole = True
            self.open()

        def open(self) -> None:
            if self._whole:
                super().open()

        def tell(self) -> None:
            """Send the page, in one message, all that it may have missed, where anything changed since it opened."""
            if self._last_trace_edit_id or self._last_layout_edit_id:
                traces = [dict(_paths(trace)) for trace in self._data]
                keys = dict.fromkeys(key for trace in traces for key in trace)
                style = {key: [trace.get(key, "_undefined_") for trace in traces] for key in keys}
                self._send_update_msg(style, dict(_paths(self._layout)), list(range(len(traces))))

        @staticmethod
        def _remove_overlapping_props(input_data: Any, delta_data: Any, prop_path: Any = ()) -> Any:
            kept = _beside_arrays(input_data, delta_data)
            return BaseFigureWidget._remove_overlapping_props(input_data, kept, prop_path)

    from plotly.basewidget import BaseFigureWidget  # noqa: PLC0415  (comes with FigureWidget)

    return Figure


def _paths(props: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield properties by path, `marker.color`, without those of a trace that only a new drawing can take."""
    for name, value in props.items():
        if isinstance(value, dict) and name != "template":
            yield from _paths(value, f"{above}{name}.")
        elif above or name not in ("type", "uid", "xaxis", "yaxis", "template"):
            yield above + name, value


def _beside_arrays(ours: Any, reported: Any) -> Any:
    """Return what the page reported without the places where we hold an array."""
    if not isinstance(ours, dict) or not isinstance(reported, dict):
        return reported
    kept = {name: value for name, value in reported.items() if not isinstance(ours.get(name), np.ndarray)}
    return {name: _beside_arrays(ours.get(name), value) for name, value in kept.items()}
