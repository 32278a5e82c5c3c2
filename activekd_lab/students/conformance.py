"""What every method must do, as checks to run on your own: `check_method(my_function)`.

Each check takes a Method and raises AssertionError with one sentence; `CHECKS` lists them by name, so that pytest can
parametrise over them. Batches are small and made from a fixed seed, features of a small layer in the backbone's place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from activekd_lab.errors import SettingError
from activekd_lab.io.arguments import checked
from activekd_lab.students.losses import DHOLoss
from activekd_lab.students.methods import Method, MethodFunction, find_method
from activekd_lab.students.student import StudentOutput

Check = Callable[[Method], None]
SETTINGS = {"temperature": (2.0, 3.0), "ce_share": (0.5, 0.3), "loss_weights": (None, (0.2, 0.3, 0.9))}


class Step(NamedTuple):
    """What a method is handed in a step, and the backbone's features that carry the gradient."""

    labeled: StudentOutput
    labels: Tensor
    teacher_labeled: Tensor
    unlabeled: StudentOutput
    teacher_unlabeled: Tensor


@checked(labeled="1 … 1000", unlabeled="1 … 1000", classes="2 … 1000", scale="> 0")
def make_step(
    method: Method, *, labeled: int = 6, unlabeled: int = 9, classes: int = 5, scale: float = 1.0, seed: int = 0
) -> Step:
    """Make a step: b = `labeled`, u = `unlabeled`, C = `classes`, logits of spread `scale`; features have gradients."""
    g = torch.Generator().manual_seed(seed)
    heads = [torch.randn(8, classes, generator=g) * scale / 8**0.5 for _ in range(2)]  # (D, C) each

    def looked(rows: int) -> tuple[StudentOutput, Tensor]:
        features = torch.randn(rows, 8, generator=g).requires_grad_()
        ce = features @ heads[0]
        output = StudentOutput(ce, features @ heads[1] if method.two_heads else ce, features)
        return output, scale * torch.randn(rows, classes, generator=g)

    known, teacher = looked(labeled)
    labels = torch.randint(classes, (labeled,), generator=g)
    return Step(known, labels, teacher, *looked(unlabeled if method.distills else 0))


@checked()
def check_method(method: str | Method | MethodFunction) -> None:
    """Run every check on one method; raise AssertionError at the first that fails."""
    for check in CHECKS.values():
        check(find_method(method))


def returns_a_finite_loss(method: Method) -> None:
    """Batches of one image, two classes, and heads and teachers of extreme certainty: the loss is finite."""
    for sizes in ({}, {"labeled": 1, "unlabeled": 1}, {"classes": 2}, {"scale": 300.0}):
        loss = _loss(method, make_step(method, **sizes))
        _demand(
            bool(loss.total.isfinite()), method, f"gave a loss of {loss.total.item()} for {sizes or 'a plain step'}"
        )


def reaches_the_backbone_from_its_batches(method: Method) -> None:
    """The features of each batch that it uses get a gradient, and a finite one."""
    for scale in (1.0, 300.0):
        step = make_step(method, scale=scale)
        outputs = [step.labeled.features, *([step.unlabeled.features] if method.distills else [])]
        found = torch.autograd.grad(_loss(method, step).total, outputs, allow_unused=True)
        for name, gradient in zip(("labelled", "unlabelled"), found, strict=False):
            reached = gradient is not None and (scale > 1 or bool(gradient.any()))
            _demand(reached, method, f"sends no gradient to the features of the {name} batch")
            _demand(gradient is not None and bool(gradient.isfinite().all()), method, "gave a gradient that is NaN")


def uses_labels_and_teacher(method: Method) -> None:
    """Other labels, or another teacher where it says that it distils, give another loss; labels may be left to it."""
    step = make_step(method)
    before = _loss(method, step).total
    other_labels = step._replace(labels=(step.labels + 1) % 5)
    other_teacher = step._replace(teacher_labeled=-step.teacher_labeled, teacher_unlabeled=-step.teacher_unlabeled)
    taught = not torch.equal(before, _loss(method, other_teacher).total)
    _demand(
        taught or not method.distills, method, "gives the same loss for another teacher; register it distills=False"
    )
    _demand(method.distills or not taught, method, "uses the teacher, but is registered distills=False")
    labeled = not torch.equal(before, _loss(method, other_labels).total)
    _demand(labeled or taught, method, "learns from neither labels nor teacher")


