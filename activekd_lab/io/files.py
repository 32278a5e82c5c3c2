"""Files on disk: replaced whole or left as they were, read with a check, and one sentence where a disk refuses.

A replacement is written beside its target under a random name that did not exist, flushed to the disk and renamed. So a
kill or a full disk leaves the old file or the new one, and a link that somebody planted is never followed.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from activekd_lab.errors import ActiveKDError, FileError, printable, short

if TYPE_CHECKING:
    from pydantic import BaseModel

    Model = TypeVar("Model", bound=BaseModel)

Buffer = bytes | memoryview
_ELSEWHERE, _AGAIN = "choose another place", "mend or remove it"
_KEPT = ("answers.csv", "session.json", "rounds.jsonl")  # of a labelling session, a run
_BESIDE_ROUNDS = ("config.json", "labels.csv", "images.csv", "seconds.json")
_LEFT = re.compile(r"\.akd-[0-9a-f]{12}(\..{1,12})?")
_LARGEST = 1 << 28  # bytes of a text that is read whole
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}


def shown(path: object) -> str:
    """Return a path as it can be printed: odd characters escaped, the middle of a very long one left out."""
    text = printable(str(path))
    return text if len(text) <= 300 else f"{text[:140]} … {text[-140:]}"


def one_sentence(error: BaseException, path: object, doing: str, then: str = _ELSEWHERE) -> str:
    """Say that `path` cannot be `doing` ("written", "read"), why, and what to do then."""
    return f"{shown(path)} cannot be {doing} ({_reason(error)}); {then}."


def _reason(error: BaseException) -> str:
    if isinstance(error, FileExistsError):
        return "a file of that name is in the way"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, UnicodeEncodeError):
        return "a character that no file name can have"
    return shown(str(error).partition("\n")[0]) or type(error).__name__


@contextmanager
def disk(path: object, doing: str, then: str = _ELSEWHERE, *, kind: type[ActiveKDError] = FileError) -> Iterator[None]:
    """Raise `kind` with one sentence for whatever the disk, or a path that cannot be one, brings inside.

    Example:
        >>> with disk(folder, "made", "choose another store", kind=RunFolderError):
        ...     folder.mkdir(parents=True)
    """
    try:
        yield
    except ActiveKDError:
        raise
    except (OSError, UnicodeError) as error:
        raise kind(one_sentence(error, path, doing, then)) from error
    except (ValueError, RuntimeError) as error:
        if "null byte" not in str(error) and "Symlink loop" not in str(error):
            raise
        raise kind(one_sentence(error, path, doing, then)) from error


@contextmanager
def replacing(
    path: str | Path, then: str = _ELSEWHERE, *, kind: type[ActiveKDError] = FileError, own: bool = False
) -> Iterator[Path]:
    """Yield an empty file beside `path` that takes its place once the block ends well; folders are made as needed.

    Raises:
        FileError, or `kind`: one sentence, with `then` as what to do; the old file is as it was. The files of sessions,
            runs and models are refused, unless it is their `own` writing.
    """
    with disk(path, "written", then, kind=kind):
        target = Path(path)
        if not own and target.exists() and _is_kept(target):
            raise kind(f"{shown(path)} is a part of a session, a run or a model, kept as it is; choose another file.")
        target.parent.mkdir(parents=True, exist_ok=True)
        target = regular(target)
        temporary = _beside(target)
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        _flush_folder(target.parent)


def _is_kept(path: Path) -> bool:
    of_run = path.name in _BESIDE_ROUNDS and (path.parent / "rounds.jsonl").exists()
    return path.name in _KEPT or path.suffix == ".safetensors" or of_run


def write_atomic(
    path: str | Path,
    content: str | Buffer | Iterable[Buffer],
    then: str = _ELSEWHERE,
    *,
    kind: type[ActiveKDError] = FileError,
    own: bool = False,
) -> None:
    """Write a file whole: a text (as UTF-8, newlines as they are), bytes, or several parts of bytes in a row.

    Raises:
        FileError, or `kind`: one sentence, with `then` as what to do; the old file is as it was.
    """
    with replacing(path, then, kind=kind, own=own) as temporary, temporary.open("wb") as file:
        content = content.encode() if isinstance(content, str) else content
        file.writelines([content] if isinstance(content, Buffer) else content)


def append_whole(path: str | Path, text: str, then: str = _ELSEWHERE, *, kind: type[ActiveKDError] = FileError) -> None:
    """Append `text` and flush it to the disk; where that fails, the file gets its old length back.

    Writers that may meet hold a `FileLock` around it.

    Raises:
        FileError, or `kind`: one sentence, with `then` as what to do; nothing was kept.
    """
    with disk(path, "written", then, kind=kind):
        descriptor = os.open(regular(Path(path)), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        before, rest = os.fstat(descriptor).st_size, text.encode()
        try:
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        except BaseException:
            with suppress(OSError):
                os.ftruncate(descriptor, before)
            raise
        finally:
            os.close(descriptor)


def read_bytes(
    path: str | Path, then: str = _AGAIN, *, kind: type[ActiveKDError] = FileError, largest: int = _LARGEST
) -> bytes:
    """Return the content of a regular file of at most `largest` bytes.

    Raises:
        FileError, or `kind`: one sentence, with `then` as what to do.
    """
    with disk(path, "read", then, kind=kind), regular(Path(path)).open("rb") as file:
        if (size := os.fstat(file.fileno()).st_size) > largest:
            raise OSError(errno.EFBIG, f"{size / 1e6:,.0f} MB are no file of ours")
        return file.read()


def read_text(path: str | Path, then: str = _AGAIN, *, kind: type[ActiveKDError] = FileError) -> str:
    """Return a UTF-8 text, a byte order mark left out.

    Raises:
        FileError, or `kind`: one sentence that names the line which is no text.
    """
    content = read_bytes(path, then, kind=kind)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise kind(damaged(path, "not UTF-8", then, line)) from error


def damaged(path: object, why: object, then: str = _AGAIN, line: int | None = None) -> str:
    """Say that a file is not what it should be: where, why, and what to do."""
    place = f"Line {line} of {shown(path)}" if line else shown(path)
    return f"{place} is damaged ({shown(why)}); {then}."


@overload
def read_json(path: str | Path, then: str = ..., *, kind: type[ActiveKDError] = ...) -> Any: ...
@overload
def read_json(path: str | Path, then: str = ..., *, schema: type[Model], kind: type[ActiveKDError] = ...) -> Model: ...
def read_json(
    path: str | Path,
    then: str = _AGAIN,
    *,
    schema: type[Model] | None = None,
    kind: type[ActiveKDError] = FileError,
) -> Any:
    """Return what a JSON file holds, as an instance of the pydantic model `schema` if there is one.

    Raises:
        FileError, or `kind`: one sentence that names the line or the key.
    """
    return parse_json(read_text(path, then, kind=kind), path, then, schema=schema, kind=kind)


def parse_json(
    text: str,
    path: object,
    then: str = _AGAIN,
    *,
    schema: type[Model] | None = None,
    kind: type[ActiveKDError] = FileError,
    line: int | None = None,
) -> Any:
    """Return the value of a JSON text out of `path`, as `read_json` does; `line` says where it stands there."""
    try:
        found = json.loads(text)
        if "\\ud" in text.lower():  # an escape for half a character, which no file or table takes later
            json.dumps(found, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise kind(damaged(path, error.msg, then, line or error.lineno)) from error
    except (ValueError, RecursionError) as error:  # a number of 4,300 digits, brackets in brackets, half a character
        raise kind(damaged(path, str(error).partition(";")[0], then, line)) from error
    return found if schema is None else fitted(found, schema, path, then, kind=kind, line=line)


def fitted(
    value: object,
    schema: type[Model],
    path: object,
    then: str = _AGAIN,
    *,
    kind: type[ActiveKDError] = FileError,
    line: int | None = None,
) -> Model:
    """Return `value` as an instance of the pydantic model `schema`; `path` and `line` say where it was found."""
    from pydantic import ValidationError  # noqa: PLC0415  (most callers need no schema)

    try:
        return schema.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"])) or "its value"
        came = "" if first["type"] == "missing" else f", but it is {short(first['input'])}"
        raise kind(damaged(path, f"{key}: {first['msg']}{came}", then, line)) from error


def there(
    path: str | Path, then: str = "give another path", *, kind: type[ActiveKDError] = FileError
) -> Literal["", "file", "folder"]:
    """Say what a path leads to: a folder, a file or anything like it, or "" for nothing.

    Raises:
        FileError, or `kind`: a path that cannot be one, or a disk that does not answer.
    """
    with disk(path, "read", then, kind=kind):
        found = Path(path)
        return "folder" if found.is_dir() else "file" if found.exists() else ""


def regular(path: Path) -> Path:
    """Return where a path leads, if that is a file or nothing yet.

    Raises:
        OSError: a device, a pipe or a folder.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return Path(os.path.realpath(path))
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "a device or pipe, not a file")
    return Path(os.path.realpath(path))


def try_out(path: str | Path, then: str = _ELSEWHERE, *, kind: type[ActiveKDError] = FileError) -> None:
    """Refuse a path that `replacing` could not write, before the work whose result is to go there."""
    with suppress(_Enough), replacing(path, then, kind=kind):
        raise _Enough


class _Enough(Exception):  # noqa: N818  (no fault)
    """Nothing needs to be replaced."""


def _beside(target: Path) -> Path:
    """Make a new, empty, hidden file beside `target` with its suffix and mode; old ones that a kill left go."""
    folder, suffix = target.parent, target.suffix if len(target.suffix) <= 12 else ""
    for name in filter(_LEFT.fullmatch, os.listdir(folder)):
        with suppress(OSError):
            if time.time() - (folder / name).lstat().st_mtime > 3600:
                (folder / name).unlink()
    temporary = folder / f".akd-{secrets.token_hex(6)}{suffix}"
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    with suppress(OSError):
        temporary.chmod(stat.S_IMODE(target.stat().st_mode))
    return temporary


def _flush_folder(folder: Path) -> None:
    """Make a rename last through a power cut, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
