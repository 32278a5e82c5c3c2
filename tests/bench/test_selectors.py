"""The bench on tiny sizes: the two sides agree, the tables and the figure hold what was measured."""

import json

import pytest
import torch

from activekd_lab.bench import selectors as bench
from activekd_lab.bench.selector_baselines import materialized_badge, product_a_pick, recompute_every_pick
from activekd_lab.bench.selector_data import KINDS, gradient_view, make_points
from activekd_lab.errors import UnknownNameError
from activekd_lab.selectors import k_center_greedy


@pytest.mark.parametrize("baseline", [recompute_every_pick, product_a_pick])
def test_baselines_pick_what_the_engine_picks(baseline):
    x, y = make_points("normal", 500, 12, seed=0), make_points("normal", 30, 12, seed=1)
    assert torch.equal(baseline(x, y, 40), k_center_greedy(x, y, 40).indices)


def test_materialized_badge_picks_distinct_images():
    assert len(materialized_badge(gradient_view(80, 5, 4, "cpu"), 30).unique()) == 30


@pytest.mark.parametrize("kind", KINDS)
def test_points_repeat_with_the_seed(kind):
    x = make_points(kind, 50, 7, seed=3)
    assert torch.equal(x, make_points(kind, 50, 7, seed=3))
    assert not torch.equal(x, make_points(kind, 50, 7, seed=4))
    if kind != "normal":
        torch.testing.assert_close(x.sum(1), torch.ones(50))


def test_comparisons_render_and_serialise(monkeypatch):
    monkeypatch.setattr(bench, "RECOMPUTE", (300, 6, 20, 5))
    monkeypatch.setattr(bench, "GRADIENTS", (200, 5, 6, 5))
    monkeypatch.setattr(bench, "QUICK", [(300, 6, 20, 5), (600, 6, 20, 5)])
    found = bench.run(threads=1)
    rows = json.loads(json.dumps(found))["comparisons"]
    assert {r["against"] for r in rows} >= {"recompute every pick", "one product a pick", "materialised gradients"}
    assert all(r["ratio"] == r["theirs"]["seconds"] / r["ours"]["seconds"] for r in rows)
    k_center = [r for r in rows if r["method"] == "k-center" and r["data"] == "normal"]
    assert all(r["same_ids"] == 1 for r in k_center)
    assert "one product a pick" in bench.tables(found)[0].text()
    figure = bench.scaling_figure([r for r in rows if r["against"] == "one product a pick"])
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"
    assert list(figure.data[0].x) == [300, 600]


def test_map_is_read_at_most_four_times(tmp_path):
    found = bench.imagenet_scale(3000, 80, 60, 40, folder=str(tmp_path))
    assert 1 <= found["reads of the map"] <= 4
    assert list(tmp_path.iterdir()) == []


def test_unknown_scale():
    with pytest.raises(UnknownNameError, match="imagenet"):
        bench.run(scale="imagnet")
