import math
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from activekd_lab.errors import SettingError, UnknownNameError
from activekd_lab.io.arguments import checked, unchecked
from activekd_lab.io.numbers import whole
from activekd_lab.runs.records import Label

pytestmark = pytest.mark.quick
GENERATOR = torch.Generator()


def taken(annotation, value, **ranges):
    def function(argument):
        return argument

    function.__annotations__ = {"argument": annotation}
    return checked(**ranges)(function)(value)


@pytest.mark.parametrize(
    ("annotation", "value", "as_what"),
    [
        (int, np.int64(3), 3),
        (int, torch.tensor(3), 3),
        (float, 3, 3),
        (float, np.float32(0.5), 0.5),
        (bool, np.bool_(True), True),
        (str | Path, "x", "x"),
        (Path, "x", Path("x")),
        (int | None, None, None),
        (Sequence[int], np.arange(2), [0, 1]),
        (Sequence[str], ("a", "b"), ("a", "b")),
        (tuple[str, ...], ["a", "b"], ("a", "b")),
        (tuple[float, float], [1, 2.0], (1, 2.0)),
        (Mapping[str, int], {"a": 1}, {"a": 1}),
        (Literal["t", "w"], "t", "t"),
        (Literal["t", "w"], np.str_("t"), "t"),
        (Path, PurePosixPath("x"), Path("x")),
        (Sequence[str], np.array(["a", "b"]), ["a", "b"]),
        (Sequence[str], pd.Series(["a", "b"]), ["a", "b"]),
        (Sequence[str], np.array(["a", "b"], object), ["a", "b"]),
        (Any, GENERATOR, GENERATOR),
        (torch.Generator | None, GENERATOR, GENERATOR),
        (Callable[[int], int] | None, abs, abs),
        ("NotImported", 3, 3),
    ],
)
def test_the_usual_forms_are_taken(annotation, value, as_what):
    found = taken(annotation, value)
    assert found == as_what
    assert type(found) is type(as_what)


@pytest.mark.parametrize(
    ("annotation", "value", "said"),
    [
        *((int, value, "a whole number") for value in (True, 2.0, "3", None, 2**63, math.nan, torch.tensor([1]), [])),
        *((float, value, "a finite number") for value in (True, "3", None, math.nan, -math.inf, 10**400, [1.0], 1j)),
        (bool, 1, "True or False"),
        (str, b"x", "a text"),
        (Path, 3, "a path"),
        *((kind, "", "a path .not empty.") for kind in (Path, str | Path, str | Path | None)),
        (Sequence[str | Path], ["a", ""], "a path .not empty."),
        (int | None, "3", "a whole number or None"),
        (Sequence[int], "12", "a list, each a whole number"),
        (Sequence[int], [1, 2.5], "a list, each a whole number"),
        (tuple[float, float], [1.0], "a list"),
        (Mapping[str, int], [1], "a mapping"),
        (Mapping[str, int], {"a": "b"}, "a mapping"),
        (Literal["t", "w"], 3, "one of t, w"),
        (torch.Generator, np.random.default_rng(), "a torch.Generator on the CPU"),
        (Callable[[int], int], 3, "a function"),
        (Tensor, torch.eye(2).to_sparse(), "a tensor or array of numbers"),
        (Tensor, torch.ones(2, device="meta"), "a tensor or array of numbers"),
        (NDArray[Any], ["a"], "a tensor or array of numbers"),
        (ArrayLike, "x", "an array of numbers"),
        (Iterable[int], "12", "a list"),
    ],
)
def test_all_else_is_refused_by_name(annotation, value, said):
    with pytest.raises(SettingError, match=rf"^function expected argument as .*{said}.*but got .*\.$"):
        taken(annotation, value)


def test_arrays_and_tensors_are_taken_for_each_other_and_a_tensor_stays_in_its_graph():
    numbers = [[1.0, 2.0]]
    for value in (numbers, np.array(numbers), torch.tensor(numbers)):
        assert isinstance(taken(Tensor, value), Tensor)
        assert isinstance(taken(NDArray[Any], value), np.ndarray)
        assert isinstance(taken(ArrayLike, value), np.ndarray)
    weights = torch.ones(2, requires_grad=True)
    assert taken(Tensor, weights) is weights
    assert isinstance(taken(Tensor | NDArray[Any], np.ones(2)), np.ndarray)


@pytest.mark.parametrize(("bounds", "inside", "outside"), [("> 0", 0.1, 0), (">= 1", 1, 0.5), ("0 … 1", 1, 1.5)])
def test_ranges_hold_for_a_number_and_for_every_number_of_a_list(bounds, inside, outside):
    assert taken(float | None, None, argument=bounds) is None
    assert taken(float, inside, argument=bounds) == inside
    for annotation, value in ((float, outside), (Sequence[float], [inside, outside])):
        with pytest.raises(SettingError, match=f"number {bounds}, but got"):
            taken(annotation, value, argument=bounds)


def test_unknown_names_list_the_known_and_python_says_what_is_missing():
    with pytest.raises(UnknownNameError, match=r"Unknown argument 'T'. Known, nearest first: t"):
        taken(Literal["t"], "T")
    with pytest.raises(TypeError, match="missing 1 required"):
        checked()(lambda argument: argument)()


def test_a_class_checks_its_constructor():
    @checked(share="0 … 1")
    class Settings:
        def __init__(self, share: float = 0.5):
            self.share = share

    assert Settings().share == 0.5
    with pytest.raises(SettingError, match=r"^Settings expected share as a finite number 0 … 1, but got int 2\.$"):
        Settings(2)


def test_whole_numbers_of_every_kind():
    assert [whole(v) for v in (3, np.uint8(3), torch.tensor(3))] == [3] * 3
    assert [whole(v) for v in (True, 3.0, "3", np.bool_(1), torch.tensor(True), torch.ones((), device="meta"))] == [
        None
    ] * 6


def test_statistics_of_lists_load_no_torch():
    code = "import sys; from activekd_lab import stats; stats.mean_sd([1.0, 2.0]); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_below_the_check_a_class_takes_what_comes():
    assert unchecked(Label)("a", 1, 0, "initial").id == "a"
    with pytest.raises(SettingError, match="^Label expected id as a whole number, but got str 'a'"):
        Label("a", 1, 0, "initial")


def test_arguments_beyond_the_signature_stay_python_s():
    with pytest.raises(TypeError, match="unexpected keyword"):
        Label(1, 1, 0, "initial", other=2)
    with pytest.raises(TypeError, match="positional"):
        Label(1, 1, 0, "initial", 5)
