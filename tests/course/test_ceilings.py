"""Which suspect keeps a student below its teacher, and the measurement of each on labels of a small task."""

import pytest
import torch

from activekd_lab.config import RunConfig
from activekd_lab.course.experiments.ceilings import Ceilings, ceilings, mix_on_halves
from activekd_lab.students.student import StudentOutput

FAR = Ceilings(0.6, 0.4, 0.3, 0.4, 0.4, 0.5, 0.7, 0.8)


@pytest.mark.quick
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"one_head": 0.7}, "overtaken, by one_head"),
        ({"one_head": 0.7, "two_heads": 0.75}, "overtaken, by two_heads"),
        ({"one_head": 0.61, "best_mix": 0.55}, "level with its teacher (best_mix, one_head), as far as 600 test"),
        ({"all_labels": 0.5, "copy": 0.5}, "the network cannot learn the task"),
        ({"copy": 0.5}, "the network cannot imitate"),
        ({}, "labels are missing"),
    ],
)
def test_the_rule_asks_in_its_order(change, says):
    assert FAR._replace(**change).advice(600).startswith(says)


@pytest.mark.quick
def test_a_difference_within_two_standard_errors_decides_nothing():
    assert FAR.margin(600) == pytest.approx(0.04)
    assert FAR._replace(one_head=0.63).advice(600).startswith("level")
    assert FAR._replace(one_head=0.63).advice(6000).startswith("overtaken")


@pytest.mark.quick
def test_the_mix_is_chosen_on_one_half_and_measured_on_the_other():
    labels = torch.tensor([0, 0, 1, 1] * 4)
    right = 6.0 * torch.nn.functional.one_hot(labels, 2)
    wrong = 9.0 * torch.nn.functional.one_hot(1 - labels, 2)
    output = StudentOutput(right, wrong, right)  # half and half goes wrong, the label head alone is right
    assert mix_on_halves(output, labels) == (0.0, 1.0)


def test_each_way_of_training_is_measured_on_the_same_labels():
    small = RunConfig(task="shapes", task_options={"num_classes": 4, "pool_size": 60, "test_per_class": 10}, steps=30)
    found = ceilings(small, range(12))
    assert all(0 <= value <= 1 for value in found)
    assert found.all_labels > 1 / 4
    assert len({found.label_head, found.teacher_head, found.one_head, found.all_labels}) > 1
    assert found == ceilings(small, range(12)), "the seed decides"
