"""SelectorRace: several selectors from the same start, side by side, a round at a time."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from activekd_lab.config import RunConfig
from activekd_lab.errors import SettingError
from activekd_lab.io.arguments import checked
from activekd_lab.plots.groups import group_runs
from activekd_lab.plots.lanes import Lane, lane_title, lane_traces, race_lanes
from activekd_lab.plots.map_data import sample
from activekd_lab.plots.page import figure_widget, row, stack
from activekd_lab.plots.projection import Projection, fit_projection
from activekd_lab.runs.records import RoundRecord, RunResult
from activekd_lab.widgets.base import Explorer
from activekd_lab.widgets.panels import words
from activekd_lab.widgets.runner import Array, start_run
from activekd_lab.widgets.sources import check_started
from activekd_lab.widgets.worker import Worker

if TYPE_CHECKING:
    from activekd_lab.active.loop import ActiveRun

_DRAWN = 2_000  # pool images a map


@checked()
class SelectorRace(Explorer):
    """Runs that differ by their selector: curves and maps grow together, and any round can be shown again.

    Args:
        source: the settings of all runs but the selector, raced live; or finished runs of one task and seed.
        selectors: who races; only beside settings.
        store: a folder for run folders: what is stored there is not computed again. None keeps all in memory.
        maps: also draw each student's view of the pool; needs runs that keep their predictions.

    Attributes:
        worker: the race without a front end; it has nothing to do where the runs were finished.
        round: the round shown, or None for the newest that all have reached.

    Raises:
        SettingError: nobody to race, a name twice, several seeds, a run without a finished round, or a setting
            without effect.
    """

    def __init__(
        self,
        source: RunConfig | Sequence[RunResult],
        selectors: Sequence[str] = (),
        *,
        store: str | Path | None = None,
        maps: bool = True,
    ) -> None:
        self._config, self._store = source, store
        self._maps, self.worker = maps, Worker(self._go)
        self.round: int | None = None
        self._live: Mapping[str, ActiveRun] = {}
        self._places: dict[tuple[str, int], Array] = {}
        self._projection: Projection | None = None
        if isinstance(source, RunConfig):
            _check_config(source, selectors, maps=maps)
            self._finished: Mapping[str, RunResult] = {}
            self.names, self.rounds = tuple(selectors), source.rounds
        else:
            if selectors or store is not None:
                raise SettingError("selectors and store have no effect beside finished runs; leave them out.")
            self._finished = _one_each(source)
            self.names, self.rounds = tuple(self._finished), min(len(r.records) for r in self._finished.values()) - 1

    def _go(self, cancel: Callable[[], bool]) -> Iterator[RoundRecord]:
        """Yield the rounds of all runs in turn, so that nobody is more than a round ahead."""
        assert isinstance(self._config, RunConfig)
        self._live, self._places, self._projection = {}, {}, None
        runs = {name: start_run(self._config.with_(selector=name), self._store, cancel) for name in self.names}
        self._live, turns = runs, [iter(run) for run in runs.values()]
        for _ in range(self.rounds + 1):
            for turn in turns:
                yield from islice(turn, 1)

    def results(self) -> dict[str, RunResult]:
        """Return what each selector has found so far; empty before the start."""
        return dict(self._finished) or {name: run.result() for name, run in self._live.items()}

    @property
    def reached(self) -> int:
        """The newest round that all have finished, −1 for none."""
        counts = [len(run.records) for run in (self._finished or self._live).values()]
        return min(counts, default=0) - 1

    @property
    def shown(self) -> int:
        """The round shown, −1 for none."""
        return self.reached if self.round is None else min(self.round, self.reached)

    def show(self, number: int | None) -> None:
        """Show a round, or with None the newest, also as new ones arrive.

        Raises:
            SettingError: a round that not all have finished.
        """
        if number is not None and not 0 <= number <= self.reached:
            raise SettingError(f"round must lie in 0 … {self.reached}, which all have finished, but got {number}.")
        self.round = number

    def takeaway(self) -> str:
        """Say who leads in the round shown, and that one seed is one seed."""
        if self.worker.error is not None:
            return f"Failed after {len(self.worker.records)} rounds in all: {self.worker.error}"
        state = "" if self._finished else f"{self.worker.status.capitalize()}. "
        lanes = self.lanes()
        if self.shown < 0:
            return f"{state}{len(lanes)} selectors, {self.rounds} query rounds each; none has been finished by all."
        order = sorted(lanes, key=lambda lane: -lane.accuracy[-1])
        known = ", ".join(f"{x.name} {100 * x.accuracy[-1]:.1f} % ({x.covered} classes labelled)" for x in order)
        return (
            f"{state}Round {self.shown} of {self.rounds}, {lanes[0].labels[-1]} labels each: {known}. This is one "
            "seed: another may turn close places round."
        )

    def lanes(self) -> list[Lane]:
        """Return each selector's curve and map up to the round shown."""
        shown = self.shown
        if shown < 0:
            none = np.empty(0)
            return [Lane(name, name, none, none, 0) for name in self.names]
        return [self._lane(name, result, shown) for name, result in self.results().items()]

    def _lane(self, name: str, result: RunResult, shown: int) -> Lane:
        records = result.records[: shown + 1]
        labels, accuracy = np.array([r.labels for r in records]), np.array([r.accuracy for r in records])
        lane = Lane(name, str(result.config["selector"]), labels, accuracy, records[-1].classes_covered)
        if not self._maps:
            return lane
        places = self._positions(name, result, shown)
        pool = np.concatenate(sample(len(places), _DRAWN))
        labeled, picks = (np.array(ids, dtype=np.int64) for ids in (result.labeled_ids(shown), records[-1].picks))
        return lane._replace(pool=places[pool], labeled=places[labeled], picks=places[picks])

    def _positions(self, name: str, result: RunResult, number: int) -> Array:
        """Return (N, 2) places of the pool in one map for all, fitted on round 0, where all students are the same."""
        if (name, number) not in self._places:
            probabilities = result.probabilities(number)
            if self._projection is None:
                self._projection = fit_projection(result.probabilities(0))
            self._places[name, number] = self._projection.positions(probabilities)
        return self._places[name, number]

    def figure(self) -> go.Figure:
        """Return curves and maps of the round shown, without controls."""
        lanes = self.lanes()
        return race_lanes(lanes, self._projection, maps=self._maps, most=self._most(lanes))

    def _most(self, lanes: Sequence[Lane]) -> int:
        """Return the labels at the end of the race, as far as they are known yet."""
        results = self.results()
        if self._finished or not results or not lanes[0].labels.size:
            return max((r.records[-1].labels for r in results.values() if r.records), default=1)
        first = int(lanes[0].labels[0])
        step = len(next(iter(results.values())).records[0].picks)
        return first + step * self.rounds

    def _build(self) -> Any:
        return RaceView(self).box


