"""Only runs that kept predictions are pictured, so only their images are loaded."""

import dataclasses

from runs import make_run

from activekd_lab.data import load_task
from activekd_lab.plots import Pool
from activekd_lab.pools import load_pools

SMALL = {"num_classes": 6, "pool_size": 30, "test_per_class": 1, "val_per_class": 1}


def test_images_are_loaded_for_the_data_sets_that_are_pictured():
    kept = make_run(task="shapes", task_options=SMALL)
    bare = dataclasses.replace(make_run(task="digits", task_options={}), _kept={})
    pools = load_pools([bare, kept])
    assert len(pools) == 1
    (pool,) = pools.values()
    assert (pool.images == load_task("shapes", **SMALL).train.images.numpy()).all()
    assert load_pools([bare]) == {}


def test_a_data_set_that_is_not_here_has_the_sentence_that_says_so(monkeypatch):
    monkeypatch.delenv("ACTIVEKD_LAB_DATA", raising=False)
    kept, far = make_run(task="shapes", task_options=SMALL), make_run(task="eurosat", task_options={})
    pools = load_pools([kept, far])
    assert isinstance(pools["shapes"], Pool)
    assert pools["eurosat"].startswith("Where are the data sets?")
