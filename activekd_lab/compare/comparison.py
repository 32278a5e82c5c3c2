"""Runs side by side: one score a run, then means over seeds, paired differences, wins and ranks. No torch.

Data sets and variants are those of `variants.py`; runs pair up by data set and seed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np

from activekd_lab import stats
from activekd_lab.compare.variants import datasets, distinct, finished, plain, settings, variants, varied_keys
from activekd_lab.errors import SettingError, UnknownNameError
from activekd_lab.io.arguments import checked
from activekd_lab.runs.records import RunResult

if TYPE_CHECKING:
    import pandas as pd

Measure = Literal["area", "mean", "final", "labels", "round"]
OF_THE_TEACHER = (
    "teacher", "templates", "few_shot", "protocol", "teacher_views", "batch_unlabeled", "temperature", "ce_share",
    "ce_weight", "kd_temperature", "validation_labels",
)  # fmt: skip
"""Settings that mean nothing to a run on labels only, so that it is the counterpart of runs with any of them."""


class Scores(NamedTuple):
    """One score a run.

    Attributes:
        frame: a row a run: dataset, variant, seed, score (a fraction, NaN if the run does not reach the measure), and a
            column for each key.
        keys: the settings that make a variant, selector first.
        measure: what the score is, in words.
        ranges: by data set, the label counts that all of its runs reached, validation labels included.
    """

    frame: pd.DataFrame
    keys: tuple[str, ...]
    measure: str
    ranges: Mapping[str, tuple[int, int]]


@checked()
def scores(results: Sequence[RunResult], measure: Measure = "area", *, at: int | None = None) -> Scores:
    """Return one score for each run.

    Args:
        results: finished runs of one or more data sets.
        measure: "area" is the mean height of the learning curve over the label counts that all runs of the data set
            reached; "mean" the mean of the rounds in that range; "final" the accuracy at the last of these; "labels"
            the accuracy at `at` labels, interpolated; "round" the accuracy after round `at`, whatever it cost.
        at: label count or round.

    Raises:
        UnknownNameError: a measure that does not exist.
        SettingError: no run, an unfinished one, two that differ but should not, or `at` missing or without effect.
    """
    import pandas as pd  # noqa: PLC0415  (slow import)

    _check(results, measure, at)
    results = distinct(results)
    keys, named = varied_keys(results), datasets(results)
    ranges = _ranges(results, named)
    rows = []
    for result, config, dataset, variant in zip(results, settings(results), named, variants(results), strict=True):
        row = {"dataset": dataset, "variant": variant, "seed": int(result.config["seed"])}
        row |= {key: plain(config.get(key)) for key in keys}
        rows.append(row | {"score": _score(result, measure, at, ranges[dataset])})
    return Scores(pd.DataFrame(rows), keys, _measure_text(measure, at), ranges)


def _check(results: Sequence[RunResult], measure: str, at: int | None) -> None:
    if measure not in get_args(Measure):
        raise UnknownNameError("measure", measure, get_args(Measure))
    if (at is None) != (measure not in ("labels", "round")):
        raise SettingError(f"at is for the measures labels and round, but got at={at} with measure={measure!r}.")
    unfinished = [result for result in results if not finished(result)]
    if unfinished or not results:
        raise SettingError(
            f"results must hold finished runs, but {len(unfinished)} of {len(results)} are unfinished; wait for them, "
            "or leave them out."
        )


def _ranges(results: Sequence[RunResult], named: Sequence[str]) -> dict[str, tuple[int, int]]:
    by_name: dict[str, list[RunResult]] = {}
    for result, dataset in zip(results, named, strict=True):
        by_name.setdefault(dataset, []).append(result)
    return {name: common_range(runs) for name, runs in by_name.items()}


@checked()
def common_range(results: Sequence[RunResult]) -> tuple[int, int]:
    """Return the label counts that all of one data set's runs reached; the first is above the last if there is none."""
    if not results:
        raise SettingError("results must hold runs, but there are none.")
    return max(r.records[0].labels for r in results), min(r.records[-1].labels for r in results)


def _score(result: RunResult, measure: str, at: int | None, between: tuple[int, int]) -> float:
    labels, accuracy = curve(result)
    if measure == "area":
        return stats.area(labels, accuracy, between=between)
    if measure == "mean":
        return mean_between(result, between)
    if measure == "round":
        return accuracy[at] if at is not None and 0 <= at < len(accuracy) else math.nan
    return stats.accuracy_at(labels, accuracy, between[1] if at is None else at)