def _check_config(config: RunConfig, selectors: Sequence[str], *, maps: bool) -> None:
    twice = [name for name, count in Counter(selectors).items() if count > 1]
    if not selectors or twice or isinstance(selectors, str):
        raise SettingError(f"selectors must be a list, each selector once, at least one, but got {selectors!r}.")
    if maps and not config.save_predictions:
        raise SettingError("maps need runs that keep their predictions; set save_predictions=True, or maps=False.")


def _one_each(results: Sequence[RunResult]) -> dict[str, RunResult]:
    """Return finished runs by name, refusing several seeds and runs of one name."""
    for result in results:
        check_started(result)
    groups = group_runs(results)
    seeds = sorted({result.config["seed"] for result in results})
    if len(seeds) > 1 or any(len(runs) > 1 for runs in groups.values()):
        raise SettingError(
            f"A race shows one run a selector, all of one seed, but got {len(results)} runs with seeds "
            f"{', '.join(map(str, seeds))}; for means over seeds use plots.selector_race."
        )
    return {name: runs[0] for name, runs in groups.items()}


class RaceView:
    """The ipywidgets side of SelectorRace."""

    def __init__(self, race: SelectorRace) -> None:
        import ipywidgets as w  # noqa: PLC0415  (slow import, only for a front end)

        self._race, self._lock, self._drawing = race, threading.RLock(), False
        self.picture, self.words, self.box = figure_widget(race.figure()), w.HTML(), None
        self.round = w.IntSlider(description="round", continuous_update=False, min=0, max=max(race.reached, 0))
        self.play = w.Play(min=0, max=self.round.max, interval=900, description="play")
        w.jslink((self.play, "value"), (self.round, "value"))
        self.round.observe(self._on_round, names="value")
        self.draw()
        self.box = stack(row(*self._buttons(), self.play, self.round), self.words, self.picture)

    def _buttons(self) -> list[Any]:
        """Return Run, Pause, Cancel and the progress; nothing where all runs are finished."""
        import ipywidgets as w  # noqa: PLC0415  (slow import, only for a front end)

        worker = self._race.worker
        self.run, self.pause, self.cancel = (w.Button(description=text) for text in ("Run", "Pause", "Cancel"))
        total = (self._race.rounds + 1) * len(self._race.names)
        self.progress = w.IntProgress(0, 0, total, description="rounds")
        if self._race._finished:
            return []
        for button, act in ((self.run, worker.run), (self.pause, worker.pause), (self.cancel, worker.cancel)):
            button.on_click(lambda _, act=act: act())
        worker.on_change = self._on_change
        self._on_change()
        return [self.run, self.pause, self.cancel, self.progress]

    def _on_change(self) -> None:
        """Show where the race stands; also called from the worker's thread."""
        worker = self._race.worker
        self.run.description = "Go on" if worker.status == "paused" else "Run"
        self.run.disabled, self.pause.disabled = worker.status == "running", worker.status != "running"
        self.cancel.disabled = worker.status not in ("running", "paused")
        self.progress.value = len(worker.records)
        self.draw()

    def _on_round(self, change: dict[str, Any]) -> None:
        with self._lock:
            if not self._drawing:
                self._race.show(None if change["new"] >= self._race.reached else change["new"])
                self.draw()

    def draw(self) -> None:
        """Write the round shown into the controls, the words and the traces."""
        race = self._race
        with self._lock:
            self._drawing = True
            self.round.max = self.play.max = max(race.reached, 0)
            self.round.value = max(race.shown, 0)
            self._drawing = False
            self.words.value = words(race.takeaway())
            if self.box is not None:  # a slow page loses what is sent before its figure stands
                self._redraw()

    def _redraw(self) -> None:
        race, lanes = self._race, self._race.lanes()
        new = [trace for lane in lanes for trace in lane_traces(lane, race._projection, maps=race._maps)]
        with self.picture.batch_update():
            for old, other in zip(self.picture.data, new, strict=True):
                old.x, old.y = other.x, other.y
            for heading, lane in zip(self.picture.layout.annotations, lanes, strict=False):
                heading.text = lane_title(lane)
            self.picture.layout.xaxis.range = [0, 1.03 * race._most(lanes)]
