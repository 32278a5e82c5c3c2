import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from activekd_lab.errors import NonFiniteError, SettingError
from activekd_lab.teachers.bias import (
    Clusters,
    agreement,
    calibration,
    choose_count,
    confusion_groups,
    find_clusters,
    random_sentences,
    shuffle_classes,
    stability,
)

CENTERS = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.2, 0.8]])


@pytest.fixture
def balls(g):
    """300 probability vectors in three known balls, and which ball each is from."""
    kind = torch.arange(300) % 3
    noisy = (CENTERS[kind] + 0.02 * torch.rand(300, 4, generator=g)).clamp_min(0)
    return noisy / noisy.sum(1, keepdim=True), kind


def uniform_on_simplex(rows, classes, g):
    parts = -torch.rand(rows, classes, generator=g).log()
    return parts / parts.sum(1, keepdim=True)


def test_random_sentences_are_as_sure_as_the_teacher_and_say_other_things(balls, g):
    like, _ = balls
    images = torch.nn.functional.normalize(torch.randn(300, 16, generator=g))
    found = random_sentences(images, like, generator=g)
    torch.testing.assert_close(found.sum(1), torch.ones(300))
    assert found.amax(1).mean().item() == pytest.approx(like.amax(1).mean().item(), abs=1e-3)
    assert (found.argmax(1) == like.argmax(1)).double().mean() < 0.5


def test_known_balls_are_found(balls):
    points, kind = balls
    found = find_clusters(points, 3)
    assert agreement(found.assignment, kind)[0] == 1
    order = torch.cdist(CENTERS.double(), found.centers).argmin(1)
    torch.testing.assert_close(found.centers[order], CENTERS.double(), atol=0.03, rtol=0)
    assert found.effective_number == pytest.approx(3)
    assert found.mass_within_radius == 1
    assert found.classes_per_cluster()[order].tolist() == [2, 1, 2]
    assert found.classes_per_cluster(share=0.3)[order].tolist() == [2, 1, 1]
    assert choose_count(points, range(2, 7)) == 3
    assert stability(points, 3, [0, 1, 2]) == 1


def test_radii_masses_and_distances_by_hand():
    points = torch.tensor([[0.0], [2.0], [10.0], [10.0], [11.0], [15.0]])
    found = find_clusters(points, 2)
    left = int(found.assignment[0])
    torch.testing.assert_close(
        found.centers.flatten()[[left, 1 - left]], torch.tensor([1.0, 11.5], dtype=torch.float64)
    )
    assert found.radii.tolist() == [5.25, 5.25]
    assert sorted(found.masses.tolist()) == pytest.approx([1 / 3, 2 / 3])
    assert found.distances.tolist() == [1, 1, 1.5, 1.5, 0.5, 3.5]
    assert found.mass_within_radius == 1
    narrow = Clusters(found.assignment, found.centers, torch.tensor([1.0, 1.0]), found.distances)
    assert narrow.mass_within_radius == pytest.approx(3 / 6)
    assert found.effective_number == pytest.approx((1 / 3) ** (-1 / 3) * (2 / 3) ** (-2 / 3))


def test_points_spread_evenly_are_not_within_balls(g):
    """The measure must be able to say no: a uniform simplex of 20 classes has next to no mass in balls."""
    even = uniform_on_simplex(400, 20, g)
    assert find_clusters(even, 5).mass_within_radius < 0.05
    assert stability(even, 5, [0, 1, 2]) < 0.9


def test_the_control_keeps_sharpness_and_destroys_company(balls, g):
    points, _ = balls
    shuffled = shuffle_classes(points, generator=g)
    torch.testing.assert_close(shuffled.sort(1).values, points.sort(1).values)
    assert find_clusters(shuffled, 3).mass_within_radius < 0.5
    assert torch.equal(shuffle_classes(points, generator=torch.Generator().manual_seed(0)).argmax(1).bincount() > 0,
                       torch.ones(4, dtype=torch.bool))  # fmt: skip


