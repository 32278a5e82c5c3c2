"""CLAP and Tip-Adapter-F on crops, against slow computations in NumPy that follow their descriptions."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from activekd_lab.errors import SettingError, UnknownNameError
from activekd_lab.teachers.released import ReleasedCLAP, ReleasedTipAdapterF, released, searched
from activekd_lab.teachers.tip_adapter import CacheHead
from activekd_lab.teachers.zero_shot import ZeroShotHead

C, D, SCALE = 3, 5, 20.0


def unit(*shape, seed):
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=1)


def problem(L=7):
    raw = 0.6 * torch.randn(C, D, generator=torch.Generator().manual_seed(1))
    head = ZeroShotHead(F.normalize(raw, dim=1), SCALE, 0.0, raw)
    labels = torch.tensor([0, 1, 0, 1, 1, 0, 0, 1] * 300)[:L]  # class 2 has none
    return head, unit(L, D, seed=2), labels


class Recorded:
    """Crops that are the plain image with a little noise, and a record of what was asked for."""

    def __init__(self, embeddings):
        self.embeddings, self.asked = embeddings, []

    def __call__(self, rows, generator, area):
        seen = self.embeddings[rows] + 0.1 * torch.randn(len(rows), D, generator=generator)
        seen = F.normalize(seen, dim=1)
        self.asked.append((rows.clone(), seen.clone(), area))
        return seen


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def slow_clap(head, embeddings, labels, asked, updates, steps):
    """SGD with momentum written out: the gradient of CE through the prototypes' lengths, and of the weighted pull."""
    start = head.raw_text.double().numpy()
    plain = softmax(SCALE * embeddings.double().numpy() @ (start / np.linalg.norm(start, axis=1, keepdims=True)).T)
    y = labels.numpy()
    pull = np.array([plain[y == c, c].mean() if (y == c).any() else 0.0 for c in range(C)])
    w, velocity = start.copy(), np.zeros_like(start)
    for k in range(updates):
        rows, e = asked[k][0].numpy(), asked[k][1].double().numpy()
        length = np.linalg.norm(w, axis=1, keepdims=True)
        direction = w / length
        p = softmax(SCALE * e @ direction.T)
        p[np.arange(len(rows)), y[rows]] -= 1
        outer = SCALE * p.T @ e / len(rows)  # by the unit prototypes
        gradient = (outer - (outer * direction).sum(1, keepdims=True) * direction) / length
        gradient += 2 * pull[:, None] * (w - start) / C
        warm = 0.1 * steps
        rate = 0.01 * (k / max(1, warm) if k < warm else (steps - k) / (steps - warm))
        velocity = 0.9 * velocity + gradient
        w = w - rate * velocity
    return w


def test_the_first_ten_updates_of_clap_are_those_of_its_description():
    """⌊300 · 3 / 64⌋ = 14 steps, a warm-up of 1.4; what the first ten did is in what the last ones leave."""
    head, embeddings, labels = problem(3)
    crops = Recorded(embeddings)
    fitted = ReleasedCLAP(head, crops).fit(embeddings, labels, generator=torch.Generator().manual_seed(5))
    assert len(crops.asked) == 14
    np.testing.assert_allclose(
        fitted.raw_text.numpy(), slow_clap(head, embeddings, labels, crops.asked, 14, 14), atol=2e-5
    )


def test_the_published_length_of_clap():
    head, embeddings, labels = problem(10)
    crops = Recorded(embeddings)
    method = ReleasedCLAP(head, crops)
    assert [method.steps(L) for L in (1, 10, 100, 1600)] == [4, 46, 468, 7500]
    method.fit(embeddings, labels, generator=torch.Generator())
    assert len(crops.asked) == 46
    rows, seen, area = crops.asked[0]
    assert (len(rows), seen.shape, area) == (64, (64, D), (0.08, 1.0))


def test_on_imagenet_clap_passes_over_the_labels_in_ever_new_order():
    """PCoreSet's clap_imgnet.py: batches run across the ends of passes, and the last one is what is left."""
    head, embeddings, labels = problem(10)
    crops = Recorded(embeddings)
    method = released("clap", head, crops, None, "imagenet")
    assert [method.steps(L) for L in (1, 10, 1000)] == [5, 47, 4688]
    method.fit(embeddings, labels, generator=torch.Generator())
    rows = torch.cat([asked[0] for asked in crops.asked])
    assert [len(asked[0]) for asked in crops.asked] == [64] * 46 + [3000 - 46 * 64]
    assert {asked[2] for asked in crops.asked} == {(0.5, 1.0)}
    passes = rows.view(300, 10)
    assert (passes.sort(1).values == torch.arange(10)).all()
    assert len(passes.unique(dim=0)) > 290


def test_a_class_without_labels_drifts():
    head, embeddings, labels = problem()
    fitted = ReleasedCLAP(head, Recorded(embeddings)).fit(embeddings, labels, generator=torch.Generator())
    assert not torch.allclose(fitted.raw_text[2], head.raw_text[2], atol=1e-3)


def test_tip_adapters_keys_are_unit_means_of_ten_crops_and_are_trained_on_new_ones():
    head, embeddings, labels = problem()
    crops, validation = Recorded(embeddings), (unit(9, D, seed=4), torch.arange(9) % C)
    g = torch.Generator().manual_seed(3)
    frozen = ReleasedTipAdapterF(head, crops, validation, "dtd", learning_rate=0.0).fit(embeddings, labels, generator=g)
    ten = np.mean([seen.double().numpy() for _, seen, _ in crops.asked[:10]], axis=0)
    np.testing.assert_allclose(frozen.keys.numpy(), ten / np.linalg.norm(ten, axis=1, keepdims=True), atol=1e-6)
    assert len(crops.asked) == 10 + 200
    assert {area for _, _, area in crops.asked} == {(0.5, 1.0)}
    assert all(sorted(rows.tolist()) == list(range(7)) for rows, _, _ in crops.asked)
    trained = ReleasedTipAdapterF(head, Recorded(embeddings), validation, "imagenet").fit(
        embeddings, labels, generator=torch.Generator().manual_seed(3)
    )
    assert float((trained.keys - frozen.keys).abs().max()) > 1e-3


def test_the_search_is_the_whole_grid():
    """4,000 pairs one by one, β first, as published; the first of the best stays."""
    head, embeddings, labels = problem()
    cache = CacheHead(head, embeddings, F.one_hot(labels, C).float(), 1.0, 1.0)
    seen, truth = unit(40, D, seed=8), torch.randint(0, C, (40,), generator=torch.Generator().manual_seed(8))
    best, found = -1, None
    for i in range(200):
        beta = 0.1 + i * (13 - 0.1) / 200
        for j in range(20):
            alpha = 0.1 + j * (13 - 0.1) / 20
            logits = CacheHead(head, cache.keys, cache.values, alpha, beta).logits(seen)
            right = int((logits.argmax(1) == truth).sum())
            if right > best:
                best, found = right, (alpha, beta)
    assert searched(cache, seen, truth, largest=(13, 13)) == pytest.approx(found)


def test_what_is_missing_is_said():
    head, embeddings, labels = problem()
    with pytest.raises(SettingError, match="fit draws crops; give it a torch.Generator"):
        ReleasedCLAP(head, Recorded(embeddings)).fit(embeddings, labels)
    with pytest.raises(UnknownNameError, match="Unknown few_shot on crops 'tip_adapter'"):
        released("tip_adapter", head, Recorded(embeddings), lambda: (embeddings, labels), "dtd")
