"""Every registered selector passes the shipped suite; planted bugs do not."""

import pytest
import torch

from activekd_lab.selectors import list_selectors, resolve
from activekd_lab.selectors.base import Selector
from activekd_lab.selectors.conformance import CHECKS, check_selector, with_options

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


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        (labeled_id, "not in the unlabelled pool"),
        (ignores_seed, "other ids for the same seed"),
        (no_draw, "ignores the generator"),
        (twice, "twice"),
        (one_short, "must return"),
        (positions, "not in the unlabelled pool"),
        (writes, "changed view.features"),
    ],
)
def test_planted_bug_is_found(planted, said):
    with pytest.raises(AssertionError, match=said):
        check_selector(planted)


def test_wrong_claim_of_determinism_is_found():
    liar = Selector("liar", "", "", resolve("random").function, deterministic=True)
    with pytest.raises(AssertionError, match="calls itself deterministic"):
        check_selector(liar)
    first_rows = Selector("first_rows", "", "", no_draw, deterministic=True)
    with pytest.raises(AssertionError, match="rows came in another order"):
        check_selector(first_rows)


def test_a_selector_that_repairs_bad_views_is_found():
    kind = resolve("random")

    class Silent(Selector):
        def __call__(self, view, budget, *, generator, **options):
            return self.function(view, min(max(budget, 1), len(view)), generator=generator)

    with pytest.raises(AssertionError, match=r"did not raise|raised"):
        check_selector(Silent("silent", "", "", kind.function))


def test_fixed_options_reach_the_function():
    seen = {}

    def spy(view, budget, *, generator, depth=1):
        seen["depth"] = depth
        return view.ids[torch.randperm(len(view), generator=generator)[:budget]]

    check_selector(with_options(resolve(spy), depth=4))
    assert seen == {"depth": 4}
