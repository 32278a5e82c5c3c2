"""Bad values in the place of each argument of each public function: an error of the package, or a right answer.

`valid_calls` holds a valid call for every public name; the pool of bad values is `bad_input`'s. A call that takes a
value of a type which its annotation does not name, ends in another exception, gives NaN or hangs is counted as bad.
"""

import inspect
import os
from importlib import import_module

import pytest
from bad_input import in_workers, report, sample, values_for
from valid_calls import CALLS, Valid

from activekd_lab.errors import ActiveKDError

pytestmark = [pytest.mark.battery, pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")]
ROOMS = ("", "teachers", "students", "selectors", "active", "data", "stats", "compare", "labeling", "runs")
ELSEWHERE = {"plots", "widgets", "course", "studies", "errors"}  # rooms with batteries or tests of their own
NOT_CALLED = {
    "conformance": "its functions are given broken methods in tests/students/test_conformance.py",
    "loggers": "each needs a package that is not installed with this one; tests/active/test_loggers.py",
    "register": "runs when a module is imported",
    "push_to_hub": "asks a Hub; tests/students/test_hub.py", "from_hub": "asks a Hub; tests/students/test_hub.py",
    "Prepared": "made by prepare", "Teacher": "made by load_teacher", "GivenTeacher": "made by given_teacher",
    "Clusters": "made by find_clusters", "Backbone": "made by build_backbone", "Method": "made by find_method",
    "Selector": "made by register", "RunResult": "made by run and load_run", "RoundRecord": "made by from_json",
    "KCenterResult": "made by k_center_greedy", "ConfusionGroup": "made by confusion_groups", "need": "for selectors",
    "with_labels": "private to the loop", "measure_round": "private to the loop",
    "until": "private to the loop", "beyond": "private to the loop", "tuned_mixing": "private to the loop",
    "training_plan": "private to the loop",
    "train": "torch's own",
    "check_output": "a check", "check_embedded": "a check", "pool_view": "private to the loop",
    "resolve": "RunConfig.resolve: run",
    "with_": "RunConfig itself", "History": "made by fit", "cache_key": "for caches", "uses": "for RunConfig",
    "check_options": "select", "plain": "for what JSON holds",
    "check_images": "a check", "is_dense": "a check", "check_batch": "a check",
    "check_size": "Backbone", "writing": "a lock",
}  # fmt: skip


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    return Valid(tmp_path_factory.mktemp("valid"))


def public_calls():
    """Yield every public function, class and method with an argument, of the front door and its rooms."""
    for room in ROOMS:
        module = import_module(f"activekd_lab.{room}".rstrip("."))
        yield from _within(module, room)


def _within(module, path):
    own = [n for n, v in vars(module).items() if n[0] != "_" and getattr(v, "__module__", "") == module.__name__]
    for name in getattr(module, "__all__", None) or own:
        found = getattr(module, name)
        where = f"{path}.{name}".lstrip(".")
        if inspect.ismodule(found):
            if path and where not in ROOMS:
                yield from _within(found, where)
        elif inspect.isclass(found) and not issubclass(found, (BaseException, tuple)):
            if not getattr(found, "_is_protocol", False):
                yield from _of_class(found, where)
        elif inspect.isfunction(found) and inspect.signature(found).parameters:
            yield where


def _of_class(kind, where):
    yield where
    for name, value in vars(kind).items():
        function = getattr(value, "__func__", value)
        arguments = inspect.signature(function).parameters if inspect.isfunction(function) else ()
        if name[0] != "_" and len(set(arguments) - {"self", "cls"}):
            yield f"{where}.{name}"


def test_every_public_name_has_a_valid_call():
    ends = {tuple(name.partition(" ")[0].split(".")[-n:]) for name in CALLS for n in (1, 2)}
    covered = {*NOT_CALLED, *ELSEWHERE}
    missing = []
    for name in public_calls():
        parts = name.split(".")
        own = tuple(parts[-2:]) if parts[-2:-1] and parts[-2][:1].isupper() else tuple(parts[-1:])
        if own not in ends and not covered & {*parts}:
            missing.append(name)
    assert not missing


@pytest.mark.parametrize("name", CALLS)
def test_a_valid_call_is_valid(name, valid):
    function, arguments = CALLS[name](valid)
    if name in ("students.load_released", "runs.shift.measure_shift", "active.run_all", "LabelSession.train"):
        with pytest.raises(ActiveKDError):
            function(**arguments)
    else:
        function(**arguments)


def cases_of(name, valid):
    """Return (name, call, whether it may be taken) for each argument of one public function and each bad value."""
    function, arguments = CALLS[name](valid)
    parameters = inspect.signature(function).parameters.values()
    named = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    if not named:  # a function around the class
        named = dict.fromkeys(arguments)
    for argument, parameter in named.items():
        annotation = "" if parameter is None else str(parameter.annotation)
        for what, value, fits in values_for(argument, annotation, arguments.get(argument), valid.place):
            yield f"{name}({argument}={what})", _spoilt(name, valid, argument, value), fits


def _spoilt(name, valid, argument, value):
    def call():
        function, arguments = CALLS[name](valid)
        return function(**arguments | {argument: value})

    return call


def test_bad_values_in_each_argument(valid, capsys):
    cases = [case for name in CALLS for case in cases_of(name, valid)]
    cases = sample(cases, 41)
    bad = report("arguments", cases, in_workers(cases), capsys)
    assert not bad
