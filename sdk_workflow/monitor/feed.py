"""The feed of one runtime: takes events in the hot path, and has them written by one thread.

It knows no file and no figure: the writer does, which is made when there is something to write.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sdk_workflow.events import (
    CacheLookedUp,
    ModelCallStarted,
    TextDelta,
    ToolStarted,
    shows_no_text,
)
from sdk_workflow.monitor.flusher import Flusher

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdk_workflow.events import Event
    from sdk_workflow.protocols import Clock

__all__ = ["Batch", "FeedWriter", "RunFeed", "TimedEvent"]

TimedEvent = tuple[float, "Event"]
"""When, in seconds since the Unix epoch, and what."""

EventsByKind = Mapping[type["Event"], Sequence[TimedEvent]]
"""The events of each kind; kinds of which there are none are left out."""

_logger = logging.getLogger("sdk_workflow.monitor")

_INTERVAL_SECONDS = 0.2
_QUEUE_LIMIT = 4_096
_EXIT_SECONDS = 1.0
# What tells of a change, but is no line of its own in the history.
_ONLY_WAKE = frozenset({ModelCallStarted, ToolStarted})


class Batch(NamedTuple):
    """What happened since the last time.

    Attributes:
        events: What is to be written down, in the order in which it happened.
        lost_events: How many events were lost until now, from the beginning on.
        has_news: Whether anything happened at all, or only time has passed.
        is_last: Whether this is the end of the runtime.
    """

    events: EventsByKind
    lost_events: int = 0
    has_news: bool = True
    is_last: bool = False


class FeedWriter(Protocol):
    """Writes the state of a process; called by one thread at a time."""

    def write(self, batch: Batch) -> float | None:
        """Write what is new.

        Returns:
            In how many seconds to write again although nothing happens; None for not at all.
        """
        ...


class RunFeed:
    """Shows what a runtime does to whoever looks at its folder; `on_event` is its event sink.

    An event costs its caller 0.4 us at the most: it is queued, and a daemon thread hands what is queued to the
    writer, at most five times a second. Before the first event there is neither thread nor file;
    a thread that has nothing to do ends. A forked child begins anew, with a writer of its own.
    What the writer raises is contained, counted and said once: it never reaches the runtime.

    Args:
        make_writer: Makes the writer, in the process that it is for.
        clock: Says when an event happened, and paces the writing.
        interval_seconds: The shortest time between two writes.
        queue_limit: How many events of one kind may wait; further ones are counted as lost.

    Example:
        >>> from sdk_workflow._internal.clock import SystemClock
        >>> from sdk_workflow.events import StateChanged
        >>> class Printer:
        ...     def write(self, batch):
        ...         print([event.after for _, event in batch.events[StateChanged]], batch.is_last)
        >>> feed = RunFeed(Printer, clock=SystemClock())
        >>> feed.on_event(StateChanged(before="created", after="ready"))
        >>> feed.close()
        ['ready'] True
    """

    def __init__(
        self,
        make_writer: Callable[[], FeedWriter],
        *,
        clock: Clock,
        interval_seconds: float = _INTERVAL_SECONDS,
        queue_limit: int = _QUEUE_LIMIT,
    ) -> None:
        self._make_writer = make_writer
        self._now = clock.now
        self._limit = queue_limit
        self._flusher = Flusher(
            "sdk_workflow-monitor", self.flush, clock=clock, interval_seconds=interval_seconds
        )
        self._is_closed = False
        self._has_news = False
        self._begin()
        _feeds.add(self)

    @property
    def lost_events(self) -> int:
        """How many events found no room in the queue."""
        return self._lost_events

    @property
    def failed_writes(self) -> int:
        """How often the writer raised."""
        return self._failed_writes

    @shows_no_text
    def on_event(self, event: Event) -> None:
        """Queue an event to be written; never waits, never raises."""
        kind = type(event)
        if kind is TextDelta or self._is_closed:
            return
        if isinstance(event, CacheLookedUp) and event.outcome != "hit":
            return  # the metrics count it, and its call comes next
        if kind not in _ONLY_WAKE:
            queue = self._queues.get(kind)
            if queue is None:
                queue = self._queues.setdefault(kind, deque())
            if len(queue) < self._limit:
                queue.append((self._now(), event))
            else:
                self._lose()
        if not self._has_news:
            self._has_news = True
            self._flusher.wake()

    def flush(self) -> float | None:
        """Write now what is queued; return when to do so again, as the writer says."""
        with self._writing:
            return None if self._is_closed else self._write(is_last=False)

    def close(self, timeout_seconds: float = _EXIT_SECONDS) -> None:
        """Write the end, if there was a beginning; a second call does nothing.

        Args:
            timeout_seconds: How long a write that is under way is waited for; without its end,
                the last state stays what it was.
        """
        if self._is_closed:
            return
        self._is_closed = True
        self._flusher.close(timeout_seconds)
        if self._writing.acquire(timeout=timeout_seconds):
            try:
                if self._writer is not None or self._has_news:
                    self._write(is_last=True)
            finally:
                self._writing.release()
        _feeds.discard(self)

    def renew(self) -> None:
        """Begin anew in a forked process, where neither the thread nor its folder exist."""
        self._flusher.renew()
        self._begin()

    def _begin(self) -> None:
        self._queues: dict[type[Event], deque[TimedEvent]] = {}
        self._writing = threading.Lock()
        # Re-entrant: an event may come out of a finalizer that runs while the lock is held.
        self._losing = threading.RLock()
        self._writer: FeedWriter | None = None
        self._has_news = False
        self._lost_events = 0
        self._failed_writes = 0

    def _lose(self) -> None:
        with self._losing:
            self._lost_events += 1

    def _write(self, *, is_last: bool) -> float | None:
        has_news = self._has_news
        self._has_news = False  # first: whatever comes from now on wakes the thread again
        events = {
            kind: [queue.popleft() for _ in range(len(queue))]
            for kind, queue in list(self._queues.items())
            if queue
        }
        batch = Batch(events, self._lost_events, has_news, is_last)
        try:
            if self._writer is None:
                self._writer = self._make_writer()
            return self._writer.write(batch)
        except Exception:
            self._failed_writes += 1
            self._lost_events += sum(map(len, events.values()))
            if self._failed_writes == 1:
                _logger.warning("The monitor's feed failed; the run goes on.", exc_info=True)
            return None


_feeds: weakref.WeakSet[RunFeed] = weakref.WeakSet()


def _close_all() -> None:
    for feed in list(_feeds):
        feed.close()


def _renew_all() -> None:
    for feed in list(_feeds):
        feed.renew()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
