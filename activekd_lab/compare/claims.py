"""The claims ledger: every claim of both abstracts, what would show it here, and a verdict by a rule set beforehand.

A claim names one number and the side on which that number speaks for it. Evidence is that number in one setting (a
bundled task, a teacher), with a 95% interval over seeds. A setting is *for* the claim if the whole interval lies on
its side, *against* it if the whole interval lies on the other, else *open*; the verdict follows from the settings
(`verdict`). `course.experiments.claims` measures (no torch here).
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from activekd_lab.compare.abstracts import ACTIVEKD, CLAIMS, DHO, Claim
from activekd_lab.compare.comparison import OF_THE_TEACHER
from activekd_lab.compare.variants import datasets, settings, varied_keys
from activekd_lab.errors import SettingError, UnknownNameError
from activekd_lab.io.arguments import checked
from activekd_lab.io.numbers import named
from activekd_lab.runs.records import RunResult, without_copies
from activekd_lab.stats import mean_interval

if TYPE_CHECKING:
    import pandas as pd
    from pandas.io.formats.style import Styler

Verdict = Literal["holds", "holds in part", "mixed", "does not hold", "undecided", "not measured", "not testable here"]
_SHORT = {ACTIVEKD: "ActiveKD", DHO: "DHO"}


class Evidence(NamedTuple):
    """A claim's number in one setting, with the ends of its interval.

    Attributes:
        claim: the claim's key.
        setting: where it was measured, such as "shapes, zero-shot".
        estimate, low, high: in the claim's unit; low and high are NaN where one seed gives no interval.
        seeds: how many went in.
    """

    claim: str
    setting: str
    estimate: float
    low: float
    high: float
    seeds: int


@checked()
def interval(claim: str, setting: str, values: Sequence[float]) -> Evidence:
    """Return the mean of a number over seeds, with Student's 95% interval."""
    return Evidence(claim, setting, *mean_interval(values))


@checked()
def side(claim: Claim, evidence: Evidence) -> Literal["for", "against", "open"]:
    """Say on which side of the claim a setting is: its whole interval must lie there."""
    low, high = sorted(
        (value - claim.threshold) * (1 if claim.above else -1) for value in (evidence.low, evidence.high)
    )
    return "for" if low > 0 else "against" if high < 0 else "open"


@checked()
def verdict(claim: Claim, found: Iterable[Evidence]) -> Verdict:
    """Judge a claim by its settings: all for it, some for and the rest open, some for and some against, or none for.

    With all of them open it is undecided; a claim without a number that can be measured here is not testable here.
    """
    sides = [side(claim, e) for e in found if e.claim == claim.key]
    if not sides:
        return "not measured" if claim.number else "not testable here"
    if "for" in sides:
        return "holds" if set(sides) == {"for"} else "mixed" if "against" in sides else "holds in part"
    return "does not hold" if "against" in sides else "undecided"


@checked()
def ledger(found: Sequence[Evidence]) -> pd.DataFrame:
    """Return the ledger, a row a claim: what the paper says, its figure, ours, the verdict, the runs to start from.

    Raises:
        UnknownNameError: evidence for a claim that is not in `CLAIMS`.
    """
    import pandas as pd  # noqa: PLC0415  (slow import)

    known = {claim.key for claim in CLAIMS}
    for item in found:
        if item.claim not in known:
            raise UnknownNameError("claim", item.claim, known)
    rows = [
        {
            "paper": _SHORT[claim.paper],
            "key": claim.key,
            "claim": claim.says,
            "published": claim.published or "–",
            "number": f"{claim.number}; {rule(claim)}" if claim.number else "–",
            "measured here": "; ".join(_text(claim, e) for e in found if e.claim == claim.key) or "–",
            "verdict": verdict(claim, found),
            "runs to start from": claim.runs,
        }
        for claim in CLAIMS
    ]
    return pd.DataFrame(rows, index=[claim.key for claim in CLAIMS])


@checked()
def show(table: pd.DataFrame) -> Styler:
    """Return a `ledger`, or some columns of one, as a table for the eye: wrapped text, a coloured verdict."""
    import pandas as pd  # noqa: PLC0415  (slow import)

    if not isinstance(table, pd.DataFrame):
        raise SettingError(f"show expected the table of `ledger`, but got {named(table)}.")
    inks = {"holds": "#0072B2", "holds in part": "#56B4E9", "mixed": "#E69F00", "does not hold": "#D55E00"}
    safe = table.map(html.escape)  # settings bear the names of data sets and selectors
    style = safe.replace({"measured here": {"; ": "<br>"}}, regex=True).style.hide(axis="index")
    if "verdict" in table:
        style = style.map(lambda value: f"border-left: 6px solid {inks.get(value, '#808790')}", subset=["verdict"])
    return style.set_table_styles([{"selector": "td, th", "props": "text-align: left; vertical-align: top"}])


@checked()
def rule(claim: Claim) -> str:
    """Say on which side of which threshold a claim's number speaks for it."""
    side = "above" if claim.above else "below"
    return f"speaks for it {side} {claim.threshold:g} {claim.unit}" if claim.number else "–"


def _text(claim: Claim, evidence: Evidence) -> str:
    ends = "one seed" if np.isnan(evidence.low) else f"{evidence.low:.2g} … {evidence.high:.2g}"
    return f"{evidence.setting}: {evidence.estimate:.2g} {claim.unit} ({ends})"


