"""Learning rates at the steps that tell schedules apart: 0, 1, w, w + 1 and the last."""

from fractions import Fraction
from math import cos, pi

import pytest
import torch

from activekd_lab.errors import SettingError
from activekd_lab.students.schedule import SCHEDULES, rate_at

STEPS, W = 400, 40  # a round with 100 labels, a tenth of it warm-up
AT = (0, 1, W, W + 1, STEPS - 1)


def rates(schedule, steps=STEPS, **settings):
    return [rate_at(step, steps, schedule=schedule, **settings) for step in range(steps)]


def test_the_published_linear_schedule_starts_at_nothing():
    found = rates("linear-from-0")
    expected = [Fraction(0), Fraction(1, 40), Fraction(1), Fraction(359, 360), Fraction(1, 360)]
    assert [found[k] for k in AT] == pytest.approx([float(f) for f in expected], abs=1e-12)


def test_ours_wastes_no_step():
    found = rates("linear")
    expected = [Fraction(1, 40), Fraction(2, 40), Fraction(1), Fraction(359, 360), Fraction(1, 360)]
    assert [found[k] for k in AT] == pytest.approx([float(f) for f in expected], abs=1e-12)
    assert found[W - 1] == 1


def torch_rates(make, steps):
    """What an optimizer with torch's own, recursive, schedulers runs at."""
    weight = torch.zeros(1, requires_grad=True)
    weight.grad = torch.zeros(1)
    optimizer = torch.optim.SGD([weight], lr=1.0)
    schedule, found = make(optimizer), []
    for _ in range(steps):
        found.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return found


def test_cosine_without_warmup_is_torchs():
    expected = torch_rates(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, STEPS), STEPS)
    assert rates("cosine", warmup=0.0) == pytest.approx(expected, abs=1e-9)
    assert [expected[k] for k in (0, 200)] == pytest.approx([1, 0.5])


def test_a_cosine_after_a_warmup_starts_at_its_end():
    found = rates("cosine", warmup=0.1)
    assert [found[k] for k in AT[:3]] == pytest.approx([0, 1 / 40, 1])
    assert found[W + 1] == pytest.approx((1 + cos(pi / 360)) / 2)


def test_the_published_low_shot_schedule_is_two_chained():
    """LinearLR from 1% over w steps and a cosine over N − w, both from step 0: the last w steps rise again."""
    make = torch.optim.lr_scheduler
    expected = torch_rates(
        lambda o: make.ChainedScheduler(
            [make.LinearLR(o, 0.01, 1.0, total_iters=W), make.CosineAnnealingLR(o, STEPS - W)]
        ),
        STEPS,
    )
    found = rates("chained", warmup_steps=W)
    # torch's recursion restarts at the cosine's zero; the closed form goes on along it
    assert found == pytest.approx(expected, abs=2e-5)
    by_hand = [0.01, (0.01 + 0.99 / 40) * (1 + cos(pi / 360)) / 2, (1 + cos(pi * 40 / 360)) / 2]
    assert [found[k] for k in AT[:3]] == pytest.approx(by_hand)
    assert found[STEPS - 1] > found[STEPS - W] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_rates_stay_between_nothing_and_the_peak(schedule):
    warm = {"warmup_steps": 1} if schedule == "chained" else {}
    for steps in (2, 3, 10, 200):
        assert all(0 <= rate <= 1 for rate in rates(schedule, steps, **warm))


def test_a_chained_warmup_as_long_as_the_training_is_refused():
    with pytest.raises(
        SettingError, match="warmup_steps must be fewer than the 400 steps of the training, but got 5000"
    ):
        rate_at(0, STEPS, schedule="chained", warmup_steps=5000)
