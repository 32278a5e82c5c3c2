"""A lock between processes that falls back where a disk has none."""

from __future__ import annotations

from pathlib import Path

from activekd_lab.io.files import NO_LOCKS


class FileLock:
    """A lock between processes; a disk that has no locks gets one that is there as long as a file is.

    Args:
        path: the lock's file, made if needed; it may stay behind.
        wait: False raises `filelock.Timeout` where somebody else holds it.

    Raises:
        OSError: on entering, where the file cannot be made.
    """

    def __init__(self, path: Path, *, wait: bool = True) -> None:
        from filelock import BaseFileLock, SoftFileLock  # noqa: PLC0415  (only who writes needs it)
        from filelock import FileLock as Native  # noqa: PLC0415

        # One object for all threads: a widget's run may end in another thread than it began in.
        timeout = -1 if wait else 0
        self._native: BaseFileLock = Native(path, timeout, thread_local=False)
        self._soft: BaseFileLock = SoftFileLock(path.with_name(path.name + ".held"), timeout, thread_local=False)
        self._held: BaseFileLock = self._native

    def __enter__(self) -> None:
        try:
            self._native.acquire()
            self._held = self._native
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            self._soft.acquire()
            self._held = self._soft

    def __exit__(self, *_: object) -> None:
        self._held.release()
