"""The claims ledger: every claim of both abstracts, what would show it here, and a verdict by a rule set beforehand.

A claim names one number and the side on which that number speaks for it. Evidence is that number in one setting (a
bundled task, a teacher), with a 95% interval over seeds. A setting is *for* the claim if the whole interval lies on
its side, *against* it if the whole interval lies on the other, else *open*; the verdict follows from the settings
(`verdict`). No torch: `bench.claims` measures, this module judges.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from activekd_lab.comparison import OF_THE_TEACHER
from activekd_lab.errors import SettingError, UnknownNameError
from activekd_lab.results import RunResult
from activekd_lab.stats import mean_interval
from activekd_lab.variants import datasets, varied_keys

if TYPE_CHECKING:
    import pandas as pd
    from pandas.io.formats.style import Styler

Verdict = Literal["holds", "holds in part", "does not hold", "undecided", "not measured", "not testable here"]
ACTIVEKD, DHO = "arXiv:2506.00910", "arXiv:2505.07675"
_SHORT = {ACTIVEKD: "ActiveKD", DHO: "DHO"}
_REPRODUCE = "activekd-lab reproduce {} --profile paper --out runs/{}"


class Claim(NamedTuple):
    """One claim of an abstract.

    Attributes:
        key: short name.
        paper: arXiv number.
        says: the claim, in our words.
        published: the paper's figure, or "" if the abstract gives none.
        number: what is measured here, with its unit; "" if nothing here can speak for or against.
        threshold: the number's boundary.
        above: whether a number above the boundary speaks for the claim.
        runs: the runs on real data to start from, or that no study measures it yet.
    """

    key: str
    paper: str
    says: str
    published: str
    number: str
    runs: str
    threshold: float = 0.0
    above: bool = True


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


def _study(name: str) -> str:
    return _REPRODUCE.format(name, name)


_ZERO_SHOT, _FEW_SHOT = _study("activekd-zero-shot"), _study("dho-few-shot")
_IMAGENET = _study("dho-low-shot-imagenet")
_TEN = "ten data sets; ImageNet is a grid of your own"
_BY_HAND = 'not by a study yet; in Python activekd_lab.bench.claims.{}("eurosat", teacher="RN50/openai")'
_CLUSTERS, _STUDENTS = _BY_HAND.format("teacher_clusters"), _BY_HAND.format("measure_students")
CLAIMS = (
    Claim(
        "clusters", ACTIVEKD, "The teacher's predictions form clusters in the probability space.", "",
        "share of the teacher's predictions inside their cluster's ball, less the share when each prediction's "
        "classes are shuffled", _CLUSTERS,
    ),
    Claim(
        "inheritance", ACTIVEKD, "The student inherits that structure.", "",
        "adjusted Rand index with the teacher's clusters, DHO less labels only", _STUDENTS,
    ),
    Claim(
        "distillation", ACTIVEKD, "Distillation improves active learning with every selector.",
        "+29.07 points on ImageNet, mean over selectors",
        "mean accuracy over the rounds, DHO less labels only, mean over selectors, points",
        f"{_ZERO_SHOT} and {_study('no-distillation')} ({_TEN})",
    ),
    Claim(
        "first", ACTIVEKD, "PCoreSet ranks first.", "64 of 73 settings",
        "mean accuracy over the rounds, PCoreSet less the best other selector, points", _ZERO_SHOT,
    ),
    Claim(
        "later_rounds", ACTIVEKD, "PCoreSet is always best after the first two query rounds.", "always",
        "share of the rounds after query round 2 in which PCoreSet has the highest mean", _ZERO_SHOT, threshold=0.999,
    ),
    Claim(
        "space", ACTIVEKD, "What to cover is the probability space, not the feature space.", "",
        "mean accuracy over the rounds, PCoreSet less CoreSet, points", _ZERO_SHOT,
    ),
    Claim(
        "breadth", ACTIVEKD, "All of this on 11 data sets, with 5 students and 3 teachers.", "11, 5 and 3", "",
        f"{_ZERO_SHOT} (10 data sets, one student, one teacher)",
    ),
    Claim(
        "conflict", DHO, "On one head, the gradients of labels and teacher conflict.", "",
        "cosine between them on the shared layers, one head, last third of training", _STUDENTS, above=False,
    ),
    Claim(
        "resolved", DHO, "Two heads resolve the conflict.", "",
        "the same cosine, two heads less one", _STUDENTS,
    ),
    Claim(
        "features", DHO, "Two heads learn better features than one.", "",
        "accuracy of a linear probe on the student's features, DHO less one head, points", _STUDENTS,
    ),
    Claim(
        "baselines", DHO, "DHO beats distillation on one head.", "15 data sets",
        "test accuracy, DHO less the better of one head (CE + KD) and teacher only, points", _FEW_SHOT,
    ),
    Claim(
        "teacher", DHO, "The student, though smaller, often beats its teacher.", "",
        "test accuracy, DHO less the zero-shot teacher (which is the smaller one here), points", _FEW_SHOT,
    ),
    Claim(
        "overhead", DHO, "The second head costs next to nothing.", "",
        "processor time of a training, DHO over one head, percent more; 10 counts as next to nothing", _FEW_SHOT,
        threshold=10.0, above=False,
    ),
    Claim(
        "tuning", DHO, "The mix of the heads can be tuned at test time, without training again.", "",
        "test accuracy on one half, mix chosen on the other half less the fixed mix, points", _STUDENTS,
    ),
    Claim(
        "imagenet", DHO, "State of the art on ImageNet with 1% and 10% of the labels.",
        "81.6% and 82.8% (ViT-B/16)", "", _IMAGENET,
    ),
    Claim(
        "shift", DHO, "State of the art on ImageNet's variants (V2, Sketch, A, R).", "", "",
        "activekd-lab data shift STUDENT --root R, with a student that `run --task imagenet --save-student` kept",
    ),
)  # fmt: skip
"""Every claim of both abstracts, in their order."""


def interval(claim: str, setting: str, values: Sequence[float]) -> Evidence:
    """Return the mean of a number over seeds, with Student's 95% interval."""
    return Evidence(claim, setting, *mean_interval(values))


