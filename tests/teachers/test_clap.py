import math
import warnings

import pytest
import torch
from torch.nn import functional as F

import activekd_lab as akd
from activekd_lab.errors import NonFiniteError, PoolError, SettingError, UnknownNameError
from activekd_lab.teachers.clap import CLAP, clap_loss, clap_weights
from activekd_lab.teachers.few_shot import FEW_SHOT, few_shot
from activekd_lab.teachers.fitting import batches
from activekd_lab.teachers.linear_probe import LinearProbe
from activekd_lab.teachers.tip_adapter import TipAdapter, TipAdapterF, tip_logits
from activekd_lab.teachers.zero_shot import ZeroShotHead

pytestmark = pytest.mark.quick


def head_of(C=4, D=8, scale=20.0):
    raw = torch.randn(C, D, generator=torch.Generator().manual_seed(1)) * 0.5
    return ZeroShotHead(F.normalize(raw, dim=1), scale, 0.0, raw)


def few(head, shots, seed=0):
    """Unit embeddings and their labels: each class has a place of its own, 0 and 1 nearer to the other's text."""
    g = torch.Generator().manual_seed(seed)
    C, D = head.text.shape
    swapped = head.text[[1, 0, *range(2, C)]]
    place = F.normalize(torch.randn(C, D, generator=torch.Generator().manual_seed(9)))
    centers = F.normalize(0.3 * head.text + 0.7 * swapped + 0.6 * place)
    labels = torch.arange(C).repeat(shots)
    return F.normalize(centers[labels] + 0.3 * torch.randn(C * shots, D, generator=g) / math.sqrt(D)), labels


def test_clap_loss_by_hand():
    """Two classes, two dimensions: logits (2·0.6, 2·0.8) for the first row, and a pull of (0.5·1 + 0.25·0) / 2."""
    prototypes = torch.tensor([[3.0, 0.0], [0.0, 5.0]])
    start = torch.tensor([[2.0, 0.0], [0.0, 5.0]])
    embeddings = torch.tensor([[0.6, 0.8]])
    loss = clap_loss(prototypes, embeddings, torch.tensor([1]), start, torch.tensor([0.5, 0.25]), scale=2.0, bias=-7.0)
    assert float(loss) == pytest.approx(math.log(1 + math.exp(1.2 - 1.6)) + 0.25)


def test_clap_weights_by_hand():
    probabilities = torch.tensor([[0.9, 0.1, 0.0], [0.5, 0.3, 0.2], [0.2, 0.6, 0.2]])
    weights = clap_weights(probabilities, torch.tensor([0, 0, 1]))
    torch.testing.assert_close(weights, torch.tensor([0.7, 0.6, 0.0]))


def test_tip_logits_by_hand():
    """A query on the first key: a full vote for class 1, and exp(−5.5) of one for class 0 from an orthogonal key."""
    votes = tip_logits(
        torch.tensor([[1.0, 0.0]]),
        torch.eye(2),
        torch.tensor([[0.0, 1.0], [1.0, 0.0]]),
        cache_weight=2.0,
        sharpness=5.5,
    )
    torch.testing.assert_close(votes, torch.tensor([[2 * math.exp(-5.5), 2.0]]))


def test_the_first_steps_of_clap_equal_sgd_written_out():
    """Two steps by hand: gradient of the loss, momentum 0.9, learning rates of the warm-up."""
    head, method = head_of(), CLAP(head_of(), epochs=2, warmup=0.5)
    embeddings, labels = few(head, 2)
    weights = clap_weights(head.probabilities(embeddings), labels)
    w, velocity = head.raw_text.clone(), torch.zeros_like(head.raw_text)
    for rate in (0.01, 0.01):  # one step of warm-up reaches the peak; the decay starts there
        w.requires_grad_()
        (gradient,) = torch.autograd.grad(clap_loss(w, embeddings, labels, head.raw_text, weights, scale=20.0), w)
        velocity = 0.9 * velocity + gradient
        w = (w - rate * velocity).detach()
    torch.testing.assert_close(method.fit(embeddings, labels).raw_text, w)


