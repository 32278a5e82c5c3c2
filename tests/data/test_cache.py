import errno
import fcntl
import os
import signal
import subprocess
import sys
import textwrap
import warnings
from types import SimpleNamespace

import pytest
import torch

from activekd_lab.data import chunks
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

    with pytest.raises(DataError, match=r"needs 4194312\.0 GB for squares, but .* set ACTIVEKD_LAB_CACHE"):
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


@pytest.mark.parametrize("large", [False, True])
def test_zeros_in_a_finished_file_are_named_and_made_again(large, monkeypatch):
    """A large file is read for its checksums only if somebody has written to it since."""
    if large:
        monkeypatch.setattr(chunks, "_SMALL", 0)
    first, path = rows([]).clone(), rows_path("kind", KEY)
    whole, asked = path.read_bytes(), []
    assert torch.equal(rows(asked), first)
    path.write_bytes(whole[:-20] + bytes(20))
    with pytest.warns(UserWarning, match=f"{path} is damaged; computing it again"):
        assert torch.equal(rows(asked), first)
    assert len(asked) == 3
    assert path.read_bytes() == whole


def test_a_large_file_that_nobody_wrote_to_is_not_read_again(monkeypatch):
    monkeypatch.setattr(chunks, "_SMALL", 0)
    path, read = rows_path("kind", KEY), []
    rows([])
    real = chunks.checksum
    monkeypatch.setattr(chunks, "checksum", lambda content: read.append(1) or real(content))
    rows([])
    assert read == []
    os.utime(path)  # a copy of it is checked once
    rows([])
    assert len(read) == 3
    rows([])
    assert len(read) == 3


@pytest.mark.parametrize("place", range(1, 5))
def test_one_wrong_bit_in_an_unfinished_file_costs_what_comes_after_it(place):
    path = interrupted()
    content = bytearray(path.read_bytes())
    at = {1: len(content) - 1, 2: len(content) - 17, 3: len(content) - 16 * 2 - 9, 4: 30}[place]  # chunks of 16 bytes
    content[at] ^= 4
    path.write_bytes(content)
    asked = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert rows(asked).flatten().tolist() == [i**2 for i in range(10)]
    assert asked[0] == {1: range(4, 8), 2: range(0, 4), 3: range(4, 8), 4: range(0, 4)}[place]


def test_a_header_of_every_wrong_form_is_named(own_cache):
    path = partial_path(rows_path("kind", KEY))
    path.parent.mkdir()
    for text in (
        b"[]",
        b"{}",
        b"[" * 9999,
        b'{"__metadata__": null}',
        b'{"__metadata__": {"activekd_lab": "[]"}}',
        b"9" * 5000,
    ):
        path.write_bytes(len(text).to_bytes(8, "little") + text)
        (entry,) = list_cache()
        assert entry.about == ""
        with pytest.warns(UserWarning, match=f"{path} is damaged; starting it again"):
            rows([])
        clear_cache()


def test_a_cache_that_cannot_be_written_or_locked_is_one_sentence(own_cache, monkeypatch):
    (own_cache / "kind").write_text("a file")
    with pytest.raises(
        DataError, match=r"kind cannot be written \(.+\); make room, or set ACTIVEKD_LAB_CACHE to another"
    ):
        rows([])
    (own_cache / "kind").unlink()

    def refuse(*_, **__):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    for call in ("fsync", "replace"):
        monkeypatch.setattr(os, call, refuse)
        with pytest.raises(DataError, match=r"cannot be written \(Input/output error\); make room"):
            rows([])
        monkeypatch.undo()
        monkeypatch.setenv("ACTIVEKD_LAB_CACHE", str(own_cache))
    for code in (errno.ENOLCK, errno.EOPNOTSUPP):
        monkeypatch.setattr(fcntl, "flock", lambda *_, code=code: (_ for _ in ()).throw(OSError(code, "no locks")))
        assert len(rows([], key=KEY | {"code": str(code)})) == 10


def test_what_is_being_made_is_not_cleared():
    def compute(ids):
        with pytest.warns(UserWarning, match="1 cache files are being made right now, so they were left"):
            assert clear_cache("kind") == (0, 0)
        return squares([])(ids)

    assert len(cached_rows("kind", KEY, 4, compute, chunk=4)) == 4
    assert clear_cache("kind")[0] == 1


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


