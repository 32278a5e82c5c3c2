"""What each strategy looks for, on pools small enough to check by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from activekd_lab.errors import SettingError
from activekd_lab.selectors import PoolView, k_center_greedy, select
from activekd_lab.selectors.conformance import make_view
from activekd_lab.selectors.lloyd import kmeans_clusters
from activekd_lab.selectors.rows import Rows


def g(seed=0):
    return torch.Generator().manual_seed(seed)


def pool_of(probabilities, features=None, labeled=(), **more):
    """A view with ids 100, 101, …; `labeled` are (label, probabilities, features) rows with ids 0, 1, …"""
    p = torch.tensor(probabilities)
    h = torch.eye(len(p)) if features is None else torch.tensor(features)
    return PoolView(
        ids=100 + torch.arange(len(p)),
        probabilities=p,
        features=h,
        labeled_ids=torch.arange(len(labeled)),
        labeled_labels=torch.tensor([row[0] for row in labeled], dtype=torch.long),
        labeled_probabilities=torch.tensor([row[1] for row in labeled]).reshape(-1, p.shape[1]),
        labeled_features=torch.tensor([row[2] for row in labeled]).reshape(-1, h.shape[1]),
        **more,
    )


ROWS = [[0.9, 0.1, 0.0], [0.5, 0.5, 0.0], [0.4, 0.3, 0.3], [0.6, 0.2, 0.2]]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("entropy", [102, 103, 101, 100]), ("margin", [101, 102, 103, 100]), ("least_confidence", [102, 101, 103, 100])],
)
def test_uncertainty_orders(name, expected):
    assert select(name, pool_of(ROWS), 4, generator=g()).tolist() == expected


def test_head_disagreement():
    ce = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.5, 0.5]])
    kd = torch.tensor([[0.0, 1.0], [0.6, 0.4], [0.5, 0.5]])
    view = pool_of([[0.5, 0.5]] * 3, ce_probabilities=ce, kd_probabilities=kd)
    assert select("head_disagreement", view, 3, generator=g()).tolist() == [100, 101, 102]
    with pytest.raises(SettingError, match="ce_weight"):
        select("head_disagreement", view, 1, generator=g(), ce_weight=1.0)
    with pytest.raises(SettingError, match="kd_probabilities to compare the heads"):
        select("head_disagreement", replace(view, kd_probabilities=None), 1, generator=g())


def test_ties_are_drawn_by_the_generator():
    picks = {int(select("entropy", pool_of([[0.5, 0.5]] * 6), 1, generator=g(seed))[0]) for seed in range(40)}
    assert picks == set(range(100, 106))


def test_class_balanced_favours_classes_with_few_labels():
    eye = [[1.0, 0.0, 0.0]] * 6 + [[0.0, 1.0, 0.0]] * 6 + [[0.0, 0.0, 1.0]] * 2
    labeled = [(0, [1.0, 0.0, 0.0], [0.0] * 14)] * 2
    labeled = [(0, p, h) for _, p, h in labeled]
    view = pool_of(eye, labeled=labeled)
    picks = select("class_balanced", view, 7, generator=g()) - 100
    counts = np.bincount(np.digitize(picks.numpy(), [6, 12]), minlength=3).tolist()
    assert counts == [1, 4, 2]  # weights 1/3, 1, 1; the third class has two images only


def test_coreset_and_pcoreset_are_the_engine_on_their_space():
    view = make_view(80)
    pool, labels = view.probabilities, view.labeled_probabilities
    assert torch.equal(
        select("pcoreset", view, 9, generator=g()), view.ids[k_center_greedy(pool, labels, 9, generator=g()).indices]
    )
    cosine = k_center_greedy(view.features, view.labeled_features, 9, metric="cosine", generator=g())
    assert torch.equal(select("coreset", view, 9, generator=g()), view.ids[cosine.indices])
    teacher = k_center_greedy(view.teacher_probabilities, view.labeled_teacher_probabilities, 9)
    assert torch.equal(select("pcoreset", view, 9, generator=g(), probabilities="teacher"), view.ids[teacher.indices])


def test_pcoreset_weights_by_uncertainty():
    labeled = [(0, [1.0, 0.0], [0.0] * 3)]
    view = pool_of([[0.0, 1.0], [0.4, 0.6], [0.9, 0.1]], labeled=labeled)
    assert select("pcoreset", view, 1, generator=g()).tolist() == [100]
    assert select("pcoreset", view, 1, generator=g(), uncertainty_weight=3.0).tolist() == [101]
    with pytest.raises(SettingError, match="uncertainty_weight"):
        select("pcoreset", view, 1, generator=g(), uncertainty_weight=-1.0)
    with pytest.raises(SettingError, match="'soft'"):
        select("pcoreset", view, 1, generator=g(), probabilities="soft")


def test_scikit_activeml_coreset_picks_the_same_ids():
    pool = pytest.importorskip("skactiveml.pool")
    view = make_view(120, width=6)
    x = torch.cat([view.labeled_features, view.features]).double().numpy()
    y = np.r_[np.zeros(7), np.full(120, np.nan)]
    theirs = pool.CoreSet(random_state=0).query(x, y, batch_size=25) - 7
    ours = select("coreset", view, 25, generator=g(), metric="euclidean")
    assert ours.tolist() == view.ids[torch.from_numpy(theirs)].tolist()


def blobs(per_blob=20, centers=((1, 0), (0, 1), (-1, 0), (0, -1)), spread=0.02, seed=0):
    noise = spread * torch.randn(len(centers) * per_blob, 2, generator=g(seed))
    return torch.tensor(centers, dtype=torch.float32).repeat_interleave(per_blob, 0) + noise


def test_kmeans_takes_one_of_each_blob():
    view = pool_of([[0.5, 0.5]] * 80, blobs().tolist())
    hit = [len(set(((select("kmeans", view, 4, generator=g(s)) - 100) // 20).tolist())) for s in range(10)]
    assert max(hit) == 4
    assert np.mean(hit) > 2.7  # random starts leave some local optima; uniform choice gives 2.73


def test_lloyd_lowers_its_objective_and_returns_nearest_centroids():
    x = torch.randn(300, 5, generator=g())
    once = kmeans_clusters(Rows(x), 8, g(1), iterations=0)
    found = kmeans_clusters(Rows(x), 8, g(1))
    assert found.squared.sum() < once.squared.sum()
    apart = torch.cdist(x, found.centroids)
    assert torch.equal(apart.argmin(1), found.cluster)
    torch.testing.assert_close(apart.amin(1) ** 2, found.squared, rtol=1e-3, atol=1e-4)


def test_typiclust_takes_the_middle_of_the_unlabeled_blob():
    labeled = [(0, [0.5, 0.5], [1.0, 0.0]), (1, [0.5, 0.5], [0.0, 1.0])]
    features = torch.cat([blobs(10, ((1, 0), (0, 1))), torch.tensor([[-1.0, 0.0]]), blobs(9, ((-1, 0),), 0.3, seed=3)])
    view = pool_of([[0.5, 0.5]] * 30, features.tolist(), labeled)
    picks = {int(select("typiclust", view, 1, generator=g(s), max_clusters=3)[0]) - 100 for s in range(6)}
    assert min(picks) >= 20  # from the third blob, which holds no label


def test_typiclust_prefers_dense_neighborhoods():
    angles = torch.tensor([0.0, 0.01, -0.01, 0.5, -0.6])
    view = pool_of([[0.5, 0.5]] * 5, torch.stack([angles.cos(), angles.sin()], 1).tolist())
    assert select("typiclust", view, 1, generator=g(), neighbors=2, max_clusters=1).tolist() == [100]


def test_probcover_covers_the_largest_group_first():
    features = [[1.0, 0.0]] * 5 + [[0.0, 1.0]] * 9 + [[-1.0, 0.0]] * 3
    view = pool_of([[0.5, 0.5]] * 17, features)
    picks = (select("probcover", view, 3, generator=g(), radius=0.1) - 100).tolist()
    assert [int(np.digitize(p, [5, 14])) for p in picks] == [1, 0, 2]
    labeled = [(0, [0.5, 0.5], [0.0, 2.0])]
    seen = (
        int(select("probcover", pool_of([[0.5, 0.5]] * 17, features, labeled), 1, generator=g(), radius=0.1)[0]) - 100
    )
    assert seen < 5  # the group of nine is covered by a label


def test_probcover_matches_greedy_on_the_stored_graph():
    view = make_view(90, width=3, labeled=0)
    x = torch.nn.functional.normalize(view.features)
    graph = torch.cdist(x, x) <= 0.5
    uncovered, gains = torch.ones(90, dtype=torch.bool), []
    for _ in range(8):
        best = int((graph & uncovered).sum(1).argmax())
        gains.append(int((graph[best] & uncovered).sum()))
        uncovered &= ~graph[best]
    position = {int(i): row for row, i in enumerate(view.ids)}
    left, ours = torch.ones(90, dtype=torch.bool), []
    for i in select("probcover", view, 8, generator=g(), radius=0.5).tolist():
        row = graph[position[i]]
        ours.append(int((row & left).sum()))
        assert ours[-1] == int((graph & left).sum(1).max())  # a greedy step, whichever tie was drawn
        left &= ~row
    assert ours[0] == gains[0]


def test_probcover_and_typiclust_refuse_bad_options():
    for options in ({"radius": 0.0}, {"radius": 3.0}, {"purity": 1.0}):
        with pytest.raises(SettingError, match="radius"):
            select("probcover", make_view(), 2, generator=g(), **options)
    with pytest.raises(SettingError, match="neighbors"):
        select("typiclust", make_view(), 2, generator=g(), neighbors=0)
