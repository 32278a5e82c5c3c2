"""Wrong solutions of 02_student get the sentence that helps."""

import pytest
import torch

from activekd_lab.course.checks import check
from activekd_lab.students.losses import distillation_loss

pytestmark = pytest.mark.quick


def kl(student, teacher, temperature):
    return distillation_loss(student, teacher, temperature=temperature)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda s, t, T: kl(s, t, T) / T**2, "factor T² is missing"),
        (lambda s, t, T: T**2 * torch.nn.functional.cross_entropy(s / T, (t / T).softmax(1)), "teacher's own entropy"),
        (lambda s, t, T: torch.nn.functional.cross_entropy(s / T, (t / T).softmax(1)), "without T²; KL subtracts"),
        (lambda s, t, T: kl(t, s, T), "turned around"),
        (lambda s, t, T: T**2 * kl(s, t, 1.0), "Divide both logits by T"),
        (lambda s, t, T: kl(s, t, T) * len(s), "sum over the images"),
        (lambda s, t, T: kl(s, t, T) / s.shape[1], "mean over classes too"),
        (lambda s, t, T: 2 * T * kl(s, t, T) / T**2, "the factor is the square"),
        (lambda s, t, T: kl(s, t, 2.0), "the same images at T = 3 should give"),
        (lambda s, t, T: ((s - t) ** 2).mean(), "should give"),
        (lambda s, t, T: kl(s, t, T) if abs(float(s[0, 0])) < 1 else 1.0, "teacher's plus 5"),
    ],
)
def test_distillation_loss(function, message):
    found = check("02.distillation_loss", function)
    assert found.status == "failed"
    assert message in found.message


def joined(parts):
    return torch.cat([part.flatten() for part in parts])


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda a, b: joined(a) @ joined(b), "dot product"),
        (lambda a, b: sum(torch.cosine_similarity(x.flatten(), y.flatten(), dim=0) for x, y in zip(a, b, strict=True))
         / len(a), "a cosine a layer"),
        (lambda a, b: 0.3, "should give -0.5657, but got 0.3"),
        (lambda a, b: -4 / 50**0.5 if a[0].max() < 5 else 1, "ten times as long"),
    ],
)  # fmt: skip
def test_cosine(function, message):
    found = check("02.cosine", function)
    assert found.status == "failed"
    assert message in found.message


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda ce, kd, w, T: (w * ce + (1 - w) * kd / T).softmax(1), "mixes logits"),
        (lambda ce, kd, w, T: (1 - w) * ce.softmax(1) + w * (kd / T).softmax(1), "swapped"),
        (lambda ce, kd, w, T: w * ce.softmax(1) + (1 - w) * kd.softmax(1), "no effect"),
        (lambda ce, kd, w, T: w * (ce / T).softmax(1) + (1 - w) * (kd / T).softmax(1), "Only the KD head"),
        (lambda ce, kd, w, T: w * ce.softmax(1) + (1 - w) * (kd * T).softmax(1), "divide by it"),
        (lambda ce, kd, w, T: ce.softmax(1) + (kd / T).softmax(1), "one sums to 2"),
        (lambda ce, kd, w, T: ce.softmax(1), "should give"),
    ],
)
def test_mix(function, message):
    found = check("02.mix", function)
    assert found.status == "failed"
    assert message in found.message
