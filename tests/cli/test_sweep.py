"""The commands sweep and reproduce: what they say before anything runs."""

import json

import pytest
from typer.testing import CliRunner

from activekd_lab.cli.app import app
from activekd_lab.course.lab import USUAL, find_notebooks
from activekd_lab.errors import SettingError, UnknownNameError

NOTEBOOKS = ["--notebooks", str(find_notebooks(USUAL))]


def call(*arguments):
    return CliRunner().invoke(app, [*arguments])


def test_list_names_the_studies():
    found = call("reproduce", "list", "--json")
    assert found.exit_code == 0
    assert "bundled-all" in json.loads(found.stdout)


def test_a_dry_run_counts_jobs_says_what_is_not_known_and_leaves_no_folder(tiny_study, tmp_path):
    tiny_study(tmp_path, steps=13)
    arguments = ["sweep", str(tmp_path / "tiny.yaml"), "--out", str(tmp_path / "out"), "--dry-run", *NOTEBOOKS]
    found = call(*arguments)
    assert found.exit_code == 0
    assert "3 jobs, 0 done, 3 to do." in found.stdout
    assert "3 jobs are of a kind that never ran here" in found.stdout
    assert not (tmp_path / "out").exists()
    answer = json.loads(call(*arguments, "--json").stdout)
    assert (answer["jobs"], answer["unknown"], len(answer["names"])) == (3, 3, 3)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["reproduce", "bundled"], UnknownNameError, "Unknown study 'bundled'"),
        (["reproduce", "bundled-all", "--profile", "fast"], UnknownNameError, "Unknown profile 'fast'"),
        (["sweep", "nothing.yaml"], SettingError, "cannot be read"),
        (
            ["reproduce", "bundled-all", "--gpu", "--dry-run"],
            SettingError,
            "--gpu has no effect without Dask's workers",
        ),
    ],
)
def test_what_cannot_be_run_is_refused_with_a_sentence(arguments, error, message):
    found = call(*arguments, *NOTEBOOKS)
    assert isinstance(found.exception, error)
    assert message in str(found.exception)
