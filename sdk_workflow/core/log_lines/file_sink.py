"""A file that takes lines from any thread without holding it up, and never fails its caller.

Lines wait in memory for a tenth of a second and go out in one write. It knows bytes, no entries.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING

from sdk_workflow._internal.background import Background
from sdk_workflow.core.log_lines.log_file import LogFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["FileSink"]

_FLUSH_SECONDS = 0.1
_MOST_WAITING = 10_000
_MOST_IN_ONE_WRITE = 1_000


class FileSink:
    r"""Collects lines and appends them to a file, which several processes may share.

    What cannot be written is lost, counted in `lost_lines` and said once on stderr; the next line
    that can be written is preceded by one that tells of the gap.

    Args:
        path: The file; its folder is made where it is missing, readable by its owner only.
        max_bytes: At what size the file is set aside as `name.1`; 0 for never.
        backups: How many files that were set aside are kept.
        gap_line: Returns the line that tells of a number of lost ones.

    Example:
        >>> import pathlib, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = pathlib.Path(folder.name) / "app.jsonl"
        >>> sink = FileSink(path)
        >>> sink.write(b"{}\n"); sink.flush(); path.read_bytes()
        b'{}\n'
        >>> sink.close(); folder.cleanup()
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int = 16 * 1024 * 1024,
        backups: int = 3,
        gap_line: Callable[[int], bytes] | None = None,
    ) -> None:
        self.path = path
        self.lost_lines = 0
        self._gap_line = gap_line
        self._untold = 0
        self._file = LogFile(path, max_bytes=max_bytes, backups=backups)
        # Appending and popping are atomic each, so that writing takes no lock.
        self._waiting: deque[bytes] = deque()
        self._background = Background("sdk_workflow log")
        self._is_due = False
        self._has_told = False
        self._is_closed = False
        self._is_hasty = False
        self._writer: int | None = None
        self._begin()
        _all.add(self)

    def write(self, line: bytes, *, is_urgent: bool = False) -> None:
        """Take a line; an urgent one is on its way to the disk when this returns."""
        self._waiting.append(line)
        if is_urgent or self._is_hasty:
            self.flush()
        elif not self._is_due:
            self._is_due = True
            self._schedule()
        elif len(self._waiting) > _MOST_WAITING:
            self.flush()  # who writes faster than the disk takes it, waits for the disk

    def flush(self) -> None:
        """Write all that waits."""
        if self._writer == threading.get_ident():
            return  # a signal handler came in between: what it logs goes out with the rest
        with self._lock:
            self._writer = threading.get_ident()
            try:
                while self._waiting:
                    self._write_some()
                if self._is_closed:
                    self._file.close()
            finally:
                self._writer = None

    def close(self) -> None:
        """Write all that waits and close the file; a line that comes later is still written."""
        self._is_closed = True
        self.hurry()
        self._stop.set()

    def hurry(self) -> None:
        """Write all that waits, and from now on each line at once: the process is ending."""
        self._is_hasty = True
        self.flush()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._writer = None

    def _schedule(self) -> None:
        try:
            is_taken = not _ends_unseen() and self._background.submit(self._flush_soon)
        except RuntimeError:  # the interpreter is ending and starts no more threads
            is_taken = False
        if not is_taken:
            self._is_due = False
            self.flush()

    def _flush_soon(self) -> None:
        self._stop.wait(_FLUSH_SECONDS)
        self._is_due = False  # before the flush: a line that comes during it asks for another one
        self.flush()

    def _write_some(self) -> None:
        # Only whoever holds the lock takes lines out, so there are as many as have been counted.
        take = self._waiting.popleft
        lines = [take() for _ in range(min(len(self._waiting), _MOST_IN_ONE_WRITE))]
        data = b"".join(lines)
        if self._untold and self._gap_line is not None:
            data = self._gap_line(self._untold) + data
        try:
            self._file.append(data)
        except (OSError, ValueError) as error:
            self.lost_lines += len(lines)
            self._untold += len(lines)
            self._tell(error)
        else:
            self._untold = 0

    def _tell(self, error: Exception) -> None:
        if self._has_told:
            return
        self._has_told = True
        reason = getattr(error, "strerror", None) or error
        # Not through a logger: that may lead back here.
        with contextlib.suppress(Exception):
            sys.stderr.write(
                f"sdk_workflow: The log {str(self.path)!r} could not be written: {reason}. "
                "The lines that are lost are counted; this is said once.\n"
            )

    def _forget(self) -> None:
        """Begin anew in a child that was forked: what waited is its parent's to write."""
        self._waiting.clear()
        self._is_due = False
        self._begin()


def _ends_unseen() -> bool:
    """Return whether this is a child of multiprocessing, which may end without calling anybody."""
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


_all: weakref.WeakSet[FileSink] = weakref.WeakSet()


def _hurry_all() -> None:
    for sink in list(_all):
        sink.hurry()


def _after_fork_in_child() -> None:
    for sink in list(_all):
        sink._forget()  # noqa: SLF001 - the module's own class


atexit.register(_hurry_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