def uses_its_settings(method: Method) -> None:
    """Each setting that it names changes the loss."""
    step = make_step(method)
    before = _loss(method, step).total
    for name in method.settings:
        changed = _loss(method, step, **{name: SETTINGS[name][1]}).total
        _demand(not torch.equal(before, changed), method, f"names the setting {name}, but does not use it")


def leaves_inputs_unchanged(method: Method) -> None:
    """No logits, features, labels or teacher logits, and not the global random state, are written to."""
    step, before, state = make_step(method), make_step(method), torch.get_rng_state()
    _loss(method, step)
    for name, tensor in _tensors(step).items():
        _demand(torch.equal(tensor, _tensors(before)[name]), method, f"changed {name}")
    _demand(torch.equal(state, torch.get_rng_state()), method, "used torch's global random state")


def gives_the_same_loss_again(method: Method) -> None:
    """A loss is a function of its arguments."""
    first, second = (_loss(method, make_step(method)).total for _ in range(2))
    _demand(torch.equal(first, second), method, "gave another loss for the same step")


def accepts_half_precision(method: Method) -> None:
    """Logits of a bfloat16 forward pass beside float32 teacher logits are as good."""
    step = make_step(method)
    halved = step._replace(labeled=_half(step.labeled), unlabeled=_half(step.unlabeled))
    _demand(bool(_loss(method, halved).total.isfinite()), method, "is not finite in bfloat16")


def refuses_misfitting_batches(method: Method) -> None:
    """Teacher logits of other classes and labels of another length raise SettingError with the method's name."""
    step = make_step(method)
    for wrong in (
        step._replace(teacher_labeled=step.teacher_labeled[:, 1:]),
        step._replace(labels=step.labels[1:]),
        step._replace(teacher_unlabeled=step.teacher_unlabeled[1:]) if method.distills else None,
    ):
        if wrong is None:
            continue
        try:
            method(*wrong, **_settings(method))
        except SettingError as error:
            _demand(method.name in str(error), method, f"raised {str(error)!r} without its name")
            continue
        raise AssertionError(f"Method {method.name!r} did not raise SettingError for tensors that do not fit.")


CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        returns_a_finite_loss,
        reaches_the_backbone_from_its_batches,
        uses_labels_and_teacher,
        uses_its_settings,
        leaves_inputs_unchanged,
        gives_the_same_loss_again,
        accepts_half_precision,
        refuses_misfitting_batches,
    )
}
"""Every check by name."""


def _loss(method: Method, step: Step, **settings: Any) -> DHOLoss:
    """Ask for a loss, turning the package's complaint about an answer into a failed check."""
    try:
        return method(*step, **(_settings(method) | settings))
    except SettingError as error:
        raise AssertionError(str(error)) from error


def _settings(method: Method) -> dict[str, Any]:
    return {name: SETTINGS[name][0] for name in method.settings}


def _tensors(step: Step) -> dict[str, Tensor]:
    outputs = {"labeled": step.labeled, "unlabeled": step.unlabeled}
    found = {f"{b}.{f.name}": getattr(output, f.name) for b, output in outputs.items() for f in fields(output)}
    return found | {name: getattr(step, name) for name in ("labels", "teacher_labeled", "teacher_unlabeled")}


def _half(output: StudentOutput) -> StudentOutput:
    ce = output.ce_logits.bfloat16()
    return replace(
        output, ce_logits=ce, kd_logits=ce if output.kd_logits is output.ce_logits else output.kd_logits.bfloat16()
    )


def _demand(holds: bool, method: Method, complaint: str) -> None:
    if not holds:
        raise AssertionError(f"Method {method.name!r} {complaint}.")
