"""Methods by name, as functions and as entry points: what is handed to them, and what is refused."""

from functools import partial
from importlib.metadata import EntryPoint

import pytest
import torch

import activekd_lab as akd
from activekd_lab.config import RunConfig
from activekd_lab.errors import SettingError, UnknownNameError
from activekd_lab.runs.stored import load_run
from activekd_lab.students.conformance import make_step
from activekd_lab.students.losses import dho_loss
from activekd_lab.students.methods import METHODS, Method, find_method, list_methods, register

QUICK = RunConfig(task="digits", rounds=1, steps=3, device="cpu")


def mine(labeled, labels, teacher, unlabeled, teacher_unlabeled, *, temperature, margin=1.0):
    """Both heads at once."""
    step = labeled, labels, teacher, unlabeled, teacher_unlabeled
    return margin * dho_loss(*step, temperature=temperature).total


@pytest.fixture
def plugin(monkeypatch):
    """`mine`, published by another package."""
    found = EntryPoint("theirs", "methods_plugin_for_tests:mine", "activekd_lab.methods")
    monkeypatch.setattr(EntryPoint, "load", lambda self: mine)
    monkeypatch.setattr(
        "activekd_lab.selectors.parts.entry_points", lambda group: [found] if "methods" in group else []
    )


@pytest.mark.quick
@pytest.mark.parametrize(
    ("name", "two_heads", "distills", "settings"),
    [
        ("dho", True, True, ("temperature", "ce_share", "loss_weights")),
        ("single_head", False, True, ("temperature", "ce_share", "loss_weights")),
        ("ce", False, False, ()),
        ("kd", False, True, ("temperature",)),
    ],
)
def test_what_the_packages_own_methods_use(name, two_heads, distills, settings):
    method = find_method(name)
    assert (method.two_heads, method.distills, method.settings) == (two_heads, distills, settings)
    assert method.uses("steps")
    assert method.uses("kd_temperature") == two_heads
    assert method.uses("few_shot") == distills


@pytest.mark.quick
def test_the_packages_own_methods_are_the_papers_losses():
    step = make_step(find_method("dho"))
    expected = dho_loss(*step, temperature=3.0, ce_share=0.2)
    assert find_method("dho")(*step, temperature=3.0, ce_share=0.2, loss_weights=None) == expected
    teacher = find_method("kd")(*step, temperature=3.0)
    assert teacher.total.item() == (expected.kd_labeled + expected.kd_unlabeled).item()
    assert find_method("ce")(*step).total.item() == expected.ce.item()


@pytest.mark.quick
def test_names_functions_and_entry_points(plugin):
    assert find_method("theirs") == Method("theirs", "Both heads at once.", "user function", mine)
    assert {"dho", "theirs"} <= {method.name for method in list_methods()}
    assert find_method(partial(mine, margin=2.0)).name == "partial"
    with pytest.raises(UnknownNameError, match=r"Unknown method 'their'. Known, nearest first: theirs"):
        find_method("their")
    with pytest.raises(SettingError, match="A method named 'dho' is registered already"):
        register("dho", help="", citation="")(mine)
    with pytest.raises(SettingError, match="Expected a method's name, a Method or a function, but got int 3"):
        find_method(3)


@pytest.mark.quick
@pytest.mark.parametrize("wrong", [lambda labeled, labels: 0, lambda a, b, c, d, e, *, margin: 0])
def test_a_function_that_cannot_be_called_as_a_method_is_one_sentence(wrong):
    with pytest.raises(SettingError, match="Expected method '<lambda>' as a function .* cannot be called so"):
        RunConfig().resolve(method=wrong)


@pytest.mark.quick
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda x: x[None], r"float32 \(1,\)"),
        (torch.Tensor.item, "float"),
        (lambda x: x.detach(), r"\(\)"),
        (lambda x: x * 1j, "complex64"),
    ],
)
def test_an_answer_that_is_no_loss_is_one_sentence(answer, said):
    method = find_method(lambda *step: answer(dho_loss(*step).total))
    with pytest.raises(SettingError, match=f"must return a scalar that has a gradient, or a DHOLoss, but .*{said}"):
        method(*make_step(method))


@pytest.mark.quick
def test_settings_that_an_own_method_does_not_name_are_refused():
    assert RunConfig(temperature=3.0).resolve(method=mine).method == "mine"
    with pytest.raises(SettingError, match="ce_share has no effect with method='mine'; it belongs to dho, single_head"):
        RunConfig(ce_share=0.3).resolve(method=mine)
    with pytest.raises(SettingError, match="method='ce' has no effect beside a method that is handed over"):
        RunConfig(method="ce").resolve(method=mine)
    with pytest.raises(SettingError, match="gradient conflict needs a loss with CE and KD"):
        akd.students.conflict.gradient_conflict(
            akd.students.DualHeadStudent("small_cnn", 5),
            find_method(mine)(*make_step(find_method(mine)), temperature=2.0),
        )


def test_a_run_learns_by_an_own_method_in_memory_only(tmp_path):
    heard = []

    def spy(labeled, labels, teacher, unlabeled, teacher_unlabeled, *, temperature):
        heard.append((len(labels), len(teacher_unlabeled), temperature))
        return dho_loss(labeled, labels, teacher, unlabeled, teacher_unlabeled, temperature=temperature)

    own = akd.run(QUICK.with_(temperature=3.0), method=spy)
    assert heard == [(64, 64, 3.0)] * 6
    assert own.config["method"] == "spy"
    by_name = akd.run(QUICK.with_(temperature=3.0))
    assert [r.accuracy for r in own.records] == [r.accuracy for r in by_name.records]
    with pytest.raises(SettingError, match="cannot tell 'spy' from a later function .* activekd_lab.methods"):
        akd.run(QUICK, method=spy, store=tmp_path)
    with pytest.raises(SettingError, match="cannot tell 'spy'"):
        akd.active.ActiveRun(akd.prepare(QUICK, method=spy), store=tmp_path)


def test_a_published_method_is_stored_under_its_name(plugin, tmp_path, call):
    result = akd.run(QUICK.with_(method="theirs", rounds=0), store=tmp_path)
    assert load_run(result.folder).config["method"] == "theirs"
    assert "Both heads at once." in call("methods").stdout


def test_one_head_without_a_teacher_of_ones_own():
    def plain(labeled, labels, *rest):
        return torch.nn.functional.cross_entropy(labeled.ce_logits, labels)

    method = Method("plain", "Labels.", "none", plain, two_heads=False, distills=False)
    own, ce = akd.run(QUICK, method=method), akd.run(QUICK.with_(method="ce"))
    assert [r.accuracy for r in own.records] == [r.accuracy for r in ce.records]
    assert "plain" not in METHODS.own
