"""PickYourself: choose the images to label by hand, train on them, and see what selectors would have gained."""

# ruff: noqa: C408  (Plotly and ipywidgets settings read best as keyword arguments)

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from activekd_lab.errors import SettingError
from activekd_lab.io.arguments import checked
from activekd_lab.plots import theme
from activekd_lab.plots.distances import nearest
from activekd_lab.plots.map_data import HOVERED, MapRound, ProbabilityMap, map_round, sample
from activekd_lab.plots.maps import map_figure, pick_traces
from activekd_lab.plots.page import figure_widget, row, stack
from activekd_lab.plots.projection import fit_projection
from activekd_lab.widgets.base import Explorer
from activekd_lab.widgets.explorer import replace_data
from activekd_lab.widgets.panels import hover_card, words
from activekd_lab.widgets.runner import Array, choose, seen, train_on
from activekd_lab.widgets.worker import Worker

if TYPE_CHECKING:
    from activekd_lab.active.loop import ActiveRun

START, YOU, RANDOM = "no new label", "you", "random"
_LISTED, _PICKS = 200, 3  # images in the list; the map's trace of picks
_GRID = "display:grid;grid-template-columns:repeat(auto-fill,minmax(100px,1fr));gap:6px"


class Trial(NamedTuple):
    """One training on somebody's picks.

    Attributes:
        who: "you", a selector, or "no new label".
        picks: the ids.
        accuracy: of its student on the test images, a fraction.
        radius: the pool's covering radius between probabilities, once these are labelled.
    """

    who: str
    picks: tuple[int, ...]
    accuracy: float
    radius: float


