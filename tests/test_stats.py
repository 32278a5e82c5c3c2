import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from activekd_lab.errors import SettingError
from activekd_lab.stats import (
    accuracy_at,
    area,
    bootstrap_interval,
    cliques,
    critical_difference,
    holm,
    label_cost,
    mean_interval,
    mean_ranks,
    mean_sd,
    paired,
    reliability,
)

pytestmark = pytest.mark.quick

LABELS, ACCURACY = [10, 20, 40], [0.2, 0.4, 0.5]
# Demšar 2006 (JMLR 7), table 6: area under the ROC curve of C4.5, +m, +cf, +m+cf on 14 data sets. "voting" prints 0.975
# twice but ranks +cf before +m+cf, so it is 0.9751 here.
DEMSAR = np.array([
    [.763, .768, .771, .798], [.599, .591, .590, .569], [.954, .971, .968, .967], [.628, .661, .654, .657],
    [.882, .888, .886, .898], [.936, .931, .916, .931], [.661, .668, .609, .685], [.583, .583, .563, .625],
    [.775, .838, .866, .875], [1.00, 1.00, 1.00, 1.00], [.940, .962, .965, .962], [.619, .666, .614, .669],
    [.972, .981, .9751, .975], [.957, .978, .946, .970],
])  # fmt: skip
NAMES = ["C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf"]


def test_area_is_the_mean_height_of_the_trapezoids():
    assert area(LABELS, ACCURACY) == pytest.approx((10 * 0.3 + 20 * 0.45) / 30)
    assert area(LABELS, ACCURACY, between=(15, 20)) == pytest.approx(0.35)
    assert area([5], [0.7]) == 0.7
    assert math.isnan(area(LABELS, ACCURACY, between=(5, 20)))
    assert math.isnan(area(LABELS, ACCURACY, between=(30, 20)))


def test_accuracy_is_interpolated_and_never_extended():
    assert accuracy_at(LABELS, ACCURACY, 30) == pytest.approx(0.45)
    assert accuracy_at(LABELS, ACCURACY, 10) == 0.2
    assert math.isnan(accuracy_at(LABELS, ACCURACY, 41))


@pytest.mark.parametrize(("target", "cost"), [(0.1, 10), (0.3, 15), (0.5, 40), (0.51, math.inf)])
def test_label_cost(target, cost):
    assert label_cost(LABELS, ACCURACY, target) == pytest.approx(cost)


def test_label_cost_is_where_a_curve_first_reaches_the_target():
    assert label_cost([1, 2, 3, 4], [0.1, 0.5, 0.3, 0.6], 0.5) == 2


@pytest.mark.parametrize(("labels", "accuracy"), [([], []), ([1, 2], [0.1]), ([2, 1], [0.1, 0.2])])
def test_curves_that_are_none_are_refused(labels, accuracy):
    with pytest.raises(SettingError, match="labels must increase and stand beside one accuracy each"):
        area(labels, accuracy)


def test_the_interval_of_a_mean_is_students():
    values = [0.4, 0.5, 0.3, 0.45]
    found = mean_interval(values, level=0.9)
    expected = scipy_stats.t.interval(0.9, 3, np.mean(values), scipy_stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected)
    assert math.isnan(mean_interval([0.5]).low)
    assert mean_sd([0.5]) == (0.5, 0)
    assert mean_sd([0.4, 0.6, 0.5]) == pytest.approx((0.5, 0.1))


@pytest.mark.slow
def test_the_bootstrap_interval_covers_and_is_silent_on_few_values():
    rng = np.random.default_rng(0)
    for n, expected in ((5, 0.92), (10, 0.95)):
        found = [bootstrap_interval(rng.normal(size=n), resamples=2000) for _ in range(2000)]
        assert np.mean([low <= 0 <= high for _, low, high, _ in found]) == pytest.approx(expected, abs=0.02)
    assert math.isnan(bootstrap_interval([1.0, 2.0, 3.0, 4.0]).low)


