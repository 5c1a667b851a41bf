"""A file that is appended to: opened when needed, rotated by size, found again when it was moved."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LogFile"]

# A pipe without a reader must not hold anybody up, nor one whose reader has fallen asleep.
_FLAGS = (
    os.O_WRONLY
    | os.O_CREAT
    | os.O_APPEND
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NOCTTY", 0)
)


class LogFile:
    """One file; to be used by one thread at a time.

    Args:
        path: The file.
        max_bytes: At what size it is set aside; 0 for never.
        backups: How many files that were set aside are kept.
    """

    def __init__(self, path: Path, *, max_bytes: int, backups: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._backups = backups
        self._descriptor: int | None = None
        self._is_torn = False

    def append(self, data: bytes) -> None:
        """Append whole lines.

        Raises:
            OSError: If they cannot be written, or not to the end.
        """
        descriptor = self._opened()
        if self._max_bytes and self._is_too_long(descriptor, len(data)):
            descriptor = self._rotated()
        if self._is_torn:
            data = b"\n" + data  # half a line stands there: it must not spoil this one
        rest = memoryview(data)
        while rest:
            try:
                written = os.write(descriptor, rest)
            except OSError:
                self._is_torn = self._is_torn or len(rest) < len(data)
                self.close()
                raise
            rest = rest[written:]
        self._is_torn = False

    def close(self) -> None:
        """Close the file; `append` opens it again."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _opened(self) -> int:
        """Return the descriptor of what is at the path now: it may have been moved or removed."""
        if self._descriptor is not None and self._is_current(self._descriptor):
            return self._descriptor
        self.close()
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._descriptor = os.open(self._path, _FLAGS, 0o600)
        return self._descriptor

    def _is_current(self, descriptor: int) -> bool:
        try:
            there, here = self._path.stat(), os.fstat(descriptor)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)

    def _is_too_long(self, descriptor: int, more: int) -> bool:
        size = os.fstat(descriptor).st_size
        return size > 0 and size + more > self._max_bytes

    def _rotated(self) -> int:
        self.close()  # some systems rename no file that is open
        # Where it cannot be set aside, a file that is too long is better than none.
        with contextlib.suppress(OSError):
            for number in range(self._backups - 1, 0, -1):
                with contextlib.suppress(FileNotFoundError):
                    self._backup(number).replace(self._backup(number + 1))
            if self._backups:
                self._path.replace(self._backup(1))
            else:
                self._path.unlink()
        return self._opened()

    def _backup(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
