"""Labeler: label images by keyboard or mouse. Keys and clicks come here; the session keeps every answer on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakKeyDictionary, WeakSet

import plotly.graph_objects as go

from activekd_lab.errors import ActiveKDError
from activekd_lab.plots import theme
from activekd_lab.plots.images import sheet
from activekd_lab.plots.page import front_end
from activekd_lab.widgets.base import Explorer

_LARGEST = 512  # pixels of the picture that is sent
_KEYS = "1234567890abcdefghijklmnopqrtvwyz"  # less u, s and x, which act


class Session(Protocol):
    """What Labeler needs of an `activekd_lab.labeling.session.LabelSession`."""

    task: Any

    @property
    def current(self) -> int | None: ...  # noqa: D102
    @property
    def progress(self) -> Any: ...  # noqa: D102
    def image(self, id: int) -> Any: ...  # noqa: D102
    def suggestion(self, id: int) -> tuple[int, float]: ...  # noqa: D102
    def answer(self, label: int | str, *, id: int | None = None) -> None: ...  # noqa: D102
    def skip(self, *, id: int | None = None) -> None: ...  # noqa: D102
    def reject(self, *, id: int | None = None) -> None: ...  # noqa: D102
    def undo(self) -> int | None: ...  # noqa: D102


class Labeler(Explorer):
    """An image at a time, a key a class: 1 … 9, 0, letters; u undoes, s puts off, x is in no class, ? asks the model.

    Where classes are numbers, the key is the class. A key or click counts for the image that was on the screen: one
    that comes late, twice or from a second view is dropped, and every view of the session shows the image of now.

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

    @property
    def keys(self) -> list[str]:
        """The key of each class, empty where it has none."""
        names = self.class_names
        if any(name.isdecimal() for name in names):
            return [name if len(name) == 1 and name not in "sux?" else "" for name in names]  # those act otherwise
        return [*_KEYS[: len(names)], *[""] * (len(names) - len(_KEYS))]

    def press(self, key: str, id: int | None = None) -> None:
        """Do what a key says; one that does not fit the session leaves it alone and says why in `note`.

        Args:
            key: as on the keyboard.
            id: the image it is meant for, None for the current one.
        """
        acts = {"s": self.session.skip, "x": self.session.reject}
        if key in acts:
            self._try(lambda: acts[key](id=id))
        elif key in ("u", "?"):
            self._try(self._undo if key == "u" else self._ask)
        elif key and key in self.keys:
            self.choose(self.keys.index(key), id)
        else:
            self.note = f"The key {key} has no class."

    def choose(self, label: int, id: int | None = None) -> None:
        """Give an image a class by index, as a click does; `id` as for `press`."""
        self._try(lambda: self.session.answer(label, id=id))

    def _try(self, act: Callable[[], None]) -> None:
        self.note = ""
        try:
            act()
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


_VIEWS: WeakKeyDictionary[Session, WeakSet[Any]] = WeakKeyDictionary()  # every view of a session is told of an answer


def _view(labeler: Labeler) -> Any:
    """Return the anywidget whose front end is labeler.js."""
    import traitlets as t  # noqa: PLC0415  (slow import, only for a front end)

    class View(front_end(Path(__file__).with_suffix(".js"))):  # type: ignore[misc]
        image, alt, words = (t.Unicode().tag(sync=True) for _ in range(3))
        class_names, class_keys = (t.List(t.Unicode()).tag(sync=True) for _ in range(2))
        done, total, turn = (t.Int().tag(sync=True) for _ in range(3))
        image_id = t.Int(None, allow_none=True).tag(sync=True)

        def draw(self) -> None:
            with self.hold_sync():
                for name, value in _shown(labeler).items():
                    setattr(self, name, value)
                self.turn += 1  # so that the front end hears of an answer that changed nothing too

    view = View(class_names=list(labeler.class_names), class_keys=labeler.keys, **_shown(labeler))
    views = _VIEWS.setdefault(labeler.session, WeakSet())
    views.add(view)

    def on_message(_: Any, content: dict[str, Any], buffers: Any) -> None:
        if content.get("id", -1) == labeler.session.current:  # else it was about another image: draw only
            if "label" in content:
                labeler.choose(content["label"], content["id"])
            else:
                labeler.press(content["key"], content["id"])
        for each in list(views):
            each.draw()

    view.on_msg(on_message)
    return view


def _shown(labeler: Labeler) -> dict[str, Any]:
    """Return what the front end shows of a session now."""
    p, current = labeler.session.progress, labeler.session.current
    return {
        "image": labeler.picture(), "alt": "" if current is None else f"image {current}", "words": labeler.takeaway(),
        "image_id": current, "done": p.labeled + p.rejected, "total": len(labeler.session.task.train),
    }  # fmt: skip
