"""What all widgets share: a view built on first display, a static figure where there is no front end, and words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from activekd_lab.plots.page import missing_front_end

if TYPE_CHECKING:
    import plotly.graph_objects as go


class Explorer(ABC):
    """A widget: `view` is the ipywidgets tree, `figure()` the same picture without controls."""

    @abstractmethod
    def figure(self) -> go.Figure:
        """Return the current picture as a static figure."""

    @abstractmethod
    def takeaway(self) -> str:
        """Say in words what the picture shows."""

    @abstractmethod
    def _build(self) -> Any:
        """Return the ipywidgets tree, wired to the state."""

    @cached_property
    def view(self) -> Any:
        """The ipywidgets tree; built once, on first use."""
        return self._build()

    def __repr__(self) -> str:
        return f"{type(self).__name__}: {self.takeaway()} (JupyterLab shows the controls; .figure() is the picture.)"

    def _ipython_display_(self) -> None:
        """Show the controls in a notebook; elsewhere the static figure and a sentence that says so."""
        from IPython.core.display_functions import display  # noqa: PLC0415  (only inside IPython)

        show: Callable[..., object] = display
        why = missing_front_end()
        if why is None:
            show(self.view._repr_mimebundle_() | {"text/plain": repr(self)}, raw=True)
        else:
            show({"text/plain": f"{why} {self.takeaway()}"}, raw=True)
            show(self.figure())
