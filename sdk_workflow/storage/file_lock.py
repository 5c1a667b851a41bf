"""One writer at a time, among objects and among processes: an OS lock on a file.

The system lets go of it when its holder dies.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
import weakref
from typing import TYPE_CHECKING

from sdk_workflow._internal.clock import SystemClock
from sdk_workflow.exceptions import StorageError

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self

    from sdk_workflow.protocols import Clock

__all__ = ["FileLock"]

_FIRST_WAIT_SECONDS = 0.0002
_LONGEST_WAIT_SECONDS = 0.001
_LOCK_OFFSET = 1 << 30  # Windows locks bytes, not files: one far behind the content


class FileLock:
    """An exclusive lock that may be taken again by its holder; not for sharing among threads.

    Args:
        path: The file to lock; it is created, and never deleted.
        clock: Where the limit of waiting comes from.

    Example:
        >>> import tempfile, pathlib
        >>> folder = tempfile.TemporaryDirectory()
        >>> with FileLock(pathlib.Path(folder.name) / "a.lock") as lock:
        ...     lock.held
        True
        >>> lock.close(); folder.cleanup()
    """

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self._descriptor: int | None = None
        self._depth = 0
        self._path = path
        self._clock = clock or SystemClock()
        _open_locks.add(self)

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._depth > 0

    def acquire(self, timeout_seconds: float = 30.0) -> None:
        """Take the lock, waiting for another holder.

        Raises:
            StorageError: If it is still held elsewhere after that time, or cannot be created.
        """
        if self._depth:
            self._depth += 1
            return
        deadline = self._clock.monotonic() + timeout_seconds
        pause = _FIRST_WAIT_SECONDS
        try:
            while not self._try():
                if self._clock.monotonic() >= deadline:
                    raise self._in_use()
                threading.Event().wait(pause)
                pause = min(2 * pause, _LONGEST_WAIT_SECONDS)
        except OSError as error:
            self.close()
            raise StorageError(
                f"{str(self._path)!r} could not be locked: {error.strerror or error}.",
                code="lock_failed",
                hint="Check that the folder exists and may be written to.",
            ) from error
        self._depth = 1

    def release(self) -> None:
        """Give the lock back once; the holder's last release lets others in."""
        self._depth -= 1
        if self._depth == 0 and self._descriptor is not None:
            _unlock(self._descriptor)

    def write(self, data: bytes, offset: int, *, sync: bool) -> None:
        """Write into the file; the caller holds the lock."""
        descriptor = self._opened()
        os.lseek(descriptor, offset, os.SEEK_SET)
        if os.write(descriptor, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        if sync:
            os.fsync(descriptor)

    def close(self) -> None:
        """Close the file, which also lets go of the lock."""
        self._depth = 0
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __del__(self) -> None:
        """Let go of a lock that was forgotten: its file would stay open, and others shut out."""
        self.close()

    def __enter__(self) -> Self:
        """Take the lock with the usual limit of waiting."""
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        self.release()

    def _opened(self) -> int:
        if self._descriptor is None:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
            self._descriptor = os.open(self._path, flags, 0o600)
        return self._descriptor

    def _try(self) -> bool:
        """Try once; a file that was replaced meanwhile is a lock that nobody else looks at."""
        descriptor = self._opened()
        if not _try_lock(descriptor):
            return False
        mine = os.fstat(descriptor)
        try:
            there = self._path.stat()
        except FileNotFoundError:
            there = None
        if there is not None and (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino):
            return True
        self.close()
        return False

    def _in_use(self) -> StorageError:
        return StorageError(
            f"{str(self._path)!r} is in use by another process or another part of this one.",
            code="session_in_use",
            retryable=True,
            hint="Wait until it is done, or end the process that holds it.",
        )


def _try_lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, _LOCK_OFFSET, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _unlock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, _LOCK_OFFSET, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_UN)


_open_locks: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _forget_in_child() -> None:
    # A forked child shares the lock itself: kept open, it would outlive the parent that holds it.
    for lock in list(_open_locks):
        lock.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
