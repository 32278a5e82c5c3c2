import math
from dataclasses import replace

import numpy as np
import pytest
from runs import make_run

from activekd_lab import stats
from activekd_lab.compare.comparison import differences, label_costs, ranks, scores, summary, wins
from activekd_lab.compare.variants import datasets, finished, variants
from activekd_lab.errors import SettingError, UnknownNameError
from activekd_lab.plots.groups import curves

pytestmark = pytest.mark.quick


def with_accuracy(run, accuracy, *, spent=0):
    """Give a run other accuracies, and `spent` more labels in every round."""
    pairs = zip(run.records, accuracy, strict=True)
    return replace(run, records=tuple(replace(r, accuracy=a, labels=r.labels + spent) for r, a in pairs))


def sweep(rng, gain, *, tasks=("toy",), seeds=5, noise=0.007):
    """Four selectors, of which the first has a gain; a seed's initial labels move all of them alike (sd 1.4 points)."""
    found, template = [], make_run(n=16, c=5)
    for task in tasks:
        for seed in range(seeds):
            start = rng.normal(0, 0.014)
            for selector in ("pcoreset", "coreset", "entropy", "random"):
                level = 0.5 + start + gain * (selector == "pcoreset") + rng.normal(0, noise)
                run = replace(template, config={"task": task, "selector": selector, "method": "dho", "seed": seed})
                found.append(with_accuracy(run, level + np.array([-0.1, 0, 0.1])))
    return found


def test_variants_name_what_differs_within_a_data_set_only():
    runs = [make_run(few_shot="none"), make_run(few_shot="clap"), make_run(method="ce", few_shot="none")]
    assert variants(runs) == ["pcoreset · DHO · zero-shot", "pcoreset · DHO · CLAP", "pcoreset · labels only"]
    assert variants([make_run(), make_run("random")]) == ["pcoreset", "random"]
    assert variants([make_run(steps=20), make_run(steps=40)]) == ["pcoreset · steps=20", "pcoreset · steps=40"]
    assert variants([make_run(task="a", budget=48), make_run(task="b", budget=10)]) == ["pcoreset", "pcoreset"]


def test_a_task_with_two_sets_of_options_is_two_data_sets():
    runs = [make_run(task_options={}), make_run(task_options={"imbalance": 2}), make_run(task="other")]
    assert datasets(runs) == ["toy (default)", "toy (imbalance=2)", "other"]


def test_runs_on_other_images_or_with_another_teacher_of_one_name_are_no_seeds_of_one_another():
    runs = [make_run(seed=s, teacher="given") for s in range(4)]
    images = [replace(run, content={"task": task}) for run, task in zip(runs, "aabb", strict=True)]
    assert datasets(images) == ["toy [a]"] * 2 + ["toy [b]"] * 2
    assert summary(scores(images))["seeds"].tolist() == [2, 2]
    taught = [replace(run, content={"task": "a", "teacher": t}) for run, t in zip(runs, "xxyy", strict=True)]
    assert variants(taught) == ["pcoreset · teacher=given [x]"] * 2 + ["pcoreset · teacher=given [y]"] * 2
    assert datasets([*taught, runs[0]]) == ["toy"] * 5  # one of an earlier version knows no hashes
    frozen = [replace(make_run(freeze_backbone=b == "x"), content={"backbone": b}) for b in "xy"]
    assert variants(frozen) == ["pcoreset · freeze_backbone=true", "pcoreset · freeze_backbone=false"]