class PickYourself(Explorer):
    """You are the selector: pick images on the map or in the list, train, and race the selectors.

    Everybody labels as many images, on top of the same labels, and trains one student from the same weights.

    Args:
        active: a run that has trained a round here, the start of all.
        budget: how many to pick.
        rivals: the selectors to race, beside random.
        draws: random picks are drawn so many times, since one draw may be lucky.
        seed: of the rivals' draws.

    Attributes:
        picks: your ids, in your order.
        worker: the trainings without a front end; `worker.records` holds a `Trial` each.

    Raises:
        SettingError: a run without a round, a budget that the pool does not hold, or no draw.
        UnknownNameError: no such selector.

    Example:
        >>> game = akd.widgets.PickYourself(active, budget=2)
        >>> game.pick(game.free[:2])  # the two that the student is least sure about
        >>> game.worker.run()
    """

    @checked(budget=">= 1", draws=">= 1")
    def __init__(
        self,
        active: ActiveRun,
        *,
        budget: int = 8,
        rivals: Sequence[str] = ("pcoreset", "entropy"),
        draws: int = 5,
        seed: int = 0,
    ) -> None:
        arrays, free = seen(active)
        if budget > len(free):
            raise SettingError(f"budget must lie in 1 … {len(free)}, the images without a label, but got {budget}.")
        self._active, self._arrays, self.budget = active, arrays, budget
        self._asked = [(name, choose(active, name, budget, seed)) for name in dict.fromkeys(rivals)]
        self._asked += [(RANDOM, choose(active, RANDOM, budget, seed, draw)) for draw in range(draws)]
        self.images = np.asarray(active.prepared.task.train.images)
        self.class_names, self.picks = active.prepared.task.class_names, list[int]()
        self.worker: Worker[Trial] = Worker(self._go)
        self._trials: dict[tuple[int, ...], Trial] = {}
        self._bought: frozenset[int] = frozenset()
        self.projection = fit_projection(arrays.probabilities)
        none, known = np.empty(0, dtype=np.int64), arrays.labeled_ids
        self._map = map_round(
            self.projection, arrays.probabilities, known, np.zeros(len(known)), none, none, arrays.round
        )
        self.free: list[int] = free[np.argsort(-self._map.entropy[free], kind="stable")].tolist()

    def pick(self, ids: Sequence[int]) -> None:
        """Take these ids for your picks, in the place of those before; what was raced before is put aside.

        Raises:
            SettingError: more than the budget, one twice, one that has a label already, or a race that goes on.
        """
        ids = list(map(int, ids))
        if len(ids) > self.budget or len(set(ids)) < len(ids) or not set(ids) <= set(self.free):
            raise SettingError(f"ids must be at most {self.budget} different images without a label, but got {ids}.")
        if self.worker.status == "running":
            raise SettingError("Students are in training; wait for them, or cancel.")
        self.picks = ids
        self.worker.reset()

    def toggle(self, id: int) -> None:
        """Pick an image, or take it back; nothing happens once all are picked, or while students train."""
        new = [i for i in self.picks if i != id] if id in self.picks else [*self.picks, id]
        if len(new) <= self.budget and id in self.free and self.worker.status != "running":
            self.pick(new)

    @property
    def total(self) -> int:
        """How many trainings a race takes; those known from before are not repeated."""
        return len(self._asked) + 2

    def _go(self, cancel: Callable[[], bool]) -> Iterator[Trial]:
        mine = tuple(self.picks)
        if len(mine) < self.budget:
            raise SettingError(f"Pick {self.budget} images first; {len(mine)} are picked.")
        self._bought |= {*mine}
        for who, ids in [(START, ()), (YOU, mine), *self._asked]:
            picks = np.array(ids, dtype=np.int64)
            key = tuple(sorted(picks.tolist()))
            if key not in self._trials:
                score = train_on(self._active, picks, cancel)
                self._trials[key] = Trial(who, key, score, self.radius(picks))
            yield self._trials[key]._replace(who=who, picks=tuple(picks.tolist()))

    def radius(self, picks: Sequence[int] | Array) -> float:
        """Return the largest distance, between probabilities, of an unlabelled image to its nearest label or pick."""
        p, centers = self._arrays.probabilities, [*self._arrays.labeled_ids, *picks]
        return float(nearest(p[self.free], p[centers])[0].max())

    def _scores(self) -> dict[str, list[Trial]]:
        """Return the trials by who picked, in the order of the race."""
        names = dict.fromkeys((START, YOU, *(who for who, _ in self._asked)))
        return {name: [t for t in self.worker.records if t.who == name] for name in names}

    def takeaway(self) -> str:
        """Say how far you are, and after the race who gained what."""
        worker, left = self.worker, self.budget - len(self.picks)
        if worker.error is not None:
            return str(worker.error)
        if worker.status == "running":
            return f"Training: {len(worker.records)} of {self.total} students. Everybody starts from the same weights."
        if worker.status == "done":
            return self._verdict()
        now = f"Covering radius {self.radius(()):.2f} with the labels there are, {self.radius(self.picks):.2f} with"
        state = "Cancelled. " if worker.status == "cancelled" else ""
        todo = f"Pick {left} more." if left else "Press Train."
        return f"{state}{len(self.picks)} of {self.budget} picked. {now} your picks. {todo}"

    def _verdict(self) -> str:
        scores = self._scores()
        start, mine = scores.pop(START)[0], scores[YOU][0]
        gained = {who: [100 * (t.accuracy - start.accuracy) for t in several] for who, several in scores.items()}
        told = [
            f"{who} {np.mean(gained[who]):+.1f}" + (f" ({min(gained[who]):+.1f} to {max(gained[who]):+.1f})" * (n > 1))
            + f", {np.mean([t.radius for t in several]):.2f}"
            for who, several in scores.items() if (n := len(several))
        ]  # fmt: skip
        beaten = sum(t.accuracy < mine.accuracy for t in scores[RANDOM])
        return (
            f"Without new labels {100 * start.accuracy:.1f} %, covering radius {start.radius:.2f}. Points gained by "
            f"{self.budget} labels, and the radius then: {'; '.join(told)}. Yours beat {beaten} of "
            f"{len(scores[RANDOM])} random draws; a gap smaller than the random draws' own spread may be luck."
        )

    def _gallery(self) -> str:
        """Return your picks as pictures; the label is shown once it was bought."""
        y = self._active.prepared.task.train.labels
        names = [self.class_names[int(y[i])] if i in self._bought else "label: ?" for i in self.picks]
        cells = [hover_card(self.images[i], f"{i}: {name}") for i, name in zip(self.picks, names, strict=True)]
        return f'<div style="{_GRID}">{"".join(f"<div>{cell}</div>" for cell in cells)}</div>'

    def figure(self) -> go.Figure:
        """Return the map with your picks, or once students are trained their accuracies."""
        return self._results() if self.worker.records else self._probabilities()

    def _probabilities(self) -> go.Figure:
        fig = map_figure(self._drawn(), self._shown())
        fig.update_layout(title=dict(text="What the student says", subtitle_text="rim: certain, middle: unsure"))
        fig.data[_PICKS - 1].name, fig.data[_PICKS].name = "labelled", "your picks, in order"
        fig.data[_PICKS + 1].visible = False  # the takeaway says it
        below = dict(yref="container", y=0, yanchor="bottom", orientation="h")
        return fig.update_layout(height=480, coloraxis_showscale=False, legend=below, margin=dict(t=84, b=84))

    def _drawn(self) -> ProbabilityMap:
        hovered, backdrop = sample(len(self._arrays.probabilities), HOVERED, HOVERED)
        return ProbabilityMap("", self.class_names, self.projection, hovered, backdrop, (), None)

    def _shown(self) -> MapRound:
        radii = np.array([self.radius(()), self.radius(self.picks)])
        return self._map._replace(picks=np.array(self.picks, dtype=np.int64), radii=radii)

    def _results(self) -> go.Figure:
        about = "one student a dot, from the same weights; bar: their mean"
        fig = theme.figure(f"What {self.budget} labels bring", about, x="test accuracy (%)", height=330)
        bar = dict(symbol="line-ns", size=26, line=dict(width=3, color=theme.GREY))
        fig.add_traces([go.Scatter(mode="markers", marker=look) for look in (bar, dict(size=11))])
        fig.update_layout(showlegend=False, hovermode=False)
        self._show_results(fig)
        return fig

    def _show_results(self, fig: go.Figure) -> None:
        """Write the trials into the figure of results, a row for each who picked."""
        scores = self._scores()
        looks = [theme.Style(theme.ORANGE, "", "star") if who == YOU else theme.selector_style(who) for who in scores]
        flat = [(n, 100 * t.accuracy) for n, several in enumerate(scores.values()) for t in several]
        known = {n: several for n, several in enumerate(scores.values()) if several}
        radii = {n: f"<br>radius {np.mean([t.radius for t in several]):.2f}" for n, several in known.items()}
        with fig.batch_update():
            fig.data[1].update(x=[x for _, x in flat], y=[n for n, _ in flat])
            fig.data[1].marker.update(
                color=[looks[n].color for n, _ in flat], symbol=[looks[n].symbol for n, _ in flat]
            )
            means = [100 * float(np.mean([t.accuracy for t in several])) for several in known.values()]
            fig.data[0].update(x=means, y=[*known])
            names = [f"{who}{radii.get(n, '')}" for n, who in enumerate(scores)]
            rows = dict(tickvals=[*range(len(scores))], ticktext=names, range=[len(scores) - 0.5, -0.5])
            fig.layout.yaxis.update(rows)
            fig.layout.xaxis.update(dict(autorange=True) if flat else dict(range=[0, 100]))

    def _build(self) -> Any:
        return PickView(self).box