def side(claim: Claim, evidence: Evidence) -> Literal["for", "against", "open"]:
    """Say on which side of the claim a setting is: its whole interval must lie there."""
    low, high = sorted(
        (value - claim.threshold) * (1 if claim.above else -1) for value in (evidence.low, evidence.high)
    )
    return "for" if low > 0 else "against" if high < 0 else "open"


def verdict(claim: Claim, found: Iterable[Evidence]) -> Verdict:
    """Judge a claim: it holds if every setting is for it, in part if some are, not if some are against and none for.

    Otherwise it is undecided; a claim without a number that can be measured here is not testable here.
    """
    sides = [side(claim, e) for e in found if e.claim == claim.key]
    if not sides:
        return "not measured" if claim.number else "not testable here"
    if "for" in sides:
        return "holds" if set(sides) == {"for"} else "holds in part"
    return "does not hold" if "against" in sides else "undecided"


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
            "claim": claim.says,
            "published": claim.published or "–",
            "number": claim.number or "–",
            "measured here": "; ".join(_text(e) for e in found if e.claim == claim.key) or "–",
            "verdict": verdict(claim, found),
            "runs to start from": claim.runs,
        }
        for claim in CLAIMS
    ]
    return pd.DataFrame(rows, index=[claim.key for claim in CLAIMS])


def show(table: pd.DataFrame) -> Styler:
    """Return a `ledger` as a table for the eye: wrapped text, a coloured verdict."""
    inks = {"holds": "#0072B2", "holds in part": "#56B4E9", "does not hold": "#D55E00"}  # Okabe and Ito's colours
    wrapped = table.assign(**{"measured here": table["measured here"].str.replace("; ", "<br>")})
    style = wrapped.style.hide(axis="index")
    style = style.map(lambda value: f"border-left: 6px solid {inks.get(value, '#808790')}", subset=["verdict"])
    return style.set_table_styles([{"selector": "td, th", "props": "text-align: left; vertical-align: top"}])


def _text(evidence: Evidence) -> str:
    ends = "one seed" if np.isnan(evidence.low) else f"{evidence.low:.2g} … {evidence.high:.2g}"
    return f"{evidence.setting}: {evidence.estimate:.2g} ({ends})"


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


def from_runs(results: Sequence[RunResult]) -> list[Evidence]:
    """Return what stored runs say about distillation and about PCoreSet, a piece of evidence a setting.

    A setting is a data set, a teacher mode (`few_shot`) and whatever else differs between the runs of a data set beside
    selector and seed; only seeds that every selector has run count.

    Raises:
        SettingError: no two runs of a setting share a seed, or two different ones share selector and seed too.
    """
    used = [run for run in results if run.config["method"] in ("dho", "ce")]
    keys = ("few_shot", *(key for key in varied_keys(used) if key not in _COMPARED))
    named = list(zip(datasets(used), used, strict=True))
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
        np.mean([c.accuracy[n][[c.seeds.index(s) for s in seeds], :rounds].mean(1) for n in names], axis=0)
        for c in (curves, baseline)
    )
    return [interval("distillation", f"{curves.setting} ({len(names)} selectors)", with_teacher - without)]
