"""Every registered selector passes the shipped suite; planted bugs do not."""

import pytest
import torch

from activekd_lab.errors import PoolError
from activekd_lab.selectors import list_selectors, resolve
from activekd_lab.selectors.conformance import CHECKS, check_selector, with_options
from activekd_lab.selectors.registry import Selector

NAMES = [s.name for s in list_selectors()]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", NAMES)
def test_registered_selector(name, check):
    CHECKS[check](resolve(name))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("pcoreset", {"probabilities": "ce"}),
        ("pcoreset", {"probabilities": "teacher"}),
        ("pcoreset", {"metric": "hellinger"}),
        ("pcoreset", {"metric": "cosine"}),
        ("pcoreset", {"uncertainty_weight": 2.0}),
        ("coreset", {"metric": "euclidean"}),
        ("kmeans", {"metric": "euclidean"}),
        ("head_disagreement", {"ce_weight": 0.2}),
        ("typiclust", {"max_clusters": 4, "neighbors": 3}),
        ("probcover", {"purity": 0.5}),
        ("class_balanced", {"protocol": "released"}),
        ("badge", {"protocol": "released"}),
        ("typiclust", {"protocol": "released"}),
    ],
)
def test_options(name, options):
    check_selector(name, **options)


def labeled_id(view, budget, *, generator):
    return torch.cat([view.ids[torch.randperm(len(view), generator=generator)[: budget - 1]], view.labeled_ids[:1]])


def ignores_seed(view, budget, *, generator):
    return view.ids[torch.randperm(len(view))[:budget]]


def no_draw(view, budget, *, generator):
    return view.ids[:budget]


def twice(view, budget, *, generator):
    return view.ids[torch.randint(len(view), (budget,), generator=generator)]


def one_short(view, budget, *, generator):
    return view.ids[torch.randperm(len(view), generator=generator)[: max(1, budget - 1)]]


def positions(view, budget, *, generator):
    return torch.randperm(len(view), generator=generator)[:budget]


def writes(view, budget, *, generator):
    view.features.zero_()
    return view.ids[torch.randperm(len(view), generator=generator)[:budget]]


def draws_elsewhere(view, budget, *, generator):
    torch.rand(1)
    return view.ids[torch.randperm(len(view), generator=generator)[:budget]]


def drops_repeats(view, budget, *, generator):
    order = torch.randperm(len(view), generator=generator).tolist()
    distinct = {tuple(view.features[i].tolist()): i for i in order}
    return view.ids[torch.tensor(list(distinct.values())[:budget])]


def needs_two_classes(view, budget, *, generator):
    best = view.probabilities.topk(2).values
    return view.ids[(best[:, 0] - best[:, 1] + torch.rand(len(view), generator=generator)).argsort()[:budget]]


def needs_labels(view, budget, *, generator):
    apart = torch.cdist(view.features, view.labeled_features).amin(1)
    return view.ids[(apart + torch.rand(len(view), generator=generator)).argsort()[:budget]]


def never_the_last(view, budget, *, generator):
    return view.ids[torch.randperm(len(view), generator=generator)[:-1][:budget]]


def asks_numpy(view, budget, *, generator):
    noise = torch.rand(len(view), generator=generator).numpy()
    return view.ids[torch.from_numpy(view.probabilities.numpy()[:, 0] + noise).argsort()[:budget]]


class Planted(Selector):
    """A selector with checks of its own in place of the package's."""

    def __call__(self, view, budget, *, generator, **options):
        self.check(view, budget)
        return self.function(view, min(max(budget, 1), len(view)), generator=generator)


class AnyBudget(Planted):
    def check(self, view, budget):
        view.validate(self.name)


class AnyView(Planted):
    def check(self, view, budget):
        if not 0 < budget <= len(view):
            raise PoolError(f"{self.name} cannot pick {budget}.")


class Nameless(AnyBudget):
    def check(self, view, budget):
        if not 0 < budget <= len(view):
            raise PoolError("No such budget.")


def planted(kind, function="random", deterministic=False):
    function = resolve(function).function if isinstance(function, str) else function
    return kind("planted", "", "", function, deterministic)


FOUND = [
    ("returns_distinct_unlabeled_ids", labeled_id, "not in the unlabelled pool"),
    ("returns_distinct_unlabeled_ids", twice, "twice"),
    ("returns_distinct_unlabeled_ids", one_short, "must return"),
    ("returns_distinct_unlabeled_ids", positions, "not in the unlabelled pool"),
    ("same_seed_same_ids", ignores_seed, "other ids for the same seed"),
    ("uses_its_generator", no_draw, "ignores the generator"),
    ("uses_its_generator", planted(Selector, deterministic=True), "calls itself deterministic"),
    ("leaves_inputs_unchanged", writes, "changed view.features"),
    ("leaves_inputs_unchanged", draws_elsewhere, "used torch's global random state"),
    ("ignores_the_order_of_the_pool", planted(Selector, no_draw, deterministic=True), "rows came in another order"),
    ("accepts_duplicates", drops_repeats, r"must return \(20,\)"),
    ("accepts_one_class", needs_two_classes, "out of range"),
    ("accepts_no_labels", needs_labels, "non-zero size"),
    ("takes_the_whole_pool", never_the_last, r"must return \(1,\)"),
    ("accepts_half_precision", asks_numpy, "BFloat16"),
    ("refuses_bad_budgets", planted(AnyBudget), "did not raise PoolError with '0'"),
    ("refuses_bad_budgets", planted(Nameless), "raised 'No such budget.' without its name or '0'"),
    ("refuses_bad_views", planted(AnyView), "did not raise NonFiniteError"),
]


@pytest.mark.parametrize(("check", "wrong", "said"), FOUND)
def test_planted_bug_is_found(check, wrong, said):
    for look in (check_selector, CHECKS[check]):  # no earlier check has another complaint
        with pytest.raises((AssertionError, RuntimeError, IndexError, TypeError), match=said):
            look(resolve(wrong))


def test_every_check_finds_a_planted_bug():
    assert {check for check, *_ in FOUND} == set(CHECKS)


def test_fixed_options_reach_the_function():
    seen = {}

    def spy(view, budget, *, generator, depth=1):
        seen["depth"] = depth
        return view.ids[torch.randperm(len(view), generator=generator)[:budget]]

    check_selector(with_options(resolve(spy), depth=4))
    assert seen == {"depth": 4}
