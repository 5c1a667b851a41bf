"""Which session files are open: the last few used stay so, because opening one takes 0.4 ms."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdk_workflow.storage.session_file import SessionFile
from sdk_workflow.storage.session_paths import check_session_id, session_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sdk_workflow.protocols import Clock
    from sdk_workflow.storage.session_connection import Durability

__all__ = ["OpenFiles"]


@dataclass(slots=True, kw_only=True)
class _Entry:
    """An open session file, and how many calls are using it."""

    file: SessionFile
    users: int = 0


class OpenFiles:
    """Lends session files to many threads, and closes those that were not used for longest.

    Args:
        home: The state folder.
        durability: When a save is on the disk.
        key: 32 bytes to encrypt with; None for plain files.
        clock: Where times come from.
        limit: How many stay open while nobody uses them.
    """

    def __init__(
        self,
        home: Path,
        *,
        durability: Durability,
        key: bytes | None,
        clock: Clock,
        limit: int,
    ) -> None:
        self._home = home
        self._durability = durability
        self._key = key
        self._clock = clock
        self._limit = limit
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._lock = threading.Lock()  # never held around I/O
        _all.add(self)

    def __len__(self) -> int:
        """Return how many files are open."""
        return len(self._entries)

    @contextmanager
    def lend(self, session_id: str, *, create: bool = False) -> Iterator[SessionFile]:
        """Open a session's file, or go on with the open one; it is not closed meanwhile.

        Raises:
            UsageError: If the id is not allowed.
            StorageError: If the file cannot be opened.
        """
        name = check_session_id(session_id)
        entry = self._taken(name) or self._opened(name, create=create)
        if create:  # it may have been opened by who only wanted to look
            entry.file.connection.create = True
        try:
            yield entry.file
        finally:
            self._give_back(entry)

    def adopt(self, file: SessionFile) -> None:
        """Lend a file that somebody else has opened and claimed, until `let_go`.

        Opened a second time, its session would be in use.
        """
        with self._lock:
            before = self._entries.pop(file.session_id, None)
            self._entries[file.session_id] = _Entry(file=file, users=1)
        if before is not None and not before.users:
            before.file.close()

    def let_go(self, file: SessionFile) -> None:
        """Lend a file no longer: whoever opened it is about to close it."""
        with self._lock:
            entry = self._entries.get(file.session_id)
            if entry is not None and entry.file is file:
                del self._entries[file.session_id]

    def close(self) -> None:
        """Close every file that nobody uses at the moment."""
        self._close_idle(keep=0)

    def _taken(self, session_id: str) -> _Entry | None:
        with self._lock:
            entry = self._entries.get(session_id)
            if entry is not None:
                entry.users += 1
                self._entries.move_to_end(session_id)
            return entry

    def _opened(self, session_id: str, *, create: bool) -> _Entry:
        opened = SessionFile.open(
            session_path(self._home, session_id),
            session_id=session_id,
            create=create,
            durability=self._durability,
            key=self._key,
            clock=self._clock,
        )
        with self._lock:
            entry = self._entries.setdefault(session_id, _Entry(file=opened))
            entry.users += 1
        if entry.file is not opened:  # another thread was quicker
            opened.close()
        return entry

    def _give_back(self, entry: _Entry) -> None:
        with self._lock:
            entry.users -= 1
            is_left = not entry.users and self._entries.get(entry.file.session_id) is not entry
        if is_left:  # another one was adopted in its place
            entry.file.close()
        if len(self._entries) > self._limit:
            self._close_idle(keep=self._limit)

    def _close_idle(self, *, keep: int) -> None:
        with self._lock:
            spare = max(len(self._entries) - keep, 0)
            idle = [key for key, entry in self._entries.items() if not entry.users]
            closing = [self._entries.pop(key) for key in idle[:spare]]
        for entry in closing:
            entry.file.close()

    def after_fork(self) -> None:
        """Forget what threads were doing that are not in the child."""
        self._lock = threading.Lock()
        for entry in self._entries.values():
            entry.users = 0


_all: weakref.WeakSet[OpenFiles] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for files in list(_all):
        files.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
