import os
import signal
import subprocess
import sys
import textwrap
import warnings

import pytest
import torch

from activekd_lab.data.cache import cached_rows, clear_cache, list_cache, partial_path, rows_path
from activekd_lab.data.store import cached_tensor
from activekd_lab.errors import DataError, UnknownNameError

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
    assert not partial_path(rows_path("kind", KEY)).exists()


@pytest.mark.parametrize("name", [*KEY, "more"])
def test_another_key_is_another_file(name):
    asked = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for key in (KEY, KEY | {name: "v"}, dict(reversed(KEY.items()))):  # the order of its parts is no part of it
            rows(asked, key=key)
    assert len(asked) == 6


def test_rows_of_another_number_are_made_again():
    rows([])
    with pytest.warns(UserWarning, match="belongs to other weights or images"):
        assert rows([], count=7).flatten().tolist() == [i**2 for i in range(7)]
    clear_cache()
    interrupted()
    asked = []
    with pytest.warns(UserWarning, match="is damaged; starting it again"):
        assert rows(asked, count=9).flatten().tolist() == [i**2 for i in range(9)]
    assert len(asked) == 3


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.float16, torch.bfloat16, torch.float32])
def test_rows_keep_their_type_and_need_not_lie_in_order(dtype):
    made = torch.arange(20).view(2, 10).T.to(dtype)  # not contiguous
    for _ in range(2):
        found = cached_rows("kind", KEY | {"type": str(dtype)}, 10, lambda ids: made[ids.start : ids.stop], chunk=10)
        assert found.dtype == dtype
        assert torch.equal(found, made)


def test_no_rows_at_all_are_cached_too():
    asked = []
    for _ in range(2):
        assert rows(asked, count=0).shape == (0, 1)
    assert asked == [range(0, 0)]


def test_an_interrupted_computation_continues_with_the_missing_chunks():
    interrupted()
    (unfinished,) = list_cache()
    assert not unfinished.finished
    asked = []
    rows(asked)
    assert asked == [range(8, 10)]


@pytest.mark.parametrize("cut", [0, 40, -1])
def test_a_file_cut_short_is_named_and_made_again(cut):
    first, path = rows([]).clone(), rows_path("kind", KEY)
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


def interrupted():
    """Leave an unfinished file of two chunks of four rows."""

    def fails(ids):
        if ids.start == 8:
            raise KeyboardInterrupt
        return squares([])(ids)

    with pytest.raises(KeyboardInterrupt):
        cached_rows("kind", KEY, 10, fails, chunk=4, about="squares")
    return partial_path(rows_path("kind", KEY))


def test_a_torn_chunk_is_made_again_and_a_foreign_unfinished_file_is_named():
    first = rows([], key=KEY | {"weights": "v"})
    path = interrupted()
    path.write_bytes(path.read_bytes()[:-3])  # the kill came in the middle of a write
    asked = []
    assert torch.equal(rows(asked), first)
    assert asked == [range(4, 8), range(8, 10)]
    for damaged in (b"half", b"\xff" * 40):
        clear_cache()
        path.write_bytes(damaged)
        asked = []
        with pytest.warns(UserWarning, match=f"{path} is damaged; starting it again"):
            assert torch.equal(rows(asked), first)
        assert len(asked) == 3


def test_rows_are_mapped_and_writing_to_them_changes_no_file():
    first = rows([])
    path = rows_path("kind", KEY)
    before = path.read_bytes()
    first[0] = 7
    assert path.read_bytes() == before
    assert float(rows([])[0]) == 0


def test_two_processes_share_the_work():
    """Both start at once; the second waits for the first and reads its file."""
    script = textwrap.dedent(
        """
        import time, torch
        from activekd_lab.data.cache import cached_rows
        def compute(ids):
            print(ids.start, flush=True)
            time.sleep(0.3)
            return torch.arange(ids.start, ids.stop).float()[:, None] ** 2
        found = cached_rows("kind", {"weights": "w", "view": "plain"}, 10, compute, chunk=4)
        assert found.flatten().tolist() == [i**2 for i in range(10)]
        """
    )
    both = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = [process.communicate()[0].split() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(printed) == [[], ["0", "4", "8"]]


def test_a_full_disk_is_told_before_the_work():
    asked = []

    def compute(ids):
        asked.append(ids)
        return torch.zeros(len(ids), 1 << 20)

    with pytest.raises(DataError, match=r"needs 4194304\.0 GB for squares, but .* set ACTIVEKD_LAB_CACHE"):
        cached_rows("kind", KEY, 10**9, compute, chunk=1, about="squares")
    assert asked == [range(0, 1)]


PEAK = """
import os, sys, threading, torch
from activekd_lab.data.cache import cached_rows
def anonymous():
    return int(next(line for line in open("/proc/self/status") if line.startswith("RssAnon")).split()[1]) / 1024
compute = lambda ids: torch.full((len(ids), 1 << 20), ids.start % 251, dtype=torch.uint8)
torch.zeros(1 << 20).sum()
start, peak, done = anonymous(), [0.0], threading.Event()
def watch():
    while not done.wait(0.002):
        peak[0] = max(peak[0], anonymous() - start)
thread = threading.Thread(target=watch)
thread.start()
rows = cached_rows("kind", {"a": "b"}, 400, compute, chunk=16)
total = sum(int(part.amax(1).sum()) for part in rows.split(16))
done.set()
thread.join()
print(total, round(max(peak[0], anonymous() - start)))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_store_far_larger_than_a_chunk_never_lies_in_memory():
    """400 MiB in chunks of 16: at most a few chunks are held while it is made and read."""
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    total, megabytes = map(int, done.stdout.split())
    assert total == sum(16 * (i % 251) for i in range(0, 400, 16))
    assert megabytes < 128


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
    assert (large.finished, small.finished) == (True, True)
    assert sorted(path.name for path in (own_cache / "kind").iterdir()) == ["notes.txt"]  # no lock is left
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
