import json
from functools import partial

import pytest
from runs import make_run

from activekd_lab.runs.folder import RunFolder
from activekd_lab.runs.stored import find_runs, load_run


def store(place, selector, seed, *, rounds=2, finish=True):
    """Write a made-up run with the real writer, two folders deep."""
    run = make_run(selector, seed, rounds=rounds, task_options={}, gain=0.2 if selector == "pcoreset" else 0.1)
    header = {"teacher_accuracy": 0.25, "class_names": list(run.class_names), "provenance": dict(run.provenance)}
    folder = RunFolder(place / "sweep" / "job" / f"{selector}-{seed}", {**run.config, "rounds": 2}, header)
    folder.write_labels(run.labels)
    for record in run.records if finish else run.records[:1]:
        folder.append(record)
    return folder.path


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    for seed in range(3):
        store(place, "pcoreset", seed)
        store(place, "random", seed)
    store(place, "random", 3, finish=False)
    return place


@pytest.fixture
def compare(call):
    return partial(call, "compare")


def test_runs_are_found_at_any_depth(runs):
    assert len(find_runs([runs, runs / "sweep"])) == 7


def test_text_names_accuracies_differences_and_what_is_unfinished(compare, runs):
    done = compare(runs, "--measure", "final", "--per-round")
    assert done.returncode == 0, done.stderr
    assert "72.0 ± 2.0" in done.stdout
    assert "1 of 7 runs are unfinished and left out." in done.stdout
    assert "accuracy after round 2" in done.stdout
    assert "+20.0" in done.stdout
    assert "git_commit" in done.stdout


@pytest.mark.parametrize(
    ("name", "expected"),
    [("markdown", "| **72.0 ± 2.0** |"), ("latex", r"\textbf{72.0 $\pm$ 2.0}"), ("html", "72.0 <small>± 2.0"),
     ("json", '["pcoreset", "72.0 ± 2.0"]'), ("csv", "pcoreset,toy,0.72,"), ("text", "± 2.0\nrandom")],
)  # fmt: skip
def test_every_format_is_written(compare, name, expected, runs, tmp_path):
    out = tmp_path / "deep" / "table"
    done = compare(runs, "--labels", 15, "--format", name, "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out}\n"
    assert expected in out.read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "latx"], "Unknown format 'latx'. Known, nearest first: latex"),
        (["--measure", "finl"], "Unknown measure 'finl'. Known, nearest first: final"),
        (["--round", "1", "--labels", "5"], "give one of them"),
        (["--format", "csv", "--against", "selector=random"], "--against and --per-round have no effect"),
        (["--format", "csv", "--per-round"], "--against and --per-round have no effect"),
        (["--against", "random"], "--against expected setting=value"),
        (["--against", "selector=randm"], "Unknown selector 'randm'. Known, nearest first: random"),
        (["--task", "tyo"], "Unknown task in these runs 'tyo'. Known, nearest first: toy"),
    ],
)
def test_bad_input_is_one_sentence(compare, arguments, message, runs):
    done = compare(runs, *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_older_format_is_named(compare, runs, tmp_path):
    path = store(tmp_path, "pcoreset", 0) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 0}))
    done = compare(runs, tmp_path)
    assert done.returncode == 0  # the others are compared; what is left out is named and counted
    assert "is no run of this format (1): an older activekd_lab or another program wrote its config.json" in done.stderr


def test_a_run_that_was_just_begun_is_no_error(compare, runs):
    begun = RunFolder(runs / "begun", dict(load_run(find_runs([runs])[0]).config) | {"seed": 9},
                      {"teacher_accuracy": 0.2, "class_names": ["a"]})  # fmt: skip
    assert "2 of 8 runs are unfinished" in compare(runs).stdout
    (begun.path / "config.json").unlink()
