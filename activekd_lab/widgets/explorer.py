"""SelectionExplorer: move the budget, the selector or the round, and see the picks and what they cover."""

# ruff: noqa: C408  (Plotly and ipywidgets settings read best as keyword arguments)

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from activekd_lab.errors import ActiveKDError, SettingError
from activekd_lab.plots import theme
from activekd_lab.plots.gallery import Picks, picks_of
from activekd_lab.plots.map_data import MapRound, ProbabilityMap, map_round, sample
from activekd_lab.plots.maps import map_figure, pick_traces, pool_traces
from activekd_lab.plots.page import figure_widget, row, stack
from activekd_lab.plots.projection import ProjectionName, fit_projection
from activekd_lab.runs.records import RunResult
from activekd_lab.widgets.base import Explorer
from activekd_lab.widgets.panels import hover_card, pick_panel, words
from activekd_lab.widgets.runner import Array, selector_names
from activekd_lab.widgets.selection import SelectionState
from activekd_lab.widgets.sources import array_source, check_pool, check_started, run_source

if TYPE_CHECKING:
    from activekd_lab.selectors import Selector, SelectorFunction

_MOVING = 3  # traces before this one change with the round only
_MAP, _LINES = 0.4, 0.17  # the map begins, and the lines below it end, at these shares of the height
_DATA = ("x", "y", "text", "hovertext", "customdata")
UNCERTAINTY, DISTANCE = "uncertainty", "distance to the nearest label"


class SelectionExplorer(Explorer):
    """Sliders and a map: which images does a selector ask for, and what do they cover?

    Args:
        task: the task whose training images and class names are shown.
        source: a run that kept its predictions, or (N, C) float probabilities of the training split.
        labeled_ids: (L,) ids to start from; only beside an array, a run brings its own.
        features: (N, D) features, for selectors that compare features; without them those are not offered.
        round: where to start, by default the last round that picked.
        budget: where to start, by default as many as there are classes.
        selector: who picks first: a registered name, or a Selector or function of your own.
        seed: of the selector's random draws.
        projection: how the map is drawn, see `plots.probability_map`.

    Raises:
        SettingError: shapes that do not fit, a setting without effect, or a run without a finished round.
        RunFolderError: the run kept no predictions.
    """

    def __init__(
        self,
        task: Any,
        source: RunResult | Array,
        *,
        labeled_ids: Array | None = None,
        features: Array | None = None,
        round: int | None = None,
        budget: int | None = None,
        selector: str | Selector | SelectorFunction = "pcoreset",
        seed: int = 0,
        projection: ProjectionName | None = None,
    ) -> None:
        self.class_names: tuple[str, ...] = tuple(task.class_names)
        self.images, self.labels = np.asarray(task.train.images), np.asarray(task.train.labels)
        features = None if features is None else np.ascontiguousarray(features, dtype=np.float32)
        if isinstance(source, RunResult):
            if labeled_ids is not None:
                raise SettingError("labeled_ids has no effect beside a run, which brings its own; leave it out.")
            check_started(source)
            load, rounds = run_source(source, self.labels, features), [r.round for r in source.records]
            round = max((r.round for r in source.records if r.picks), default=rounds[-1]) if round is None else round
        else:
            load, rounds = array_source(source, labeled_ids, self.labels, features), [0]
        check_pool(load(rounds[-1]), len(self.labels), len(self.class_names))
        from activekd_lab.selectors import resolve  # noqa: PLC0415  (imports torch)

        selector = selector if isinstance(selector, str) else resolve(selector)
        self.state = SelectionState(
            load, self.labels, rounds, round=round, selector=selector,
            budget=budget or len(self.class_names), seed=seed,
        )  # fmt: skip
        self.projection = fit_projection(load(rounds[-1]).probabilities, projection, ring=load(rounds[0]).probabilities)
        names = selector_names(with_features=features is not None)
        own = {} if isinstance(selector, str) else {self.state.name: selector}
        self.color, self.selectors = UNCERTAINTY, {name: name for name in names} | own
        self._seen: MapRound | None = None
        self._hovered, self._backdrop = sample(len(self.labels))

    def takeaway(self) -> str:
        """Say in words what the picks changed."""
        return self.state.takeaway()

    def figure(self) -> go.Figure:
        """Return the map of the current state, without controls."""
        return map_figure(self._map(), self._shown())

    def picks(self) -> Picks:
        """Return the current picks with true class, the student's answer and distance to the nearest label."""
        arrays = self.state.arrays
        return picks_of(
            arrays.probabilities, self.labels, self.state.selection.picks, arrays.labeled_ids, self.state.round
        )

    def _map(self) -> ProbabilityMap:
        name = f"{self.state.name} picks {len(self.state.selection.picks)}"
        return ProbabilityMap(name, self.class_names, self.projection, self._hovered, self._backdrop, (), None)

    def _shown(self) -> MapRound:
        """Return the map of the current state; the round's own part is kept until the round changes."""
        arrays, selection = self.state.arrays, self.state.selection
        if self._seen is None or self._seen.round != arrays.round:
            start, none = np.zeros(len(arrays.labeled_ids), dtype=np.int64), np.empty(0, dtype=np.int64)
            self._seen = map_round(
                self.projection, arrays.probabilities, arrays.labeled_ids, start, none, none, arrays.round
            )
        shown = self._seen._replace(picks=selection.picks, radii=selection.radii)
        return shown if self.color == UNCERTAINTY else shown._replace(entropy=selection.distance.astype(np.float32))

    def _build(self) -> Any:
        return View(self).box


