"""Binder's environment holds what the package needs, with the same lower bounds."""

import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

pytestmark = pytest.mark.quick

ROOT = Path(__file__).parents[3]
OTHER_NAMES = {"torch": "pytorch-cpu"}


def _bounds(lines):
    requirements = [Requirement(line) for line in lines]
    return {r.name.replace("_", "-").lower(): str(r.specifier) for r in requirements}


def test_every_dependency_is_in_the_environment_with_its_bound():
    needed = _bounds(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"])
    listed = yaml.safe_load((ROOT / "binder" / "environment.yml").read_text("utf-8"))["dependencies"]
    by_pip = next(item["pip"] for item in listed if isinstance(item, dict))
    by_conda = [item for item in listed if isinstance(item, str) and not item.startswith("python=")]
    found = _bounds([*by_conda, *by_pip])
    assert {OTHER_NAMES.get(name, name): bound for name, bound in needed.items()}.items() <= found.items()


def test_no_dependency_stands_there_twice():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for listed in (project["dependencies"], *project["optional-dependencies"].values()):
        assert len(_bounds(listed)) == len(listed)


def test_scripts_are_executable():
    assert all((ROOT / path).stat().st_mode & 0o100 for path in ("binder/postBuild", ".ci/run", ".ci/notebook"))
