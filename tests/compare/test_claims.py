"""The ledger: evidence from stored runs, and verdicts by the rule."""

from __future__ import annotations

import re

import numpy as np
import pytest
from runs import make_run
from scipy import stats

from activekd_lab.compare.claims import CLAIMS, Evidence, from_runs, interval, ledger, show, side, verdict
from activekd_lab.course.experiments import claims as measured
from activekd_lab.errors import SettingError, UnknownNameError
from activekd_lab.plots.claims import claim_data, claim_evidence
from activekd_lab.studies.grid import list_studies

pytestmark = pytest.mark.quick

BY_KEY = {claim.key: claim for claim in CLAIMS}


ALL = {"few_shot": "none", "steps": 50, "temperature": 2.0, "task_options": {}}


def runs():
    """PCoreSet gains .2 a round, others less; without distillation .02; seeds shift everything alike."""
    distilled = [("pcoreset", 0.2), ("coreset", 0.15), ("random", 0.1)]
    found = [make_run(n, s, gain=g, rounds=4, **ALL) for n, g in distilled for s in range(3)]
    return found + [make_run(n, s, gain=0.02, rounds=4, method="ce", **ALL) for n, _ in distilled for s in range(3)]


def by_claim(found):
    return {e.claim: e for e in found}


def test_runs_speak_for_and_against():
    found = by_claim(from_runs(runs()))
    assert found["first"].estimate == pytest.approx(100 * 0.05 * 2)  # mean of rounds 0 … 4 is 2
    assert found["first"].setting == "toy, zero-shot (against coreset)"
    assert found["space"].estimate == pytest.approx(10)
    assert found["later_rounds"].estimate == 1
    assert found["distillation"].estimate == pytest.approx(100 * 2 * (0.1 - 0.02)), "of the selector that gains least"
    assert found["distillation"].setting == "toy, zero-shot (random, the least of 3)"
    assert found["distillation"].seeds == 3


def test_only_seeds_that_every_selector_ran_count():
    extra = make_run("pcoreset", 7, gain=0.9, rounds=4, **ALL)
    assert by_claim(from_runs([*runs(), extra]))["first"] == by_claim(from_runs(runs()))["first"]


def two_settings(**config):
    """The runs above, and others under DHO that differ in one setting, where PCoreSet leads by twice as much."""
    gains = {"pcoreset": 0.2, "coreset": 0.1, "random": 0.1}
    others = [make_run(n, s, gain=g, rounds=4, **ALL | config) for n, g in gains.items() for s in range(3)]
    return [*runs(), *others]


@pytest.mark.parametrize(
    ("config", "texts"),
    [
        ({"steps": 99}, ["toy, zero-shot, steps=50", "toy, zero-shot, steps=99"]),
        (
            {"task_options": {"long_tail": 0.5, "num_classes": 9}},
            ["toy (default), zero-shot", "toy (long_tail=0.5, num_classes=9), zero-shot"],
        ),
    ],
)
def test_runs_that_differ_in_a_setting_are_settings_of_their_own(config, texts):
    found = [e for e in from_runs(two_settings(**config)) if e.claim == "space"]
    assert [e.setting for e in found] == texts
    assert [e.estimate for e in found] == pytest.approx([10, 20])


def test_runs_on_labels_alone_are_the_counterpart_of_any_teacher_and_of_their_own_setting_only():
    both = two_settings(temperature=4.0)
    assert len([e for e in from_runs(both) if e.claim == "distillation"]) == 2
    assert len([e for e in from_runs(two_settings(steps=99)) if e.claim == "distillation"]) == 1


def test_two_different_runs_of_a_seed_are_refused_and_the_same_one_twice_is_not():
    assert from_runs([*runs(), runs()[0]]) == from_runs(runs())
    with pytest.raises(SettingError, match="two runs of pcoreset on toy, zero-shot with seed 0; leave one out"):
        from_runs([*runs(), make_run("pcoreset", 0, gain=0.9, rounds=4, **ALL)])


def test_a_losing_selector_is_said_to_lose():
    swapped = [make_run(n, s, gain=g, few_shot="none") for n, g in (("pcoreset", 0.1), ("random", 0.2)) for s in (0, 1)]
    found = from_runs(swapped)
    assert verdict(BY_KEY["first"], found) == "does not hold"
    assert side(BY_KEY["first"], found[0]) == "against"


def test_nothing_to_compare_is_an_error():
    with pytest.raises(SettingError, match="common seed"):
        from_runs([make_run(few_shot="none")])