def test_the_quantiles_of_five_values_are_hesterbergs():
    """Φ(−√(5/4) · 2.776) = 0.00095 in place of 0.025."""
    values = np.random.default_rng(4).normal(size=5)
    drawn = np.random.default_rng(0).integers(0, 5, (5000, 5))
    expected = np.quantile(values[drawn].mean(1), [0.00095, 0.99905])
    assert bootstrap_interval(values)[1:3] == pytest.approx(expected, abs=0.01)


def test_the_bootstrap_interval_of_many_values_is_scipys():
    values = np.random.default_rng(1).exponential(size=400)
    low, high = scipy_stats.bootstrap((values,), np.mean, method="percentile", n_resamples=5000).confidence_interval
    assert bootstrap_interval(values)[1:3] == pytest.approx((low, high), abs=0.01)
    half = scipy_stats.norm.ppf(0.75) * values.std() / 20  # half of the means lie this near
    narrow = bootstrap_interval(values, level=0.5)
    assert (narrow.low, narrow.high) == pytest.approx((narrow.mean - half, narrow.mean + half), abs=0.01)
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1) != bootstrap_interval(values)


def test_paired_p_values_are_scipys():
    rng = np.random.default_rng(2)
    a, b = rng.normal(0.1, 1, 12), rng.normal(size=12)
    found = paired(a, b)
    assert found.difference == pytest.approx(np.mean(a - b))
    assert found.p_t == pytest.approx(scipy_stats.ttest_rel(a, b).pvalue)
    assert found.p_wilcoxon == pytest.approx(scipy_stats.wilcoxon(a, b).pvalue)
    assert (found.low, found.high) == bootstrap_interval(a - b)[1:3]
    other = paired(a, b, level=0.5, seed=3)
    assert (other.low, other.high) == bootstrap_interval(a - b, level=0.5, seed=3)[1:3]


def test_five_pairs_cannot_reach_five_percent_by_wilcoxon():
    found = paired([0.52, 0.54, 0.53, 0.55, 0.51], [0.50, 0.51, 0.51, 0.52, 0.50])
    assert found.p_wilcoxon == found.p_wilcoxon_floor == 0.0625
    assert found.p_t < 0.01


def test_equal_scores_differ_by_nothing_and_one_pair_proves_nothing():
    assert paired([0.5] * 6, [0.5] * 6)[:5] == (0, 0, 0, 1, 1)
    assert paired([0.5, 0.6, 0.7], [0.4, 0.5, 0.6]).p_t == 0.25  # always the same difference: 2 of 8 signs
    assert paired([0.71, 0.64], [0.70, 0.63]).p_t == 0.5
    assert math.isnan(paired([0.5], [0.4]).p_t)
    with pytest.raises(SettingError, match="must hold pairs, but got 2 and 3 scores"):
        paired([1, 2], [1, 2, 3])


def test_holms_worked_example():
    # By hand for m = 4: .005·4, .011·3, .02·2, .04·1, made increasing
    assert holm([0.04, 0.005, 0.02, 0.011]) == pytest.approx([0.04, 0.02, 0.04, 0.033])
    assert holm([0.6, 0.9]) == pytest.approx([1, 1])
    with pytest.raises(SettingError, match="between 0 and 1"):
        holm([1.2])
    with pytest.raises(SettingError, match="finite number"):
        holm([math.nan])


def test_mean_ranks_and_critical_difference_of_demsars_example():
    found = mean_ranks(NAMES, DEMSAR)
    assert dict(zip(found.names, np.round(found.ranks, 3), strict=True)) == {
        "C4.5": 3.143, "C4.5+m": 2.000, "C4.5+cf": 2.893, "C4.5+m+cf": 1.964,
    }  # fmt: skip
    assert found.names[0] == "C4.5+m+cf"
    assert found.critical == pytest.approx(1.25, abs=0.005)
    assert critical_difference(4, 14, alpha=0.1) == pytest.approx(1.12, abs=0.005)
    # the paper's χ² of 9.28 is without the correction for ties, which makes p smaller
    assert 0.01 < found.p_value < scipy_stats.chi2.sf(9.28, 3)
    assert found.cliques == ((0, 3),)  # 3.143 − 1.964 < 1.25
    columns = [DEMSAR[:, NAMES.index(name)] for name in found.names]
    assert found.p_pairs[0, 3] == found.p_pairs[3, 0] == paired(columns[0], columns[3]).p_t
    above = np.triu_indices(4, 1)
    np.testing.assert_array_equal(found.p_holm[above], holm(found.p_pairs[above]))
    assert np.diagonal(found.p_holm).tolist() == [1, 1, 1, 1]
    assert mean_ranks(NAMES, DEMSAR, alpha=0.1).critical == pytest.approx(1.12, abs=0.005)


