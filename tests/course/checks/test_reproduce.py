"""Wrong solutions of 06_reproduce get the sentence that helps."""

import hashlib
import itertools
import json

import pytest

from activekd_lab.course.checks import check

pytestmark = pytest.mark.quick


def one_dictionary(grid):
    point, found = {}, []
    for values in itertools.product(*grid.values()):
        point.update(zip(grid, values, strict=True))
        found.append(point)
    return found


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda g: [dict(zip(g, v, strict=True)) for v in zip(*g.values(), strict=False)], "every value with every"),
        (lambda g: list(itertools.product(*g.values())), "Expected a list of dictionaries, but got [('random', 0)"),
        (lambda g: [{k: v} for k, vs in g.items() for v in vs], "a value for every parameter"),
        (lambda g: [g] * 6, "one value of each parameter"),
        (one_dictionary, "make a new one for each point"),
        (lambda g: [{"selector": a, "seed": 0} for a in g["selector"]] + [{"selector": "x", "seed": 1}], "2 × 3 = 6"),
        (lambda g: [{"selector": a, "seed": b} for a in g["selector"] for b in g["seed"]], "any number"),
        (lambda g: g.popitem(), "in place"),
    ],
)
def test_points(function, message):
    found = check("06.points", function)
    assert found.status == "failed"
    assert message in found.message


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda s: 12345678, "Expected a string, but got 12345678"),
        (lambda s: digest(json.dumps(s))[:8], "sort the keys"),
        (lambda s: digest(s["task"])[:8], "Another seed"),
        (lambda s: digest(f"{s['task']}{s['seed']}")[:8], "inside options"),
        (lambda s: digest(json.dumps(s, sort_keys=True)), "Eight characters"),
        (lambda s: digest(json.dumps(s, sort_keys=True))[-8:], "take the first eight"),
        (lambda s: hashlib.md5(json.dumps(s, sort_keys=True).encode()).hexdigest()[:8], "MD5 of the right text"),
        (lambda s: digest(json.dumps(s, sort_keys=True, separators=(",", ":")))[:8], "no spaces"),
        (lambda s: digest(json.dumps(s, sort_keys=True, indent=2))[:8], "leave `indent` out"),
        (lambda s: digest(str(sorted(s.items())))[:8], "Python's own text"),
        (lambda s: f"{hash(json.dumps(s, sort_keys=True)) % 10**8:08d}", "differs from process to process"),
    ],
)
def test_name(function, message):
    found = check("06.name", function)
    assert found.status == "failed"
    assert message in found.message
