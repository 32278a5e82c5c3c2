"""What each failure does to the arrays, and that nothing else changes."""

import pytest
import torch

from activekd_lab.active import failures
from activekd_lab.active.prepare import prepare
from activekd_lab.config import RunConfig
from activekd_lab.errors import SettingError

OPTIONS = {"num_classes": 6, "pool_size": 120, "test_per_class": 4, "val_per_class": 1}


@pytest.fixture(scope="module")
def start():
    return failures.scene(prepare(RunConfig(task_options=OPTIONS, steps=5, device="cpu")), seed=0)


def labels(scene):
    return scene.prepared.task.train.labels


def test_a_cold_start_has_as_many_labels_of_fewer_classes(start):
    found = failures.cold_start(start, 0.5, seed=1)
    assert len(found.first) == len(set(found.first.tolist())) == 6
    assert len(labels(start)[found.first].unique()) == 3
    assert len(labels(start)[failures.cold_start(start, 1.0, seed=1).first].unique()) == 1
    assert torch.equal(failures.cold_start(start, 0, seed=1).first, start.first)


def test_wrong_answers_reach_the_pool_only(start):
    found = failures.noisy_labels(start, 0.25, seed=1)
    assert (labels(found) != labels(start)).float().mean() == 0.25
    assert torch.equal(found.prepared.task.test.labels, start.prepared.task.test.labels)


def test_a_temperature_changes_how_sure_the_teacher_is_and_not_what_it_says(start):
    before = start.prepared.teacher_probabilities
    for temperature, surer in ((0.1, True), (10, False)):
        after = failures.miscalibrated(start, temperature).prepared
        assert torch.equal(after.teacher_probabilities.argmax(1), before.argmax(1))
        assert (after.teacher_probabilities.max(1).values.mean() > before.max(1).values.mean()) == surer
        assert torch.allclose(after.inputs.teacher_logits.softmax(1), after.teacher_probabilities)


@pytest.mark.parametrize("share", [0, 0.25, 0.5])
def test_a_share_of_the_pool_shows_no_class_and_rows_stay_together(start, share):
    found, before = failures.out_of_class(start, share, seed=1), start.prepared
    size = int((labels(start) < 3).sum())
    assert len(labels(found)) == size
    assert int((labels(found) == -1).sum()) == round(share * size)
    assert sorted(labels(found)[found.first].tolist()) == [0, 1, 2]
    assert found.prepared.task.num_classes == 3
    assert found.prepared.task.test.labels.max() == 2
    known = {tuple(f[:8].tolist()): y for f, y in zip(before.features[0], labels(start).tolist(), strict=True)}
    truth = torch.tensor([known[tuple(f[:8].tolist())] for f in found.prepared.features[0]])
    assert torch.equal(torch.where(truth < 3, truth, -1), labels(found)), "features and labels of the same images"


def test_strangers_cost_a_label_and_teach_nothing(start):
    spoilt = failures.out_of_class(start, 0.5, seed=0)
    for selector in ("pcoreset", "random"):
        found = failures.play(spoilt, "dho", selector, rounds=2, budget=6, seed=0)
        assert found == failures.play(spoilt, "dho", selector, rounds=2, budget=6, seed=0)
        assert 0 < found.wasted < 12
    assert failures.play(start, "dho", "random", rounds=2, budget=6, seed=0).wasted == 0


def test_levels_that_cannot_be_are_refused(start):
    with pytest.raises(SettingError, match="temperature as a finite number 0.001"):
        failures.miscalibrated(start, 0)
    with pytest.raises(SettingError, match="share must leave 3 images"):
        failures.out_of_class(start, 1.0, seed=0)
    with pytest.raises(SettingError, match="cached features"):
        failures.scene(prepare(RunConfig(task_options=OPTIONS, method="ce", device="cpu")), seed=0)
