"""The method on one page: a plain SVG with the part at hand lit, and the shapes of a run's tensors where there is one.

In a cell's output it takes the page's ink (`currentColor`) and explains each box to the mouse; as an image in a text it
has a ground of its own, light or dark as the system is, and needs no kernel.
"""

from __future__ import annotations

import html
from base64 import b64encode
from typing import TYPE_CHECKING, NamedTuple

from activekd_lab.errors import UnknownNameError
from activekd_lab.plots import theme

if TYPE_CHECKING:
    from activekd_lab.active.loop import ActiveRun


class Box(NamedTuple):
    """A part of the method: where it stands, the words in it, and those that explain it."""

    x: int
    y: int
    width: int
    height: int
    words: str
    tip: str


BOXES = {
    "names": Box(10, 20, 120, 44, "class names", "what the classes are called, as sentences: the prompts"),
    "pool": Box(10, 160, 120, 60, "pool|of images", "may be labelled; teacher and student get the same view"),
    "text": Box(170, 20, 120, 44, "text tower", "CLIP: a sentence becomes a vector of length 1"),
    "image": Box(170, 84, 120, 44, "image tower", "CLIP: an image becomes a vector of length 1"),
    "teacher": Box(340, 46, 130, 56, "teacher’s|probabilities", "softmax of the cosines between image and sentences"),
    "backbone": Box(170, 176, 120, 64, "backbone", "the student’s features h = g(x), shared by both heads"),
    "kd": Box(340, 152, 130, 44, "KD head", "learns the teacher’s whole row"),
    "ce": Box(340, 226, 130, 44, "CE head", "learns the labels"),
    "kd_loss": Box(520, 98, 80, 40, "KD loss", "how far the KD head is from the teacher: T² · KL"),
    "ce_loss": Box(520, 272, 80, 40, "CE loss", "how far the CE head is from the labels: cross-entropy"),
    "mix": Box(620, 178, 80, 60, "mix", "the student’s answer: half of each head"),
    "disk": Box(750, 20, 160, 44, "run on disk", "settings, rounds, labels, provenance"),
    "accuracy": Box(750, 96, 160, 44, "test accuracy", "a number a round, over seeds"),
    "selector": Box(750, 178, 160, 60, "selector|picks B images", "sees probabilities and features, never a label"),
    "person": Box(750, 272, 160, 44, "person labels", "the labels join the labelled images; a fresh student follows"),
}  # fmt: skip
LIT = {
    "loop": ("pool", "backbone", "mix", "selector", "person"),
    "teacher": ("names", "text", "image", "teacher"),
    "student": ("backbone", "kd", "ce", "kd_loss", "ce_loss", "mix"),
    "selector": ("pool", "mix", "selector"),
    "rounds": ("teacher", "backbone", "kd", "ce", "mix", "selector", "person", "accuracy"),
    "labels": ("pool", "selector", "person", "ce_loss"),
    "disk": ("disk",),
    "accuracy": ("accuracy", "disk"),
    "claims": ("teacher", "kd", "ce", "selector", "accuracy"),
    "scale": ("pool", "selector"),
}
"""What each notebook lights."""
_ARROWS = (
    "M130 42H164", "M130 178C150 178 148 106 164 106", "M130 200H164", "M290 42C318 42 316 64 334 64",
    "M290 106C318 106 316 86 334 86", "M290 196C316 196 314 174 334 174", "M290 216C316 216 314 248 334 248",
    "M470 74C500 74 500 108 514 110", "M470 166C500 166 500 132 514 128", "M470 256C500 256 500 282 514 284",
    "M470 184C560 184 560 196 614 198", "M470 238C560 238 560 220 614 218", "M700 208H744",
    "M690 178C700 124 716 118 744 118", "M830 96V70", "M830 238V266", "M750 300H606", "M830 316V324H70V226",
)  # fmt: skip
_GRADIENTS = (  # from a loss back through its head into the backbone
    ("M540 138C530 162 500 176 476 176", theme.PURPLE), ("M340 188C322 188 316 200 296 206", theme.PURPLE),
    ("M540 272C530 254 500 246 476 246", theme.SKY), ("M340 236C322 236 316 228 296 226", theme.SKY),
)  # fmt: skip
_STYLE = f"""
.akd-m{{font:13px {theme.FONT};fill:currentColor}} .akd-m text{{text-anchor:middle}}
.akd-m rect{{fill:none;stroke:currentColor;stroke-opacity:.7;rx:8}} .akd-m .off text{{fill-opacity:.75}}
.akd-m .on rect{{fill:{theme.rgba(theme.VERMILLION, 0.14)};stroke:{theme.VERMILLION};stroke-opacity:1;stroke-width:3}}
.akd-m .on text{{font-weight:700}} .akd-m path{{fill:none;stroke:currentColor;stroke-opacity:.65;stroke-width:1.4}}
.akd-m .back path{{stroke-opacity:1;stroke-width:2;stroke-dasharray:5 3}}
.akd-m marker path{{fill:currentColor;fill-opacity:.65;stroke:none}}
"""
_GROUND = """
.akd-m{color:#1f2328;background:#fff} @media (prefers-color-scheme:dark){.akd-m{color:#e6e6e6;background:#16191d}}
"""
_STILL = "<style>.jp-Notebook:has(.akd-m) img.akd-still{display:none}</style>"  # the picture that this one replaces
_STORY = (
    "The method: class names and images of the pool go through CLIP's two towers to the teacher's probabilities. The "
    "same images go through the student's backbone to a KD head, which learns from the teacher, and a CE head, which "
    "learns from labels; the gradients of both losses meet in the backbone. The mix of both heads is measured on test "
    "images, and tells the selector which images a person labels next. Then a fresh student is trained."
)
_TIP = (
    '<defs><marker id="akd-tip" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="9" markerHeight="9" '
    'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>'
)
_BARE = "This page shows no drawing; trust the notebook, or run the cell. Its boxes: "
"""Text beside SVG's elements is not drawn: it is left where JupyterLab, without trust, takes the elements away."""
_NOTES = (("675", "294", "labels"), ("250", "318", "next round: a fresh student"), ("583", "160", "gradients"))


