import math

import pytest
import torch
from torch.nn import functional as F

from activekd_lab.errors import SettingError
from activekd_lab.students.losses import dho_loss, distillation_loss, label_loss
from activekd_lab.students.student import StudentOutput

pytestmark = pytest.mark.quick


def output(ce, kd):
    return StudentOutput(torch.tensor(ce), torch.tensor(kd), torch.zeros(len(ce), 1))


@pytest.mark.parametrize("T", [0.5, 3.0])
@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_golden_loss_by_hand(T, share):
    # Uniform student, teacher logits (T·ln 3, 0): target (3/4, 1/4), KL to (1/2, 1/2) = ln 2 − H(1/4).
    teacher = torch.tensor([[T * math.log(3), 0.0]])
    kl = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    uniform = output([[0.0, 0.0]], [[0.0, 0.0]])
    loss = dho_loss(uniform, torch.tensor([0]), teacher, uniform, teacher, temperature=T, ce_share=share)
    assert float(loss.ce) == pytest.approx(math.log(2))
    assert float(loss.kd_labeled) == pytest.approx(T**2 * kl)
    assert float(loss.total) == pytest.approx(share * math.log(2) + (1 - share) * 2 * T**2 * kl)


def test_defaults_are_the_papers():
    out, teacher = output([[0.3, 0.0]], [[0.0, 0.7]]), torch.tensor([[1.0, -1.0]])
    by_default = dho_loss(out, torch.tensor([0]), teacher, out, teacher).total
    assert by_default == dho_loss(out, torch.tensor([0]), teacher, out, teacher, temperature=2.0, ce_share=0.5).total


def test_distillation_loss_is_zero_at_the_teacher_and_ignores_a_shift():
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    assert float(distillation_loss(logits, logits + 5, temperature=2.0)) == pytest.approx(0, abs=1e-6)


def test_distillation_loss_is_the_batch_mean():
    g = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(6, 3, generator=g), torch.randn(6, 3, generator=g)
    each = [float(distillation_loss(s[None], t[None], temperature=1.5)) for s, t in zip(student, teacher, strict=True)]
    assert float(distillation_loss(student, teacher, temperature=1.5)) == pytest.approx(sum(each) / 6, rel=1e-5)


def test_no_gradient_reaches_the_teacher_and_each_head_gets_its_own():
    g = torch.Generator().manual_seed(0)
    ce, kd, teacher = (torch.randn(2, 3, generator=g, requires_grad=True) for _ in range(3))
    out = StudentOutput(ce, kd, torch.zeros(2, 1))
    dho_loss(out, torch.tensor([0, 1]), teacher, out, teacher).total.backward()
    assert teacher.grad is None
    expected = 0.5 * torch.autograd.grad(F.cross_entropy(ce, torch.tensor([0, 1])), ce)[0]
    torch.testing.assert_close(ce.grad, expected)
    assert float(kd.grad.abs().sum()) > 0


def test_weights_of_the_three_terms_take_the_place_of_the_share(g):
    """The published low-shot loss is the plain sum: twice what λ = ½ gives, with the same three parts."""
    labeled, unlabeled = (StudentOutput(*(torch.randn(5, 4, generator=g) for _ in range(3))) for _ in range(2))
    teacher, labels = torch.randn(5, 4, generator=g), torch.tensor([0, 1, 2, 3, 0])
    half = dho_loss(labeled, labels, teacher, unlabeled, teacher)
    ones = dho_loss(labeled, labels, teacher, unlabeled, teacher, loss_weights=(1, 1, 1))
    torch.testing.assert_close(ones.total, 2 * half.total)
    odd = dho_loss(labeled, labels, teacher, unlabeled, teacher, loss_weights=(0.2, 0.3, 0.9))
    torch.testing.assert_close(odd.total, 0.2 * half.ce + 0.3 * half.kd_labeled + 0.9 * half.kd_unlabeled)


@pytest.mark.parametrize(("name", "value"), [("ce_share", 1.2), ("temperature", 0.0), ("temperature", 1e30)])
def test_settings_outside_their_range(name, value):
    out = output([[0.0, 0.0]], [[0.0, 0.0]])
    with pytest.raises(SettingError, match=name):
        dho_loss(out, torch.tensor([0]), out.ce_logits, out, out.ce_logits, **{name: value})


@pytest.mark.parametrize("teacher", [[[math.nan, 0.0]], [[-math.inf, 0.0]], [[1, 0]], [[0.0, 0.0]] * 2])
def test_a_teacher_that_says_nothing_is_refused(teacher):
    out = output([[0.0, 0.0]], [[0.0, 0.0]])
    with pytest.raises(SettingError, match="teacher"):
        dho_loss(out, torch.tensor([0]), torch.tensor(teacher), out, out.ce_logits)
    with pytest.raises(SettingError, match="teacher_logits"):
        distillation_loss(out.ce_logits, torch.tensor(teacher), temperature=1.0)


def test_no_image_has_no_loss():
    none = StudentOutput(*torch.zeros(3, 0, 2))
    with pytest.raises(SettingError, match="B > 0"):
        label_loss(none, torch.zeros(0, dtype=torch.int64))


def test_label_loss_is_cross_entropy():
    out = output([[1.0, 0.0]], [[9.0, 0.0]])
    assert float(label_loss(out, torch.tensor([1])).total) == pytest.approx(math.log(1 + math.e))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype):
    one, other = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    expected = distillation_loss(one, other, temperature=1000.0)
    assert float(distillation_loss(one.to(dtype), other.to(dtype), temperature=1000.0)) == pytest.approx(
        float(expected)
    )
    far = torch.tensor([[6e4, 0.0]], dtype=dtype)
    assert float(distillation_loss(far, far, temperature=0.001)) == 0
