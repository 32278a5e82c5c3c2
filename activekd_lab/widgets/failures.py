"""FailureGallery: four ways to break the method, each on a slider, trained as you move it."""

# ruff: noqa: C408  (Plotly and ipywidgets settings read best as keyword arguments)

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from activekd_lab import stats
from activekd_lab.errors import UnknownNameError
from activekd_lab.io.arguments import checked
from activekd_lab.plots import theme
from activekd_lab.plots.page import figure_widget, row, stack
from activekd_lab.widgets.base import Explorer
from activekd_lab.widgets.panels import words
from activekd_lab.widgets.worker import Worker

if TYPE_CHECKING:
    from activekd_lab.active.failures import Outcome
    from activekd_lab.active.prepared import Prepared

WAYS = {
    "DHO + PCoreSet": ("dho", "pcoreset", theme.Style(theme.VERMILLION, "solid", "circle")),
    "DHO + random": ("dho", "random", theme.Style(theme.GREY, "dash", "square")),
    "labels only, random": ("ce", "random", theme.Style(theme.GREEN, "dot", "diamond")),
}


class Job(NamedTuple):
    """One run: which failure, at which level, by which of `WAYS`, with which seed."""

    failure: str
    level: float
    way: str
    seed: int


class FailureGallery(Explorer):
    """Choose a failure, move its slider, and watch the method break, or hold, against random picks and labels alone.

    A level is trained in the background when it is first asked for, after the sound one, where nothing is wrong. Every
    run is kept, and nothing is drawn that was not run.

    Args:
        prepared: a task on a frozen backbone, with a teacher.
        rounds: query rounds of a run.
        budget: labels a round; None takes as many as there are classes.
        seeds: runs of each kind.

    Attributes:
        failure, level: what is shown; change both by `show`.
        known: every run so far, a `failures.Outcome` by its `Job`.
        worker: the trainings without a front end; it trains what is shown and not known.

    Raises:
        SettingError: a backbone that is not frozen, or no teacher.

    Example:
        >>> gallery = akd.widgets.FailureGallery(akd.prepare(akd.RunConfig(task="digits", steps=60)))
        >>> gallery.show("noisy labels", 0.4)
        >>> gallery.worker.run()
    """

    @checked(rounds=">= 1", seeds=">= 1")
    def __init__(self, prepared: Prepared, *, rounds: int = 3, budget: int | None = None, seeds: int = 3) -> None:
        from activekd_lab.active.failures import FAILURES, scene  # noqa: PLC0415  (imports torch)

        self.failures, self._scenes = FAILURES, [scene(prepared, seed) for seed in range(seeds)]
        self.rounds, self.budget = rounds, budget or prepared.task.num_classes
        self.known: dict[Job, Outcome] = {}
        self.worker: Worker[Job] = Worker(self._go)
        self.failure, self.level = next(iter(FAILURES)), next(iter(FAILURES.values())).sound

    def show(self, failure: str, level: float) -> None:
        """Turn to a failure and one of its levels.

        Raises:
            UnknownNameError: no such failure, or no such level.
        """
        if failure not in self.failures:
            raise UnknownNameError("failure", failure, self.failures)
        if level not in (levels := self.failures[failure].levels):
            raise UnknownNameError(f"level of {failure!r}:", str(level), [str(known) for known in levels])
        self.failure, self.level = failure, level

    def missing(self) -> list[Job]:
        """Return the runs that the picture lacks at this level and at the sound one."""
        levels, seeds = dict.fromkeys((self.failures[self.failure].sound, self.level)), range(len(self._scenes))
        jobs = [Job(self.failure, level, way, seed) for level in levels for seed in seeds for way in WAYS]
        return [job for job in jobs if job not in self.known]

    def _go(self, cancel: Callable[[], bool]) -> Iterator[Job]:
        """Run what is missing; the slider may move meanwhile."""
        from activekd_lab.active.failures import play  # noqa: PLC0415  (imports torch)

        while jobs := self.missing():
            failure, level, way, seed = job = jobs[0]
            start = self.failures[failure].spoil(self._scenes[seed], level, seed)
            method, selector, _ = WAYS[way]
            self.known[job] = play(
                start, method, selector, rounds=self.rounds, budget=self.budget, seed=seed, cancel=cancel
            )
            yield job

    def runs(self, way: str, level: float) -> list[Outcome]:
        """Return the runs of one way at a level of the failure shown, by seed."""
        jobs = (Job(self.failure, level, way, seed) for seed in range(len(self._scenes)))
        return [self.known[job] for job in jobs if job in self.known]

    def takeaway(self) -> str:
        """Say what is left of the method and of its lead over random picks, and whether that can be told from luck."""
        failure, worker = self.failures[self.failure], self.worker
        if worker.error is not None:
            return f"Failed: {worker.error}"
        head = f"{self.failure.capitalize()}, {failure.says}: {self.level:g}. "
        if left := len(self.missing()):
            doing = "Training" if worker.status == "running" else worker.status.capitalize()
            return f"{head}{doing}: {left} runs of {self.rounds} rounds are missing here."
        now, sound = ({way: self.runs(way, level) for way in WAYS} for level in (self.level, failure.sound))
        told = [f"{way} {_percent(now[way]):.1f} % (sound: {_percent(sound[way]):.1f} %)" for way in WAYS]
        return f"{head}{'; '.join(told)}. {self._spent(now)}{_lead(now, sound)}"

    def _spent(self, now: dict[str, list[Outcome]]) -> str:
        """Say what the labels went to, where the two selectors differ in it."""
        ours, theirs = (now[way] for way in list(WAYS)[:2])
        bought = self.rounds * self.budget
        if self.failure == "cold start":
            covered = [np.mean([run.classes for run in runs]) for runs in (ours, theirs)]
            return f"Classes labelled in the end: PCoreSet {covered[0]:.1f}, random {covered[1]:.1f}. "
        wasted = [np.mean([run.wasted for run in runs]) for runs in (ours, theirs)]
        return f"Of {bought} labels, wasted: PCoreSet {wasted[0]:.1f}, random {wasted[1]:.1f}. " if any(wasted) else ""

    def figure(self) -> go.Figure:
        """Return accuracy along the failure's levels, as far as they were run."""
        fig = theme.figure("How it breaks", y="test accuracy (%)", height=420)
        for way, (_, _, look) in WAYS.items():
            line = dict(color=look.color, dash=look.dash, width=2.4)
            mark = dict(color=look.color, symbol=look.symbol, size=11)
            fig.add_trace(go.Scatter(mode="lines+markers", name=way, line=line, marker=mark))
            fig.add_trace(
                go.Scatter(
                    mode="markers", marker=mark | dict(size=7, symbol=f"{look.symbol}-open"), name=way, showlegend=False
                )
            )
        fig.add_vline(x=0, line=dict(color=theme.GREY, width=1.5, dash="dot"))
        self._fill(fig)
        return fig.update_layout(legend=dict(orientation="h", y=1.02, yanchor="bottom"), margin_t=120, hovermode=False)

    def _fill(self, fig: go.Figure) -> None:
        """Write the failure shown into the figure: means as lines, seeds as small marks."""
        failure = self.failures[self.failure]
        at = failure.levels.index(self.level)
        with fig.batch_update():
            for number, way in enumerate(WAYS):
                known = {x: runs for x, level in enumerate(failure.levels) if (runs := self.runs(way, level))}
                flat = [(x, 100 * run.accuracy) for x, runs in known.items() for run in runs]
                fig.data[2 * number].update(x=[*known], y=[_percent(runs) for runs in known.values()])
                fig.data[2 * number + 1].update(x=[x for x, _ in flat], y=[y for _, y in flat])
            seeds = f"mean of {len(self._scenes)} seeds, each a small mark; dotted line: the slider"
            fig.layout.title.update(text=f"How it breaks: {self.failure}", subtitle_text=seeds)
            ticks = [f"{level:g}" + "<br>(sound)" * (level == failure.sound) for level in failure.levels]
            fig.layout.xaxis.update(tickvals=[*range(len(ticks))], ticktext=ticks, range=[-0.3, len(ticks) - 0.7])
            fig.layout.xaxis.title.text = failure.says
            fig.layout.shapes[0].update(x0=at, x1=at)

    def _build(self) -> Any:
        return GalleryView(self).box


