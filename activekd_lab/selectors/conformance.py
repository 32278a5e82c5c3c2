"""What every selector must do, as checks to run on your own: `check_selector(my_function)`.

Each check takes a Selector and raises AssertionError with one sentence; `CHECKS` lists them by name, so that pytest can
parametrise over them. Random pools are small and made from a fixed seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from activekd_lab.errors import NonFiniteError, PoolError
from activekd_lab.selectors.registry import Selector, SelectorFunction, resolve, select
from activekd_lab.selectors.view import PoolView

Check = Callable[[Selector], None]
SEEDS = range(8)


def make_view(
    size: int = 60,
    classes: int = 5,
    width: int = 8,
    labeled: int = 7,
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> PoolView:
    """Make a random PoolView with every optional tensor: N = `size`, C = `classes`, D = `width`, L = `labeled`."""
    g = torch.Generator().manual_seed(seed)
    ids = torch.randperm(3 * (size + labeled), generator=g)

    def predictions(rows: int) -> Tensor:
        return torch.softmax(2 * torch.randn(rows, classes, generator=g), dim=1).to(dtype)

    kinds = ("probabilities", "teacher_probabilities", "ce_probabilities", "kd_probabilities")
    return PoolView(
        ids=ids[:size],
        features=torch.randn(size, width, generator=g).to(dtype),
        labeled_ids=ids[size : size + labeled],
        labeled_labels=torch.randint(classes, (labeled,), generator=g),
        labeled_features=torch.randn(labeled, width, generator=g).to(dtype),
        **{kind: predictions(size) for kind in kinds},
        **{f"labeled_{kind}": predictions(labeled) for kind in kinds},
        round=3,
    )


def permuted(view: PoolView, order: Tensor) -> PoolView:
    """Return the same pool with its N rows in another order."""
    return replace(view, **{f: getattr(view, f)[order] for f in _pool_fields(view)})


def check_selector(selector: str | Selector | SelectorFunction, **options: Any) -> None:
    """Run every check on one selector with these options; raise AssertionError at the first that fails."""
    for check in CHECKS.values():
        check(with_options(resolve(selector), **options))


def with_options(selector: Selector, **options: Any) -> Selector:
    """Return the selector with options fixed."""
    if not options:
        return selector

    def fixed(view: PoolView, budget: int, *, generator: torch.Generator) -> Tensor:
        ids: Tensor = selector.function(view, budget, generator=generator, **options)
        return ids

    return replace(selector, function=fixed)


def returns_distinct_unlabeled_ids(selector: Selector) -> None:
    """Exactly B distinct int64 ids of the pool, for several budgets."""
    for budget in (1, 5, 23):
        view = make_view(seed=budget)
        ids = _ask(selector, view, budget)
        _demand(ids.dtype == torch.int64 and ids.shape == (budget,), selector, f"must return ({budget},) int64 ids")
        _demand(len(ids.unique()) == budget, selector, "returned an id twice")
        _demand(bool(torch.isin(ids, view.ids).all()), selector, "returned an id outside the unlabelled pool")


def same_seed_same_ids(selector: Selector) -> None:
    """The generator decides everything: global random state changes nothing, another seed may."""
    view = make_view()
    first = _ask(selector, view, 9, seed=1)
    torch.manual_seed(99)
    torch.rand(3)
    _demand(torch.equal(first, _ask(selector, view, 9, seed=1)), selector, "gave other ids for the same seed")


def uses_its_generator(selector: Selector) -> None:
    """A selector that is not deterministic gives other ids for other seeds; a deterministic one gives the same."""
    view = make_view()
    answers = {tuple(_ask(selector, view, 9, seed=seed).tolist()) for seed in SEEDS}
    if selector.deterministic:
        _demand(len(answers) == 1, selector, "calls itself deterministic, but ids change with the seed")
    else:
        _demand(len(answers) > 1, selector, "ignores the generator; mark it deterministic if it draws nothing")


def leaves_inputs_unchanged(selector: Selector) -> None:
    """No tensor of the view, and not the global random state, is written to."""
    view, before, state = make_view(), make_view(), torch.get_rng_state()
    _ask(selector, view, 9)
    for name in (f.name for f in fields(view) if f.name != "round"):
        _demand(torch.equal(getattr(view, name), getattr(before, name)), selector, f"changed view.{name}")
    _demand(torch.equal(state, torch.get_rng_state()), selector, "used torch's global random state")


def ignores_the_order_of_the_pool(selector: Selector) -> None:
    """A deterministic selector gives the same ids when the pool's rows come in another order."""
    if not selector.deterministic:
        return
    view = make_view()
    order = torch.randperm(len(view), generator=torch.Generator().manual_seed(5))
    same = torch.equal(_ask(selector, view, 9), _ask(selector, permuted(view, order), 9))
    _demand(same, selector, "gave other ids when the pool's rows came in another order")


