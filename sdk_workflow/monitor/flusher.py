"""A thread that does one thing again and again: when it is woken, not too often, or on time."""

from __future__ import annotations

from threading import Condition, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdk_workflow.protocols import Clock

__all__ = ["Flusher"]


class Flusher:
    """Calls `flush` in a daemon thread; there is one only while there is something to wait for.

    The first call comes one interval after the first `wake`, so that what is over by then has paid
    for no write but its last.

    Args:
        name: The name of the thread.
        flush: Does the work, and returns in how many seconds to do it again although nobody wakes
            it; None for not at all. It must not raise.
        clock: Its monotonic time paces the calls.
        interval_seconds: The shortest time between two calls.
    """

    def __init__(
        self,
        name: str,
        flush: Callable[[], float | None],
        *,
        clock: Clock,
        interval_seconds: float,
    ) -> None:
        self._name = name
        self._flush = flush
        self._clock = clock
        self._interval = interval_seconds
        self._is_closed = False
        self.renew()

    def wake(self) -> None:
        """Have `flush` called as soon as the interval allows it."""
        with self._changed:
            if self._is_closed:
                return
            self._is_due = True
            if self._thread is None:
                self._start()
            else:
                self._changed.notify()

    def close(self, timeout_seconds: float) -> None:
        """Have the thread end, and wait so long for what it is doing."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join(timeout_seconds)

    def renew(self) -> None:
        """Forget the thread, in a forked process where it does not exist."""
        self._changed = Condition()
        self._thread: Thread | None = None
        self._is_due = False

    def _start(self) -> None:
        thread = Thread(target=self._work, name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads, or the interpreter is about to end
            return
        self._thread = thread

    def _work(self) -> None:
        earliest = self._clock.monotonic() + self._interval
        while self._may_go_on(earliest):
            again_in = self._flush()
            earliest = self._clock.monotonic() + self._interval
            if not self._is_wanted(again_in):
                return

    def _may_go_on(self, earliest: float) -> bool:
        """Wait for the interval to pass; return whether to flush then."""
        with self._changed:
            wait = max(earliest - self._clock.monotonic(), 0.0)
            self._changed.wait_for(lambda: self._is_closed, wait)
            self._is_due = False
            return not self._is_closed

    def _is_wanted(self, again_in: float | None) -> bool:
        """Wait until there is something to do; return False where the thread is to end."""
        with self._changed:
            if again_in is not None:
                self._changed.wait_for(lambda: self._is_due or self._is_closed, again_in)
            if again_in is None and not self._is_due:
                self._thread = None
                return False
            return True
