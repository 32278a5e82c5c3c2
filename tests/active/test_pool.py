import pytest
import torch

from activekd_lab.active.pool import Pool, initial_ids
from activekd_lab.data import Split
from activekd_lab.errors import PoolError
from activekd_lab.runs.records import Label

pytestmark = pytest.mark.quick


@pytest.fixture
def split():
    return Split("train", torch.zeros(9, 3, 4, 4, dtype=torch.uint8), torch.arange(9) % 3)


def test_buying_reveals_labels_and_keeps_the_order(split):
    pool = Pool(split)
    assert pool.buy([4, 2], round_index=1, source="selector") == [
        Label(4, 1, 1, "selector"),
        Label(2, 2, 1, "selector"),
    ]
    assert pool.labeled_ids.tolist() == [4, 2]
    assert pool.labeled_labels.tolist() == [1, 2]
    assert pool.unlabeled_ids.tolist() == [0, 1, 3, 5, 6, 7, 8]


@pytest.mark.parametrize(
    ("ids", "message"), [([4], "have a label already"), ([9], "must lie in 0 … 8"), ([1, 1], "repeated")]
)
def test_a_bad_purchase_buys_nothing(split, ids, message):
    pool = Pool(split, [Label(4, 1, 0, "initial")])
    with pytest.raises(PoolError, match=message):
        pool.buy([0, *ids], round_index=1, source="selector")
    assert len(pool.ledger) == 1


@pytest.mark.parametrize(("ids", "message"), [([9], "must lie in 0 … 8"), ([-1], "must lie in"), ([1, 1], "repeated")])
def test_labels_of_an_earlier_session_must_fit_the_split(split, ids, message):
    earlier = [Label(i, 0, 0, "initial") for i in ids]
    with pytest.raises(PoolError, match=message):
        Pool(split, earlier)
    with pytest.raises(PoolError, match=message):
        Pool(split).buy(ids, round_index=0, source="initial")


def test_a_pool_keeps_a_ledger_of_its_own(split):
    earlier = [Label(4, 1, 0, "initial"), Label(0, 0, 0, "validation")]
    pool = Pool(split, earlier)
    pool.buy([2], round_index=1, source="selector")
    assert len(earlier) == 2
    assert (pool.labeled_ids.tolist(), [part.tolist() for part in pool.validation]) == ([4, 2], [[0], [0]])
    assert pool.unlabeled_ids.tolist() == [1, 3, 5, 6, 7, 8]


def test_initial_ids_are_balanced_seeded_and_refuse_too_few(split, g):
    ids = initial_ids(split, 3, 2, g)
    assert torch.bincount(split.labels[ids]).tolist() == [2, 2, 2]
    assert torch.equal(ids, initial_ids(split, 3, 2, torch.Generator().manual_seed(0)))
    assert len({tuple(initial_ids(split, 3, 2, g).sort().values.tolist()) for _ in range(10)}) > 1
    with pytest.raises(PoolError, match="initial_per_class=4 needs that many images of each class, but class 0 has 3"):
        initial_ids(split, 3, 4, g)