def accepts_duplicates(selector: Selector) -> None:
    """A pool of one image repeated, and one of three images repeated, still gives B distinct ids."""
    for kinds in (1, 3):
        view = make_view()
        _ask(selector, permuted_rows(view, torch.arange(len(view)) % kinds), 20)


def accepts_one_class(selector: Selector) -> None:
    """C = 1: all probabilities are 1."""
    _ask(selector, make_view(classes=1), 10)


def accepts_no_labels(selector: Selector) -> None:
    """L = 0: nothing is labelled yet."""
    _ask(selector, make_view(labeled=0), 10)


def takes_the_whole_pool(selector: Selector) -> None:
    """B = N returns every id, for a single point too."""
    for size in (1, 2, 30):
        view = make_view(size)
        _demand(torch.equal(_ask(selector, view, size).sort().values, view.ids.sort().values), selector, "missed ids")


def accepts_half_precision(selector: Selector) -> None:
    """Float16 and bfloat16 tensors are as good as float32."""
    for dtype in (torch.float16, torch.bfloat16):
        _ask(selector, make_view(dtype=dtype), 10)


def refuses_bad_budgets(selector: Selector) -> None:
    """0, -1 and N + 1 raise PoolError with the number."""
    for budget in (0, -1, 61):
        _expect(PoolError, str(budget), selector, make_view(), budget)


def refuses_bad_views(selector: Selector) -> None:
    """NaN, negative values, sums off 1, widths that differ and labelled ids in the pool raise, naming the round."""
    view = make_view()
    bad = view.probabilities.clone()
    bad[4, 1] = torch.nan
    _expect(NonFiniteError, str(int(view.ids[4])), selector, replace(view, probabilities=bad))
    for factor in (-1.0, 2.0):
        _expect(PoolError, "round 3", selector, replace(view, probabilities=factor * view.probabilities))
    for field in ("labeled_probabilities", "labeled_features"):
        _expect(PoolError, field, selector, replace(view, **{field: getattr(view, field)[:, 1:]}))
    _expect(PoolError, "as labelled", selector, replace(view, labeled_ids=view.ids[:7]))


def permuted_rows(view: PoolView, source: Tensor) -> PoolView:
    """Return the pool with row i showing the data of row `source[i]`; ids stay, so rows may repeat."""
    return replace(permuted(view, source), ids=view.ids)


CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        returns_distinct_unlabeled_ids,
        same_seed_same_ids,
        uses_its_generator,
        leaves_inputs_unchanged,
        ignores_the_order_of_the_pool,
        accepts_duplicates,
        accepts_one_class,
        accepts_no_labels,
        takes_the_whole_pool,
        accepts_half_precision,
        refuses_bad_budgets,
        refuses_bad_views,
    )
}
"""Every check by name."""


def _pool_fields(view: PoolView) -> list[str]:
    optional = ("teacher_probabilities", "ce_probabilities", "kd_probabilities")
    return ["ids", "probabilities", "features", *(f for f in optional if getattr(view, f) is not None)]


def _ask(selector: Selector, view: PoolView, budget: int, seed: int = 0) -> Tensor:
    """Select, turning the package's complaint about an answer into a failed check."""
    try:
        return select(selector, view, budget, generator=torch.Generator().manual_seed(seed))
    except PoolError as error:
        raise AssertionError(str(error)) from error


def _demand(holds: bool, selector: Selector, complaint: str) -> None:
    if not holds:
        raise AssertionError(f"Selector {selector.name!r} {complaint}.")


def _expect(error: type[Exception], text: str, selector: Selector, view: PoolView, budget: int = 5) -> None:
    """Demand that selecting raises `error` with the selector's name and `text` in its message."""
    try:
        select(selector, view, budget, generator=torch.Generator().manual_seed(0))
    except error as caught:
        said = str(caught)
        _demand(text in said and selector.name in said, selector, f"raised {said!r} without its name or {text!r}")
        return
    raise AssertionError(f"Selector {selector.name!r} did not raise {error.__name__} with {text!r}.")