def test_measures_share_the_range_that_all_runs_reached_with_validation_labels_on_the_axis():
    plain = with_accuracy(make_run(seed=0), [0.2, 0.4, 0.6])  # 5, 10, 15 labels
    tuned = with_accuracy(make_run("random", seed=0), [0.2, 0.4, 0.6], spent=5)  # 10, 15, 20 labels
    found = scores([plain, tuned])
    assert found.ranges == {"toy": (10, 15)}
    assert found.frame["score"].tolist() == pytest.approx([0.5, 0.3])
    assert scores([plain, tuned], "final").frame["score"].tolist() == pytest.approx([0.6, 0.4])
    assert scores([plain, tuned], "labels", at=10).frame["score"].tolist() == pytest.approx([0.4, 0.2])
    assert scores([plain, tuned], "round", at=2).frame["score"].tolist() == pytest.approx([0.6, 0.6])
    assert math.isnan(scores([plain, tuned], "labels", at=20).frame["score"][0])
    for beyond in (-1, 3):
        assert scores([plain, tuned], "round", at=beyond).frame["score"].isna().all()


def test_unfinished_runs_and_wrong_measures_are_refused():
    unfinished = make_run(rounds=2)
    unfinished = replace(unfinished, config={**unfinished.config, "rounds": 8})
    assert not finished(unfinished)
    with pytest.raises(SettingError, match="1 of 2 are unfinished"):
        scores([make_run(seed=1), unfinished])
    with pytest.raises(UnknownNameError, match="Unknown measure 'are'. Known, nearest first: area"):
        scores([make_run()], "are")
    with pytest.raises(SettingError, match="at is for the measures labels and round"):
        scores([make_run()], "labels")


def test_the_same_run_twice_counts_once_and_two_that_contradict_are_refused():
    run = make_run()
    assert len(scores([run, run]).frame) == 1
    with pytest.raises(SettingError, match="two runs of pcoreset on toy with seed 0"):
        scores([run, with_accuracy(run, [0.1, 0.1, 0.1])])


def test_summary_has_a_row_for_each_cell_with_a_score():
    table = summary(scores([make_run(seed=0), make_run(seed=2), make_run("random", seed=0)], "final"))
    assert table[["variant", "seeds"]].values.tolist() == [["pcoreset", 2], ["random", 1]]
    assert table["mean"].tolist() == pytest.approx([0.52, 0.5])


def test_label_cost_has_no_mean_when_a_seed_never_gets_there():
    runs = [with_accuracy(make_run(seed=s), [0.2, 0.4, top]) for s, top in enumerate((0.6, 0.5, 0.5))]
    table = label_costs([*runs, with_accuracy(make_run("random"), [0.1, 0.2, 0.3])], 0.5)
    assert table["reached"].tolist() == [3, 0]
    assert table["labels"][0] == pytest.approx((12.5 + 15 + 15) / 3)
    assert math.isnan(table["labels"][1])


def test_label_cost_has_no_mean_when_one_seed_of_several_never_gets_there():
    runs = [with_accuracy(make_run(seed=s), [0.2, 0.4, top]) for s, top in enumerate((0.6, 0.45, 0.5))]
    table = label_costs(runs, 0.5)
    assert table[["reached", "seeds"]].values.tolist() == [[2, 3]]
    assert table[["labels", "low", "high"]].isna().all(axis=None)
    assert table["median"].tolist() == [15], "of 12.5, 15 and never"
    assert label_costs(runs[1:2], 0.5)["median"].tolist() == [math.inf]


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_intervals_have_the_level_that_is_asked_for(level):
    runs = [with_accuracy(make_run(seed=s), [0.2, 0.4, top]) for s, top in enumerate((0.6, 0.5, 0.55))]
    low, high = summary(scores(runs, "final"), level=level).loc[0, ["low", "high"]]
    assert (low, high) == pytest.approx(stats.mean_interval([0.6, 0.5, 0.55], level=level)[1:3])
    low, high = label_costs(runs, 0.3, level=level).loc[0, ["low", "high"]]
    assert (low, high) == pytest.approx((7.5, 7.5))
    costs = [stats.label_cost([5, 10, 15], [0.2, 0.4, top], 0.45) for top in (0.6, 0.5, 0.55)]
    low, high = label_costs(runs, 0.45, level=level).loc[0, ["low", "high"]]
    assert (low, high) == pytest.approx(stats.mean_interval(costs, level=level)[1:3])


