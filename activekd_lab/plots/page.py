"""A figure on a notebook's page: as wide as its box, in the page's inks, its steps on a slider that has a name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import plotly.graph_objects as go

from activekd_lab.plots import theme
from activekd_lab.plots.compat import figure_widget_class
from activekd_lab.plots.words import describe


def missing_front_end() -> str | None:
    """Say why no controls can be shown, or return None where they can."""
    try:
        import anywidget  # noqa: F401, PLC0415  (Plotly's FigureWidget needs it)
        import ipywidgets  # noqa: F401, PLC0415  (slow import)
        from IPython import get_ipython  # noqa: PLC0415
    except ImportError as error:
        return f"No controls: the package {error.name} is missing; install it with: pip install {error.name}."
    shell = get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return "No controls: this is not a notebook kernel. Open it in JupyterLab (activekd-lab lab)."
    return None


def add_steps(fig: go.Figure, names: Sequence[str], *, prefix: str, active: int = 0) -> None:
    """Add a slider over the figure's frames, which bear these names; a notebook and the report show one of their own.

    Plotly's slider answers the mouse only, and stands where no script of ours runs.
    """
    jump = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}
    steps = [{"method": "animate", "label": name, "args": [[name], jump]} for name in names]
    current = {"prefix": prefix, "font": {"size": 13}, "xanchor": "left"}
    look = {"bgcolor": theme.rgba(theme.GREY, 0.15), "bordercolor": theme.rgba(theme.GREY, 0.4)}
    place = {"y": 0, "yanchor": "top", "pad": {"t": 34}, "ticklen": 4, "active": active}
    fig.update_layout(sliders=[{"steps": steps, "currentvalue": current, **place, **look}])
    fig.layout.margin.b = 120


def stepped(fig: go.Figure) -> Any:
    """Return a figure as a widget; its frames, if it has any, stand on a slider and are played by a button."""
    import ipywidgets as w  # noqa: PLC0415  (slow import, only for a front end)

    still = go.Figure(fig.data, fig.layout)
    if not fig.frames:
        return stack(figure_widget(still))
    control, names = fig.layout.sliders[0], [frame.name for frame in fig.frames]
    still.layout.sliders, still.layout.margin.b = (), 56 if fig.layout.xaxis.title.text else fig.layout.margin.b
    picture, first = figure_widget(still), control.active or 0
    words = {"description": control.currentvalue.prefix.strip(" :"), "style": {"description_width": "initial"}}
    slider = w.SelectionSlider(options=names, value=names[first], continuous_update=False, **words)
    play = w.Play(value=first, min=0, max=len(names) - 1, interval=900)
    w.jslink((play, "value"), (slider, "index"))
    slider.observe(lambda _: _jump(picture, fig.frames[slider.index]), names="index")
    return stack(row(play, slider), picture)


def _jump(picture: Any, frame: Any) -> None:
    """Write a frame into the figure."""
    with picture.batch_update():
        for number, trace in zip(frame.traces or range(len(frame.data)), frame.data, strict=True):
            values = trace.to_plotly_json()
            del values["type"]
            picture.data[number].update(values, overwrite=True)
        if frame.layout.images:
            picture.layout.images = frame.layout.images


def row(*children: Any, **layout: str) -> Any:
    """Return the widgets side by side, wrapping where the page is narrow."""
    from ipywidgets import HBox, Layout  # noqa: PLC0415  (slow import, only for a front end)

    return HBox(children, layout=Layout(flex_flow="row wrap", align_items="flex-start", **layout))


def figure_widget(figure: go.Figure) -> go.FigureWidget:
    """Return a figure that can be changed in place; `stack` tells it its width, its inks, and what draws its points."""
    return figure_widget_class()(figure)


def stack(*children: Any, **layout: str) -> Any:
    """Return the widgets one below the other; the figures of `figure_widget` in them follow the page.

    They are drawn again when its width changes, turn dark with it, have their description as a text alternative, and
    draw points as SVG in a browser without WebGL.
    """
    from ipywidgets import Layout, VBox  # noqa: PLC0415  (slow import, only for a front end)

    figures = [child for child in children if isinstance(child, go.FigureWidget)]
    page = _page_class()(labels=[describe(fig) for fig in figures], figures=[fig.model_id for fig in figures])
    page.observe(lambda _: _follow(figures, page), names=["dark", "webgl"])
    page.observe(lambda _: [fig.tell() for fig in figures], names="drawn")
    return VBox([*children, page], layout=Layout(**layout))


def _follow(figures: Sequence[Any], page: Any) -> None:
    """Give figures the page's inks, and traces that its browser can draw."""
    for fig in figures:
        theme.use_theme(fig, "dark" if page.dark else "light")
        heavy = [number for number, trace in enumerate(fig.data) if trace.type == "scattergl"]
        if heavy and not page.webgl:
            fig._send_restyle_msg({"type": "scatter"}, trace_indexes=heavy)


def front_end(path: Path) -> Any:
    """Return the anywidget class of a script that hears Python however late it loads; give it its whole state."""
    import anywidget  # noqa: PLC0415  (slow import, only for a front end)
    import traitlets as t  # noqa: PLC0415

    class FrontEnd(anywidget.AnyWidget):
        _esm = "".join(file.read_text("utf-8") for file in (Path(__file__).with_name("hear.js"), path))
        own = t.Unicode().tag(sync=True)

        def __init__(self, **state: Any) -> None:
            own = uuid4().hex
            super().__init__(model_id=own, own=own, **state)

    return FrontEnd


@cache
def _page_class() -> Any:
    """Return the anywidget class whose front end is fit.js."""
    import traitlets as t  # noqa: PLC0415  (slow import, only for a front end)

    class Page(front_end(Path(__file__).with_name("fit.js"))):  # type: ignore[misc]
        _css = theme.style()
        dark, webgl = t.Bool(default_value=False).tag(sync=True), t.Bool(default_value=True).tag(sync=True)
        labels, figures = t.List(t.Unicode()).tag(sync=True), t.List(t.Unicode()).tag(sync=True)
        drawn = t.Int(0).tag(sync=True)  # how often the page has drawn them

    return Page