def test_friedmans_test_is_for_three_or_more_and_finds_nothing_where_all_tie():
    assert math.isnan(mean_ranks(["a", "b"], DEMSAR[:, :2]).p_value)
    assert mean_ranks(["a", "b", "c"], np.ones((4, 3))).p_value == 1
    assert mean_ranks(["a", "b", "c"], DEMSAR[:, :3]).p_value == pytest.approx(
        scipy_stats.friedmanchisquare(*DEMSAR[:, :3].T).pvalue
    )


@pytest.mark.parametrize("share", [0, 1, 1.2, -0.1])
def test_levels_lie_between_zero_and_one(share):
    for function in (mean_interval, bootstrap_interval):
        with pytest.raises(
            SettingError, match=f"level as a finite number between 0 and 1, but got (int|float) {share}"
        ):
            function([0.1, 0.2, 0.3, 0.4, 0.5], level=share)
    with pytest.raises(SettingError, match="alpha as a finite number between 0 and 1"):
        mean_ranks(NAMES, DEMSAR, alpha=share)


@pytest.mark.parametrize("competitors", [2, 3, 5, 10])
def test_critical_values_are_those_of_demsars_table_5(competitors):
    q = {2: 1.960, 3: 2.343, 5: 2.728, 10: 3.164}[competitors]
    scale = np.sqrt(competitors * (competitors + 1) / (6 * 30))
    assert critical_difference(competitors, 30) == pytest.approx(q * scale, abs=0.001 * scale)


def test_cliques_are_maximal_groups_only():
    def within(ranks):
        return np.abs(np.subtract.outer(ranks, ranks)) > 1

    assert cliques(within([1.0, 1.5, 2.4, 4.0])) == ((0, 1), (1, 2))
    assert cliques(within([1.0, 3.0])) == ()
    assert cliques(within([1.0, 2.0])) == ((0, 1),)


def test_ranks_tell_nobody_apart_whom_the_paired_tests_do_not():
    rng = np.random.default_rng(0)
    small = np.array([0.01, 0.02, 0.01, 0.3, 0.01, 0.02])  # always ahead, but one seed carries the mean
    base = rng.normal(0.5, 0.01, 6)
    found = mean_ranks(["a", "b"], np.stack([base + small, base], axis=1))
    assert found.ranks.tolist() == [1, 2]
    assert found.critical < 1  # Nemenyi's difference alone would tell them apart
    assert paired(base + small, base).p_t > 0.05
    assert found.cliques == ((0, 1),)


@pytest.mark.parametrize("table", [[[1, 2]], [[1], [2]], [[1, math.nan], [1, 2]]])
def test_too_little_to_rank_is_refused(table):
    with pytest.raises(SettingError, match="at least 2 blocks"):
        mean_ranks(["a", "b"][: len(table[0])], table)


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        ([[3.0, -2.0]], [0], "look like logits"),
        ([[0.9, 0.3]], [0], "sum to 1"),
        ([[0.9, 0.1]], [-1], "labels must lie in 0 … 1"),
        ([[0.9, 0.1]], [2], "labels must lie in 0 … 1"),
    ],
)
def test_calibration_is_of_probabilities_and_of_labels_that_are_known(probabilities, labels, message):
    with pytest.raises(SettingError, match=message):
        reliability(np.array(probabilities), np.array(labels))
