"""Changes that wait to be written: taken at once, written by a thread, each session's in order."""

from __future__ import annotations

import logging
import os
from collections import deque
from threading import Lock
from typing import TYPE_CHECKING

from sdk_workflow._internal.background import Background
from sdk_workflow.exceptions import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SessionInbox"]

_MOST_PENDING = 10_000
# One session that cannot be written is no reason to keep others waiting; so many are the disk's.
_MOST_FAILING = 32
_logger = logging.getLogger("sdk_workflow.sessions")


class SessionInbox:
    """A queue of changes that are tried again while the disk fails; safe for many threads."""

    def __init__(self) -> None:
        self._begin()
        self._writer = Background("sdk_workflow sessions", must_finish=True)
        self.failure_count = 0

    def put(self, session_id: str, write: Callable[[], object]) -> None:
        """Take what writes a change of a session; it is called soon.

        If it raises a `StorageError`, nothing was written: it is called again later, and what else
        is to be written of this session waits for it. Any other error is logged, and its change
        is given up.
        """
        self._leave_parent()
        with self._lock:
            self._pending.append((session_id, write))
            self._drop_oldest()
        self._writer.submit(self._work)

    def settle(self) -> None:
        """Wait until all is written, or could not be written once more."""
        self._leave_parent()
        if self._pending:
            self._writer.submit(self._work)
        self._writer.wait()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = Lock()  # around the queue, never around I/O
        self._pending: deque[tuple[str, Callable[[], object]]] = deque()

    def _leave_parent(self) -> None:
        """Begin anew after a fork: what was waiting then is the parent's to write."""
        if os.getpid() != self._process:
            self._begin()

    def _work(self) -> None:
        """Try each change once; those that fail are tried again with the next change or question."""
        failing: set[str] = set()
        kept: list[tuple[str, Callable[[], object]]] = []
        while self._pending and len(failing) < _MOST_FAILING:
            with self._lock:
                session_id, write = change = self._pending.popleft()
            if session_id in failing or not self._is_done(session_id, write):
                failing.add(session_id)
                kept.append(change)
        with self._lock:
            self._pending.extendleft(reversed(kept))
            self._drop_oldest()

    def _is_done(self, session_id: str, write: Callable[[], object]) -> bool:
        try:
            write()
        except StorageError as error:
            self._note(session_id, error)
            return False
        except Exception:
            self.failure_count += 1
            _logger.exception("What is known of session %s is lost in part.", session_id)
        return True

    def _drop_oldest(self) -> None:
        while len(self._pending) > _MOST_PENDING:  # the disk has failed for long
            self._pending.popleft()

    def _note(self, session_id: str, error: StorageError) -> None:
        self.failure_count += 1
        if self.failure_count == 1:
            _logger.warning(
                "What is known of session %s could not be written. It is tried again; further "
                "failures are only counted: %s",
                session_id,
                error,
            )
