"""The notebooks: found in a checkout, and told where to get them outside of one."""

import pytest

from activekd_lab.course import handout, lab
from activekd_lab.errors import DataError


def test_notebooks_are_those_of_the_folder_and_usually_of_the_checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    beside = lab.find_notebooks(lab.USUAL)
    assert list(beside.glob("00_*.ipynb"))
    with pytest.raises(DataError, match="no notebooks in .*nowhere"):
        lab.find_notebooks(tmp_path / "nowhere")
    (tmp_path / "mine.ipynb").touch()
    assert lab.find_notebooks(tmp_path) == tmp_path


def test_outside_a_checkout_copies_are_opened_and_a_folder_without_any_says_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    share = tmp_path / "share"
    handout.write_notebooks(share)
    monkeypatch.setattr(lab, "kept_notebooks", lambda: share)
    monkeypatch.setattr(lab.os, "execv", lambda program, command: None)  # it would take these tests' place
    monkeypatch.setattr(lab.subprocess, "call", lambda command: command)
    command = lab.open_lab(lab.USUAL, [])
    assert f"--notebook-dir={tmp_path / 'notebooks'}" in command
    assert "--LabApp.default_url=/lab/tree/00_quickstart.ipynb" in command
    assert (tmp_path / "notebooks" / "09_scale.ipynb").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no notebooks in .*; `activekd-lab notebooks .*` writes them"):
        lab.open_lab(tmp_path / "empty", [])
