"""Trainings of several tasks in one table, and in how many of them one method leads another."""

import pytest

from activekd_lab.course.experiments.students import Shot, interval_text, lineup, tally

pytestmark = pytest.mark.quick
SCORES = {  # by setting and method, a score a seed
    ("tiles", 1): {"dho": (0.80, 0.82), "ce": (0.70, 0.72)},
    ("shapes", 1): {"dho": (0.40, 0.42), "ce": (0.50, 0.52)},
    ("shapes", 8): {"dho": (0.60, 0.70), "ce": (0.60, 0.60)},
}
FOUND = [
    Shot(task, method, shots, seed, score)
    for (task, shots), methods in SCORES.items()
    for method, scores in methods.items()
    for seed, score in enumerate(scores)
]


def test_a_row_is_a_setting_and_its_best_is_bold():
    table = lineup(FOUND)
    assert table.rows == (("tiles, 1", "81.0", "71.0"), ("shapes, 1", "41.0", "51.0"), ("shapes, 8", "65.0", "60.0"))
    assert table.best == {(0, 1), (1, 2), (2, 1)}
    assert "2 seeds" in table.title


def test_leads_are_counted_and_those_that_may_be_luck_are_not_called_sure():
    assert tally(FOUND, "dho", "ce") == (
        "dho leads ce in 2 of 3 settings, beyond luck in 1, and behind beyond luck in 1 (+10.0, -10.0, +5.0 points)"
    )


def test_an_interval_that_holds_0_tells_neither_more_nor_less():
    assert interval_text([1.0, 1.2, 1.1]) == "+1.1 (95%: +0.9 to +1.3): more"
    assert interval_text([-1.0, -1.2, -1.1]).endswith("less")
    assert interval_text([1.0, -1.2, 0.1]).endswith("cannot tell")
    assert interval_text([1.0]).endswith("cannot tell")  # one seed has no interval
