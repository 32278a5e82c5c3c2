"""The ways to draw a step's images, against lists that are made by hand."""

from collections import Counter
from itertools import islice

import torch

from activekd_lab.students.draws import padded, pairs, repeated

LABELED, POOL = torch.arange(10), torch.arange(100, 130)


def drawn(draw, steps, batches=(4, 6), labeled=LABELED, pool=POOL):
    found = list(islice(pairs(labeled, pool, batches, torch.Generator().manual_seed(0), draw), steps))
    return [k for k, _ in found], [u for _, u in found]


def test_a_list_is_repeated_from_its_beginning():
    assert repeated(LABELED, 23).tolist() == [*range(10), *range(10), 0, 1, 2]
    assert padded(LABELED, 4).tolist() == [*range(10), 0, 1]
    assert padded(torch.arange(64), 64).tolist() == list(range(64))
    assert [len(padded(torch.arange(n), 64)) for n in (10, 65, 1600)] == [64, 128, 1600]


def test_cycle_shows_every_id_once_before_any_twice():
    labels, others = drawn("cycle", 15)
    seen = torch.cat(labels)
    passes = [sorted(seen[i : i + 10].tolist()) for i in range(0, 60, 10)]
    assert passes == [list(range(10))] * 6
    assert len({tuple(part.tolist()) for part in seen.split(10)}) == 6  # each time in a new order
    assert [sorted(part.tolist()) for part in torch.cat(others).split(30)] == [POOL.tolist()] * 3


def test_padded_draws_labels_with_replacement_and_favours_the_first_ones():
    labels, others = drawn("padded", 3000)
    assert {len(part) for part in labels} == {4}
    assert any(len(set(part.tolist())) < 4 for part in labels)
    counts = Counter(torch.cat(labels).tolist())
    assert set(counts) == set(range(10))
    # 12 places in the padded list; ids 0 and 1 have two of them
    assert abs(counts[0] / 12000 - 2 / 12) < 0.02
    assert abs(counts[5] / 12000 - 1 / 12) < 0.02
    assert Counter(torch.cat(others[:5]).tolist()) == Counter(POOL.tolist())


def test_the_pool_of_padded_is_whole_batches_too():
    _, others = drawn("padded", 6, batches=(4, 7))  # 30 → 35 places a pass
    first = Counter(torch.cat(others[:5]).tolist())
    assert {i: n for i, n in first.items() if n == 2} == {100 + i: 2 for i in range(5)}
    assert set(first) == set(POOL.tolist())


def test_loader_is_a_new_order_each_pass_with_a_smaller_last_batch():
    labels, others = drawn("loader", 6)
    assert [len(part) for part in labels] == [4, 4, 2] * 2
    assert [len(part) for part in others] == [6] * 6
    for start in (0, 3):
        assert sorted(torch.cat(labels[start : start + 3]).tolist()) == list(range(10))
        assert len(set(torch.cat(others[start : start + 3]).tolist())) == 18  # none twice within a pass


def test_repeated_makes_a_pass_over_the_labels_as_long_as_one_over_the_pool():
    labels, _ = drawn("repeated", 15, batches=(4, 6), pool=torch.arange(100, 160))
    assert Counter(torch.cat(labels).tolist()) == dict.fromkeys(range(10), 6)
    assert sorted(torch.cat(labels)[:10].tolist()) != list(range(10))  # shuffled as one list


def test_without_distillation_no_other_image_is_drawn():
    for draw in ("cycle", "padded", "loader", "repeated"):
        assert all(len(part) == 0 for part in drawn(draw, 4, batches=(4, 0))[1])
