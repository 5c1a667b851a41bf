"""Requests of the last minute, five minutes and hour: 60 slots of a second, then slots of a minute.

It knows no clock: time is handed in, in seconds that never go back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from sdk_workflow.core.measures.histogram import Histogram
from sdk_workflow.core.measures.sums import Sums

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["WINDOWS", "RequestSums", "Windows"]

WINDOWS = {"1m": 60, "5m": 300, "1h": 3600}
"""Name of a window -> its length in seconds."""

_SECONDS = _MINUTES = 60
# 1.6 % is enough for a glance at the last minutes, and a quarter of the memory of 0.39 %.
_coarse = partial(Histogram, 32)


@dataclass(slots=True)
class RequestSums(Sums):
    """What the requests of some time came to; `latency` is in nanoseconds.

    `requests` counts all that ended; `errors` and `cancelled` are among them. `input_tokens` is
    the whole prompt, whether read from a cache or not.
    """

    requests: int = 0
    errors: int = 0
    cancelled: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    saved_usd: float = 0.0
    latency: Histogram = field(default_factory=_coarse)

    def add_counts(self, other: RequestSums) -> None:
        """Add another one's numbers, and leave out its latencies."""
        self.requests += other.requests
        self.errors += other.errors
        self.cancelled += other.cancelled
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cost_usd += other.cost_usd
        self.saved_usd += other.saved_usd

    @property
    def error_rate(self) -> float:
        """The share of errors in what was not cancelled, 0..1; 0 before the first request."""
        return self.errors / ((self.requests - self.cancelled) or 1)


class Windows:
    """A ring of slots: what leaves the seconds is folded into its minute, and then forgotten.

    Every request is in exactly one slot, so a window is the sum of the slots inside it. Those
    longer than a minute begin at a full minute, and so cover up to one minute less than their name.

    Args:
        started_at: The time at which counting begins.

    Example:
        >>> windows = Windows(started_at=0.0)
        >>> windows.slot(0.5).requests += 1
        >>> windows.slot(90.0).requests += 1
        >>> [windows.last(seconds, now=90.0)[0].requests for seconds in (60, 300)]
        [1, 2]
    """

    __slots__ = ("_latest", "_minutes", "_seconds", "_started_at")

    def __init__(self, started_at: float) -> None:
        self._started_at = started_at
        self._latest = int(started_at)
        # Second or minute -> its slot, oldest first.
        self._seconds: dict[int, RequestSums] = {}
        self._minutes: dict[int, RequestSums] = {}

    @property
    def started_at(self) -> float:
        """The time at which counting began."""
        return self._started_at

    def slot(self, now: float) -> RequestSums:
        """Return the sums of the present second, to be added to.

        Where `now` lies before a time that was seen already, that one counts.
        """
        second = int(now)
        if second < self._latest:  # noqa: PLR1730 - `max` takes three times as long
            second = self._latest
        slot = self._seconds.get(second)
        return self._open(second) if slot is None else slot

    def last(
        self, seconds: int, *, now: float, with_latency: bool = True
    ) -> tuple[RequestSums, float]:
        """Return the sums of the last 60, or up to 3,600, seconds, and how many they cover.

        They cover less where counting began later, but at least one second. Adding up the
        latencies takes 20 times as long as all the numbers.
        """
        latest = max(int(now), self._latest)
        first = latest - seconds + 1
        if seconds > _SECONDS:
            first = -(-first // 60) * 60
        found, slots = RequestSums(), list(self._since(first))
        for slot in slots:
            found.add_counts(slot)
        if with_latency:
            found.latency.merge_all(slot.latency for slot in slots)
        return found, max(max(now, latest) - max(first, self._started_at), 1.0)

    def find(self, second: int) -> RequestSums | None:
        """Return the sums of one of the last 60 seconds, to be read; None where nothing was counted."""
        return self._seconds.get(second)

    def merge(self, other: Windows) -> None:
        """Add another one's slots; both must have been given the time of one clock."""
        self._started_at = min(self._started_at, other._started_at)
        self._latest = max(self._latest, other._latest)
        self._seconds = _joined(self._seconds, other._seconds)
        self._minutes = _joined(self._minutes, other._minutes)
        self._fold()

    def _open(self, second: int) -> RequestSums:
        self._latest = second
        self._fold()
        self._seconds[second] = slot = RequestSums()
        return slot

    def _fold(self) -> None:
        """Move seconds that are over 60 s old to their minutes, and forget old minutes."""
        for second in [item for item in self._seconds if item <= self._latest - _SECONDS]:
            slot = self._seconds.pop(second)
            self._minutes.setdefault(second // 60, RequestSums()).merge(slot)
        for minute in [item for item in self._minutes if item <= self._latest // 60 - _MINUTES]:
            del self._minutes[minute]

    def _since(self, first: int) -> Iterator[RequestSums]:
        yield from (slot for minute, slot in self._minutes.items() if minute * 60 >= first)
        yield from (slot for second, slot in self._seconds.items() if second >= first)


def _joined(ours: dict[int, RequestSums], theirs: dict[int, RequestSums]) -> dict[int, RequestSums]:
    joined: dict[int, RequestSums] = {}
    for slots in (ours, theirs):
        for time, slot in slots.items():
            joined.setdefault(time, RequestSums()).merge(slot)
    return joined
