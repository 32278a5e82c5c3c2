"""Predict: ask for a prediction before a result is there, lock it, then reveal, explain, and keep the score.

A locked answer is a line of `predictions.json` beside the notebook, and stays what it is when the cell runs again: the
first answer counts. The score asks whether one is right as often as one was sure.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from activekd_lab.errors import DataError, SettingError
from activekd_lab.io.arguments import checked
from activekd_lab.io.files import read_json, there, write_atomic
from activekd_lab.plots.page import missing_front_end, stack
from activekd_lab.widgets.panels import words

STORE = "predictions.json"


class Answer(BaseModel):
    """A locked prediction: what was said, how sure (a fraction), and once it is known whether it was right."""

    model_config = ConfigDict(extra="forbid")
    said: str | float
    sure: float = Field(ge=0, le=1)
    right: bool | None = None


class Answers(BaseModel):
    """All locked predictions, by the key of their question."""

    model_config = ConfigDict(extra="forbid")
    predictions: dict[str, Answer] = {}

    def score(self) -> Score:
        """Return the score of those that were revealed."""
        known = [(a.sure, a.right) for a in self.predictions.values() if a.right is not None]
        n = max(1, len(known))
        brier = sum((sure - right) ** 2 for sure, right in known) / n
        return Score(len(known), sum(right for _, right in known), sum(sure for sure, _ in known) / n, brier)


class Score(NamedTuple):
    """How well calibrated somebody is.

    Attributes:
        asked, right: predictions revealed, and right ones among them.
        sure: mean of how sure they were, a fraction.
        brier: mean of (sure − right)², 0 … 1; always "half sure" gives ¼.
    """

    asked: int
    right: int
    sure: float
    brier: float

    def __str__(self) -> str:
        gap = self.sure - self.right / max(1, self.asked)
        verdict = "too sure" if gap > 0.1 else "not sure enough" if gap < -0.1 else "about as sure as right"
        said = f" You are {verdict}." if self.asked >= 5 else ""  # fewer say nothing
        return (
            f"Right so far: {self.right} of {self.asked}, {self.sure:.0%} sure on average; Brier score {self.brier:.2f}"
            f" (0 is best, always half sure gives 0.25).{said}"
        )


class Shown(str):
    """A sentence that a notebook shows as one."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return words(self)

    def __repr__(self) -> str:
        return str(self)