@pytest.mark.parametrize("test", ["t", "wilcoxon"])
def test_the_chosen_test_is_corrected_and_decides_at_its_level(test):
    found = scores(sweep(np.random.default_rng(5), 0.01))
    table = differences(found, {"selector": "random"}, test=test, alpha=0.3)
    assert table["p_holm"].tolist() == pytest.approx(stats.holm(table[f"p_{test}"]).tolist())
    assert table["differs"].tolist() == (table["p_holm"] < 0.3).tolist()
    assert (table["p_t"] != table["p_wilcoxon"]).all()
    assert (table["p_holm"] > table[f"p_{test}"]).any()
    strict = differences(found, {"selector": "random"}, test=test, alpha=1e-9)
    assert not strict["differs"].any()
    assert (strict["high"] - strict["low"] > table["high"] - table["low"]).all()
    assert table["differs"].any()
    with pytest.raises(UnknownNameError, match="Unknown test 'wilcox'"):
        differences(found, {"selector": "random"}, test="wilcox")


def test_a_single_pair_proves_nothing():
    table = differences(scores([make_run(gain=0.2), make_run("random")]), {"selector": "random"})
    assert table[["pairs", "p_holm", "differs"]].values.tolist() == [[1, 1.0, False]]


def test_a_planted_gain_of_two_points_over_five_seeds_is_found_and_nothing_else():
    table = differences(scores(sweep(np.random.default_rng(0), 0.02)), {"selector": "random"}).set_index("variant")
    assert table["differs"].to_dict() == {"pcoreset": True, "coreset": False, "entropy": False}
    assert table.loc["pcoreset", "low"] < 0.02 < table.loc["pcoreset", "high"]
    assert table["pairs"].tolist() == [5, 5, 5]


def share(sweeps, column):
    """Return the share of sweeps with any difference below 5% by a column of p values, and that of the planted one."""
    tables = [differences(scores(runs), {"selector": "random"}) for runs in sweeps]
    return np.mean([[(t[column] < 0.05).any(), t[column][0] < 0.05] for t in tables], axis=0)


@pytest.mark.slow
def test_null_effects_are_found_in_no_more_sweeps_than_promised():
    rng = np.random.default_rng(1)
    any_found, _ = share((sweep(rng, 0.0) for _ in range(500)), "p_holm")
    assert 0 < any_found <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 500)  # measured: 0.054, for any of three


@pytest.mark.slow
def test_power_for_two_points_over_five_seeds():
    rng = np.random.default_rng(2)
    one = [sweep(rng, 0.02) for _ in range(200)]
    two = [sweep(rng, 0.02, tasks=("a", "b")) for _ in range(200)]
    assert share(one, "p_holm")[1] > 0.6  # measured: 0.68
    assert share(one, "p_wilcoxon")[0] == 0  # five pairs are too few for it
    assert share(two, "p_holm")[1] > 0.95


def test_pooling_two_data_sets_lets_wilcoxon_find_it_too():
    found = scores(sweep(np.random.default_rng(2), 0.02, tasks=("a", "b")))
    table = differences(found, {"selector": "random"}, test="wilcoxon").set_index("variant")
    assert table.loc["pcoreset", "pairs"] == 10
    assert table["differs"].to_dict() == {"pcoreset": True, "coreset": False, "entropy": False}


def test_runs_are_compared_with_their_counterpart_on_equal_seeds_only():
    runs = [make_run(s, seed, method=m) for s in ("pcoreset", "random") for m in ("dho", "ce") for seed in (0, 1, 2)]
    table = differences(scores(runs[:-1]), {"selector": "random"})
    assert table[["variant", "against", "pairs"]].values.tolist() == [
        ["pcoreset · DHO", "random · DHO", 3], ["pcoreset · labels only", "random · labels only", 2],
    ]  # fmt: skip
    table = differences(scores(runs), {"method": "ce"})
    assert table["against"].tolist() == ["pcoreset · labels only", "random · labels only"]


