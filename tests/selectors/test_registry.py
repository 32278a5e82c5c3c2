"""The front door: names, options, budgets, answers, plug-ins."""

from dataclasses import fields, replace
from functools import partial
from importlib.metadata import EntryPoint

import numpy as np
import pandas as pd
import pytest
import torch

from activekd_lab.errors import NonFiniteError, PoolError, SettingError, UnknownNameError
from activekd_lab.selectors import REGISTRY, PoolView, list_selectors, register, released_options, resolve, select
from activekd_lab.selectors.conformance import make_view
from activekd_lab.selectors.registry import Selector

pytestmark = pytest.mark.quick


def g(seed=0):
    return torch.Generator().manual_seed(seed)


def first(view, budget, *, generator, skip=0):
    """Take the first rows."""
    return view.ids[skip : skip + budget]


def test_unknown_name_lists_the_nearest_first():
    with pytest.raises(UnknownNameError, match=r"Unknown selector 'pcorest'.*first: pcoreset"):
        select("pcorest", make_view(), 3, generator=g())


def test_function_and_its_options():
    view = make_view()
    assert torch.equal(select(first, view, 3, generator=g(), skip=2), view.ids[2:5])
    with pytest.raises(SettingError, match="'first' has no option 'skp'; its options are: skip"):
        select(first, view, 3, generator=g(), skp=2)
    with pytest.raises(SettingError, match="'random' has no option 'metric'; its options are: none"):
        select("random", view, 3, generator=g(), metric="cosine")


def test_a_function_of_any_options_and_an_object_that_is_called_are_selectors_too():
    view, seen = make_view(), {}

    def greedy(view, budget, *, generator, **options):
        seen.update(options)
        return view.ids[:budget]

    select(greedy, view, 3, generator=g(), depth=2)
    assert seen == {"depth": 2}
    assert torch.equal(select(partial(first, skip=4), view, 3, generator=g()), view.ids[4:7])
    with pytest.raises(PoolError, match="Selector 'partial' was asked for 61 ids"):
        select(partial(first, skip=4), view, 61, generator=g())


def test_every_selector_has_a_line_of_help_and_a_citation():
    names = [selector.name for selector in list_selectors()]
    assert names == sorted(names)
    assert {"pcoreset", "random"} <= set(names)
    for selector in list_selectors():
        assert selector.name == selector.name.lower()
        for line in (selector.help, selector.citation):
            assert line
            assert "\n" not in line


def test_a_name_registers_once():
    with pytest.raises(SettingError, match="'random' is registered already"):
        register("random", help="", citation="")(first)


def test_registering_leaves_the_function_as_it_is():
    try:
        assert register("first_rows", help="Rows.", citation="none", deterministic=True)(first) is first
        assert resolve("first_rows") == Selector("first_rows", "Rows.", "none", first, deterministic=True)
    finally:
        REGISTRY.pop("first_rows", None)


def test_entry_points_are_found(monkeypatch):
    plugin = EntryPoint("mine", "selectors_plugin_for_tests:first", "activekd_lab.selectors")
    monkeypatch.setattr(EntryPoint, "load", lambda self: first)
    monkeypatch.setattr("activekd_lab.selectors.parts.entry_points", lambda group: [plugin])
    view = make_view()
    assert torch.equal(select("mine", view, 2, generator=g()), view.ids[:2])
    listed = {s.name: s for s in list_selectors()}
    assert listed["mine"].help == "Take the first rows."
    assert listed.keys() == REGISTRY.keys() | {"mine"}
    with pytest.raises(UnknownNameError, match="mine"):
        select("mime", view, 2, generator=g())


def test_an_entry_point_may_hold_a_selector_and_does_not_replace_the_packages_own(monkeypatch):
    whole = Selector("mine", "What it looks for.", "Me 2025", first, deterministic=True)
    plugins = [
        EntryPoint(name, "selectors_plugin_for_tests:whole", "activekd_lab.selectors") for name in ("mine", "random")
    ]
    monkeypatch.setattr(EntryPoint, "load", lambda self: whole)
    monkeypatch.setattr("activekd_lab.selectors.parts.entry_points", lambda group: plugins)
    assert resolve("mine") is whole
    assert resolve("random") is REGISTRY["random"]
    assert [s for s in list_selectors() if s.name in ("mine", "random")] == [whole, REGISTRY["random"]]


