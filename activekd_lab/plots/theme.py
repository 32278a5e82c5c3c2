"""One look for every figure: two templates (light, dark) and a fixed colour, dash and marker for each selector.

The colours are Okabe and Ito's, told apart with any colour vision; the dash and the marker say the same a second time.
Figures have a transparent paper and take ink, grid and colour scales from the template, which `use_theme` switches.
"""

# ruff: noqa: C408  (Plotly settings read best as keyword arguments)

from __future__ import annotations

import textwrap
import zlib
from typing import Any, Literal, NamedTuple

import plotly.graph_objects as go
import plotly.io as pio

from activekd_lab.errors import UnknownNameError

Theme = Literal["light", "dark"]

ORANGE, SKY, GREEN, BLUE, VERMILLION, PURPLE = "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7"
GREY = "#808790"
FONT = "Inter, 'Segoe UI', 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif"


class Style(NamedTuple):
    """How a selector looks wherever it is drawn."""

    color: str
    dash: str
    symbol: str


_STYLES = {
    "pcoreset": Style(VERMILLION, "solid", "circle"),
    "random": Style(GREY, "dash", "square"),
    "entropy": Style(GREEN, "dot", "diamond"),
    "coreset": Style(BLUE, "dashdot", "triangle-up"),
    "badge": Style(PURPLE, "longdash", "triangle-down"),
    "class_balanced": Style(SKY, "longdashdot", "cross"),
    "margin": Style(ORANGE, "dash", "x"),
    "least_confidence": Style(ORANGE, "dot", "star"),
    "head_disagreement": Style(GREEN, "solid", "pentagon"),
    "typiclust": Style(BLUE, "solid", "hexagon"),
    "probcover": Style(PURPLE, "solid", "star-diamond"),
    "kmeans": Style(SKY, "solid", "bowtie"),
}
SPARE = [
    Style(color, dash, "circle-open")
    for dash in ("dot", "longdash", "dashdot")
    for color in (ORANGE, SKY, GREEN, BLUE, VERMILLION, PURPLE)
]
"""Looks for what has none of its own."""


def selector_style(name: str) -> Style:
    """Return the look of a selector; one of your own gets a look derived from its name, the same every time."""
    return _STYLES.get(name) or SPARE[zlib.crc32(name.encode()) % len(SPARE)]


def rgba(color: str, alpha: float) -> str:
    """Return a #rrggbb colour with an opacity in [0, 1]."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"


def figure(title: str, subtitle: str = "", *, x: str = "", y: str = "", height: int = 460, **layout: Any) -> go.Figure:
    """Return an empty figure in the common look.

    Args:
        title: the figure's message or name.
        subtitle: one smaller line below it: units, spread, what to look at.
        x: title of the horizontal axis, units included.
        y: title of the vertical axis.
        height: pixels; the width follows the page.
        layout: further Plotly layout settings.
    """
    fig = go.Figure()
    words = dict(text=title, subtitle=dict(text=wrap(subtitle)))
    fig.update_layout(template=_template("light"), height=height, title=words, autosize=True)
    fig.update_layout(xaxis_title=x or None, yaxis_title=y or None, **layout)
    return fig


def wrap(text: str, letters: int = 88) -> str:
    """Break a line into lines of at most `letters` characters: Plotly would cut it off at the figure's edge."""
    return "<br>".join(textwrap.wrap(text, letters))


def use_theme(fig: go.Figure, theme: Theme) -> go.Figure:
    """Switch a figure of this package to "light" or "dark" in place, and return it."""
    fig.layout.template = _template(theme)
    return fig


class _Inks(NamedTuple):
    text: str
    muted: str
    grid: str
    hover: str
    scale: tuple[str, ...]


_INKS = {
    "light": _Inks("#1d2530", "#5b6675", "#e4e8ee", "#ffffff", ("#d7dee8", "#8fb4d6", "#3f7fb5", "#173a63")),
    "dark": _Inks("#e8ecf2", "#9aa6b5", "#2c3542", "#1b222c", ("#3a4452", "#3f6f9a", "#69add9", "#d3eeff")),
}


def _template(theme: str) -> go.layout.Template:
    if theme not in _INKS:
        raise UnknownNameError("theme", theme, _INKS)
    return pio.templates[f"activekd_{theme}"]


def _build(inks: _Inks) -> go.layout.Template:
    axis = dict(
        gridcolor=inks.grid, linecolor=inks.muted, zeroline=False, ticks="", ticklabelstandoff=4, automargin=True,
        title=dict(standoff=10, font=dict(size=13, color=inks.muted)), tickfont=dict(size=12, color=inks.muted),
    )  # fmt: skip
    scale = [[i / (len(inks.scale) - 1), color] for i, color in enumerate(inks.scale)]
    bar = dict(thickness=10, outlinewidth=0, ticks="", len=0.6, tickfont=dict(size=11, color=inks.muted))
    layout = go.Layout(
        font=dict(family=FONT, size=13, color=inks.text),
        title=dict(x=0, xref="paper", xanchor="left", y=1, yref="container", yanchor="top", pad=dict(t=14),
                   font=dict(size=18), subtitle=dict(font=dict(size=13, color=inks.muted))),
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", margin=dict(l=56, r=20, t=84, b=56),
        xaxis=axis, yaxis=axis, colorway=[VERMILLION, BLUE, GREEN, ORANGE, PURPLE, SKY, GREY],
        legend=dict(orientation="h", x=0, xanchor="left", y=-0.2, yanchor="top", font=dict(size=12)),
        hoverlabel=dict(bgcolor=inks.hover, bordercolor=inks.grid, font=dict(family=FONT, size=12, color=inks.text)),
        coloraxis=dict(colorscale=scale, colorbar=bar), annotationdefaults=dict(font=dict(size=12, color=inks.muted)),
        shapedefaults=dict(line=dict(color=inks.muted)), colorscale=dict(sequential=scale),
    )  # fmt: skip
    table = go.Heatmap(colorbar=bar)
    return go.layout.Template(layout=layout, data=dict(heatmap=[table]))


for _theme, _inks in _INKS.items():
    pio.templates[f"activekd_{_theme}"] = _build(_inks)
