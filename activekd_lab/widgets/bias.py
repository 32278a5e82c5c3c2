"""BiasExplorer: move the teacher's temperature, its prompt or the number of clusters; see who inherits them."""

# ruff: noqa: C408  (Plotly and ipywidgets settings read best as keyword arguments)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from scipy.special import softmax

from activekd_lab.errors import SettingError, UnknownNameError
from activekd_lab.plots.clusters import TRACES, ClusterMap, cluster_figure, cluster_map, cluster_traces
from activekd_lab.plots.map_data import HOVERED, sample
from activekd_lab.plots.page import figure_widget, row, stack
from activekd_lab.plots.projection import ProjectionName, fit_projection
from activekd_lab.widgets.base import Explorer
from activekd_lab.widgets.clustering import Clusterer, Comparison
from activekd_lab.widgets.panels import words
from activekd_lab.widgets.runner import Array
from activekd_lab.widgets.sources import normalised

TEMPERATURES = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 8.0)
LARGEST_COUNT = 30


class BiasState:
    """Settings and the clusters they lead to; a comparison is computed once. Nothing is drawn here.

    Args:
        teacher: (N, C) logits by prompt.
        student: (N, C) probabilities.
        count: K to start from.
        seed: of k-means.

    Attributes:
        prompt, temperature, count: the settings; count is at most `most`.
        comparison: their outcome.
    """

    def __init__(self, teacher: Mapping[str, Array], student: Array, *, count: int, seed: int) -> None:
        self._teacher, self.student = teacher, student
        self._known: dict[tuple[str, float, int], Comparison] = {}
        self.prompts = tuple(teacher)
        self.prompt, self.temperature, self.count = self.prompts[0], 1.0, count
        self.most = min(max(LARGEST_COUNT, count), len(student))
        self._clusterer = Clusterer(self.teacher, student, most=self.most, seed=seed)
        self.comparison = self.update()

    @property
    def teacher(self) -> Array:
        """(N, C) float32 probabilities of the teacher with the current prompt and temperature."""
        return np.asarray(softmax(self._teacher[self.prompt] / self.temperature, axis=1), dtype=np.float32)

    def update(
        self, *, prompt: str | None = None, temperature: float | None = None, count: int | None = None
    ) -> Comparison:
        """Change some settings and compare again; on an error the state stays as it was.

        Raises:
            UnknownNameError: no such prompt.
            SettingError: a temperature that is not above 0, or a count outside 2 … `most`.
        """
        before = self.prompt, self.temperature, self.count
        self.prompt = self.prompt if prompt is None else prompt
        self.temperature = self.temperature if temperature is None else temperature
        self.count = self.count if count is None else count
        try:
            self.comparison = self._compare()
        except Exception:
            self.prompt, self.temperature, self.count = before
            raise
        return self.comparison

    def _compare(self) -> Comparison:
        if self.prompt not in self._teacher:
            raise UnknownNameError("prompt", self.prompt, self.prompts)
        if not self.temperature > 0:
            raise SettingError(f"temperature must be above 0, but got {self.temperature}.")
        key = self.prompt, self.temperature, self.count
        if key not in self._known:
            self._known[key] = self._clusterer.compare(self.teacher, self.count)
        return self._known[key]

    def takeaway(self) -> str:
        """Say in words how clustered both are, and whether the groups are the same."""
        c = self.comparison
        return (
            f"{self.count} clusters of {len(self.student)} images, teacher at temperature {self.temperature:g} with "
            f"“{self.prompt}”. Inside their cluster's ball lie {c.teacher_within:.0%} of the teacher's predictions and "
            f"{c.student_within:.0%} of the student's; {c.control_within:.0%} of the teacher's once the classes of "
            f"each row are shuffled. Agreement of the two clusterings (adjusted Rand index): {c.agreement:.2f}; 1 is "
            "the same groups, 0 is chance."
        )