@checked()
def curve(result: RunResult) -> tuple[list[int], list[float]]:
    """Return a run's label counts, validation labels included, and its accuracies."""
    return [record.labels for record in result.records], [record.accuracy for record in result.records]


@checked()
def mean_between(result: RunResult, between: tuple[int, int]) -> float:
    """Return the mean accuracy of the rounds between two label counts, both included; NaN where there is none."""
    inside = [record.accuracy for record in result.records if between[0] <= record.labels <= between[1]]
    return sum(inside) / len(inside) if inside else math.nan


def _measure_text(measure: str, at: int | None) -> str:
    return {
        "area": "mean height of the learning curve over the label counts that all runs reached",
        "mean": "mean over the rounds within the label counts that all runs reached",
        "final": "accuracy at the last label count that all runs reached",
        "labels": f"accuracy at {at} labels",
        "round": f"accuracy after round {at}",
    }[measure]


@checked()
def summary(found: Scores, *, level: float = 0.95) -> pd.DataFrame:
    """Return mean, Student's t interval and sample deviation over seeds (NaN for one): a row a variant and data set."""
    import pandas as pd  # noqa: PLC0415  (slow import)

    known = found.frame.dropna(subset="score")
    rows = [
        {"variant": variant, "dataset": dataset, **stats.mean_interval(group["score"], level=level)._asdict()}
        | {"sd": group["score"].std()}
        for (variant, dataset), group in known.groupby(["variant", "dataset"], sort=False)
    ]
    columns = ["variant", "dataset", *stats.Interval._fields, "sd"]
    return pd.DataFrame(rows, columns=columns).rename(columns={"size": "seeds"})


@checked()
def label_costs(results: Sequence[RunResult], target: float, *, level: float = 0.95) -> pd.DataFrame:
    """Return the labels needed to reach an accuracy: a row a data set and variant.

    Mean and interval are NaN unless every seed reaches the target: leaving out those that do not would flatter. The
    median counts them as infinite, so it is a number while more than half of the seeds get there.

    Args:
        results: runs.
        target: accuracy, a fraction.
        level: of Student's t interval over seeds.

    Raises:
        SettingError: two different runs of one variant and seed.
    """
    import pandas as pd  # noqa: PLC0415  (slow import)

    results = distinct(results)
    costs: dict[tuple[str, str], list[float]] = {}
    for result, *place in zip(results, datasets(results), variants(results), strict=True):
        costs.setdefault((place[0], place[1]), []).append(stats.label_cost(*curve(result), target))
    rows = []
    for (dataset, variant), cost in costs.items():
        reached = int(np.isfinite(cost).sum())
        mean, low, high, _ = stats.mean_interval(cost, level=level) if reached == len(cost) else (math.nan,) * 4
        row = {"dataset": dataset, "variant": variant, "labels": mean, "low": low, "high": high}
        rows.append(row | {"median": float(np.median(cost)), "reached": reached, "seeds": len(cost)})
    return pd.DataFrame(rows)