class View:
    """The ipywidgets side of SelectionExplorer: reads controls into the state, writes the state into traces."""

    def __init__(self, explorer: SelectionExplorer) -> None:
        self._explorer, self._state = explorer, explorer.state
        self.map = _with_radii(explorer.figure())
        self._make_controls()
        self._draw()
        self.map = figure_widget(self.map)  # only now: a slow page loses what is sent before its figure stands
        self.map.data[1].on_hover(self._on_hover)
        side = stack(self.card, self.gallery, width="330px", flex="1 1 330px")
        controls = row(self.budget, self.selector, self.round, self.color)
        self.box = stack(controls, self.words, row(stack(self.map, flex="2 1 480px", min_width="0"), side))

    def _make_controls(self) -> None:
        import ipywidgets as w  # noqa: PLC0415  (slow import, only for a front end)

        state, wide = self._state, dict(style={"description_width": "70px"}, continuous_update=False)
        top = min(len(state.arrays.unlabeled_ids), max(200, state.budget))
        self.budget = w.IntSlider(state.budget, 1, top, description="budget", **wide)
        self.round = w.SelectionSlider(options=state.rounds, value=state.round, description="round", **wide)
        self.selector = w.Dropdown(
            options=[*self._explorer.selectors.items()], value=state.selector, description="selector"
        )
        self.color = w.Dropdown(options=[UNCERTAINTY, DISTANCE], description="colour")
        self.words, self.card, self.gallery = w.HTML(), w.HTML(), w.HTML()
        self.round.layout.display = "none" if len(state.rounds) == 1 else None
        for control in (self.budget, self.round, self.selector, self.color):
            control.observe(self._on_change, names="value")

    def _on_change(self, change: dict[str, Any]) -> None:
        before = self._state.round
        self._explorer.color = self.color.value
        try:
            self._state.update(budget=self.budget.value, round=self.round.value, selector=self.selector.value)
        except ActiveKDError as error:
            self.words.value = words(str(error))
            return
        self._draw(round_changed=self._state.round != before, recolour=change["owner"] is self.color)

    def _draw(self, *, round_changed: bool = False, recolour: bool = False) -> None:
        """Write the state into the figures: only what changed travels to the page."""
        explorer, selection = self._explorer, self._state.selection
        data, shown = explorer._map(), explorer._shown()
        with self.map.batch_update():
            if round_changed:
                replace_data(self.map.data[:_MOVING], pool_traces(data, shown))
            elif recolour or explorer.color == DISTANCE:
                for trace, ids in zip(self.map.data, (data.backdrop, data.hovered), strict=False):
                    trace.marker.color = shown.entropy[ids]
            replace_data(self.map.data[_MOVING:], pick_traces(data, shown))
            self.map.layout.title.text = f"Probability map: {data.name}"
            self.map.layout.coloraxis.colorbar.title.text = explorer.color.replace(" to ", "<br>to ")
            self.map.layout.coloraxis.cmax = 1 if explorer.color == UNCERTAINTY else float(selection.radii[0])
            for line, values in zip(self.map.data[-2:], (selection.radii, selection.means), strict=True):
                line.update(x=np.arange(len(values)), y=values.astype(np.float32))
        self.words.value = words(explorer.takeaway())
        self.gallery.value = pick_panel(explorer.picks(), explorer.images, explorer.class_names)

    def _on_hover(self, trace: Any, points: Any, _: Any) -> None:
        if points.point_inds:
            i = points.point_inds[0]
            self.card.value = hover_card(self._explorer.images[trace.customdata[i]], trace.hovertext[i])


def replace_data(old: Any, new: Any) -> None:
    """Move traces to new data; look and names stay."""
    for trace, other in zip(old, new, strict=False):
        for key in _DATA:
            if trace[key] is not None:
                trace[key] = other.get(key)
        if trace.type == "scattergl":
            trace.marker.color = other["marker"]["color"]


def _with_radii(fig: go.Figure) -> go.Figure:
    """Make room below the map for the two distances along the picks; one figure opens faster than two."""
    for name, color, dash in (("covering radius", theme.VERMILLION, "solid"), ("mean distance", theme.BLUE, "dash")):
        line = dict(color=color, dash=dash, width=2.2)
        fig.add_trace(go.Scatter(name=name, mode="lines", line=line, xaxis="x3", yaxis="y3", legend="legend2"))
    fig.data[_MOVING + 1].visible = False  # the round's numbers are the sentence's, and would lie over the lines' names
    fig.update_layout(height=800, uirevision="stay", margin_b=48)
    fig.update_layout(yaxis_domain=[_MAP, 1], yaxis2_domain=[_MAP, _MAP + 0.001])
    fig.update_layout(coloraxis_colorbar=dict(y=_LINES + 0.11, ypad=0, len=0.4, x=1, xanchor="right"))
    fig.update_layout(
        xaxis3=dict(anchor="y3", title="picks"), legend2=dict(x=0, y=_LINES, yanchor="bottom", orientation="h")
    )
    return fig.update_layout(yaxis3=dict(anchor="x3", domain=[0, _LINES], rangemode="tozero", title="distance"))