class BiasExplorer(Explorer):
    """Structured prediction bias, live: the teacher's clusters on the left, the student's on the right.

    Points have the colour of the teacher's cluster on both sides; numbers and circles are each model's own clusters.
    Where the student inherited the teacher's structure, each circle on the right holds one colour. A ball's radius r_k
    is half the distance to the nearest other centre. The student stays as it was trained: only the teacher moves.

    Args:
        teacher: (N, C) logits, or several by name, such as one for each prompt template and one for their ensemble.
        student: (N, C) probabilities of the same images.
        class_names: C names.
        count: clusters to start from.
        seed: of k-means, and of the sample: of a larger pool, 5,000 images are clustered and drawn.
        projection: how the maps are drawn, see `plots.probability_map`; fitted on the teacher's first prompt.

    Attributes:
        state: the settings and their outcome, without a front end.

    Raises:
        SettingError: shapes that do not fit, or probabilities that are none.
    """

    def __init__(
        self,
        teacher: Array | Mapping[str, Array],
        student: Array,
        class_names: Sequence[str],
        *,
        count: int = 12,
        seed: int = 0,
        projection: ProjectionName | None = None,
    ) -> None:
        logits = {name: np.asarray(a) for name, a in _by_prompt(teacher).items()}
        answers, self.class_names = np.asarray(student), tuple(class_names)
        _check(logits, answers, len(self.class_names))
        ids = sample(len(answers), HOVERED)[0]
        self.state = BiasState(
            {name: a[ids] for name, a in logits.items()}, normalised(answers[ids]),
            count=count, seed=seed,
        )  # fmt: skip
        self.projection = fit_projection(self.state.teacher, projection)

    def takeaway(self) -> str:
        """Say in words how clustered both are, and whether the groups are the same."""
        return self.state.takeaway()

    def figure(self) -> go.Figure:
        """Return both maps in the current state, without controls."""
        return cluster_figure(*self._maps(), self.projection, self.class_names)

    def _maps(self) -> tuple[ClusterMap, ClusterMap]:
        state, c = self.state, self.state.comparison
        return (
            cluster_map(self.projection, state.teacher, c.teacher, c.teacher),
            cluster_map(self.projection, state.student, c.student, c.teacher),
        )

    def _build(self) -> Any:
        import ipywidgets as w  # noqa: PLC0415  (slow import, only for a front end)

        state, picture, text = self.state, figure_widget(self.figure()), w.HTML(words(self.takeaway()))
        wide = dict(continuous_update=False, style={"description_width": "90px"})
        count = w.IntSlider(state.count, 2, state.most, description="clusters", **wide)
        heats = sorted({*TEMPERATURES, state.temperature})
        heat = w.SelectionSlider(options=heats, value=state.temperature, description="temperature", **wide)
        prompt = w.Dropdown(options=state.prompts, value=state.prompt, description="prompt")
        prompt.layout.display = "none" if len(state.prompts) == 1 else None

        def move(_: Any) -> None:
            text.value = words("Comparing …")
            state.update(prompt=prompt.value, temperature=heat.value, count=count.value)
            self._redraw(picture)
            text.value = words(self.takeaway())

        for control in (count, heat, prompt):
            control.observe(move, names="value")
        return stack(row(heat, count, prompt), text, picture)

    def _redraw(self, picture: Any) -> None:
        """Write the state into the traces of both sides."""
        new = [trace for side in self._maps() for trace in cluster_traces(side)]
        with picture.batch_update():
            for old, other in zip(picture.data[: 2 * TRACES], new, strict=True):
                old.x, old.y = other["x"], other["y"]
                if other["mode"] == "markers":
                    old.marker.color, old.customdata = other["marker"]["color"], other["customdata"]
                elif other["mode"] == "markers+text":
                    old.text = other["text"]


def _by_prompt(teacher: Array | Mapping[str, Array]) -> Mapping[str, Array]:
    return teacher if isinstance(teacher, Mapping) else {"the task's prompts": teacher}


def _check(teacher: Mapping[str, Array], student: Array, classes: int) -> None:
    """Refuse logits and probabilities that do not belong to the same images and classes."""
    if not teacher:
        raise SettingError("teacher must hold logits for at least one prompt, but it is empty.")
    for name, logits in teacher.items():
        if logits.ndim != 2 or logits.shape != student.shape or logits.shape[1] != classes:
            raise SettingError(
                f"teacher and student must have shape (N, {classes}), one row an image, but got {logits.shape} for "
                f"{name!r} and {student.shape}."
            )
        if not np.isfinite(logits).all():
            raise SettingError(f"The teacher's logits for {name!r} must be finite; check its weights.")
