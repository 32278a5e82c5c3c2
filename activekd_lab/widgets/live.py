"""LiveRun: start, pause and cancel an ActiveKD run, and watch its curve grow."""

# ruff: noqa: C408  (Plotly and ipywidgets settings read best as keyword arguments)

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go

from activekd_lab.config import RunConfig
from activekd_lab.errors import SettingError
from activekd_lab.io.arguments import checked
from activekd_lab.plots import theme
from activekd_lab.plots.page import figure_widget, row, stack
from activekd_lab.widgets.base import Explorer
from activekd_lab.widgets.panels import words
from activekd_lab.widgets.runner import start_run
from activekd_lab.widgets.worker import Iterate, Worker


@checked()
class LiveRun(Explorer):
    """Buttons and a learning curve for a run that goes on in the background.

    Args:
        source: the settings of an ActiveKD run; or `source(cancel)` that yields a RoundRecord a round.
        rounds: how many query rounds a function will yield, for the progress bar; settings say it themselves.
        teacher_accuracy: a fraction, drawn as a level; None leaves it out.
        store: a folder for run folders, beside settings: finished rounds are read from there. None keeps all in memory.

    Attributes:
        worker: the run without a front end.

    Raises:
        SettingError: rounds below 0, rounds missing beside a function, or a setting without effect.
    """

    def __init__(
        self,
        source: RunConfig | Iterate,
        *,
        rounds: int | None = None,
        teacher_accuracy: float | None = None,
        store: str | Path | None = None,
    ) -> None:
        self.rounds, iterate = _rounds_of(source, rounds, store)
        self._teacher = teacher_accuracy
        self.worker = Worker(iterate)

    def takeaway(self) -> str:
        """Say where the run stands."""
        worker, records = self.worker, self.worker.records
        if worker.error is not None:
            return f"Failed in round {len(records)}: {worker.error}"
        if not records:
            return f"{worker.status.capitalize()}: {self.rounds} query rounds to come."
        last = records[-1]
        return (
            f"{worker.status.capitalize()}: round {last.round} of {self.rounds}, {last.labels} labels, accuracy "
            f"{100 * last.accuracy:.1f} %, covering radius {last.covering_radius:.3f}."
        )

    def figure(self) -> go.Figure:
        """Return the curve so far, without controls."""
        fig = theme.figure("Learning, live", x="labels spent", y="accuracy (%)", height=360)
        style = dict(color=theme.VERMILLION, width=2.6)
        labels, accuracy = self._curve()
        fig.add_trace(go.Scatter(x=labels, y=accuracy, mode="lines+markers", line=style, name="student"))
        if self._teacher is not None:
            level = dict(color=theme.GREY, width=1.5, dash="dash")
            fig.add_hline(y=100 * self._teacher, line=level, annotation_text="teacher, zero-shot")
        return fig.update_xaxes(rangemode="tozero")

    def _curve(self) -> tuple[Any, Any]:
        records = self.worker.records
        return np.array([r.labels for r in records]), np.array([100 * r.accuracy for r in records], dtype=np.float32)

    def _build(self) -> Any:
        return LiveView(self).box


def _rounds_of(source: RunConfig | Iterate, rounds: int | None, store: str | Path | None) -> tuple[int, Iterate]:
    """Return how many rounds there will be, and the function that yields them."""
    if isinstance(source, RunConfig):
        if rounds is not None:
            raise SettingError(
                f"rounds={rounds} has no effect beside settings, which say {source.rounds}; leave it out."
            )
        return source.rounds, lambda cancel: iter(start_run(source, store, cancel))
    if rounds is None or rounds < 0:
        raise SettingError(f"rounds must be 0 or more beside a function, but got {rounds}.")
    if store is not None:
        raise SettingError("store has no effect beside a function; let the function keep its rounds.")
    return rounds, source


class LiveView:
    """The ipywidgets side of LiveRun."""

    def __init__(self, live: LiveRun) -> None:
        import ipywidgets as w  # noqa: PLC0415  (slow import, only for a front end)

        self._live, worker = live, live.worker
        self.curve, self.box = figure_widget(live.figure()), None
        self.run, self.pause, self.cancel = (w.Button(description=text) for text in ("Run", "Pause", "Cancel"))
        self.progress, self.words = w.IntProgress(0, 0, live.rounds + 1, description="rounds"), w.HTML()
        for button, act in ((self.run, worker.run), (self.pause, worker.pause), (self.cancel, worker.cancel)):
            button.on_click(lambda _, act=act: act())
        worker.on_change = self.draw
        self.draw()
        self.box = stack(row(self.run, self.pause, self.cancel, self.progress), self.words, self.curve)

    def draw(self) -> None:
        """Show where the run stands; also called from the worker's thread."""
        status = self._live.worker.status
        self.run.description = "Go on" if status == "paused" else "Run"
        self.run.disabled, self.pause.disabled = status == "running", status != "running"
        self.cancel.disabled = status not in ("running", "paused")
        self.progress.value, self.words.value = len(self._live.worker.records), words(self._live.takeaway())
        if self.box is None:  # a slow page loses what is sent before its figure stands
            return
        with self.curve.batch_update():
            self.curve.data[0].x, self.curve.data[0].y = self._live._curve()