_COMPARED = ("selector", "selector_options", "method", "few_shot")
_Place = tuple[tuple[str, str], ...]  # a setting: its data set, then each key with its value in words


class _Curves(NamedTuple):
    """One setting's runs under DHO: seeds that every selector ran, and accuracies in points."""

    setting: str
    seeds: tuple[int, ...]
    accuracy: Mapping[str, np.ndarray[Any, Any]]  # selector -> (seeds, rounds)

    @property
    def means(self) -> dict[str, np.ndarray[Any, Any]]:
        """Selector -> (seeds,) mean accuracy over the rounds."""
        return {name: values.mean(1) for name, values in self.accuracy.items()}


@checked()
def from_runs(results: Sequence[RunResult]) -> list[Evidence]:
    """Return what stored runs say about distillation and about PCoreSet, a piece of evidence a setting.

    A setting is a data set, a teacher mode (`few_shot`) and whatever else differs between the runs of a data set beside
    selector and seed; only seeds that every selector has run count.

    Raises:
        SettingError: no two runs of a setting share a seed, or two different ones share selector and seed too.
    """
    used = [run for run in without_copies(results)[0] if run.config["method"] in ("dho", "ce")]
    keys = ("few_shot", *(key for key in varied_keys(used) if key not in _COMPARED))
    told = [replace(run, config=config) for run, config in zip(used, settings(used), strict=True)]
    named = list(zip(datasets(used), told, strict=True))
    distilled = _settings([(name, run) for name, run in named if run.config["method"] == "dho"], keys)
    rest = [key for key in keys if key not in OF_THE_TEACHER]
    alone = _settings([(name, run) for name, run in named if run.config["method"] == "ce"], rest)
    found = []
    for place, curves in distilled.items():
        found += _about_pcoreset(curves)
        baseline = alone.get(tuple(pair for pair in place if pair[0] not in OF_THE_TEACHER))
        if baseline:
            found += _about_distillation(curves, baseline)
    if not found:
        raise SettingError(
            "results must hold at least two selectors, or two methods, on a common seed; there are none."
        )
    return found


def _settings(named: Iterable[tuple[str, RunResult]], keys: Sequence[str]) -> dict[_Place, _Curves]:
    """Return the curves of runs, given with their data sets, by setting: a data set and a value for each key."""
    groups: dict[_Place, dict[str, dict[int, list[float]]]] = {}
    for dataset, run in named:
        place = (("dataset", dataset), *((key, _words(key, run.config.get(key))) for key in keys))
        by_seed = groups.setdefault(place, {}).setdefault(str(run.config["selector"]), {})
        seed, accuracy = int(run.config["seed"]), [100 * record.accuracy for record in run.records]
        if by_seed.setdefault(seed, accuracy) != accuracy:
            raise SettingError(
                f"results hold two runs of {run.config['selector']} on {_text_of(place)} with seed {seed}; leave one "
                "out."
            )
    found = {}
    for place, selectors in groups.items():
        seeds = tuple(sorted(set.intersection(*(set(runs) for runs in selectors.values()))))
        rounds = min((len(runs[s]) for runs in selectors.values() for s in seeds), default=0)
        if rounds:
            table = {name: np.array([runs[s][:rounds] for s in seeds]) for name, runs in selectors.items()}
            found[place] = _Curves(_text_of(place), seeds, table)
    return found


def _words(key: str, value: object) -> str:
    return str(value).replace("none", "zero-shot") if key == "few_shot" else f"{key}={value}"


def _text_of(place: _Place) -> str:
    return ", ".join(words for _, words in place)


def _about_pcoreset(curves: _Curves) -> list[Evidence]:
    others = [name for name in curves.accuracy if name != "pcoreset"]
    if len(others) == len(curves.accuracy) or not others:
        return []
    means, mine = curves.means, curves.accuracy["pcoreset"]
    best = max(others, key=lambda name: means[name].mean())
    found = [interval("first", f"{curves.setting} (against {best})", means["pcoreset"] - means[best])]
    if mine.shape[1] > 3:
        rivals = np.max([curves.accuracy[name].mean(0) for name in others], axis=0)
        share = float((mine.mean(0) >= rivals)[3:].mean())
        found.append(Evidence("later_rounds", curves.setting, share, share, share, len(curves.seeds)))
    if "coreset" in others:
        found.append(interval("space", curves.setting, means["pcoreset"] - means["coreset"]))
    return found


def _about_distillation(curves: _Curves, baseline: _Curves) -> list[Evidence]:
    names = sorted(set(curves.accuracy) & set(baseline.accuracy))
    seeds = sorted(set(curves.seeds) & set(baseline.seeds))
    if not names or not seeds:
        return []
    rounds = min(next(iter(c.accuracy.values())).shape[1] for c in (curves, baseline))
    with_teacher, without = (
        {n: c.accuracy[n][[c.seeds.index(s) for s in seeds], :rounds].mean(1) for n in names}
        for c in (curves, baseline)
    )
    gains = {name: with_teacher[name] - without[name] for name in names}
    least = min(names, key=lambda name: gains[name].mean())  # "with every selector" speaks of the one that gains least
    return [interval("distillation", f"{curves.setting} ({least}, the least of {len(names)})", gains[least])]