class Diagram:
    """The drawing, with some boxes lit; a notebook shows it, `image()` is a picture for a text.

    Attributes:
        lit: the boxes that are lit.
        found: what a run adds to the boxes' explanations.
    """

    def __init__(self, lit: tuple[str, ...], found: dict[str, str]) -> None:
        self.lit, self.found = lit, found

    @property
    def alt(self) -> str:
        """The drawing in words."""
        words = ", ".join(BOXES[key].words.replace("|", " ") for key in self.lit)
        measured = "".join(f" {BOXES[key].words.replace('|', ' ')}: {text}." for key, text in self.found.items())
        return f"{_STORY} Lit here: {words}.{measured}"

    def svg(self, style: str = _STYLE) -> str:
        """Return the drawing as an SVG element."""
        forward = "".join(f'<path d="{d}" marker-end="url(#akd-tip)"/>' for d in _ARROWS)
        back = "".join(f'<path d="{d}" style="stroke:{ink}" marker-end="url(#akd-tip)"/>' for d, ink in _GRADIENTS)
        texts = ", ".join(f'<text x="{x}" y="{y}">{words}</text>' for x, y, words in _NOTES)
        boxes = "".join(self._box(key, box) for key, box in BOXES.items())
        return (
            '<svg xmlns="http://www.w3.org/2000/svg" class="akd-m" viewBox="0 0 920 334" role="img" '
            f'aria-label="{html.escape(self.alt)}" style="width:100%;min-width:560px;max-width:920px">'
            f"<style>{style}</style>{_BARE}{_TIP}{forward}"
            f'<g class="back"><title>gradients: two heads keep them apart until the backbone</title>{back}. </g>'
            f'<g class="off">{texts}. </g>{boxes}</svg>'
        )

    def _box(self, key: str, box: Box) -> str:
        lines, tip = box.words.split("|"), "; ".join(filter(None, (box.tip, self.found.get(key))))
        x, top = box.x + box.width / 2, box.y + box.height / 2 + 5 - 8.5 * (len(lines) - 1)
        words = " ".join(f'<text x="{x:g}" y="{top + 17 * i:g}">{line}</text>' for i, line in enumerate(lines))
        return (
            f'<g class="{"on" if key in self.lit else "off"}"><title>{html.escape(tip)}</title>'
            f'<rect x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" pointer-events="all"/>'
            f" [{words}]. </g>"
        )

    def image(self) -> str:
        """Return an `<img>` for a text cell, which needs no kernel and no file."""
        drawn = b64encode(self.svg(_STYLE + _GROUND).encode()).decode()
        return (
            f'<img class="akd-still" alt="{html.escape(self.alt)}" src="data:image/svg+xml;base64,{drawn}" width="920">'
        )

    def _repr_html_(self) -> str:
        return f'{_STILL}<div style="overflow-x:auto">{self.svg()}</div>'

    def __repr__(self) -> str:
        return self.alt


def method_diagram(lit: str = "loop", run: ActiveRun | None = None) -> Diagram:
    """Draw the method with a part of it lit.

    Args:
        lit: a key of `LIT`, such as "teacher", "student" or "selector".
        run: one that has trained a round; its tensors' shapes join the explanations.

    Raises:
        UnknownNameError: no such part.

    Example:
        >>> "teacher" in method_diagram("teacher").lit
        True
    """
    if lit not in LIT:
        raise UnknownNameError("part of the method", lit, LIT)
    return Diagram(LIT[lit], _shapes(run) if run is not None and run.view is not None else {})


def _shapes(run: ActiveRun) -> dict[str, str]:
    """Return what the boxes hold in a run that has trained a round."""
    task, taught, view, last = run.prepared.task, run.prepared.taught, run.view, run.records[-1]
    assert view is not None  # `method_diagram` looked
    asked = {} if taught is None else {
        "image": f"embeddings {tuple(taught.embeddings.shape)}",
        "teacher": f"{tuple(taught.probabilities.shape)}, right on {taught.accuracy:.1%} of the test images",
    }  # fmt: skip
    return asked | {
        "names": f"{len(task.class_names)} classes, the first “{task.class_names[0]}”",
        "pool": f"{len(view.ids)} of {len(task.train)} images have no label",
        "backbone": f"features of the unlabelled {tuple(view.features.shape)}",
        "mix": f"probabilities of the unlabelled {tuple(view.probabilities.shape)}",
        "selector": f"{run.config.selector}, B = {run.budget}",
        "person": f"{last.labels} labels so far",
        "accuracy": f"{last.accuracy:.1%} in round {last.round}",
        "disk": run.config.run_name,
    }