class PickView:
    """The ipywidgets side of PickYourself."""

    def __init__(self, game: PickYourself) -> None:
        import ipywidgets as w  # noqa: PLC0415  (slow import, only for a front end)

        self._game, self._lock, self.box = game, threading.RLock(), None
        drawn = game._probabilities()
        ring = dict(symbol="circle-open", size=20, color=theme.ORANGE, line=dict(width=3))
        at = game._map.positions[game.free[:1]]
        drawn.add_scattergl(x=at[:, 0], y=at[:, 1], mode="markers", marker=ring, hoverinfo="skip", name="in the list")
        self.map, self.results = figure_widget(drawn), figure_widget(game._results())
        self.list = w.Select(
            options=_lines(game),
            rows=9,
            description="image",
            style={"description_width": "50px"},
            layout=w.Layout(width="350px"),
        )
        self.add, self.clear, self.train, self.cancel = (
            w.Button(description=text) for text in ("Pick", "Clear", "Train", "Cancel")
        )
        self.progress, self.words = w.IntProgress(0, 0, game.total, description="students"), w.HTML()
        self.card, self.gallery = w.HTML(), w.HTML()
        self._wire()
        self._draw()
        side = stack(self.list, row(self.card, stack(self.add, self.clear)), self.gallery, flex="1 1 350px")
        drawn = row(stack(self.map, flex="2 1 460px", min_width="0"), side)
        bar = row(self.train, self.cancel, self.progress)
        self.box = stack(w.HTML(words(_HELP)), drawn, bar, self.words, self.results)

    def _wire(self) -> None:
        game, worker = self._game, self._game.worker
        worker.on_change = self._draw
        self.train.on_click(lambda _: worker.run())
        self.cancel.on_click(lambda _: worker.cancel())
        self.clear.on_click(lambda _: game.pick([]))
        self.add.on_click(lambda _: game.toggle(self.list.value))
        self.list.observe(lambda _: self._draw(), names="value")
        for number in (1, _PICKS):
            self.map.data[number].on_click(self._on_click)

    def _on_click(self, trace: Any, points: Any, _: Any) -> None:
        if points.point_inds:
            self._game.toggle(int(trace.customdata[points.point_inds[0]]))

    def _draw(self) -> None:
        """Show picks and results; also called from the worker's thread."""
        game, worker, here = self._game, self._game.worker, self.list.value
        with self._lock:
            busy, full, picked = worker.status == "running", len(game.picks) == game.budget, here in game.picks
            self.train.disabled, self.cancel.disabled, self.clear.disabled = busy or not full, not busy, busy
            self.add.description, self.add.disabled = "Take back" if picked else "Pick", busy or (full and not picked)
            self.progress.value, self.words.value = len(worker.records), words(game.takeaway())
            self.card.value, self.gallery.value = hover_card(game.images[here], f"image {here}"), game._gallery()
            if self.box is None:  # a slow page loses what is sent before its figure stands
                return
            with self.map.batch_update():
                replace_data(self.map.data[_PICKS : _PICKS + 1], pick_traces(game._drawn(), game._shown()))
                self.map.data[-1].x, self.map.data[-1].y = game._map.positions[[here]].T
            game._show_results(self.results)


def _lines(game: PickYourself) -> list[tuple[str, int]]:
    """Return the list's lines: id, and the two likeliest classes; the least sure first."""
    found = []
    for i in game.free[:_LISTED]:
        p = game._arrays.probabilities[i]
        said = [f"{game.class_names[c]} {p[c]:.0%}" for c in np.argsort(-p)[:2]]
        found.append((f"{i}: {', '.join(said)}", i))
    return found


_HELP = (
    "Click a dot to pick its image, and again to take it back. Or walk through the list, least sure first, with the "
    "arrow keys (the ring on the map follows), and press Pick."
)