@pytest.mark.parametrize("budget", [0, -3, 2.0, True])
def test_budget_is_a_positive_integer(budget):
    with pytest.raises(PoolError, match=rf"1 or more, but got \w+ {budget}"):
        select("random", make_view(), budget, generator=g())


def test_budget_larger_than_the_pool_says_how_many_are_left():
    with pytest.raises(PoolError, match="asked for 61 ids, but only 60 are left"):
        select("random", make_view(), 61, generator=g())


def refusal(error, view, text):
    with pytest.raises(error, match=rf"Selector 'random' in round 3 .*{text}"):
        select("random", view, 3, generator=g())


def test_bad_views_are_named_by_selector_round_and_ids():
    view = make_view()
    p = view.probabilities
    shown = ", ".join(str(int(i)) for i in view.ids[:5])
    refusal(PoolError, replace(view, probabilities=-p), f"ids {shown} and 55 more hold negative")
    refusal(PoolError, replace(view, probabilities=2 * p), rf"ids {shown} and 55 more sum to 2 at first")
    refusal(PoolError, replace(view, labeled_probabilities=0.5 * view.labeled_probabilities), "labeled_probabilities")
    bad = view.features.clone()
    bad[7, 2] = torch.inf
    refusal(NonFiniteError, replace(view, features=bad), f"features at id {int(view.ids[7])}")
    refusal(PoolError, replace(view, labeled_features=view.labeled_features[:, :3]), r"labeled_features as a \(7, 8\)")
    refusal(PoolError, replace(view, labeled_probabilities=view.labeled_probabilities[:, :3]), r"\(7, 5\)")
    refusal(PoolError, replace(view, teacher_probabilities=p[:5]), r"teacher_probabilities as a \(60, 5\)")
    refusal(PoolError, replace(view, ids=view.ids.float()), "ids as a 1-d int64")
    refusal(PoolError, replace(view, ids=view.ids[torch.arange(60) % 59]), f"id {int(view.ids[0])} came repeatedly")
    refusal(PoolError, replace(view, labeled_ids=view.ids[:7]), "as unlabelled and as labelled")
    refusal(PoolError, replace(view, labeled_labels=view.labeled_labels + 5), r"in \[0, 5\)")
    for label in (-1, 5):
        labels = view.labeled_labels.clone()
        labels[2] = label
        refusal(PoolError, replace(view, labeled_labels=labels), f"but id {int(view.labeled_ids[2])} lie outside")
    bad = view.labeled_features.clone()
    bad[3, 1] = -torch.inf
    refusal(NonFiniteError, replace(view, labeled_features=bad), f"labeled_features at id {int(view.labeled_ids[3])}")
    refusal(PoolError, replace(view, features=view.features.long()), r"features as a \(60, 8\) floating tensor")
    refusal(PoolError, replace(view, labeled_ids=view.labeled_ids.int()), "labeled_ids as a 1-d int64")
    repeated = view.labeled_ids[torch.arange(7) % 6]
    refusal(PoolError, replace(view, labeled_ids=repeated), f"labeled_ids, but id {int(repeated[0])} came repeatedly")
    for head in ("teacher", "ce", "kd"):
        for field in (f"{head}_probabilities", f"labeled_{head}_probabilities"):
            refusal(PoolError, replace(view, **{field: 2 * getattr(view, field)}), f"rows of {field} to sum to 1")
    with pytest.raises(PoolError, match="Selector 'random' in round 0 expected"):
        select("random", replace(view, probabilities=-p, round=0), 3, generator=g())
    with pytest.raises(PoolError, match="Selector 'random' expected"):
        select("random", replace(view, probabilities=-p, round=None), 3, generator=g())
    refusal(PoolError, replace(view, labeled_labels=view.labeled_labels[:3]), "expected 7 labeled_labels")


@pytest.mark.parametrize(
    ("dtype", "fits", "off"),
    [(torch.float32, 1.001, 1.003), (torch.float16, 1.015, 1.03), (torch.bfloat16, 1.04, 1.07)],
)
def test_how_far_rows_may_miss_one_depends_on_their_precision(dtype, fits, off):
    view = make_view()
    p = view.probabilities.double()
    select("entropy", replace(view, probabilities=(fits * p).to(dtype)), 3, generator=g())
    with pytest.raises(PoolError, match="to sum to 1"):
        select("entropy", replace(view, probabilities=(off * p).to(dtype)), 3, generator=g())


