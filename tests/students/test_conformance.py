"""Every registered method passes the shipped suite; planted bugs do not."""

import pytest
import torch
from torch.nn import functional as F

from activekd_lab.students.conformance import CHECKS, check_method
from activekd_lab.students.losses import DHOLoss
from activekd_lab.students.methods import Method, find_method, list_methods

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", [method.name for method in list_methods()])
def test_registered_method(name, check):
    CHECKS[check](find_method(name))


def good(labeled, labels, teacher, unlabeled, teacher_unlabeled):
    ce = F.cross_entropy(labeled.ce_logits.float(), labels)
    known, unknown = (
        (output.kd_logits.float().softmax(1) - said.softmax(1)).square().sum(1).mean()
        for output, said in ((labeled, teacher), (unlabeled, teacher_unlabeled))
    )
    return ce + known + unknown


def test_a_function_of_ones_own_passes_the_whole_suite():
    check_method(good)


def by_logarithm(*step):
    return good(*step) - step[3].ce_logits.softmax(1).log().mean()


def labels_only(labeled, labels, teacher, unlabeled, teacher_unlabeled):
    return F.cross_entropy(labeled.ce_logits.float(), labels) + teacher.mean() + teacher_unlabeled.mean()


def heads_cut_off(*step):
    return good(*step).detach()


def no_teacher(labeled, labels, teacher, unlabeled, teacher_unlabeled):
    certain = unlabeled.kd_logits.softmax(1).square().sum(1).mean()
    return F.cross_entropy(labeled.ce_logits.float(), labels) - certain


def idle_setting(*step, temperature):
    return good(*step)


def writes(labeled, labels, teacher, unlabeled, teacher_unlabeled):
    teacher.sub_(teacher.mean())
    return good(labeled, labels, teacher, unlabeled, teacher_unlabeled)


def draws(*step):
    return good(*step) * (1 + 0 * torch.rand(()))


def noisy(*step, calls=[]):  # noqa: B006  (what it remembers is the bug)
    calls.append(1)
    return good(*step) * len(calls)


def asks_for_float(labeled, *rest):
    return good(labeled, *rest) + (labeled.ce_logits @ torch.ones(labeled.ce_logits.shape[1], 1)).mean()


class AnyBatch(Method):
    def __call__(self, *batch, **settings):
        total = self.function(*batch, **settings)
        return DHOLoss(total, total, total, total)


def forgiving(labeled, labels, teacher, unlabeled, teacher_unlabeled):
    n, c = min(len(labels), len(labeled.ce_logits)), min(teacher.shape[1], labeled.ce_logits.shape[1])
    cut = lambda output, m: type(output)(output.ce_logits[:m, :c], output.kd_logits[:m, :c], output.features)  # noqa: E731
    m = min(len(teacher_unlabeled), len(unlabeled.ce_logits))
    labels = labels[:n].clamp(max=c - 1)
    return good(cut(labeled, n), labels, teacher[:n, :c], cut(unlabeled, m), teacher_unlabeled[:m, :c])


FOUND = [
    ("returns_a_finite_loss", by_logarithm, "gave a loss of inf"),
    ("returns_a_finite_loss", heads_cut_off, "must return a scalar that has a gradient"),
    ("reaches_the_backbone_from_its_batches", labels_only, "no gradient to the features of the unlabelled batch"),
    ("uses_labels_and_teacher", no_teacher, "same loss for another teacher; register it distills=False"),
    ("uses_labels_and_teacher", Method("planted", "", "", labels_only, distills=False), "registered distills=False"),
    ("uses_its_settings", idle_setting, "names the setting temperature, but does not use it"),
    ("leaves_inputs_unchanged", writes, "changed teacher_labeled"),
    ("leaves_inputs_unchanged", draws, "used torch's global random state"),
    ("gives_the_same_loss_again", noisy, "another loss for the same step"),
    ("accepts_half_precision", asks_for_float, "same dtype"),
    ("refuses_misfitting_batches", AnyBatch("planted", "", "", forgiving), "did not raise SettingError"),
]


@pytest.mark.parametrize(("check", "wrong", "said"), FOUND)
def test_planted_bug_is_found(check, wrong, said):
    with pytest.raises((AssertionError, RuntimeError), match=said):
        CHECKS[check](find_method(wrong))
    with pytest.raises((AssertionError, RuntimeError)):
        check_method(wrong)


def test_every_check_finds_a_planted_bug():
    assert {check for check, *_ in FOUND} == set(CHECKS)