def test_labels_only_is_the_counterpart_of_every_few_shot_teacher():
    runs = [make_run(few_shot=f) for f in ("none", "clap")] + [make_run(method="ce", few_shot="none")]
    assert differences(scores(runs), {"method": "ce"})["against"].tolist() == ["pcoreset · labels only"] * 2


@pytest.mark.parametrize(
    "of_the_teacher",
    [{"batch_unlabeled": 128}, {"templates": ["a {}."]}, {"teacher": "RN50/openai"}, {"validation_labels": 50}],
)
def test_labels_only_is_the_counterpart_whatever_else_its_runs_cannot_have(of_the_teacher):
    settings = {"batch_unlabeled": 64, "templates": None, "teacher": "bundled", "validation_labels": 0}
    runs = [make_run(**settings | of_the_teacher), make_run(method="ce", **settings)]
    assert len(differences(scores(runs), {"method": "ce"})) == 1


@pytest.mark.parametrize(
    ("against", "message"),
    [
        ({"selector": "randm"}, "Unknown selector 'randm'. Known, nearest first: random"),
        ({"steps": 3}, "Unknown setting to compare by 'steps'. Known, nearest first: selector"),
        ({}, "must name one setting"),
    ],
)
def test_comparisons_that_are_none_are_refused(against, message):
    with pytest.raises((UnknownNameError, SettingError), match=message):
        differences(scores([make_run(), make_run("random")]), against)


def test_wins_count_settings_where_somebody_else_took_part_and_ties_are_first_together():
    runs = [make_run(s, task=t, gain=g) for s, t, g in (("a", "x", 0.2), ("b", "x", 0.1), ("a", "y", 0.1),
                                                        ("b", "y", 0.1), ("a", "alone", 0.1))]  # fmt: skip
    assert wins(scores(runs)).values.tolist() == [["a", 2, 2], ["b", 1, 2]]


def test_ranks_leave_out_blocks_with_a_gap():
    runs = [make_run(s, seed, gain=g) for s, g in (("a", 0.2), ("b", 0.1)) for seed in range(4)]
    found = ranks(scores(runs[:-1]))
    assert (found.names, found.ranks.tolist(), found.blocks) == (("a", "b"), [1, 2], 3)
    for alpha in (0.05, 0.2):
        critical = ranks(scores(runs), alpha=alpha).critical
        assert critical == pytest.approx(stats.critical_difference(2, 4, alpha=alpha))


def test_methods_that_share_a_seed_are_one_block():
    one = [make_run(s, seed, gain=g) for s, g in (("a", 0.2), ("b", 0.1)) for seed in range(4)]
    both = one + [replace(run, config=run.config | {"method": "ce"}) for run in one]
    assert ranks(scores(both)).blocks == ranks(scores(one)).blocks == 4


def test_ranks_and_wins_need_competitors_that_met():
    apart = scores([make_run("a", 0), make_run("b", 1)])
    with pytest.raises(SettingError, match="at least 2 values of selector and 2 common combinations .* got 2 and 0"):
        ranks(apart)
    for function in (ranks, wins):
        with pytest.raises(UnknownNameError, match="Unknown setting to compare by 'method'"):
            function(apart, "method")


def test_a_run_that_is_there_twice_counts_once_in_every_mean():
    runs = [make_run(seed=seed) for seed in range(3)]
    twice = [*runs, replace(runs[0], folder=None), replace(runs[1], records=runs[1].records[:1])]
    assert label_costs(twice, 0.45).equals(label_costs(runs, 0.45))
    (here,), (there,) = (curves(found, lambda record: record.accuracy) for found in (twice, runs))
    assert (here.mean.tolist(), here.seeds.tolist()) == (there.mean.tolist(), [3, 3, 3])