@checked()
def differences(
    found: Scores,
    against: Mapping[str, Any],
    *,
    test: Literal["t", "wilcoxon"] = "t",
    alpha: float = 0.05,
) -> pd.DataFrame:
    """Compare each variant with the one that differs from it in a single setting, over equal data sets and seeds.

    Pairs of all data sets are pooled: the answer is about these data sets, not about others. Holm's correction is over
    all rows.

    Args:
        found: scores.
        against: one setting of the counterparts, such as {"selector": "random"} or {"method": "ce"}.
        test: which p value is corrected and decides: the paired t test, or Wilcoxon's, which needs six pairs at least
            (more with several rows) to reach 5%.
        alpha: level of the decision, and of the bootstrap interval.

    Returns:
        A row a variant that has a counterpart: variant, against, the fields of `stats.Paired`, p_holm, differs.

    Raises:
        UnknownNameError: a setting that does not differ between the runs, a value that none has, or an unknown test.
        SettingError: more than one setting.
    """
    import pandas as pd  # noqa: PLC0415  (slow import)

    key, value = _single(against)
    if key not in found.keys:
        raise UnknownNameError("setting to compare by", key, found.keys)
    if test not in ("t", "wilcoxon"):
        raise UnknownNameError("test", test, ("t", "wilcoxon"))
    groups = {str(name): group for name, group in found.frame.dropna(subset="score").groupby("variant", sort=False)}
    own_settings = {name: {k: group.iloc[0][k] for k in found.keys} for name, group in groups.items()}
    if value not in {*found.frame[key]}:
        raise UnknownNameError(key, value, sorted({*map(str, found.frame[key])}))
    rows = []
    for name, own in own_settings.items():
        others = [other for other, theirs in own_settings.items() if _counterpart(own, theirs, key, value)]
        pairs = groups[name].merge(groups[others[0]], on=["dataset", "seed"]) if others else None
        if pairs is not None and len(pairs):
            row = stats.paired(pairs["score_x"], pairs["score_y"], level=1 - alpha)._asdict()
            rows.append({"variant": name, "against": others[0], **row})
    table = pd.DataFrame(rows, columns=["variant", "against", *stats.Paired._fields])
    chosen = table[f"p_{test}"].fillna(1.0)  # a single pair proves nothing
    table["p_holm"] = stats.holm(chosen) if len(table) else chosen
    table["differs"] = table["p_holm"] < alpha
    return table


def _single(against: Mapping[str, Any]) -> tuple[str, Any]:
    if len(against) != 1:
        raise SettingError(f'against must name one setting, such as {{"selector": "random"}}, but got {dict(against)}.')
    key, value = next(iter(against.items()))
    return key, plain(value)


def _counterpart(own: Mapping[str, Any], other: Mapping[str, Any], key: str, value: Any) -> bool:
    """Return whether `other` has `key` at `value` where `own` has not, and agrees in all else that matters."""
    skipped = {key, *(OF_THE_TEACHER if "ce" in (own.get("method"), other.get("method")) else ())}
    agrees = all(own[k] == other[k] for k in own if k not in skipped)
    return bool(agrees and other[key] == value and own[key] != value)


@checked()
def wins(found: Scores, among: str = "selector") -> pd.DataFrame:
    """Count in how many settings each competitor is first by its mean over seeds; ties are first together.

    A setting is a data set with all that differs beside `among`; only those with two competitors or more count.

    Args:
        found: scores.
        among: the setting whose values compete.

    Returns:
        A row a competitor, most wins first: the competitor, first, settings (in which it took part).

    Raises:
        UnknownNameError: a setting that does not differ between the runs.
    """
    _check_key(among, found)
    rest = ["dataset", *(key for key in found.keys if key != among)]
    means = found.frame.dropna(subset="score").groupby([*rest, among], sort=False)["score"].mean().reset_index()
    by_setting = means.groupby(rest, sort=False)["score"]
    means["first"] = means["score"] == by_setting.transform("max")
    contested = means[by_setting.transform("size") > 1]
    table = contested.groupby(among, sort=False)["first"].agg(["sum", "size"]).reset_index()
    table.columns = [among, "first", "settings"]
    return table.sort_values("first", ascending=False, kind="stable", ignore_index=True)


@checked()
def ranks(found: Scores, among: str = "selector", *, alpha: float = 0.05) -> stats.Ranks:
    """Rank competitors in blocks of equal data set and seed, by their mean over other settings that all of them ran.

    Runs of one seed that differ in another setting share their start and their images, so they are one block. Seeds of
    one data set are no independent data sets: the test speaks about these data sets only.

    Raises:
        UnknownNameError: a setting that does not differ between the runs.
        SettingError: fewer than two competitors, or fewer than two blocks in which all of them ran.
    """
    _check_key(among, found)
    rest = ["dataset", "seed", *(key for key in found.keys if key != among)]
    table = found.frame.pivot_table(index=rest, columns=among, values="score", sort=False).dropna()
    table = table.groupby(["dataset", "seed"], sort=False).mean()
    if min(table.shape) < 2:
        raise SettingError(
            f"results must hold at least 2 values of {among} and 2 common combinations of dataset and seed, but got "
            f"{table.shape[1]} and {table.shape[0]}."
        )
    return stats.mean_ranks([str(name) for name in table.columns], table.to_numpy(), alpha=alpha)


def _check_key(key: str, found: Scores) -> None:
    if key not in found.keys:
        raise UnknownNameError("setting to compare by", key, found.keys)