def test_half_precision_rows_need_not_sum_to_one_exactly():
    p = torch.softmax(torch.randn(60, 1000, generator=g()), 1)
    view = replace(make_view(), probabilities=p.half(), labeled_probabilities=p[:7].half(), teacher_probabilities=None,
                   labeled_teacher_probabilities=None, ce_probabilities=None, kd_probabilities=None,
                   labeled_ce_probabilities=None, labeled_kd_probabilities=None)  # fmt: skip
    assert len(select("entropy", view, 4, generator=g())) == 4


def test_a_wrong_answer_is_refused():
    view = make_view()
    for answer, text in ((view.labeled_ids[:2], "not in the unlabelled pool"), (view.ids[[1, 1]], "twice"),
                         (view.ids[:3], "must return"), ([1, 2], "returned list")):  # fmt: skip
        with pytest.raises(PoolError, match=text):
            select(lambda view, budget, *, generator, a=answer: a, view, 2, generator=g())


@pytest.mark.parametrize(
    ("name", "option", "value", "expected"),
    [
        ("pcoreset", "uncertainty_weight", "high", "a valid number"),
        ("pcoreset", "metric", "l1", "'euclidean', 'cosine' or 'hellinger'"),
        ("pcoreset", "progress", 1, "callable"),
        ("typiclust", "neighbors", 2.5, "a valid integer"),
        ("probcover", "radius", True, "a valid number"),
    ],
)
def test_an_option_of_another_type_is_refused_before_anything_runs(name, option, value, expected):
    with pytest.raises(SettingError, match=f"Selector '{name}': option '{option}' should be {expected}, but got"):
        resolve(name).check_options({option: value})


def test_options_of_their_type_pass_and_those_without_one_are_left_to_the_function():
    resolve("probcover").check_options({"radius": 1, "purity": np.float32(0.5)})
    resolve("typiclust").check_options({"neighbors": np.int64(5)})
    resolve(lambda view, budget, *, generator, depth=3, **rest: view.ids).check_options({"depth": "x", "any": object()})


def test_view_is_frozen_and_counts():
    view = make_view(12, classes=4)
    assert isinstance(view, PoolView)
    assert (len(view), view.num_classes) == (12, 4)
    with pytest.raises(AttributeError):
        view.round = 4


def test_missing_optional_tensors_are_asked_for():
    view = replace(make_view(), labeled_ce_probabilities=None)
    with pytest.raises(
        SettingError, match=r"'pcoreset' needs PoolView.labeled_ce_probabilities for probabilities='ce'"
    ):
        select("pcoreset", view, 2, generator=g(), probabilities="ce")


def test_released_options_are_those_of_the_authors_code():
    assert {s.name: released_options(s) for s in list_selectors() if s.released} == {
        name: {"protocol": "released"} for name in ("badge", "class_balanced", "dropquery", "typiclust")
    }
    assert released_options("pcoreset") == released_options(first) == {}
    for selector in list_selectors():
        selector.check_options(dict(selector.released))


def test_arrays_and_lists_are_as_good_as_tensors():
    view = make_view()
    plain = {f.name: getattr(view, f.name) for f in fields(view)}
    for convert in (
        lambda t: t.numpy(),
        lambda t: t.tolist(),
        lambda t: np.asfortranarray(t.numpy()),
        lambda t: t.numpy()[::-1].copy()[::-1],
        lambda t: t.numpy().astype(t.numpy().dtype.newbyteorder(">")),
        lambda t: pd.DataFrame(t.numpy()) if t.ndim == 2 else pd.Series(t.numpy()),
    ):
        other = PoolView(**{k: convert(v) if isinstance(v, torch.Tensor) else v for k, v in plain.items()})
        for name in ("pcoreset", "entropy"):
            assert select(name, other, 5, generator=g()).tolist() == select(name, view, 5, generator=g()).tolist()
    none = {
        name: value[:0].tolist() if value.ndim == 1 else value[:0] for name, value in plain.items() if "labeled" in name
    }
    empty = replace(view, **none)
    assert len(select("pcoreset", empty, 5, generator=g())) == 5