@checked()
class Predict:
    """One question with its answers; a cell shows the controls, a later one calls `reveal`.

    Args:
        key: names the question, such as "00.final".
        question: one sentence.
        options: the answers to choose from; or two numbers, the ends of a slider.
        within: for a number, how far from the truth counts as right.
        unit: follows a number, such as " %".
        store: the file of locked answers.

    Attributes:
        answer: the locked `Answer`, or None.

    Raises:
        SettingError: fewer than two options, options that repeat, or numbers that do not rise.
        DataError: the file of answers cannot be read.

    Example:
        >>> ask = Predict("doc.coin", "Heads or tails?", ["heads", "tails"], store="no-such-file.json")
        >>> print(ask.reveal("tails"))
        You locked no prediction; the answer is tails.
    """

    def __init__(
        self,
        key: str,
        question: str,
        options: Sequence[str] | tuple[float, float],
        *,
        within: float = 0.0,
        unit: str = "",
        store: str | Path = STORE,
    ) -> None:
        self.key, self.question, self.store = key, question, Path(store)
        self.options: tuple[Any, ...] = tuple(options)
        self.within, self.unit = within, unit
        self.number = all(isinstance(option, Real) for option in self.options)
        if len(set(self.options)) < 2 or len(set(self.options)) < len(self.options):
            raise SettingError(f"options must be two or more different answers, but got {self.options}.")
        if self.number and (len(self.options) > 2 or self.options[0] > self.options[1]):
            raise SettingError(f"options must be a slider's two ends, the smaller first, but got {self.options}.")
        self.answer = self._locked()

    @checked(sure="0 … 1")
    def lock(self, said: str | float, sure: float) -> None:
        """Record an answer and how sure it is, a fraction; a second call changes nothing.

        Raises:
            SettingError: no such option.
        """
        if not self._fits(said):
            raise SettingError(f"said must be one of the options {self.options}, but got {said!r}.")
        self.answer = self._locked()  # another view of the question may have been first
        if self.answer is None:
            self._keep(Answer(said=said, sure=sure))

    def reveal(self, truth: str | float, why: str = "") -> Shown:
        """Return what is true beside what was said, the explanation, and the score so far."""
        told = self._text(truth)
        if self.answer is None:
            return Shown(f"You locked no prediction; the answer is {told}. {why}".rstrip())
        near = abs(float(self.answer.said) - float(truth)) <= self.within if self.number else self.answer.said == truth
        if self.answer.right is None:
            self._keep(self.answer.model_copy(update={"right": bool(near)}))
        said = f"You said {self._text(self.answer.said)}, {self.answer.sure:.0%} sure; the answer is {told}: "
        verdict = "right" if self.answer.right else "not this time"
        verdict += ", by the first run, which counts" * (self.answer.right is not bool(near))
        return Shown(" ".join(filter(None, (f"{said}{verdict}.", why, str(self._read().score())))))

    def _locked(self) -> Answer | None:
        known = self._read().predictions.get(self.key)
        return known if known is not None and self._fits(known.said) else None

    def _fits(self, said: str | float) -> bool:
        if self.number:
            return isinstance(said, Real) and self.options[0] <= said <= self.options[1]
        return said in self.options

    def _text(self, value: str | float) -> str:
        if not self.number:
            return str(value)
        low, high = self.options
        return f"{round(float(value), 1 if high - low >= 10 else 2):g}{self.unit}"

    def _read(self) -> Answers:
        if not there(self.store, kind=DataError):
            return Answers()
        return read_json(self.store, "delete it, and predict anew", schema=Answers, kind=DataError)

    def _keep(self, answer: Answer) -> None:
        everything = self._read()
        everything.predictions[self.key] = self.answer = answer
        write_atomic(self.store, everything.model_dump_json(indent=2) + "\n", kind=DataError)

    def _state(self) -> str:
        if self.answer is None:
            return "Not locked yet: choose an answer, say how sure you are, and lock it."
        return f"Locked: {self._text(self.answer.said)}, {self.answer.sure:.0%} sure."

    @cached_property
    def view(self) -> Any:
        """The ipywidgets tree: the question, its answers, how sure, and a button that locks."""
        import ipywidgets as w  # noqa: PLC0415  (slow import, only for a front end)

        look = {"style": {"description_width": "110px"}, "layout": w.Layout(width="420px")}
        name = "your answer"
        if self.number:
            low, high = (float(end) for end in self.options)
            step = 1 if high - low >= 10 else (high - low) / 20
            said = w.FloatSlider((low + high) / 2, min=low, max=high, step=step, description=name, **look)
        else:
            said = w.RadioButtons(options=self.options, value=None, description=name, **look)
        chance = 50 if self.number else 5 * round(20 / len(self.options))
        sure = w.IntSlider(chance, min=0, max=100, step=5, description="how sure, %", **look)
        lock, state = w.Button(description="Lock it"), w.HTML(words(self._state()))

        def draw() -> None:
            said.disabled = sure.disabled = lock.disabled = self.answer is not None
            if self.answer is not None:
                said.value, sure.value = self.answer.said, round(100 * self.answer.sure)
            state.value = words(self._state())

        def press(_: Any) -> None:
            if said.value is not None:
                self.lock(said.value, sure.value / 100)
            draw()

        lock.on_click(press)
        draw()
        return stack(w.HTML(f"<b>{html.escape(self.question)}</b>"), said, sure, lock, state)

    def __repr__(self) -> str:
        return f"{self.question} {self._state()} (JupyterLab shows the controls.)"

    def _ipython_display_(self) -> None:
        """Show the controls in a notebook, elsewhere the question."""
        from IPython.core.display_functions import display  # noqa: PLC0415  (only inside IPython)

        show: Callable[..., object] = display
        controls = {} if missing_front_end() else self.view._repr_mimebundle_()
        show(controls | {"text/plain": repr(self)}, raw=True)
