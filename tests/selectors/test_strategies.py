"""What each strategy looks for, on pools small enough to check by hand."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from activekd_lab.errors import Cancelled, SettingError
from activekd_lab.selectors import PoolView, k_center_greedy, select
from activekd_lab.selectors.conformance import make_view
from activekd_lab.selectors.engine.lloyd import kmeans_clusters
from activekd_lab.selectors.engine.rows import Rows
from activekd_lab.selectors.engine.scores import entropy_of
from activekd_lab.selectors.kmeans import nearest_members
from activekd_lab.selectors.probcover import pure_radius

pytestmark = pytest.mark.quick


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
    for ce_weight in (0.0, 1.0):
        with pytest.raises(SettingError, match="ce_weight"):
            select("head_disagreement", view, 1, generator=g(), ce_weight=ce_weight)
    with pytest.raises(SettingError, match="kd_probabilities to compare the heads"):
        select("head_disagreement", replace(view, kd_probabilities=None), 1, generator=g())


@pytest.mark.parametrize("ce_weight", [0.2, 0.5])
def test_head_disagreement_is_the_divergence_of_the_heads_from_their_mixture(ce_weight):
    """The same information written as w KL(p_ce || m) + (1 - w) KL(p_kd || m)."""
    view = make_view(40)
    ce, kd = view.ce_probabilities.double(), view.kd_probabilities.double()
    mixture = ce_weight * ce + (1 - ce_weight) * kd
    apart = ce_weight * (ce * (ce / mixture).log()).sum(1) + (1 - ce_weight) * (kd * (kd / mixture).log()).sum(1)
    expected = view.ids[apart.argsort(descending=True)]
    assert torch.equal(select("head_disagreement", view, 40, generator=g(), ce_weight=ce_weight), expected)


@pytest.mark.parametrize(
    "name", ["entropy", "margin", "least_confidence", "head_disagreement", "pcoreset", "coreset", "probcover"]
)
def test_ties_are_drawn_by_the_generator(name):
    p = torch.full((6, 2), 0.5)
    view = pool_of(p.tolist(), [[1.0, 0.0]] * 6, [(0, [1.0, 0.0], [0.0, 1.0])], ce_probabilities=p, kd_probabilities=p)
    options = {"radius": 0.1} if name == "probcover" else {}  # one that its label does not cover
    picks = {int(select(name, view, 1, generator=g(seed), **options)[0]) for seed in range(40)}
    assert picks == set(range(100, 106))


def test_class_balanced_favours_classes_with_few_labels():
    eye = [[1.0, 0.0, 0.0]] * 6 + [[0.0, 1.0, 0.0]] * 6 + [[0.0, 0.0, 1.0]] * 2
    labeled = [(0, [1.0, 0.0, 0.0], [0.0] * 14)] * 2
    labeled = [(0, p, h) for _, p, h in labeled]
    view = pool_of(eye, labeled=labeled)
    picks = select("class_balanced", view, 7, generator=g()) - 100
    counts = np.bincount(np.digitize(picks.numpy(), [6, 12]), minlength=3).tolist()
    assert counts == [1, 4, 2]  # weights 1/3, 1, 1; the third class has two images only


def test_class_balanced_gives_seats_as_sainte_lague_and_draws_between_equal_claims():
    p = torch.eye(2).repeat_interleave(4, 0)
    labeled = [(0, [1.0, 0.0], [0.0] * 8)] * 3
    view = pool_of(p.tolist(), labeled=labeled, teacher_probabilities=p.flip(1))
    picks = select("class_balanced", view, 3, generator=g())
    assert sorted((picks >= 104).tolist()) == [False, True, True]  # claims 1, 1/3, 1/5 against 1/4
    alike = pool_of(p.tolist())
    assert {int(select("class_balanced", alike, 1, generator=g(seed))[0]) >= 104 for seed in range(40)} == {False, True}


def released_seats(labels, predicted, budget):
    """Seats of each predicted class, from the description: dictionaries, one class after the other."""
    classes, counts = sorted(set(predicted)), Counter(labels)
    inverse = {c: len(labels) / (counts.get(c, 1) + 1) if labels else 1 for c in classes}
    share = {c: inverse[c] / sum(inverse.values()) for c in classes}
    seats = {c: math.floor(budget * share[c]) for c in classes}
    rest = budget - sum(seats.values())
    for c in sorted(classes, key=share.get, reverse=True)[:rest]:
        seats[c] += 1
    return seats


@pytest.mark.parametrize("seed", range(30))
def test_class_balanced_as_released_gives_floors_and_one_more_by_weight(seed):
    view = make_view(60, labeled=[0, 3, 9, 25][seed % 4], seed=seed)
    predicted, budget = view.probabilities.argmax(1).tolist(), 1 + seed
    picks = select("class_balanced", view, budget, generator=g(seed), protocol="released").tolist()
    taken = Counter(predicted[view.ids.tolist().index(i)] for i in picks)
    seats, held = released_seats(view.labeled_labels.tolist(), predicted, budget), Counter(predicted)
    short = sum(max(0, n - held[c]) for c, n in seats.items())  # what the classes have no images for goes to any
    over = {c: taken[c] - min(n, held[c]) for c, n in seats.items()}
    assert min(over.values()) >= 0
    assert sum(over.values()) == short


def test_class_balanced_as_released_counts_an_unlabelled_class_as_one_label_and_fills_from_the_rest():
    p = torch.eye(3).repeat_interleave(torch.tensor([6, 6, 2]), 0)
    labeled = [(c, [1.0, 0.0, 0.0], [0.0] * 14) for c in (0, 1, 1, 1)]
    view = pool_of(p.tolist(), labeled=labeled)
    counts = []
    for seed in range(40):
        picks = select("class_balanced", view, 10, generator=g(seed), protocol="released") - 100
        counts.append(np.bincount(np.digitize(picks.numpy(), [6, 12]), minlength=3))
    # weights 4/2, 4/4, 4/2: 4, 2, 4 seats; two of the third class's have no image and go to any of the others
    assert {(int(c[0]) - 4) + (int(c[1]) - 2) for c in counts} == {2}
    assert all(c[2] == 2 for c in counts)
    assert len({int(c[0]) for c in counts}) > 1


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


@pytest.mark.parametrize("name", ["pcoreset", "coreset"])
def test_both_core_sets_pick_what_their_description_says(name):
    """Again and again the image whose nearest labelled or picked one is farthest, one distance after the other."""
    view = make_view(60)
    if name == "pcoreset":
        pool, known = view.probabilities.double().numpy(), view.labeled_probabilities.double().numpy()
        apart = math.dist
    else:
        pool, known = view.features.double().numpy(), view.labeled_features.double().numpy()

        def apart(a, b):
            return 1 - sum(a * b) / math.sqrt(sum(a * a) * sum(b * b))

    centers, picks = [*known], []
    for _ in range(15):
        left = [i for i in range(len(pool)) if i not in picks]
        picks.append(max(left, key=lambda i: min(apart(pool[i], c) for c in centers)))
        centers.append(pool[picks[-1]])
    assert select(name, view, 15, generator=g()).tolist() == view.ids[picks].tolist()


def test_pcoreset_hands_its_options_to_the_engine():
    view = make_view(80)
    pool, labels = view.kd_probabilities, view.labeled_kd_probabilities
    found = []
    for metric in ("euclidean", "hellinger", "cosine"):
        result = k_center_greedy(pool, labels, 9, metric=metric)
        found.append(select("pcoreset", view, 9, generator=g(), probabilities="kd", metric=metric).tolist())
        assert found[-1] == view.ids[result.indices].tolist()
    assert len({tuple(ids) for ids in found}) == 3
    weights = 1 + 0.5 * entropy_of(pool) / np.log(5)
    expected = view.ids[k_center_greedy(pool, labels, 30, weights=weights).indices]
    options = {"probabilities": "kd", "uncertainty_weight": 0.5}
    assert torch.equal(select("pcoreset", view, 30, generator=g(), **options), expected)


@pytest.mark.parametrize("name", ["pcoreset", "coreset", "probcover"])
def test_long_selections_can_be_cancelled(name):
    with pytest.raises(Cancelled, match="before any pick" if name == "probcover" else "after 0 picks"):
        select(name, make_view(), 3, generator=g(), cancel=lambda: True)
    asked = []
    with pytest.raises(Cancelled, match="after [12] picks"):
        select(name, make_view(), 9, generator=g(), cancel=lambda: asked.append(1) or len(asked) > 2)


@pytest.mark.parametrize("name", ["pcoreset", "coreset"])
def test_greedy_selectors_tell_their_progress(name):
    seen = []
    select(name, make_view(), 3, generator=g(), progress=lambda done, of: seen.append((done, of)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_pcoreset_weights_by_uncertainty():
    labeled = [(0, [1.0, 0.0], [0.0] * 3)]
    view = pool_of([[0.0, 1.0], [0.4, 0.6], [0.9, 0.1]], labeled=labeled)
    assert select("pcoreset", view, 1, generator=g()).tolist() == [100]
    assert select("pcoreset", view, 1, generator=g(), uncertainty_weight=3.0).tolist() == [101]
    for weight in (-1.0, float("inf")):
        with pytest.raises(SettingError, match="uncertainty_weight"):
            select("pcoreset", view, 1, generator=g(), uncertainty_weight=weight)
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


def test_kmeans_takes_the_members_nearest_to_the_centroids():
    nearest = nearest_members(torch.tensor([2, 0, 2, 0, 2]), torch.tensor([0.5, 3.0, 0.1, 1.0, 0.3]))
    assert nearest.tolist() == [3, 2]  # no image is in cluster 1
    view = make_view(80)
    view = replace(view, features=view.features * torch.linspace(0.2, 5, 80)[:, None])
    for options, metric in (({}, "cosine"), ({"metric": "euclidean"}, "euclidean")):
        found = kmeans_clusters(Rows(view.features, metric), 9, g())
        expected = view.ids[nearest_members(found.cluster, found.squared)]
        assert len(expected) == 9
        assert torch.equal(select("kmeans", view, 9, generator=g(), **options), expected)


def test_lloyd_lowers_its_objective_and_returns_nearest_centroids():
    x = torch.randn(300, 5, generator=g())
    found = kmeans_clusters(Rows(x), 8, g(1), iterations=100)
    sums = [float(kmeans_clusters(Rows(x), 8, g(1), iterations=i).squared.sum()) for i in (0, 1, 4)]
    assert sums == sorted({*sums}, reverse=True)
    assert found.squared.sum() <= sums[-1]
    means = torch.stack([x[found.cluster == k].mean(0) for k in range(8)])
    torch.testing.assert_close(found.centroids, means)  # no row moves any more
    apart = torch.cdist(x, found.centroids)
    assert torch.equal(apart.argmin(1), found.cluster)
    torch.testing.assert_close(apart.amin(1) ** 2, found.squared, rtol=1e-3, atol=1e-4)


def test_seeds_of_kmeans_lie_apart_and_repeated_rows_leave_centroids_where_they_are():
    sizes = torch.tensor([60, 3, 2, 40, 1, 1])
    x = (100 * torch.eye(6)).repeat_interleave(sizes, 0) + 0.01 * torch.randn(107, 6, generator=g())
    starts = [kmeans_clusters(Rows(x), 6, g(seed), iterations=0) for seed in range(20)]
    assert max(float(start.squared.sum()) for start in starts) < 1  # one seed in every group
    assert len({int(start.centroids[0].argmax()) for start in starts}) > 1
    repeated = 5 + torch.eye(3).repeat(10, 1)
    found = kmeans_clusters(Rows(repeated), 5, g())
    assert float(found.squared.sum()) < 1e-6
    assert torch.cdist(found.centroids, repeated).amin(1).max() < 1e-3


def test_typiclust_takes_the_middle_of_the_unlabeled_blob():
    labeled = [(0, [0.5, 0.5], [1e-3, 0.0]), (1, [0.5, 0.5], [0.0, 1e-3])]
    features = torch.cat([blobs(10, ((1, 0), (0, 1))), torch.tensor([[-1.0, 0.0]]), blobs(9, ((-1, 0),), 0.3, seed=3)])
    view = pool_of([[0.5, 0.5]] * 30, features.tolist(), labeled)
    picks = {int(select("typiclust", view, 1, generator=g(s), max_clusters=3)[0]) - 100 for s in range(6)}
    assert min(picks) >= 20  # from the third blob, which holds no label


def test_typiclust_prefers_dense_neighborhoods():
    angles = torch.tensor([0.0, 0.01, -0.01, 0.5, -0.6])
    view = pool_of([[0.5, 0.5]] * 5, torch.stack([angles.cos(), angles.sin()], 1).tolist())
    assert select("typiclust", view, 1, generator=g(), neighbors=2, max_clusters=1).tolist() == [100]


def test_typicality_is_the_mean_distance_to_the_nearest_members_of_length_one():
    view = make_view(300, width=3, labeled=0)
    view = replace(view, features=view.features * torch.linspace(0.1, 10, 300)[:, None])
    x = torch.nn.functional.normalize(view.features)
    nearest = torch.cdist(x, x).fill_diagonal_(torch.inf).topk(3, largest=False).values.mean(1)
    picks = select("typiclust", view, 6, generator=g(), neighbors=3, max_clusters=1)
    assert picks.tolist() == view.ids[nearest.argsort()[:6]].tolist()


def test_typiclust_visits_the_largest_cluster_first_and_then_goes_round():
    view = pool_of([[0.5, 0.5]] * 14, torch.cat([blobs(5, ((1, 0),)), blobs(9, ((0, 1),))]).tolist())
    for seed in range(5):
        picks = select("typiclust", view, 4, generator=g(seed), max_clusters=2) - 100
        assert (picks < 5).tolist() == [False, True, False, True]


def typical_as_released(features, members):
    """The member with the least mean squared distance to its min(20, n/2) nearest, itself left out: in a plain loop."""
    best = None
    for i in members:
        apart = sorted(
            sum((a - b) ** 2 for a, b in zip(features[i], features[j], strict=True)) for j in members if j != i
        )
        few = max(1, min(20, len(members) // 2))
        mean = sum(apart[:few]) / few
        best = min(best or (mean, i), (mean, i))
    return best[1]


@pytest.mark.parametrize("neighbors", [20, 3])
def test_typiclust_as_released_leaves_small_clusters_out_and_goes_round(neighbors):
    """Blobs of 5, 8, 12 and 30 images and a label in the last: order 12, 8, 30 again and again, never the 5."""
    sizes, corners = [5, 8, 12, 30], [(1, 0), (0, 1), (-1, 0), (0, -1)]
    noise = 0.05 * torch.randn(sum(sizes), 2, generator=g(7))
    features = torch.tensor(corners, dtype=torch.float32).repeat_interleave(torch.tensor(sizes), 0) + noise
    view = pool_of([[0.5, 0.5]] * len(features), features.tolist(), [(0, [0.5, 0.5], [0.0, -1.0])])
    unit = torch.nn.functional.normalize(features).double().tolist()
    blob = np.repeat(range(4), sizes)
    whole = 0
    for seed in range(12):
        options = {"protocol": "released", "max_clusters": 4, "neighbors": neighbors}
        picks = (select("typiclust", view, 9, generator=g(seed), **options) - 100).tolist()
        found = kmeans_clusters(Rows(view.features, "cosine"), 4, g(seed)).cluster.numpy()
        if len({(a, b) for a, b in zip(found, blob, strict=True)}) > 4:
            continue  # a start that split a blob
        whole += 1
        assert blob[picks].tolist() == [2, 1, 3] * 3
        if neighbors == 20:
            left = {b: [i for i in range(len(blob)) if blob[i] == b] for b in (2, 1, 3)}
            for pick in picks:
                members = left[blob[pick]]
                assert pick == typical_as_released(unit, members)
                members.remove(pick)
    assert whole >= 3


def test_typiclust_as_released_counts_labels_to_a_clusters_size_and_fills_when_all_are_small():
    few = pool_of([[0.5, 0.5]] * 4, blobs(4, ((1, 0),)).tolist())
    assert len(select("typiclust", few, 4, generator=g(), protocol="released", max_clusters=1)) == 4
    labeled = [(0, [0.5, 0.5], [1.0, 0.0])] * 2
    tight = torch.cat([blobs(1, ((1, 0),), 1e-4), blobs(3, ((1, 0),), 0.3, seed=1)])
    view = pool_of([[0.5, 0.5]] * 4, tight.tolist(), labeled)
    picks = {
        int(select("typiclust", view, 1, generator=g(s), protocol="released", max_clusters=1)[0]) for s in range(9)
    }
    assert len(picks) == 1  # 4 images and 2 labels are a cluster; a random pick would change with the seed


def test_typiclust_looks_at_an_even_part_of_a_large_cluster(monkeypatch):
    monkeypatch.setattr("activekd_lab.selectors.typiclust.LARGEST_CLUSTER", 8)
    features = torch.cat([blobs(30, ((1, 0),), 0.3), blobs(30, ((1, 0),), 0.001)])
    view = pool_of([[0.5, 0.5]] * 60, features.tolist())
    assert int(select("typiclust", view, 1, generator=g(), neighbors=2, max_clusters=1)[0]) in range(132, 157, 8)


@pytest.mark.parametrize("sample", [2000, 30])
@pytest.mark.parametrize("purity", [0.95, 0.5])
def test_the_radius_of_probcover_keeps_a_share_of_balls_within_one_cluster(purity, sample, monkeypatch):
    """Three groups of 20, at 0, 90 and 100 degrees: most balls may reach across 10 degrees, few across 90."""
    monkeypatch.setattr("activekd_lab.selectors.probcover.SAMPLE", sample)
    angles = torch.tensor([0.0, 90.0, 100.0]).repeat_interleave(20) + torch.linspace(0, 2, 60)
    angles = angles.deg2rad()
    x = torch.stack([angles.cos(), angles.sin()], 1)
    group = torch.arange(60) // 20
    other = torch.cdist(x, x).masked_fill(group[:, None] == group, torch.inf).amin(1)
    found = [pure_radius(Rows(3 * x, "cosine"), 3, purity, g(seed)) for seed in range(5)]
    expected = float(other.quantile(1 - purity))
    assert np.median(found) == pytest.approx(expected, rel=1e-3 if sample > 60 else 0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("ball", "clusters"), [(4, 1), (7, 30), (1024, 256)])
@pytest.mark.parametrize("radius", [0.15, 0.6, 1.4])
def test_probcover_picks_the_same_from_balls_of_any_size(ball, clusters, radius, monkeypatch):
    """Greedy on the whole graph, ties by the order that the generator draws; labels cover first."""
    monkeypatch.setattr("activekd_lab.selectors.probcover.BALL", ball)
    monkeypatch.setattr("activekd_lab.selectors.probcover.CLUSTERS", clusters)
    monkeypatch.setattr("activekd_lab.selectors.probcover.SHARE", ball)
    monkeypatch.setattr("activekd_lab.selectors.probcover.TOGETHER", 5)
    view = make_view(200, width=3, seed=4)
    view = replace(view, features=torch.cat([view.features[:190], view.features[:1].repeat(10, 1)]))
    x, y = (torch.nn.functional.normalize(h) for h in (view.features, view.labeled_features))
    order = torch.randperm(200, generator=g(2))
    graph = torch.cdist(x[order], x[order]) <= radius
    left = ~(torch.cdist(x[order], y) <= radius).any(1)
    expected = []
    while len(expected) < 25 and left.any():
        best = int((graph & left).sum(1).argmax())
        expected.append(int(view.ids[order[best]]))
        left &= ~graph[best]
    picks = select("probcover", view, 25, generator=g(2), radius=radius).tolist()
    assert picks[: len(expected)] == expected
    assert len(expected) > 2 or radius == 1.4


def test_probcover_tells_its_progress_and_can_be_cancelled_while_it_counts(monkeypatch):
    monkeypatch.setattr("activekd_lab.selectors.probcover.BALL", 16)
    seen, asked = [], []
    select("probcover", make_view(), 3, generator=g(), radius=0.3, progress=lambda *count: seen.append(count))
    counted = [done for done, of in seen if of == 60]
    assert counted == sorted({*counted})
    assert counted[-1] == 60
    assert seen[-3:] == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(Cancelled, match=r"at image [1-9]\d* of 60, before any pick"):
        select("probcover", make_view(), 3, generator=g(), cancel=lambda: asked.append(1) or len(asked) > 6)
    assert len(asked) == 7


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
    for options in ({"radius": 0.0}, {"radius": 3.0}, {"purity": 1.0}, {"purity": 0.0}):
        with pytest.raises(SettingError, match="radius"):
            select("probcover", make_view(), 2, generator=g(), **options)
    assert len(select("probcover", make_view(), 2, generator=g(), radius=2.0)) == 2
    for options in ({"neighbors": 0}, {"max_clusters": 0}):
        with pytest.raises(SettingError, match="neighbors"):
            select("typiclust", make_view(), 2, generator=g(), **options)
