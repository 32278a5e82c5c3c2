"""Small HTML panels beside a figure: the takeaway, an image under the mouse, the picked images."""

from __future__ import annotations

import html
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go

from activekd_lab.plots.gallery import Picks
from activekd_lab.plots.images import sheet
from activekd_lab.plots.theme import GREEN, VERMILLION
from activekd_lab.widgets.runner import Array

SHOWN = 24
_SLOW = "rfc3987_syntax"


def words(text: str) -> str:
    """Return a takeaway as HTML; it is announced by screen readers when it changes."""
    return f'<p role="status" aria-live="polite" style="line-height:1.45;margin:4px 0">{html.escape(text)}</p>'


def hover_card(image: Array, text: str) -> str:
    """Return one (3, H, W) uint8 image with a line of text."""
    uri = sheet(image[None], columns=1, tile=96).uri
    return (
        f'<img src="{uri}" alt="" style="width:96px;height:96px;image-rendering:pixelated;border-radius:6px">'
        f'<div style="font-size:12px;line-height:1.3">{html.escape(text)}</div>'
    )


def pick_panel(picks: Picks, images: Array, class_names: Sequence[str]) -> str:
    """Return the first 24 picks as a grid of thumbnails with the true class and the student's answer."""
    shown = picks.ids[:SHOWN]
    if not len(shown):
        return ""
    page = sheet(images[shown], columns=len(shown), tile=64, quality=85)
    cells = "".join(_cell(i, picks, len(shown), class_names) for i in range(len(shown)))
    more = f"<div>and {len(picks.ids) - SHOWN} more</div>" if len(picks.ids) > SHOWN else ""
    grid = (
        "display:grid;grid-template-columns:repeat(auto-fill,minmax(88px,1fr));gap:8px;font-size:11px;line-height:1.25"
    )
    return f'<div style="--sheet:url({page.uri});{grid}">{cells}</div>{more}'


def _cell(i: int, picks: Picks, count: int, class_names: Sequence[str]) -> str:
    truth, guess = html.escape(class_names[picks.true[i]]), html.escape(class_names[picks.predicted[i]])
    right = picks.true[i] == picks.predicted[i]
    sign, color = ("✓", GREEN) if right else ("✗", VERMILLION)
    picture = (
        f"width:72px;height:72px;border-radius:6px;background:var(--sheet) -{72 * i}px 0/{72 * count}px 72px;"
        "image-rendering:pixelated"
    )
    tip = f"pick {i + 1}, image {picks.ids[i]}: distance to the nearest label {picks.distance[i]:.3f}"
    return (
        f'<div title="{tip}"><div role="img" aria-label="{truth}" style="{picture}"></div><b>{i + 1}. {truth}</b><br>'
        f'<span style="color:{color}">{sign}</span> {guess} {picks.confidence[i]:.0%}</div>'
    )


def row(*children: Any, **layout: str) -> Any:
    """Return the widgets side by side, wrapping where the page is narrow."""
    from ipywidgets import HBox, Layout  # noqa: PLC0415  (slow import, only for a front end)

    return HBox(children, layout=Layout(flex_flow="row wrap", align_items="flex-start", **layout))


def figure_widget(figure: go.Figure) -> go.FigureWidget:
    """Return a figure that can be changed in place, as wide as its box; `stack` tells it how wide that is."""
    widget = _keeping_arrays()(figure)
    widget._config = {"responsive": True, "displaylogo": False}
    return widget


@cache
def _figure_widget_class() -> Any:
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
def _keeping_arrays() -> Any:
    """Return a FigureWidget that bears a typed array among the defaults that the page reports after a change.

    Plotly asks our own array of that name for its truth, and the message's handler ends in a ValueError.
    """

    class Figure(_figure_widget_class()):  # type: ignore[misc]
        @staticmethod
        def _remove_overlapping_props(input_data: Any, delta_data: Any, prop_path: Any = ()) -> Any:
            kept = _beside_arrays(input_data, delta_data)
            return BaseFigureWidget._remove_overlapping_props(input_data, kept, prop_path)

    from plotly.basewidget import BaseFigureWidget  # noqa: PLC0415  (comes with FigureWidget)

    return Figure


def _beside_arrays(ours: Any, reported: Any) -> Any:
    """Return what the page reported without the places where we hold an array."""
    if not isinstance(ours, dict) or not isinstance(reported, dict):
        return reported
    kept = {name: value for name, value in reported.items() if not isinstance(ours.get(name), np.ndarray)}
    return {name: _beside_arrays(ours.get(name), value) for name, value in kept.items()}


def stack(*children: Any, **layout: str) -> Any:
    """Return the widgets one below the other; the figures of `figure_widget` in them follow the page's width."""
    from ipywidgets import Layout, VBox  # noqa: PLC0415  (slow import, only for a front end)

    return VBox([*children, _fit()()], layout=Layout(**layout))


@cache
def _fit() -> Any:
    """Return the anywidget class whose front end is fit.js."""
    import anywidget  # noqa: PLC0415  (slow import, only for a front end)

    return type("Fit", (anywidget.AnyWidget,), {"_esm": Path(__file__).with_name("fit.js")})