def test_the_first_steps_of_tip_adapter_f_equal_adamw_written_out():
    """Two steps by hand with the authors' ε and a cosine from the peak over its half: the keys are what is trained."""
    head = head_of()
    embeddings, labels = few(head, 2)
    keys, values = embeddings.clone().requires_grad_(), F.one_hot(labels, 4).float()
    optimizer = torch.optim.AdamW([keys], lr=0.01, eps=1e-4)
    for rate in (0.01, 0.005):
        optimizer.param_groups[0]["lr"] = rate
        votes = tip_logits(embeddings, keys, values, cache_weight=2.0, sharpness=3.0)
        optimizer.zero_grad()
        F.cross_entropy(head.logits(embeddings) + votes, labels).backward()
        optimizer.step()
    fitted = TipAdapterF(head, 2.0, 3.0, epochs=2, learning_rate=0.01).fit(embeddings, labels)
    torch.testing.assert_close(fitted.keys, keys.detach())
    unseen, _ = few(head, 3, seed=1)
    votes = tip_logits(unseen, keys.detach(), values, cache_weight=2.0, sharpness=3.0)
    torch.testing.assert_close(fitted.logits(unseen), head.logits(unseen) + votes)


def test_tip_adapter_adds_the_votes_of_its_labels_to_the_zero_shot_logits():
    head = head_of()
    (embeddings, labels), (unseen, _) = few(head, 2), few(head, 3, seed=1)
    votes = tip_logits(unseen, embeddings, F.one_hot(labels, 4).float(), cache_weight=2.0, sharpness=3.0)
    fitted = TipAdapter(head, cache_weight=2.0, sharpness=3.0).fit(embeddings, labels)
    torch.testing.assert_close(fitted.logits(unseen), head.logits(unseen) + votes)
    silent = TipAdapter(head, cache_weight=0.0).fit(embeddings, labels)
    torch.testing.assert_close(silent.logits(unseen), head.logits(unseen))


def test_the_constants_are_those_of_the_papers_and_their_code():
    head = head_of()
    for method in (CLAP(head), LinearProbe(head)):
        assert (method.epochs, method.learning_rate, method.momentum, method.warmup) == (300, 0.01, 0.9, 0.1)
    assert (TipAdapter(head).cache_weight, TipAdapter(head).sharpness) == (1, 5.5)
    tuned = TipAdapterF(head)
    assert (tuned.cache_weight, tuned.sharpness, tuned.epochs, tuned.learning_rate) == (1, 5.5, 20, 0.001)


def test_without_raw_text_the_prototypes_start_at_the_unit_text_and_the_bias_stays():
    head = ZeroShotHead(head_of().text, 20.0, -3.0)
    embeddings, labels = few(head, 2)
    fitted = CLAP(head, learning_rate=0.0).fit(embeddings, labels)
    torch.testing.assert_close(fitted.raw_text, head.text)
    torch.testing.assert_close(fitted.logits(embeddings), head.logits(embeddings))


def test_a_fit_needs_no_gradients_switched_on():
    head = head_of()
    embeddings, labels = few(head, 2)
    with torch.no_grad():
        fitted = CLAP(head, epochs=3).fit(embeddings, labels)
    assert not torch.equal(fitted.raw_text, head.raw_text)


@pytest.mark.parametrize("name", sorted(FEW_SHOT))
def test_labels_help_on_images_not_seen(name):
    head = head_of(C=6)
    embeddings, labels = few(head, 8)
    unseen, truth = few(head, 50, seed=1)

    def accuracy(h):
        return float((h.logits(unseen).argmax(1) == truth).float().mean())

    fitted = few_shot(name, head).fit(embeddings, labels)
    assert accuracy(fitted) > accuracy(head) + 0.02
    torch.testing.assert_close(fitted.probabilities(unseen).sum(1), torch.ones(300))


@pytest.mark.parametrize("name", sorted(FEW_SHOT))
def test_a_fit_repeats_and_changes_neither_the_head_nor_the_embeddings(name):
    head = head_of()
    embeddings, labels = few(head, 2)
    before = head.text.clone(), head.raw_text.clone(), embeddings.clone()
    a, b = (few_shot(name, head).fit(embeddings, labels).logits(embeddings) for _ in range(2))
    assert torch.equal(a, b)
    assert all(torch.equal(x, y) for x, y in zip(before, (head.text, head.raw_text, embeddings), strict=True))
    assert not a.requires_grad


def test_the_pull_keeps_prototypes_nearer_to_the_text_than_the_probe():
    head = head_of()
    embeddings, labels = few(head, 4)

    def moved(method):
        return float((method.fit(embeddings, labels).raw_text - head.raw_text).norm())

    assert moved(CLAP(head)) < 0.9 * moved(LinearProbe(head))


