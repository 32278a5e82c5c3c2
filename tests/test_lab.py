"""The notebooks: found in a checkout, and told where to get them outside of one."""

import pytest

from activekd_lab import lab
from activekd_lab.errors import DataError


def test_notebooks_are_those_of_the_folder_and_usually_of_the_checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    beside = lab.find_notebooks(lab.USUAL)
    assert list(beside.glob("00_*.ipynb"))
    with pytest.raises(DataError, match="no notebooks in .*nowhere"):
        lab.find_notebooks(tmp_path / "nowhere")
    (tmp_path / "mine.ipynb").touch()
    assert lab.find_notebooks(tmp_path) == tmp_path


def test_an_installation_without_notebooks_says_where_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(lab, "__file__", str(tmp_path / "site-packages" / "activekd_lab" / "lab.py"))
    with pytest.raises(DataError, match=r"no notebooks in .*; give the notebooks folder of a checkout"):
        lab.open_lab(tmp_path, [])
