"""Hidden labels are hidden: with those of the pool and of the test split poisoned, every selector picks the same."""

import dataclasses
import os

import pytest
import torch

from activekd_lab.active.loop import ActiveRun
from activekd_lab.active.pool import initial_ids
from activekd_lab.active.prepare import prepare
from activekd_lab.config import RunConfig
from activekd_lab.data import load_task
from activekd_lab.rng import generator
from activekd_lab.selectors import list_selectors

pytestmark = pytest.mark.battery
OPTIONS = {"num_classes": 4, "pool_size": 60, "test_per_class": 3, "val_per_class": 2}
CONFIG = RunConfig(task="shapes", task_options=OPTIONS, rounds=1, steps=2, device="cpu", backbone="small_cnn",
                   freeze_backbone=False, image_size=16, budget=5)  # fmt: skip


def poisoned(task):
    """Return the task with other labels for all that the run does not buy at its start, whose draw stays the same."""
    N, C = len(task.train), task.num_classes
    order = torch.randperm(N, generator=generator(CONFIG.seed, "initial"))
    start = initial_ids(task.train, C, 1, generator(CONFIG.seed, "initial"))
    place = {int(i): p for p, i in enumerate(order)}
    labels = task.train.labels.clone()
    for i in set(range(N)) - set(start.tolist()):
        free = [c for c in range(C) if place[int(start[c])] < place[i] and c != int(labels[i])]
        labels[i] = free[0] if free else labels[i]
    assert (labels != task.train.labels).float().mean() > 0.7
    train, test = (dataclasses.replace(s, labels=y) for s, y in
                   ((task.train, labels), (task.test, task.test.labels.flip(0))))  # fmt: skip
    return dataclasses.replace(task, train=train, test=test)


ALL = [(s.name, "none") for s in list_selectors()]
FULL = os.environ.get("ACTIVEKD_LAB_BATTERY") == "full"


@pytest.mark.parametrize(("selector", "few_shot"), [*(ALL if FULL else [("badge", "none")]), ("pcoreset", "clap")])
def test_poisoned_hidden_labels_change_no_pick(selector, few_shot):
    config = CONFIG.with_(selector=selector, few_shot=few_shot, task_options={})
    picks = []
    clean = load_task("shapes", **OPTIONS)
    for task in (clean, poisoned(clean)):
        record = next(iter(ActiveRun(prepare(config, task=task))))
        picks.append((record.picks, record.loss))
    assert picks[0] == picks[1]
