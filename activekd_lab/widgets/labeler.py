"""Labeler: label images by keyboard or mouse. Keys and clicks come here; the session keeps every answer on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import plotly.graph_objects as go

from activekd_lab.errors import ActiveKDError
from activekd_lab.plots import theme
from activekd_lab.plots.images import sheet
from activekd_lab.widgets.base import Explorer

_LARGEST = 512  # pixels of the picture that is sent


class Session(Protocol):
    """What Labeler needs of an `activekd_lab.labeling.LabelSession`."""

    task: Any

    @property
    def current(self) -> int | None: ...  # noqa: D102
    @property
    def progress(self) -> Any: ...  # noqa: D102
    def image(self, id: int) -> Any: ...  # noqa: D102
    def suggestion(self, id: int) -> tuple[int, float]: ...  # noqa: D102
    def answer(self, label: int | str) -> None: ...  # noqa: D102
    def skip(self) -> None: ...  # noqa: D102
    def reject(self) -> None: ...  # noqa: D102
    def undo(self) -> int | None: ...  # noqa: D102


class Labeler(Explorer):
    """An image at a time, a key a class: 1 … 9 label, u undoes, s puts off, x is in no class, ? asks the model.

    Args:
        session: a `LabelSession`; opening its folder again continues where it stood.

    Attributes:
        note: what the last key brought, shown with the progress: the model's opinion, or why a key did nothing.
    """

    def __init__(self, session: Session) -> None:
        self.session, self.note = session, ""

    @property
    def class_names(self) -> Sequence[str]:
        """The classes in the order of their keys."""
        names: Sequence[str] = self.session.task.class_names
        return names

    def press(self, key: str) -> None:
        """Do what a key says; one that does not fit the session leaves it alone and says why in `note`."""
        self.note = ""
        acts = {"u": self._undo, "s": self.session.skip, "x": self.session.reject, "?": self._ask}
        try:
            if key in acts:
                acts[key]()
            elif key.isdecimal() and 1 <= int(key) <= len(self.class_names):
                self.session.answer(int(key) - 1)
            else:
                self.note = f"The key {key} has no class."
        except ActiveKDError as error:
            self.note = str(error)

    def choose(self, label: int) -> None:
        """Give the current image a class by index, as a click does."""
        self.note = ""
        try:
            self.session.answer(label)
        except ActiveKDError as error:
            self.note = str(error)

    def _undo(self) -> None:
        if self.session.undo() is None:
            self.note = "There is nothing to undo."

    def _ask(self) -> None:
        current = self.session.current
        if current is not None:
            c, probability = self.session.suggestion(current)
            self.note = f"The model says {self.class_names[c]}, {probability:.0%}."

    def takeaway(self) -> str:
        """Say how far the session is, and what the last key brought."""
        current, p = self.session.current, self.session.progress
        state = f"{p.labeled} labelled, {p.skipped} put off, {p.rejected} in no class, {p.remaining} not asked yet."
        end = "" if current is not None else " Every image is answered."
        return f"{state}{end} {self.note}".strip()

    def picture(self) -> str:
        """Return the current image as a data URI, empty at the end."""
        current = self.session.current
        if current is None:
            return ""
        return sheet(self.session.image(current)[None].numpy(), columns=1, tile=_LARGEST).uri

    def figure(self) -> go.Figure:
        """Return the current image as a static picture."""
        fig = theme.figure("What is this?", x="", y="", height=360)
        axis = {"visible": False, "range": [0, 1]}
        fig.update_layout(xaxis=axis, yaxis=axis | {"scaleanchor": "x"})
        if uri := self.picture():
            fig.add_layout_image(source=uri, x=0, y=1, sizex=1, sizey=1, xref="x", yref="y", sizing="contain")
        return fig

    def _build(self) -> Any:
        import ipywidgets as w  # noqa: PLC0415  (slow import, only for a front end)

        return w.Box([_view(self)])


def _view(labeler: Labeler) -> Any:
    """Return the anywidget whose front end is labeler.js."""
    import anywidget  # noqa: PLC0415  (slow import, only for a front end)
    import traitlets as t  # noqa: PLC0415

    class View(anywidget.AnyWidget):
        _esm = Path(__file__).with_suffix(".js")
        image, alt, words = (t.Unicode().tag(sync=True) for _ in range(3))
        class_names = t.List(t.Unicode()).tag(sync=True)
        done, total = (t.Int().tag(sync=True) for _ in range(2))

    view = View(class_names=list(labeler.class_names))

    def draw() -> None:
        p, current = labeler.session.progress, labeler.session.current
        with view.hold_sync():
            view.image, view.alt = labeler.picture(), "" if current is None else f"image {current}"
            view.words = labeler.takeaway()
            view.done, view.total = p.labeled + p.rejected, len(labeler.session.task.train)

    def on_message(_: Any, content: dict[str, Any], buffers: Any) -> None:
        labeler.choose(content["label"]) if "label" in content else labeler.press(content["key"])
        draw()

    view.on_msg(on_message)
    draw()
    return view
