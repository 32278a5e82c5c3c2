"""Files are replaced whole or left alone, and whatever a disk or a path brings is one sentence."""

import errno
import fcntl
import os
import stat
import threading

import pytest
from pydantic import BaseModel

from activekd_lab.errors import DataError, FileError, RunFolderError
from activekd_lab.io import files
from activekd_lab.io.files import append_whole, read_json, read_text, replacing, there, write_atomic
from activekd_lab.io.lock import FileLock

pytestmark = pytest.mark.quick


class Card(BaseModel):
    """Two fields are enough."""

    name: str
    size: int


def test_a_file_is_replaced_whole_with_its_mode_through_a_link(tmp_path):
    path, link = tmp_path / "deep" / "page.html", tmp_path / "link.html"
    write_atomic(path, "größer\r\n")
    assert path.read_bytes() == "größer\r\n".encode()
    path.chmod(0o640)
    link.symlink_to(path)
    write_atomic(link, [b"a", memoryview(b"bc")])
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode), link.is_symlink()) == (b"abc", 0o640, True)
    assert [p.name for p in path.parent.iterdir()] == ["page.html"]


def _fail(path, error):
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise error


def test_what_fails_inside_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")
    for error in (KeyboardInterrupt, ZeroDivisionError):
        with pytest.raises(error):
            _fail(path, error)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("page.html", "old")]


def test_a_planted_link_is_not_followed(tmp_path, monkeypatch):
    (victim := tmp_path / "victim").write_text("mine")
    (tmp_path / f".akd-{'0' * 12}.txt").symlink_to(victim)
    monkeypatch.setattr(files.secrets, "token_hex", lambda count: "00" * count)  # as if it could be guessed
    with pytest.raises(FileError, match=r"out\.txt cannot be written \(a file of that name is in the way\)"):
        write_atomic(tmp_path / "out.txt", "x")
    assert victim.read_text() == "mine"


def test_what_a_kill_left_an_hour_ago_goes_and_what_is_being_written_stays(tmp_path):
    for name, age in ((f".akd-{'a' * 12}.html", 7200), (f".akd-{'b' * 12}", 0), (".akd-notes", 7200)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (now := (tmp_path / name).stat().st_mtime - age, now))
    write_atomic(tmp_path / "x", "")
    assert sorted(p.name for p in tmp_path.iterdir()) == [f".akd-{'b' * 12}", ".akd-notes", "x"]


def places(tmp_path):
    """Paths that are none, each with a part of what is said."""
    (tmp_path / "file").write_text("a file")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    return {
        tmp_path: "Is a directory",
        tmp_path / "loop": "symbolic link",
        tmp_path / "loop" / "x": "symbolic link|in the way",
        tmp_path / "file" / "x": "Not a directory|in the way",
        tmp_path / ("n" * 300): "too long",
        tmp_path / "null\0byte": "null byte",
        tmp_path / "surrogate\ud800": "no file name can have",
        tmp_path / "pipe": "a device or pipe",
        "/dev/null": "a device or pipe",
        "/dev/full": "a device or pipe",
        "": "directory",
    }


