"""One look for every figure: two templates (light, dark) and a fixed colour, dash and marker for each selector.

The colours are Okabe and Ito's, told apart with any colour vision, the light ones darkened to a contrast of 3 on white
and on black; the dash and the marker say the same a second time.
Figures have a transparent paper and take ink, grid and colour scales from the template, which `use_theme` switches. In
a notebook `style` follows the page: where JupyterLab, VS Code or Colab is dark, ink and grid turn light. Where a page
allows no style, as JupyterLab does in a notebook that it does not trust, greys are left that both pages bear.
"""

# ruff: noqa: C408  (Plotly settings read best as keyword arguments)

from __future__ import annotations

import html
import json
import textwrap
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

import plotly.graph_objects as go
import plotly.io as pio
from plotly.utils import PlotlyJSONEncoder

from activekd_lab.errors import UnknownNameError

Theme = Literal["light", "dark"]

ORANGE, SKY, GREEN, BLUE, VERMILLION, PURPLE = "#C07F00", "#3595CC", "#009E73", "#0072B2", "#CC4526", "#C46C9C"
GREY = "#808790"
FROM_NOTHING = [
    [0, "rgba(53,149,204,0)"], [0.05, "rgba(53,149,204,0.2)"], [0.3, "rgba(53,149,204,0.6)"], [1, "rgb(20,125,195)"],
]  # fmt: skip
"""Scale of shares and counts: 0 is the page itself, light or dark, and the most the strongest blue."""
FONT = "Inter, 'Segoe UI', 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif"


class Style(NamedTuple):
    """How a selector looks wherever it is drawn."""

    color: str
    dash: str
    symbol: str


class MethodStyle(NamedTuple):
    """How what a student learns from looks; the colour where one selector is shown, the marker after the selector's."""

    color: str
    dash: str
    marker: str
    hatch: str


METHODS = {
    "dho": MethodStyle(VERMILLION, "solid", "", ""),
    "single_head": MethodStyle(BLUE, "dash", "-open-dot", "/"),
    "ce": MethodStyle(GREEN, "dot", "-open", "x"),
    "kd": MethodStyle(PURPLE, "dashdot", "-dot", "."),
}
_DASHES = ("longdash", "longdashdot", "12px 3px 3px 3px 3px 3px", "2px 6px")
OWN_METHOD = MethodStyle(SKY, "longdash", "-open", "+")
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
    "max_herding": Style(BLUE, "dash", "hexagon2"),
    "uncertainty_herding": Style(BLUE, "longdash", "hexagram"),
    "dropquery": Style(GREEN, "dash", "diamond-tall"),
    "bait": Style(PURPLE, "dash", "diamond-wide"),
    "cluster_margin": Style(ORANGE, "solid", "hourglass"),
}
SPARE = [
    Style(color, dash, "circle-open")
    for dash in ("dot", "longdash", "dashdot")
    for color in (ORANGE, SKY, GREEN, BLUE, VERMILLION, PURPLE)
]
"""Looks for what has none of its own."""


def method_style(name: str) -> MethodStyle:
    """Return the look of what a student learns from; all methods of your own share one."""
    return METHODS.get(name, OWN_METHOD)


def selector_style(name: str) -> Style:
    """Return the look of a selector; one of your own gets a look derived from its name, the same every time."""
    return _STYLES.get(name) or SPARE[zlib.crc32(name.encode()) % len(SPARE)]


def looks(pairs: Sequence[tuple[str, str]]) -> list[Style]:
    """Return a look for each (selector, method): the selector's, with the method's dash where several are shown.

    One selector alone takes the methods' colours. Of those that would look alike (another teacher, say) the later ones
    take other dashes.
    """
    selectors, methods = ({pair[i] for pair in pairs} for i in (0, 1))
    found: list[Style] = []
    for i, (selector, method) in enumerate(pairs):
        style, way = selector_style(selector), method_style(method)
        if len(methods) > 1:
            style = style._replace(dash=way.dash, color=way.color if len(selectors) == 1 else style.color)
        style = style._replace(symbol=style.symbol.removesuffix("-open") + way.marker)
        others = (style._replace(dash=dash) for dash in _DASHES if style._replace(dash=dash) not in found)
        found.append(next(others, SPARE[i % len(SPARE)]) if style in found else style)
    return found