def test_agreement_ignores_the_names_of_clusters_and_is_zero_by_chance(g):
    a = torch.randint(4, (2000,), generator=g)
    assert agreement(a, (a + 1) % 4) == (1, pytest.approx(1))
    rand, information = agreement(a, torch.randint(4, (2000,), generator=g))
    assert abs(rand) < 0.01
    assert information < 0.01
    half = torch.where(a < 2, a, 2)
    assert agreement(a, half)[0] == pytest.approx(adjusted_rand_score(a.numpy(), half.numpy()))


def test_confusion_groups_name_the_classes_that_share_a_cluster(balls):
    groups = confusion_groups(find_clusters(balls[0], 3), ["cat", "lynx", "car", "van"])
    assert sorted(tuple(sorted(name for name, _ in group.classes)) for group in groups) == [
        ("car",), ("car", "van"), ("cat", "lynx")
    ]  # fmt: skip
    assert sum(group.mass for group in groups) == pytest.approx(1)
    few = confusion_groups(find_clusters(balls[0], 3), ["cat", "lynx", "car", "van"], share=0.6)
    assert sorted(tuple(name for name, _ in group.classes) for group in few) == [(), ("car",), ("van",)]
    assert [g.mass for g in groups] == sorted((g.mass for g in groups), reverse=True)
    assert all([share for _, share in g.classes] == sorted((s for _, s in g.classes), reverse=True) for g in groups)
    with pytest.raises(SettingError, match="must name 4 classes, but got 2"):
        confusion_groups(find_clusters(balls[0], 3), ["a", "b"])


def test_calibration_by_hand():
    """Two bins: (0, .5] holds one right at .5; (.5, 1] holds .9 wrong and .7 right: |.5 − 1|/3 + |1.6 − 1|/3."""
    probabilities = torch.tensor([[0.5, 0.25, 0.25], [0.9, 0.1, 0.0], [0.2, 0.1, 0.7]])
    found = calibration(probabilities, torch.tensor([0, 1, 2]), bins=2)
    assert found.ece == pytest.approx(0.5 / 3 + 0.6 / 3)
    assert found.counts.tolist() == [1, 2]
    assert found.accuracy.tolist() == [1, 0.5]
    assert found.confidence.tolist() == pytest.approx([0.5, 0.8])


def test_calibrated_probabilities_have_no_error_and_overconfident_ones_have(g):
    probabilities = uniform_on_simplex(20000, 3, g)
    labels = torch.multinomial(probabilities, 1, generator=g).flatten()
    assert calibration(probabilities, labels).ece < 0.02
    sharp = (probabilities.log() * 3).softmax(1)
    assert calibration(sharp, labels).ece > 0.1
    assert np.isnan(calibration(probabilities[:5], labels[:5], bins=30).accuracy).any()  # an empty bin says so


def test_bad_input():
    with pytest.raises(SettingError, match=r"count must lie in 2 … 3 \(the points\), but got 4"):
        find_clusters(torch.rand(3, 2), 4)
    with pytest.raises(NonFiniteError, match=r"The points \[1\]"):
        find_clusters(torch.tensor([[0.0], [float("nan")]]), 2)
    with pytest.raises(NonFiniteError, match=r"The points \[1, 2, 3, 4, 5\] are not finite"):
        find_clusters(torch.tensor([[0.0], *[[float("inf")]] * 7]), 2)
    with pytest.raises(SettingError, match="two or more"):
        stability(torch.rand(5, 2), 2, [3, 3])
    with pytest.raises(SettingError, match="got 2 and 3"):
        agreement(torch.arange(2), torch.arange(3))
    with pytest.raises(SettingError, match="bins as a whole number 1 …"):
        calibration(torch.rand(2, 2), torch.zeros(2, dtype=torch.int64), bins=0)


def test_scikit_learn_is_loaded_only_when_used():
    loaded = "{'sklearn', 'open_clip'} & set(sys.modules)"
    code = f"import sys, activekd_lab.teachers.bias, activekd_lab.teachers.clap; sys.exit(bool({loaded}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_equal_points_have_no_number_of_clusters():
    with pytest.raises(SettingError, match="points must differ"):
        choose_count(torch.full((50, 3), 1 / 3), [2, 3])