def test_trained_keys_lower_the_loss_of_tip_adapter():
    head = head_of()
    embeddings, labels = few(head, 4)
    fixed, trained = (F.cross_entropy(m(head).fit(embeddings, labels).logits(embeddings), labels)
                      for m in (TipAdapter, TipAdapterF))  # fmt: skip
    assert float(trained) < float(fixed)


@pytest.mark.parametrize("name", sorted(FEW_SHOT))
def test_a_class_without_labels_stays_at_the_text_and_is_said(name):
    head = head_of()
    embeddings, labels = few(head, 3)
    kept = labels != 2
    with pytest.warns(UserWarning, match=r"1 of 4 classes have no label \(2\)"):
        fitted = few_shot(name, head).fit(embeddings[kept], labels[kept])
    torch.testing.assert_close(fitted.logits(embeddings)[:, 2], head.logits(embeddings)[:, 2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        few_shot(name, head).fit(embeddings, labels)


@pytest.mark.parametrize("name", sorted(FEW_SHOT))
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([0, 4]), r"labels must lie in 0 … 3, but got \[4\]"),
        (torch.tensor([-1, 0]), r"but got \[-1\]"),
        (torch.tensor([0]), r"one an embedding \(2\), but got torch.int64 \(1,\)"),
        (torch.tensor([0.0, 1.0]), "torch.float32"),
    ],
)
def test_labels_that_do_not_fit_are_refused(name, labels, message):
    with pytest.raises(PoolError, match=message):
        few_shot(name, head_of()).fit(F.normalize(torch.ones(2, 8)), labels)


@pytest.mark.parametrize("method", [CLAP, TipAdapterF, LinearProbe])
def test_many_labels_are_taken_in_batches_drawn_by_the_generator(method):
    head = head_of()
    embeddings, labels = few(head, 10)
    small = method(head, epochs=3, batch=16)
    with pytest.raises(SettingError, match="batches of 16 from 40 labels"):
        small.fit(embeddings, labels)

    def fitted(seed):
        return small.fit(embeddings, labels, generator=torch.Generator().manual_seed(seed)).logits(embeddings)

    assert torch.equal(fitted(0), fitted(0))
    assert not torch.equal(fitted(0), fitted(1))


def test_batches_take_every_label_once_an_epoch_in_a_new_order(g, monkeypatch):
    drawn = list(batches(torch.zeros(40, dtype=torch.int64), 16, 6, g))
    assert [len(rows) for rows in drawn] == [16, 16, 8] * 2
    first, second = torch.cat(drawn[:3]), torch.cat(drawn[3:])
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(40))
    assert not torch.equal(first, second)
    taken = []
    for module in ("clap", "tip_adapter"):
        monkeypatch.setattr(
            f"activekd_lab.teachers.{module}.batches", lambda *args: taken.append(args[2]) or batches(*args)
        )
    head = head_of()
    embeddings, labels = few(head, 10)
    for method in (CLAP, TipAdapterF):
        method(head, epochs=3, batch=16).fit(embeddings, labels, generator=g)
    assert taken == [9, 9]  # three epochs of three batches


def test_every_name_gives_its_own_method():
    kinds = {name: type(few_shot(name, head_of())) for name in FEW_SHOT}
    assert kinds == {
        "clap": CLAP, "tip_adapter": TipAdapter, "tip_adapter_f": TipAdapterF, "linear_probe": LinearProbe
    }  # fmt: skip


def test_errors_of_settings():
    with pytest.raises(UnknownNameError, match="nearest first: tip_adapter,"):
        few_shot("tipadapter", head_of())
    for wrong in ({"sharpness": 0}, {"cache_weight": -0.1}):
        with pytest.raises(SettingError, match="TipAdapter expected (sharpness|cache_weight) as a finite number >=? 0"):
            TipAdapter(head_of(), **wrong)
    embeddings, labels = few(head_of(), 2)
    with pytest.raises(NonFiniteError, match="lower its learning_rate"):
        CLAP(head_of(), learning_rate=1e30).fit(embeddings, labels)


def test_front_door():
    assert akd.teachers.CLAP is CLAP
    assert akd.teachers.TipAdapter is TipAdapter