@pytest.mark.filterwarnings("error")
def test_read_only_memory_is_used_in_place_without_a_warning():
    p = make_view().probabilities.numpy().copy()
    p.flags.writeable = False
    view = replace(make_view(), probabilities=p)
    assert view.probabilities.data_ptr() == p.ctypes.data
    assert not p.flags.writeable


@pytest.mark.parametrize("field", ["ids", "probabilities", "labeled_features", "teacher_probabilities"])
@pytest.mark.parametrize(
    "value",
    [
        "0.5",
        7,
        {1: 2},
        [[0.5], [0.5, 0.5]],
        [["a", "b"]],
        np.array([None, 1]),
        np.ma.masked_less(np.eye(3), 1),
        torch.eye(3).to_sparse(),
        torch.empty(60, 5, device="meta"),
    ],
    ids=str,
)
def test_what_is_no_array_of_numbers_is_refused_where_the_view_is_made(field, value):
    with pytest.raises(PoolError, match=rf"^Expected PoolView.{field} as a (dense tensor|tensor or array).* but got"):
        replace(make_view(), **{field: value})


def test_only_optional_fields_may_be_left_out():
    with pytest.raises(PoolError, match="Expected PoolView.features as a tensor or array, but got None"):
        replace(make_view(), features=None)
    assert replace(make_view(), teacher_probabilities=None).teacher_probabilities is None


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("labeled_labels", torch.zeros(7, 1).long(), "labeled_labels as a 1-d int64"),
        ("labeled_labels", np.full(7, 0.7), "labeled_labels as a 1-d int64"),
        ("labeled_labels", [True] * 7, "labeled_labels as a 1-d int64"),
        ("ids", 3 * torch.ones(()), "ids as a 1-d int64"),
        ("probabilities", torch.ones(60), r"probabilities as a \(60, 60\)"),
        ("probabilities", torch.tensor(0.5), r"probabilities as a \(60, D\)"),
        ("features", torch.ones(60, 8, dtype=torch.complex64), r"features as a \(60, 8\) floating"),
        ("features", torch.ones(60, 8).to(torch.float8_e5m2), r"features as a \(60, 8\) floating"),
        ("features", torch.ones(60, 8, 1), r"features as a"),
    ],
)
def test_wrong_types_and_shapes_are_named(field, value, text):
    refusal(PoolError, replace(make_view(), **{field: value}), text)


@pytest.mark.parametrize("budget", ["3", None, float("nan"), [3], np.bool_(True), np.float64(2), 10**30])
def test_budgets_of_another_kind_are_refused_and_numpys_integers_taken(budget):
    with pytest.raises(PoolError, match="expected a budget of 1 or more, but got|was asked for"):
        select("random", make_view(), budget, generator=g())
    assert len(select("random", make_view(), np.int64(3), generator=g())) == 3


@pytest.mark.parametrize("generator", [None, "0", 0, np.random.default_rng(0)])
def test_the_generator_has_to_be_one(generator):
    with pytest.raises(SettingError, match=r"'random' expected generator as a torch.Generator on the CPU, but got"):
        select("random", make_view(), 3, generator=generator)


@pytest.mark.parametrize("selector", [None, 3, ["random"], {"random"}, torch.ones(2)])
def test_a_selector_is_a_name_or_a_function(selector):
    with pytest.raises(SettingError, match="Expected a selector's name, a Selector or a function"):
        select(selector, make_view(), 3, generator=g())
    with pytest.raises(PoolError, match="expected a PoolView, but got dict"):
        select("random", {}, 3, generator=g())


@pytest.mark.parametrize("function", [lambda view, budget: view.ids, lambda: 0, max, len, int])
def test_a_function_of_another_form_is_refused(function):
    with pytest.raises(SettingError, match=r"as a function \(view, budget, \*, generator, \*\*options\)"):
        select(function, make_view(), 3, generator=g())


def test_a_plug_in_that_does_not_load_is_said_and_hides_no_other(monkeypatch):
    broken = EntryPoint("mine", "no_such_package_for_tests:first", "activekd_lab.selectors")
    monkeypatch.setattr("activekd_lab.selectors.parts.entry_points", lambda group: [broken])
    with pytest.raises(SettingError, match="'mine' of another package .* cannot be loaded: ModuleNotFoundError"):
        select("mine", make_view(), 2, generator=g())
    with pytest.warns(UserWarning, match="'mine' of another package"):
        assert {s.name for s in list_selectors()} == set(REGISTRY)
