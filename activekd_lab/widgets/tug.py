"""TugOfWar: label and teacher pull at one prediction over three classes; the arrows are the losses' gradients."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from activekd_lab.errors import SettingError
from activekd_lab.io.arguments import checked
from activekd_lab.plots import theme
from activekd_lab.plots.page import front_end, row, stack
from activekd_lab.plots.projection import fit_projection
from activekd_lab.widgets.base import Explorer
from activekd_lab.widgets.panels import words
from activekd_lab.widgets.runner import Array

_STYLE = """
.akd-tug{width:100%;max-width:620px;font:14px sans-serif;color:var(--jp-ui-font-color1,#1d2530);touch-action:none}
.akd-tug text{fill:currentColor} .akd-tug .name{text-anchor:middle}
.akd-tug .handle{cursor:grab}
.akd-tug .handle:focus-visible circle{stroke:var(--jp-brand-color1,#1976d2);stroke-width:4}
.akd-tug .handle:focus{outline:none}
"""


class Pulls(NamedTuple):
    """The two parts of the negative gradient at a head's logits, (C,) each, and the cosine between them.

    Attributes:
        label: λ (y − s), of the cross-entropy.
        teacher: (1 − λ) (t − s), of the distillation at T = 1.
        cosine: in [−1, 1]; NaN where one of them is zero.
    """

    label: Array
    teacher: Array
    cosine: float


def pulls(label: Array, teacher: Array, student: Array, ce_share: float) -> Pulls:
    """Return what label and teacher, (C,) probabilities, want a head to change that says `student`, (C,) too."""
    parts = ce_share * (label - student), (1 - ce_share) * (teacher - student)
    long = float(np.linalg.norm(parts[0]) * np.linalg.norm(parts[1]))
    return Pulls(*parts, float(parts[0] @ parts[1]) / long if long > 1e-9 else float("nan"))


class TugOfWar(Explorer):
    """Drag label, teacher and student in the triangle of three classes, by mouse or by the arrow keys.

    Args:
        class_names: three names.
        ce_share: λ, the label's share of the loss.

    Attributes:
        label, teacher, student: probabilities, (3,) each; the label is certain.
        ce_share: λ.
        one_head: whether the student has one head, or two, of which each hears one source.

    Raises:
        SettingError: not three names.
    """

    @checked(ce_share="0 … 1")
    def __init__(self, class_names: Sequence[str] = ("cat", "dog", "fox"), *, ce_share: float = 0.5) -> None:
        self.class_names = tuple(class_names)
        if len(self.class_names) != 3:
            raise SettingError(f"The triangle has three corners, but got {len(self.class_names)} class names.")
        self.ce_share, self.one_head = ce_share, True
        self.label, self.teacher, self.student = ([1.0, 0, 0], [0.15, 0.25, 0.6], [0.3, 0.4, 0.3])

    def _pulls(self) -> Pulls:
        return pulls(np.array(self.label), np.array(self.teacher), np.array(self.student), self.ce_share)

    def takeaway(self) -> str:
        """Say how the two pulls lie to each other, and where the head comes to rest."""
        found = self._pulls()
        if not self.one_head:
            return (
                "Two heads: one follows the label's arrow to its end, the other the teacher's; both come to rest at 0."
            )
        rest = self.ce_share * np.array(self.label) + (1 - self.ce_share) * np.array(self.teacher)
        there = ", ".join(f"{name} {p:.0%}" for name, p in zip(self.class_names, rest, strict=True))
        near = float(np.linalg.norm(found.label + found.teacher)) < 0.05
        now = " It is there: what is left of the two pulls is opposed, and goes on." if near else ""
        return (
            f"One head, λ = {self.ce_share:g}: cosine {found.cosine:+.2f} between the pulls; it rests at {there}.{now}"
        )

    def figure(self) -> go.Figure:
        """Return the triangle as it stands, without controls."""
        fig = theme.figure("What pulls at one prediction", self.takeaway(), height=480)
        triangle, found = fit_projection(np.eye(3), "ternary"), self._pulls()
        x, y = triangle.rim.T
        fig.add_trace(go.Scatter(x=x, y=y, mode="lines", line={"color": theme.GREY}, showlegend=False))
        start = np.array(self.student)
        for name, part, color in (("label", found.label, theme.VERMILLION), ("teacher", found.teacher, theme.PURPLE)):
            x, y = triangle.positions(np.stack([start, start + part])).T
            mark = {"symbol": ["circle", "arrow"], "angleref": "previous", "size": 14, "color": color}
            fig.add_trace(go.Scatter(x=x, y=y, mode="lines+markers", name=name, marker=mark, line={"color": color}))
        for name, (px, py) in zip(self.class_names, triangle.corners.tolist(), strict=True):
            fig.add_annotation(x=px, y=py, text=theme.plain(name), showarrow=False, yshift=12 if py > 0 else -12)
        fig.update_layout(legend={"x": 0.02, "y": 0.98, "orientation": "v"}, legend_title_text="pulls of")
        fig.update_xaxes(visible=False, range=[-1.15, 1.15])
        return fig.update_yaxes(visible=False, range=[-0.7, 1.15], scaleanchor="x")

    def _build(self) -> Any:
        import ipywidgets as w  # noqa: PLC0415  (slow import, only for a front end)

        names = ("label", "teacher", "student", "ce_share", "one_head")
        colors = [theme.VERMILLION, theme.PURPLE]
        drawn = _triangle_class()(
            class_names=list(self.class_names), colors=colors, **{n: getattr(self, n) for n in names}
        )
        share = w.FloatSlider(self.ce_share, min=0, max=1, step=0.05, description="λ (label)")
        heads = w.RadioButtons(options=[("one", True), ("two", False)], value=self.one_head, description="heads")
        text = w.HTML(words(self.takeaway()))
        w.jslink((share, "value"), (drawn, "ce_share"))

        def follow(_: Any) -> None:
            for name in names:
                setattr(self, name, getattr(drawn, name))
            text.value = words(self.takeaway())

        heads.observe(lambda change: setattr(drawn, "one_head", change["new"]), names="value")
        drawn.observe(follow, names=list(names))
        return stack(row(share, heads), drawn, text)


@cache
def _triangle_class() -> Any:
    """Return the anywidget class whose front end is tug.js."""
    import traitlets as t  # noqa: PLC0415  (slow import, only for a front end)

    class Triangle(front_end(Path(__file__).with_name("tug.js"))):  # type: ignore[misc]
        _css = _STYLE
        label, teacher, student = (t.List(t.Float()).tag(sync=True) for _ in range(3))
        class_names, colors = (t.List(t.Unicode()).tag(sync=True) for _ in range(2))
        ce_share, one_head = t.Float().tag(sync=True), t.Bool(default_value=True).tag(sync=True)

    return Triangle
