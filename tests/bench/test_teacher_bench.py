import os

import pytest
import torch

from activekd_lab.bench import teacher as bench
from activekd_lab.bench.cost import empty_cache
from activekd_lab.data import load_task
from activekd_lab.data.cache import list_cache
from activekd_lab.teachers.clip import load_teacher
from activekd_lab.teachers.few_shot import FEW_SHOT


def test_the_few_shot_table_has_a_row_a_method_and_the_accuracy_of_a_direct_fit():
    table = bench.few_shot_table("digits", seeds=2, shots=(1, 2))
    assert [row[0] for row in table.rows] == list(FEW_SHOT)
    assert table.columns == ("shots", "1", "2")
    task, teacher = load_task("digits"), load_teacher("bundled")
    head, test = teacher.zero_shot(task), teacher.encode(task.test)
    correct = (head.logits(test).argmax(1) == task.test.labels).float().mean()
    assert table.title.endswith(f"zero-shot {100 * float(correct):.1f}")


def test_the_empty_cache_is_empty_and_the_old_one_comes_back():
    before = os.environ["ACTIVEKD_LAB_CACHE"]
    with empty_cache():
        assert os.environ["ACTIVEKD_LAB_CACHE"] != before
        assert list_cache() == []
    assert os.environ["ACTIVEKD_LAB_CACHE"] == before


def test_bias_measures_of_a_student_that_copies_the_teacher_and_of_chance(g):
    task = load_task("digits")
    probabilities = torch.distributions.Dirichlet(torch.full((10,), 0.05)).sample((len(task.train),))
    reference = bench.find_clusters(probabilities, 10, seed=0)
    copy = bench._bias(probabilities, reference, task, 10, 0, embeds=False)
    assert copy[4:6] == [1, pytest.approx(1)]
    chance = bench._bias(bench.shuffle_classes(probabilities, generator=g), reference, task, 10, 0, embeds=False)
    assert abs(chance[4]) < 0.05


def test_a_cell_says_mean_and_deviation():
    assert bench._spread([1.0, 3.0]) == "2.0 ± 1.4"
    assert bench._spread([0.25, 0.25], 1, 2) == "0.25 ± 0.00"
    assert bench._spread([float("nan")]) == "–"
