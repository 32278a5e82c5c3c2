"""The small runs of the plot tests serve the widgets too."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "plots"))
sys.path.insert(0, str(Path(__file__).parent))

from runs import make_images, make_run


@pytest.fixture
def run():
    return make_run(c=5, n=120)


@pytest.fixture
def task():
    train = SimpleNamespace(images=make_images(120), labels=np.arange(120) % 5)
    return SimpleNamespace(class_names=tuple(f"class {c}" for c in "abcde"), train=train)
