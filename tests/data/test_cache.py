import os
import signal
import subprocess
import sys
import textwrap
import warnings

import pytest
import torch

from activekd_lab.data.cache import cached_rows, clear_cache, list_cache, parts_folder, rows_path
from activekd_lab.data.store import cached_tensor
from activekd_lab.errors import UnknownNameError

KEY = {"weights": "w", "view": "plain"}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ACTIVEKD_LAB_CACHE", str(tmp_path))
    return tmp_path


def squares(asked):
    def compute(ids):
        asked.append(ids)
        return torch.arange(ids.start, ids.stop).float()[:, None] ** 2

    return compute


def rows(asked, count=10, key=KEY, **options):
    return cached_rows("kind", key, count, squares(asked), chunk=4, about="squares", **options)


def test_rows_are_computed_in_chunks_once():
    asked, seen = [], []
    first = rows(asked, progress=lambda done, total: seen.append((done, total)))
    assert asked == [range(0, 4), range(4, 8), range(8, 10)]
    assert seen == [(4, 10), (8, 10), (10, 10)]
    assert first.flatten().tolist() == [i**2 for i in range(10)]
    assert torch.equal(rows(asked), first)
    assert len(asked) == 3
    assert not parts_folder(rows_path("kind", KEY)).exists()


def test_another_key_is_another_file():
    asked = []
    rows(asked)
    rows(asked, key=KEY | {"weights": "v"})
    assert len(asked) == 6


def test_an_interrupted_computation_continues_with_the_missing_chunks():
    def fails(ids):
        if ids.start == 8:
            raise KeyboardInterrupt
        return squares([])(ids)

    with pytest.raises(KeyboardInterrupt):
        cached_rows("kind", KEY, 10, fails, chunk=4, about="squares")
    (unfinished,) = list_cache()
    assert not unfinished.finished
    asked = []
    rows(asked)
    assert asked == [range(8, 10)]


@pytest.mark.parametrize("cut", [0, 40, -1])
def test_a_file_cut_short_is_named_and_made_again(cut):
    first, path = rows([]), rows_path("kind", KEY)
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    asked = []
    with pytest.warns(UserWarning, match=f"{path} is damaged"):
        assert torch.equal(rows(asked), first)
    assert len(asked) == 3
    assert path.read_bytes() == whole


def test_a_file_of_other_weights_is_named_and_never_used():
    rows([], key=KEY | {"weights": "v"})
    path = rows_path("kind", KEY)
    os.replace(rows_path("kind", KEY | {"weights": "v"}), path)
    asked = []
    with pytest.warns(UserWarning, match=f"{path} belongs to other weights"):
        rows(asked)
    assert len(asked) == 3


def test_a_damaged_chunk_is_made_again():
    folder = parts_folder(rows_path("kind", KEY))
    folder.mkdir(parents=True)
    (folder / "000000004.safetensors").write_bytes(b"half")
    asked = []
    with pytest.warns(UserWarning, match=r"000000004\.safetensors is damaged"):
        rows(asked)
    assert len(asked) == 3


def test_listing_and_clearing(own_cache):
    rows([])
    cached_tensor("other", "x", lambda: torch.zeros(1000))
    (own_cache / "kind" / "notes.txt").write_text("mine")
    large, small = list_cache()
    assert (large.kind, large.about, small.kind, small.about) == ("other", "", "kind", "squares")
    assert small.size == rows_path("kind", KEY).stat().st_size
    with pytest.raises(UnknownNameError, match="nearest first: kind"):
        clear_cache("kin")
    assert clear_cache("kind") == (1, small.size)
    assert [entry.kind for entry in list_cache()] == ["other"]
    assert (own_cache / "kind" / "notes.txt").exists()


def test_a_killed_process_leaves_a_cache_that_continues_to_the_same_bytes(tmp_path, monkeypatch):
    """Kill -9 in the middle of the third chunk; the finished file equals an undisturbed one."""
    script = textwrap.dedent(
        """
        import os, signal, torch
        from activekd_lab.data.cache import cached_rows
        def compute(ids):
            if ids.start == 8:
                os.kill(os.getpid(), signal.SIGKILL)
            return torch.arange(ids.start, ids.stop).float()[:, None] ** 2
        cached_rows("kind", {"weights": "w", "view": "plain"}, 10, compute, chunk=4, about="squares")
        """
    )
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    asked = []
    rows(asked)
    assert asked == [range(8, 10)]
    resumed = rows_path("kind", KEY).read_bytes()
    monkeypatch.setenv("ACTIVEKD_LAB_CACHE", str(tmp_path / "undisturbed"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows([])
    assert rows_path("kind", KEY).read_bytes() == resumed