@pytest.mark.parametrize("write", [lambda p: write_atomic(p, "x"), lambda p: append_whole(p, "x"), read_text])
def test_a_path_that_is_none_is_one_sentence(tmp_path, write):
    for path, reason in places(tmp_path).items():
        with pytest.raises(
            FileError, match=rf"cannot be (written|read) \(.*({reason}|No such file).*\); .+\.$"
        ) as told:
            write(path)
        assert len(str(told.value)) < 500
        assert str(told.value).isprintable()
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.parametrize("call", ["write", "fsync", "replace", "open"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_disk_that_refuses_is_one_sentence_and_the_old_file_is_there(tmp_path, monkeypatch, call, code):
    def refuse(*_, **__):
        raise OSError(code, os.strerror(code))

    path = tmp_path / "table.csv"
    append_whole(path, "one\n")
    monkeypatch.setattr(os, call, refuse)
    for write in (lambda: append_whole(path, "two\n", "free some space", kind=RunFolderError),
                  lambda: write_atomic(path, "two\n", "free some space", kind=RunFolderError)):  # fmt: skip
        if (call, write.__code__.co_names[0]) not in {("write", "write_atomic"), ("replace", "append_whole")}:
            with pytest.raises(RunFolderError, match=rf"cannot be written \({os.strerror(code)}\); free some space\.$"):
                write()
    monkeypatch.undo()
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("table.csv", "one\n")]


def test_half_an_append_is_taken_back(tmp_path, monkeypatch):
    path, real = tmp_path / "table.csv", os.write
    append_whole(path, "one\n")
    room = [3]

    def nearly_full(descriptor, data):
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data[: room.pop()])

    monkeypatch.setattr(os, "write", nearly_full)
    with pytest.raises(FileError, match="No space left"):
        append_whole(path, "two\n")
    assert path.read_text() == "one\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"name": "a",\n"size": }', r"^Line 2 of .* is damaged \(Expecting value\); move it\.$"),
        (b'\n\n"\xff"', r"^Line 3 of .* is damaged \(not UTF-8\); move it\.$"),
        (b"[" * 100_000, "is damaged .*recursion"),
        (b"9" * 10_000, "is damaged .*4300 digits"),
        (b"", "Line 1 of .* is damaged"),
        (b"[]", r"its value: Input should be a valid dictionary.*, but it is \[\]"),
        (b'{"name": "a"}', r"size: Field required\);"),
        (b'{"name": "a", "size": "large"}', "size: Input should be a valid integer.*, but it is 'large'"),
        (b'{"name": "a", "size": 1e400}', "size: .*, but it is inf"),
    ],
)
def test_a_damaged_json_file_is_one_sentence_with_line_or_key(tmp_path, content, said):
    (tmp_path / "card.json").write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_json(tmp_path / "card.json", "move it", schema=Card, kind=DataError)


def test_what_is_whole_is_read_as_its_schema(tmp_path):
    (tmp_path / "card.json").write_bytes(b'\xef\xbb\xbf{"name": "a", "size": 3}')
    assert read_json(tmp_path / "card.json", schema=Card) == Card(name="a", size=3)
    assert read_json(tmp_path / "card.json") == {"name": "a", "size": 3}


def test_a_file_far_too_large_is_not_read(tmp_path):
    with (tmp_path / "huge.json").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(FileError, match="1,099,512 MB are no file of ours"):
        read_json(tmp_path / "huge.json")


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_disk_without_locks_has_one_all_the_same(tmp_path, monkeypatch, code):
    def none(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", none)
    entered = threading.Event()

    def second():
        with FileLock(tmp_path / "lock"):
            entered.set()

    thread = threading.Thread(target=second)
    with FileLock(tmp_path / "lock"), pytest.raises(TimeoutError), FileLock(tmp_path / "lock", wait=False):
        entered.set()
    assert not entered.is_set()
    thread.start()
    thread.join(20)
    assert entered.is_set()


def test_a_lock_that_cannot_be_made_is_an_error_of_the_disk(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="Not a directory|File exists"), FileLock(tmp_path / "file" / "lock"):
        pass


def test_what_a_path_leads_to(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    found = [there(tmp_path / name) for name in ("", "file", "none", "file/below", "nul\0l", "loop")]
    assert found == ["folder", "file", "", "", "", ""]
    with pytest.raises(DataError, match=r"nnn cannot be read \(File name too long\); name another"):
        there("n" * 300, "name another", kind=DataError)


def test_what_sessions_runs_and_models_keep_is_replaced_by_nothing_else(tmp_path):
    (tmp_path / "run").mkdir()
    for name in ("answers.csv", "student.safetensors", "run/rounds.jsonl", "run/labels.csv", "labels.csv"):
        (tmp_path / name).write_text("old")
    for name in ("answers.csv", "student.safetensors", "run/rounds.jsonl", "run/labels.csv"):
        with pytest.raises(FileError, match="a part of a session, a run or a model"):
            write_atomic(tmp_path / name, "new")
        assert (tmp_path / name).read_text() == "old"
    write_atomic(tmp_path / "labels.csv", "new")
    write_atomic(tmp_path / "answers.csv", "new", own=True)
    assert (tmp_path / "labels.csv").read_text() == (tmp_path / "answers.csv").read_text() == "new"