def test_the_interval_is_students():
    values = [1.0, 2.0, 4.0]
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    found = interval("first", "here", values)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert np.isnan(interval("first", "here", [1.0]).low)


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ([(1, 2), (0.5, 3)], "holds"),
        ([(1, 2), (-1, 1)], "holds in part"),
        ([(1, 2), (-1, 1), (-2, -1)], "mixed"),
        ([(-2, -1), (-1, 1)], "does not hold"),
        ([(-1, 1)], "undecided"),
        ([(float("nan"), float("nan"))], "undecided"),
        ([], "not measured"),
    ],
)
def test_verdicts_follow_from_the_settings(ends, expected):
    found = [Evidence("first", "x", (a + b) / 2, a, b, 3) for a, b in ends]
    assert verdict(BY_KEY["first"], found) == expected


def test_names_in_the_ledger_are_text_for_the_page():
    page = show(ledger([Evidence("first", "<script>alert(1)</script>", 1, 0.5, 2, 3)])).to_html()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_claim_may_speak_from_below():
    assert side(BY_KEY["conflict"], Evidence("conflict", "x", -0.5, -0.6, -0.4, 3)) == "for"
    assert side(BY_KEY["overhead"], Evidence("overhead", "x", 30, 20, 40, 3)) == "against"


def test_the_ledger_has_a_row_a_claim():
    table = ledger(from_runs(runs()))
    assert list(table.index) == [claim.key for claim in CLAIMS]
    assert table.verdict["first"] == "holds"
    assert table.verdict["imagenet"] == "not testable here"
    assert "10 points (" in table["measured here"]["first"]
    assert all(claim.unit in table.number[claim.key] for claim in CLAIMS if claim.number)
    studies = set(re.findall(r"reproduce (\S+)", " ".join(table["runs to start from"])))
    assert studies < set(list_studies())
    assert "not by a study yet" in table["runs to start from"]["conflict"]
    with pytest.raises(UnknownNameError, match="conflict"):
        ledger([Evidence("conflicts", "x", 0, 0, 0, 1)])


def test_the_figure_shows_every_difference_in_points():
    found = from_runs(runs())
    fig = claim_evidence(found)
    assert sum(len(trace.x) for trace in fig.data) == len(claim_data(found)) == 3
    assert fig.layout.xaxis.title.text == "points of accuracy"
    with pytest.raises(SettingError, match="no"):
        claim_evidence([e for e in found if e.claim == "later_rounds"])


@pytest.fixture(scope="module")
def students():
    small = {"num_classes": 6, "pool_size": 200, "test_per_class": 5, "val_per_class": 1}
    return measured.measure_students("shapes", shots=1, seeds=2, steps=40, task_options=small)


@pytest.mark.slow
def test_students_give_a_number_for_each_of_their_claims(students):
    found = by_claim(measured.from_students("shapes", students))
    assert not set(found) & {"first", "clusters"}
    assert {"inheritance", "resolved", "features", "baselines", "teacher", "overhead", "tuning"} < set(found)
    assert all(np.isfinite(e.estimate) for e in found.values())
    assert found["tuning"].estimate > 0, "choosing a mix takes time"
    one, two = (next(s for s in students if s.method == method) for method in ("single_head", "dho"))
    head = 256 * 6 + 6  # weights and biases from the trained layer to six classes
    assert two.trained_weights - one.trained_weights == two.weights - one.weights == head
    more = 100 * head / one.trained_weights
    assert found["overhead"][2:5] == pytest.approx((more, more, more)), "a count has no luck"
    one_head = [s for s in students if s.method in ("ce", "kd")]
    assert all(np.isnan(s.tuned) and np.isnan(s.cosine) for s in one_head)


@pytest.mark.slow
def test_inheritance_is_measured_against_labels_that_make_it_as_accurate(students):
    by_seed = [{s.method: s for s in students if s.seed == seed} for seed in (0, 1)]
    assert any(both["ce"].accuracy < both["dho"].accuracy for both in by_seed), "else there is nothing to make up for"
    for both in by_seed:
        assert both[measured.EQUAL].accuracy == max(both["ce"].accuracy, both["dho"].accuracy), "neither less nor more"
    gaps = [both["dho"].inherited - both[measured.EQUAL].inherited for both in by_seed]
    found = by_claim(measured.from_students("shapes", students))["inheritance"]
    assert found.estimate == pytest.approx(np.mean(gaps))


@pytest.mark.slow
def test_the_teachers_clusters_are_compared_with_shuffled_ones_and_with_those_of_random_sentences():
    small = {"num_classes": 6, "pool_size": 200, "test_per_class": 5, "val_per_class": 1}
    found = measured.teacher_clusters("shapes", repeats=3, task_options=small)
    assert [e.setting for e in found] == ["shapes less shuffled", "shapes less random sentences"]
    assert all(e.low <= e.estimate <= e.high for e in found)
    assert found[0] != found[1]._replace(setting=found[0].setting)
    assert found == measured.teacher_clusters("shapes", repeats=3, task_options=small)
