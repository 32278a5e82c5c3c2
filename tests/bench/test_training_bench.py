from dataclasses import replace

import numpy as np
import pytest
import torch

from activekd_lab.active.prepare import prepare
from activekd_lab.bench.training import SIDES, DecodedInputs, _prepared, speed
from activekd_lab.config import RunConfig
from activekd_lab.course.experiments import students
from activekd_lab.data import Split, load_task


@pytest.fixture
def few_digits(monkeypatch):
    """A tenth of the pool: some sides let the teacher see each image many times."""
    task = load_task("digits")
    few = replace(task, train=Split("train", task.train.images[:150], task.train.labels[:150]))
    monkeypatch.setattr("activekd_lab.active.prepare._load_task", lambda *given: few)


def test_speed_has_a_row_a_way_and_ratios_to_the_first(few_digits):
    table = speed(steps=1)
    assert [row[0] for row in table.rows] == list(SIDES)
    assert table.rows[0][2] == "1.0×"
    assert all("student" in row[3] for row in table.rows)


def test_the_plain_way_sees_the_images_it_decodes():
    prepared = _prepared(next(iter(SIDES)), seed=0, steps=1, device="cpu")
    inputs = DecodedInputs(prepared, prepared.config.image_size)
    views, logits = inputs.batch(torch.arange(6), torch.Generator().manual_seed(0))
    again, _ = inputs.batch(torch.arange(6), torch.Generator().manual_seed(0))
    assert torch.equal(views, again)
    means = prepared.task.train.images[:6].float().mean((1, 2, 3)) / 255
    assert np.corrcoef(views.mean((1, 2, 3)), means)[0, 1] > 0.8
    torch.testing.assert_close(logits, prepared.zero_shot.logits(prepared.teacher.encode_views(views)))


def test_shots_are_measured_by_the_loops_own_training():
    found = students.measure("digits", shots=(1, 4), seeds=2, steps=30)
    assert len(found) == (4 + 2) * 2 * 2
    assert {s.method for s in found if s.cosines} == {"dho", "single_head"}
    table, conflict = students.accuracy_table(found), students.conflict_table(found)
    mean = 100 * np.mean([s.accuracy for s in found if (s.method, s.shots) == ("ce", 4)])
    assert {row[0]: row[2] for row in table.rows}["ce"].startswith(f"{mean:.1f} ±")
    gaps = [100 * (a.accuracy - b.accuracy) for a in found for b in found
            if (a.method, b.method, a[2:4]) == (students.APART, "ce", b[2:4])]  # fmt: skip
    lead = students.gap(found, students.APART, "ce")
    assert (lead.mean, lead.size) == (pytest.approx(np.mean(gaps)), 4)
    assert lead.low < lead.mean < lead.high
    assert [row[:2] for row in conflict.rows] == [
        ("single_head", "1"),
        ("single_head", "4"),
        ("dho", "1"),
        ("dho", "4"),
    ]


def test_the_control_averages_two_students_that_never_met_and_reads_the_label_head_alone():
    found = students.measure("digits", shots=(1,), seeds=1, steps=30)
    scores, answers = {s.method: s.accuracy for s in found}, []
    for method in ("ce", "kd", "dho"):
        prepared = prepare(RunConfig(task="digits", method=method, steps=30))
        answers.append(prepared.predict(students.train(prepared, 1, 0)[0])[1])
    right = [
        (p.argmax(1) == prepared.task.test.labels).float().mean().item()
        for p in (answers[0].ce_logits.softmax(1) + answers[1].kd_logits.softmax(1), answers[2].ce_logits)
    ]
    assert [scores[students.APART], scores[students.LABEL_HEAD]] == pytest.approx(right)
    assert len({*scores.values()}) > 3
