"""Which replies are alive in a tier, and which were found wrong: neither tier has to tell."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from sdk_workflow.core.forks import renew_after_fork

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk_workflow.core.caching.stored_reply import StoredReply

__all__ = ["LiveReplies"]


class LiveReplies:
    """Knows each stored reply as long as any tier holds it.

    Example:
        >>> from sdk_workflow.core.caching.stored_reply import StoredReply
        >>> from sdk_workflow.types import Usage
        >>> live = LiveReplies()
        >>> reply = StoredReply(key="k", message_json="{}", usage=Usage(), saved=None, created=5.0,
        ...     expires=9.0)
        >>> live.add(reply)
        >>> live.is_usable(reply, now=6.0), live.is_usable(reply, now=9.0)
        (True, False)
        >>> live.note_wrong("k", now=7.0)
        >>> live.is_usable(reply, now=7.0)
        False
        >>> del reply
        >>> live.all()
        []
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_key: WeakValueDictionary[str, StoredReply] = WeakValueDictionary()
        self._wrong: dict[str, float] = {}
        renew_after_fork(self)

    def renew(self) -> None:
        """Start with a free lock in a forked process."""
        self._lock = threading.Lock()

    def add(self, stored: StoredReply) -> None:
        """Take a reply that a tier has just been given."""
        with self._lock:
            self._by_key[stored.key] = stored

    def get(self, key: str) -> StoredReply | None:
        """Return the reply of an exact key; None where no tier holds one."""
        with self._lock:
            return self._by_key.get(key)

    def all(self) -> list[StoredReply]:
        """Return every reply that a tier holds, the oldest first."""
        with self._lock:
            replies = list(self._by_key.values())
        return sorted(replies, key=lambda stored: stored.created)

    def is_usable(self, stored: StoredReply, *, now: float) -> bool:
        """Return whether a reply is still within its lifetime, and was not found wrong."""
        # Every hit comes here: the table of wrong ones is nearly always empty.
        if self._wrong and self._wrong.get(stored.key, stored.created - 1) >= stored.created:
            return False
        return stored.expires > now

    def note_wrong(self, key: str, *, now: float) -> None:
        """Note that the answer to a request was wrong: no tier may serve one as old as that."""
        with self._lock:
            self._wrong[key] = max(now, self._wrong.get(key, now))

    def wrong(self) -> dict[str, float]:
        """Return exact key -> when its answer was reported wrong."""
        with self._lock:
            return dict(self._wrong)

    def add_wrong(self, reports: Mapping[str, float]) -> None:
        """Take reports of another process."""
        for key, at in reports.items():
            self.note_wrong(key, now=at)
