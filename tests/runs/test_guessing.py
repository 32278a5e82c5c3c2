"""A teacher that cannot be told from guessing is said to be so, once, with what to do."""

import json

import numpy as np
import pytest
from scipy.stats import binomtest

import activekd_lab as akd
from activekd_lab.plots.report import write_report
from activekd_lab.progress import Remark
from activekd_lab.runs.folder import load_run
from activekd_lab.runs.guessing import Guessed


@pytest.mark.quick
@pytest.mark.parametrize(
    ("right", "labels", "chance", "said"),
    [
        (1, 5, 0.2, True), (3, 5, 0.2, True), (4, 5, 0.2, False), (0, 5, 0.2, True), (3, 10, 0.1, True),
        (4, 10, 0.1, False), (177, 1000, 0.2, True), (250, 1000, 0.2, False),
        (0, 2, 0.5, False), (4, 4, 0.5, False), (4, 5, 0.5, True), (5, 5, 0.5, False),
        (9, 9, 1.0, False), (0, 0, 0.2, False),
    ],
)  # fmt: skip
def test_it_is_said_where_an_exact_test_does_not_tell_it_from_guessing(right, labels, chance, said):
    found = Guessed(right, labels, chance)
    if labels:
        assert found.p_value == pytest.approx(binomtest(right, labels, chance, alternative="greater").pvalue)
    too_few = chance**labels > 0.05
    assert bool(found.remark) == said == (found.p_value > 0.05 and not too_few)


@pytest.mark.quick
def test_chance_is_that_of_the_better_of_two_guessers():
    assert Guessed.of([0, 1, 1], [0, 1, 2], 3) == Guessed(2, 3, 1 / 3)
    assert Guessed.of([0] * 5, [1] * 5, 4) == Guessed(0, 5, 0.25)  # labels of one class tell nothing of their shares
    assert Guessed.of([0] * 20, [0] * 16 + [1, 2] * 2, 3) == Guessed(16, 20, 0.8)
    assert "16 of 20 labels, and guessing, which is right on 80%" in Guessed(16, 20, 0.8).remark


def given(task, sharp):
    """Parts of a run: a task, and a teacher that knows it or does not look."""
    rng, outputs = np.random.default_rng(0), []
    for split in (task.train, task.test):
        labels = split.labels.numpy() if sharp else rng.integers(0, 4, len(split))
        outputs.append(np.eye(4, dtype=np.float32)[labels] * 0.6 + np.float32(0.1))
    return {"task": task, "teacher": akd.given_teacher(probabilities=outputs[0], test=outputs[1])}


@pytest.fixture
def task(tiny):
    return akd.load_task("shapes", **tiny["task_options"])


def test_run_folder_and_report_say_it_once(task, tmp_path):
    config, said = akd.RunConfig(rounds=1, budget=5, steps=3, device="cpu"), []
    parts = given(task, sharp=False)
    result = akd.run(config, store=tmp_path, progress=said.append, **parts)
    predicted = parts["teacher"].encode(task.train).argmax(1)
    right = sum(int(predicted[x.id]) == x.label for x in result.labels if x.source == "initial")
    assert result.teacher_start == Guessed(right, 4, 0.25)
    assert [text for text in said if isinstance(text, Remark)] == [result.teacher_start.remark]
    stored = load_run(result.folder)
    assert stored.teacher_start == result.teacher_start
    page = write_report([stored], tmp_path / "report.html").read_text("utf-8")
    assert page.count("what it teaches may be noise") == 1
    header = json.loads((result.folder / "config.json").read_text())
    del header["teacher_start"]  # as an earlier version wrote it
    (result.folder / "config.json").write_text(json.dumps(header))
    assert load_run(result.folder).teacher_start is None


def test_a_teacher_that_knows_and_one_that_nobody_learns_from_are_left_in_peace(task, tmp_path):
    config, said = akd.RunConfig(rounds=0, steps=3, device="cpu"), []
    result = akd.run(config, progress=said.append, **given(task, sharp=True))
    assert result.teacher_start == Guessed(4, 4, 0.25)
    assert akd.run(config.with_(method="ce"), progress=said.append, **given(task, sharp=False)).teacher_start is None
    assert not [text for text in said if "noise" in text]
    assert "what it teaches" not in write_report([result], tmp_path / "report.html").read_text("utf-8")
