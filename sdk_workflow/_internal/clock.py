"""The two clocks: the machine's, and one that tests and simulations move by hand."""

from __future__ import annotations

import heapq
import itertools
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date

    from anyio import Event

    from sdk_workflow.protocols import Clock

__all__ = ["SystemClock", "VirtualClock", "utc_day", "utc_text"]


class SystemClock:
    """The machine's own time."""

    def now(self) -> float:
        """Return seconds since the Unix epoch, UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never go backwards."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait on the running event loop."""
        import anyio

        await anyio.sleep(seconds)


class VirtualClock:
    """A clock that stands still until it is moved.

    Args:
        start: Seconds since the Unix epoch at which the clock stands.

    Example:
        >>> clock = VirtualClock(start=1_000.0)
        >>> clock.advance(2.5)
        >>> clock.now()
        1002.5
    """

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start
        self._waiting: list[tuple[float, int, Event]] = []
        self._order = itertools.count()

    def now(self) -> float:
        """Return seconds since the Unix epoch."""
        return self._now

    def monotonic(self) -> float:
        """Return the same figure as `now`."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Wait until `advance` has moved the clock far enough."""
        import anyio

        if seconds <= 0:
            await anyio.lowlevel.checkpoint()
            return
        event = anyio.Event()
        heapq.heappush(self._waiting, (self._now + seconds, next(self._order), event))
        await event.wait()

    def advance(self, seconds: float) -> None:
        """Move the clock forward and wake every sleeper whose time has come.

        Raises:
            ValueError: If `seconds` is negative.
        """
        if seconds < 0:
            raise ValueError(f"A clock cannot go back by {seconds!r} seconds.")
        self._now += seconds
        while self._waiting and self._waiting[0][0] <= self._now:
            heapq.heappop(self._waiting)[2].set()


def utc_day(clock: Clock) -> date:
    """Return the day that a clock shows, in UTC: what prices and lifetimes of models go by."""
    from datetime import datetime, timezone

    return datetime.fromtimestamp(clock.now(), tz=timezone.utc).date()


def utc_text(seconds: float) -> str:
    """Return seconds since the Unix epoch as UTC, ISO 8601, with milliseconds.

    Example:
        >>> utc_text(1_795_248_000.25)
        '2026-11-21T08:00:00.250Z'
    """
    from datetime import datetime, timezone

    moment = datetime.fromtimestamp(seconds, tz=timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