def _percent(runs: list[Outcome]) -> float:
    return 100 * float(np.mean([run.accuracy for run in runs]))


def _lead(now: dict[str, list[Outcome]], sound: dict[str, list[Outcome]]) -> str:
    """Say how the lead of PCoreSet over random picks changed, seed by seed, with its 95% interval."""
    leads = []
    for runs in (now, sound):
        ours, theirs = (np.array([run.accuracy for run in runs[way]]) for way in list(WAYS)[:2])
        leads.append(100 * (ours - theirs))
    text = f"PCoreSet is {leads[0].mean():+.1f} points from random"
    if now == sound or len(leads[0]) < 2:
        return f"{text}."
    mean, low, high = stats.mean_interval(leads[0] - leads[1])[:3]
    shown = "cannot be told from luck with so few seeds" if low <= 0 <= high else "shows over the seeds"
    return f"{text}, a change of {mean:+.1f} (95% interval {low:+.1f} to {high:+.1f}), which {shown}."


class GalleryView:
    """The ipywidgets side of FailureGallery."""

    def __init__(self, gallery: FailureGallery) -> None:
        import ipywidgets as w  # noqa: PLC0415  (slow import, only for a front end)

        self._gallery, self._lock, self.box, worker = gallery, threading.RLock(), None, gallery.worker
        self.picture, self.why, self.words = figure_widget(gallery.figure()), w.HTML(), w.HTML()
        self.failure = w.Dropdown(options=[*gallery.failures], value=gallery.failure, description="failure")
        self.level = w.SelectionSlider(options=self._levels(), value=gallery.level, description="how bad")
        self.level.continuous_update = False
        self.train, self.cancel = w.Button(description="Train"), w.Button(description="Cancel")
        self.progress = w.IntProgress(0, 0, 1, description="runs")
        self.failure.observe(self._on_failure, names="value")
        self.level.observe(self._on_level, names="value")
        self.train.on_click(lambda _: worker.run())
        self.cancel.on_click(lambda _: worker.cancel())
        worker.on_change = self.draw
        self.draw()
        bar = row(self.failure, self.level, self.train, self.cancel, self.progress)
        self.box = stack(bar, self.why, self.words, self.picture)

    def _levels(self) -> list[tuple[str, float]]:
        return [(f"{level:g}", level) for level in self._gallery.failures[self._gallery.failure].levels]

    def _on_failure(self, change: dict[str, Any]) -> None:
        """Turn to another failure, at its sound level."""
        self._gallery.show(change["new"], self._gallery.failures[change["new"]].sound)
        self.level.unobserve(self._on_level, names="value")  # new options come with a value of their own
        self.level.options = self._levels()
        self.level.value = self._gallery.level
        self.level.observe(self._on_level, names="value")
        self.draw()

    def _on_level(self, change: dict[str, Any]) -> None:
        """Turn to another level, and train what is not known of it."""
        gallery = self._gallery
        gallery.show(gallery.failure, change["new"])
        if gallery.missing() and gallery.worker.status != "running":
            gallery.worker.run()
        self.draw()

    def draw(self) -> None:
        """Show where the gallery stands; also called from the worker's thread."""
        gallery, worker = self._gallery, self._gallery.worker
        with self._lock:
            missing, busy = len(gallery.missing()), worker.status == "running"
            self.train.disabled, self.cancel.disabled = busy or not missing, not busy
            self.progress.max, self.progress.value = missing + len(worker.records), len(worker.records)
            self.why.value = words(gallery.failures[gallery.failure].why)
            self.words.value = words(gallery.takeaway())
            if self.box is not None:  # a slow page loses what is sent before its figure stands
                gallery._fill(self.picture)