def rgba(color: str, alpha: float) -> str:
    """Return a #rrggbb colour with an opacity in [0, 1]."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"


class Figure(go.Figure):  # type: ignore[misc]
    """A figure that can be read on a light and on a dark page of a notebook."""

    def _ipython_display_(self) -> None:
        """Show the figure with its text alternative; as a widget, where it has steps or more points than SVG bears."""
        from IPython.core.display_functions import display  # noqa: PLC0415  (only inside IPython)

        from activekd_lab.plots import page, words  # noqa: PLC0415  (both need this module)

        show: Callable[..., object] = display
        about = f'<style>{style()}</style><p class="akd-said">{html.escape(words.describe(self))}</p>'
        show({"text/html": about, "text/plain": ""}, raw=True)
        moving = self.frames or any(trace.type == "scattergl" for trace in self.data)
        if moving and page.missing_front_end() is None:
            show(page.stepped(self)._repr_mimebundle_() | {"text/plain": words.describe(self)}, raw=True)
        else:
            still = go.Figure(self)
            if self.layout.template == _template("light"):
                still.layout.template = pio.templates["activekd_page"]
            still._ipython_display_()


def plain(text: str) -> str:
    """Return a name as text for Plotly, which reads tags such as <b> and <a> everywhere."""
    return html.escape(str(text), quote=False)


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
    fig = Figure()
    words = dict(text=plain(title), subtitle=dict(text=wrap(plain(subtitle))))
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


def templates() -> str:
    """Return both templates as JSON, for a page that switches them itself."""
    return json.dumps(
        {name: pio.templates[f"activekd_{name}"].to_plotly_json() for name in _INKS}, cls=PlotlyJSONEncoder
    )


class _Inks(NamedTuple):
    text: str
    muted: str
    grid: str
    hover: str
    scale: tuple[str, ...]


_INKS = {
    "light": _Inks("#1d2530", "#5b6675", "#e4e8ee", "#ffffff", ("#8494a8", "#5a86b8", "#2c62a3", "#0b2f5c")),
    "dark": _Inks("#e8ecf2", "#9aa6b5", "#2c3542", "#1b222c", ("#66758a", "#4f8fc0", "#7cbde6", "#d3eeff")),
}


_PAGE = _INKS["light"]._replace(text="#767676", muted="#757575", grid="rgba(128,128,128,0.25)")
"""Greys with a contrast of 4.5 on white and of 4.1 on JupyterLab's black; two of them, for `style` to tell apart."""
_DARK = ":is(body[data-jp-theme-light='false'],body.vscode-dark,html[theme='dark']) .js-plotly-plot"


_SAID = ".akd-said{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}"


@cache
def style() -> str:
    """Return the style sheet that gives this package's figures the dark inks on a dark page.

    Plotly writes each ink into the element, so the rules look for a still figure's and for the light template's, and
    leave the boxes under the mouse alone, which are white.
    """
    light, dark = _INKS["light"], _INKS["dark"]
    inks = [(".js-plotly-plot", _PAGE, light), (_DARK, _PAGE, dark), (_DARK, light, dark)]
    rules = [
        f"{where} text[style*='fill: {_rgb(old)}']:not(.hoverlayer *){{fill:{new}!important}}"
        for where, before, after in inks
        for old, new in ((before.text, after.text), (before.muted, after.muted))
    ]
    rules += [
        f"{_DARK} path[style*='stroke: {_rgb(old)}']:not(.hoverlayer *){{stroke:{new}!important}}"
        for old, new in ((light.grid, dark.grid), (light.muted, dark.muted))
    ]
    return "\n".join([_SAID, *rules])


def _rgb(color: str) -> str:
    """Return a #rrggbb colour as a browser writes it into an element's style."""
    return "rgb({}, {}, {})".format(*(int(color[i : i + 2], 16) for i in (1, 3, 5)))


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


for _theme, _inks in {**_INKS, "page": _PAGE}.items():
    pio.templates[f"activekd_{_theme}"] = _build(_inks)