SLOW = """
import os, signal, sys, time, torch
from types import SimpleNamespace
from torchvision.transforms import ToTensor
from activekd_lab.data import Split, cache
from activekd_lab.teachers import Teacher

class Sleeper(torch.nn.Module):
    # a model as open_clip makes them, of 2 ms an image

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(4))
        self.visual = SimpleNamespace(image_size=8, image_mean=(0.0,) * 3, image_std=(1.0,) * 3)

    def encode_image(self, pixels):
        for pixel in pixels:
            time.sleep(0.002)
            seen.append(1)
            if len(seen) == int(sys.argv[1]):
                os.kill(os.getpid(), signal.SIGKILL)
        return pixels.flatten(1)[:, :4] + self.weight

seen, cache.SECONDS = [], 0.5
images = torch.arange(1600 * 3 * 64).view(1600, 3, 8, 8) % 251
teacher = Teacher("sleeper", Sleeper(), ToTensor(), str)
told = []
rows = teacher.encode(Split("train", images.byte(), torch.zeros(1600).long()), lambda *count: told.append(count))
print(len(seen), len(told), *told[0], float(rows.sum()))
"""


def test_kill_9_while_a_slow_teacher_encodes_costs_seconds():
    """An image takes 2 ms or more, so that no more than 250 of them fit between two writes half a second apart."""
    run = [sys.executable, "-c", SLOW]
    assert subprocess.run([*run, "1200"], check=False).returncode == -signal.SIGKILL
    done = subprocess.run([*run, "0"], capture_output=True, text=True, check=True)
    again, told, first, total, _ = done.stdout.split()
    chunk = 16
    assert 1600 - 1200 < int(again) <= 1600 - 1200 + 250 + 2 * chunk + 1
    assert (int(first) - chunk, int(total)) == (1600 - int(again), 1600)
    assert int(told) == -(-int(again) // chunk)  # progress moves with every chunk


@pytest.mark.parametrize(("seconds", "sizes"), [(0.05, {16}), (0.2, {4}), (0.6, {1}), (30.0, {1})])
def test_a_slow_teacher_is_asked_about_fewer_images_at_once(seconds, sizes, monkeypatch):
    """A chunk takes about a second where a row takes less, so that progress moves and little waits for the disk."""
    now, asked, told = [0.0], [], []

    def compute(ids):
        asked.append(ids)
        now[0] += seconds * len(ids)
        return torch.zeros(len(ids), 1)

    monkeypatch.setattr("activekd_lab.data.cache.time", SimpleNamespace(monotonic=lambda: now[0]))
    tries = 1 if seconds <= 0.1 else 2
    for _ in range(2):
        cached_rows("kind", KEY, 64, compute, chunk=16, paced=True, progress=lambda done, _: told.append(done))
    assert asked[:tries] == [range(1)] * tries
    assert {len(ids) for ids in asked[tries:]} == sizes
    assert told == [ids.stop for ids in asked[tries:]]


def test_chunks_are_written_together_when_it_is_time_and_when_they_are_many(monkeypatch):
    now, synced = [0.0], []
    monkeypatch.setattr("activekd_lab.data.cache.time", SimpleNamespace(monotonic=lambda: now[0]))
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(now[0]) or real(file))

    def compute(ids):
        now[0] += 2.0
        return torch.zeros(len(ids), 4)

    cached_rows("kind", KEY, 40, compute, chunk=4)
    assert synced == [2.0, 8.0, 14.0, 20.0, 20.0]  # at once, every third chunk, at the end
    synced.clear()
    monkeypatch.setattr("activekd_lab.data.cache._HELD", 2 * 4 * 16)
    cached_rows("kind", KEY | {"more": ""}, 40, compute, chunk=4)
    assert len(synced) == 6


def test_a_killed_process_leaves_a_cache_that_continues_to_the_same_bytes(tmp_path, monkeypatch):
    """Kill -9 in the middle of the third chunk; the finished file equals an undisturbed one."""
    script = textwrap.dedent(
        """
        import os, signal, torch
        from activekd_lab.data import cache
        from activekd_lab.data.cache import cached_rows
        cache.SECONDS = 0.0
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
