"""Shared fixtures: a cache of its own for the whole session, and settings small enough for a laptop."""

import os

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Tests neither read nor fill the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("ACTIVEKD_LAB_CACHE")
    os.environ["ACTIVEKD_LAB_CACHE"] = str(folder)
    yield folder
    os.environ.pop("ACTIVEKD_LAB_CACHE") if before is None else os.environ.update(ACTIVEKD_LAB_CACHE=before)


@pytest.fixture
def g():
    return torch.Generator().manual_seed(0)


TINY_TASK = {"num_classes": 4, "pool_size": 80, "test_per_class": 5, "val_per_class": 2}


@pytest.fixture
def tiny():
    """Settings of a run that takes about a second."""
    return {"task": "shapes", "task_options": TINY_TASK, "rounds": 3, "budget": 5, "steps": 10, "device": "cpu"}
