"""BADGE against materialised gradients and scikit-activeml."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from activekd_lab.errors import Cancelled, NonFiniteError, SettingError
from activekd_lab.selectors import select
from activekd_lab.selectors.badge import _Seeding, measured, plain_step
from activekd_lab.selectors.conformance import make_view
from activekd_lab.selectors.engine.factored import Gradients, squared_distances, squared_lengths

pytestmark = pytest.mark.quick


def g(seed=0):
    return torch.Generator().manual_seed(seed)


def materialized(view, unit=False):
    """Gradient embeddings (N, C D) by autograd: the loss of the predicted label on a linear last layer."""
    rows = []
    for p, h in zip(view.probabilities, view.features, strict=True):
        weight = torch.zeros(len(p), len(h), requires_grad=True)
        logits = weight @ h + p.log()
        torch.nn.functional.cross_entropy(logits[None], p.argmax()[None]).backward()
        rows.append(weight.grad.flatten())
    rows = torch.stack(rows)
    return torch.nn.functional.normalize(rows) if unit else rows


@pytest.mark.parametrize("unit", [False, True])
def test_factors_measure_the_materialized_gradients(unit):
    view = make_view(20)
    gradients, full = Gradients(view.probabilities, view.features, unit=unit), materialized(view, unit)
    factors = gradients.take(torch.arange(20))
    torch.testing.assert_close(squared_lengths(factors), full.square().sum(1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(squared_distances(factors, factors), torch.cdist(full, full) ** 2, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("renewed", [True, False])
def test_draws_follow_the_squared_distance_to_the_nearest_pick(renewed):
    """3,000 draws after three picks, from bounds that are exact or stale, against the exact probabilities."""
    view, draws = make_view(12), 3000
    full = materialized(view)
    counts = torch.zeros(12)
    for seed in range(draws):
        state = _Seeding(Gradients(view.probabilities, view.features), 5, g(seed))
        for position in (0, 4, 7):
            state.add(position)
        if renewed:
            state._renew()
        counts[state.drawn()] += 1
    expected = (torch.cdist(full, full[[0, 4, 7]]) ** 2).amin(1)
    expected = draws * expected / expected.sum()
    chi_square = ((counts - expected) ** 2 / expected.clamp_min(1e-9)).sum()
    assert counts[[0, 4, 7]].sum() == 0
    assert chi_square < 31.3  # 99.98% quantile with 8 degrees of freedom is 30


def test_first_pick_has_the_longest_gradient():
    view = make_view()
    assert (
        select("badge", view, 1, generator=g())[0]
        == view.ids[plain_step(view.probabilities, view.features, []).argmax()]
    )


def test_the_plain_step_is_by_hand():
    """p = (1/2, 1/2) twice and (1, 0): gradients (-1/2, 1/2) times h = 2, 4 and nothing."""
    p, h = torch.tensor([[0.5, 0.5], [0.5, 0.5], [1.0, 0.0]]), torch.tensor([[2.0], [4.0], [1.0]])
    assert plain_step(p, h, []).tolist() == [0, 1, 0]
    torch.testing.assert_close(plain_step(p, h, [1]), torch.tensor([0.2, 0, 0.8]).double())  # 1 + 1 against 4 + 4
    torch.testing.assert_close(plain_step(p, h, [1, 2]), torch.tensor([1.0, 0, 0]).double())


@pytest.mark.parametrize("renewed", [True, False])
def test_the_factored_bounds_are_those_of_the_plain_step(renewed):
    view = make_view(40, classes=6, width=5)
    state = _Seeding(Gradients(view.probabilities, view.features), 9, g())
    chosen = [int(plain_step(view.probabilities, view.features, []).argmax())]
    for _ in range(8):
        state.add(chosen[-1])
        state._renew() if renewed else state._refresh(np.arange(40))
        expected = plain_step(view.probabilities, view.features, chosen).numpy()
        np.testing.assert_allclose(state.upper / state.upper.sum(), expected, atol=1e-5)
        chosen.append(state.drawn())


def test_released_protocol_is_farthest_first_on_unit_gradients_from_any_that_is_not_zero():
    view = make_view(40)
    certain = view.probabilities.clone()
    certain[:3] = torch.eye(5)[:3]
    view = replace(view, probabilities=certain)
    full, firsts = materialized(replace(view, probabilities=certain.clamp_min(1e-30)), unit=True), set()
    for seed in range(120):
        ids = select("badge", view, 12, generator=g(seed), protocol="released").tolist()
        picks = [view.ids.tolist().index(ids[0])]
        firsts.add(picks[0])
        if seed < 5:
            for _ in range(11):
                picks.append(int(torch.cdist(full, full[picks]).amin(1).argmax()))
            assert ids == view.ids[picks].tolist()
    assert len(firsts) > 25  # of 37
    assert not firsts & {0, 1, 2}


def test_scikit_activeml_gives_the_same_probabilities():
    """Its utilities are the draw probabilities of each step; it counts the origin as a centre, the paper does not."""
    pool = pytest.importorskip("skactiveml.pool")
    from skactiveml.classifier import SklearnClassifier
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 3)), np.full(40, np.nan)
    y[:6] = [0, 1, 2, 0, 1, 2]
    model = SklearnClassifier(LogisticRegression(), classes=[0, 1, 2]).fit(x, y)
    picks, utilities = pool.Badge(random_state=0).query(x, y, model, fit_clf=False, batch_size=3, return_utilities=True)
    probabilities = torch.from_numpy(model.predict_proba(x[6:])).float()
    state = _Seeding(Gradients(probabilities, torch.from_numpy(x[6:]).float()), 3, g())
    for step in (1, 2):
        state.add(int(picks[step - 1]) - 6)
        state._renew()
        theirs = np.nan_to_num(utilities[step][6:])
        lengths = squared_lengths(state.gradients.take(torch.arange(34))).numpy()
        ours = np.minimum(state.upper, lengths)
        np.testing.assert_allclose(ours / ours.sum(), theirs, atol=2e-5)


def test_bounds_never_fall_below_the_truth():
    view = make_view(300, classes=7, width=9)
    state = _Seeding(Gradients(view.probabilities, view.features), 60, g())
    full, chosen = materialized(view), []
    for step in range(60):
        chosen.append(state.drawn() if step else 5)
        state.add(chosen[-1])
        truth = (torch.cdist(full, full[chosen]) ** 2).amin(1).numpy()
        assert (state.upper >= truth - 1e-3 * (1 + truth)).all()
        exact = state.met >= len(chosen)  # those whose bound is said to rest on every pick
        np.testing.assert_allclose(state.upper[exact], truth[exact], rtol=1e-3, atol=1e-3)
        if step % 10 == 9:  # both ways to make bounds that rest on different numbers of picks exact
            state._refresh(np.arange(300)) if step % 20 == 9 else state._renew()
            np.testing.assert_allclose(state.upper, truth, rtol=1e-3, atol=1e-3)
    assert len(set(chosen)) == 60


def test_pieces_hold_every_gradient_once_and_in_order(monkeypatch):
    monkeypatch.setattr("activekd_lab.selectors.engine.factored.PIECE_ROWS", 7)
    view = make_view(30)
    gradients = Gradients(view.probabilities, view.features)
    expected = squared_lengths(gradients.take(torch.arange(30)))
    np.testing.assert_array_equal(measured(gradients, squared_lengths), expected.numpy())


@pytest.mark.parametrize("protocol", ["paper", "released"])
def test_images_that_are_alike_are_drawn_evenly(protocol):
    """Equally long gradients at first, and later those that all lie on a pick."""
    view = make_view(6)
    view = replace(view, probabilities=view.probabilities[:1].expand(6, -1), features=view.features[:1].expand(6, -1))
    answers = torch.stack([select("badge", view, 6, generator=g(seed), protocol=protocol) for seed in range(60)])
    for picks in answers.T[:2]:
        assert set(picks.tolist()) == set(view.ids.tolist())


def test_refusals_progress_and_cancel():
    view = make_view()
    with pytest.raises(SettingError, match="'paper' or 'released', but got 'paprika'"):
        select("badge", view, 2, generator=g(), protocol="paprika")
    with pytest.raises(Cancelled):
        select("badge", view, 2, generator=g(), cancel=lambda: True)
    seen = []
    select("badge", view, 4, generator=g(), progress=lambda done, of: seen.append((done, of)))
    assert seen == [(2, 4), (3, 4), (4, 4)]
    features = view.features.clone()
    features[[7, 31]] *= 1e25
    named = rf"too long for float32 at ids \[{int(view.ids[7])}, {int(view.ids[31])}\]"
    with pytest.raises(NonFiniteError, match=named):
        select("badge", replace(view, features=features), 2, generator=g())
