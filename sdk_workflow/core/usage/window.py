"""How much was counted in the last so many seconds, in memory that never grows.

It adds up plain numbers over time; what they count is its owner's business.
"""

from __future__ import annotations

__all__ = ["LONGEST_WINDOW_SECONDS", "SlidingWindow"]

_LEVELS = 9
_FINEST_SECONDS = 1 / 64
_GROWTH = 4  # each level's buckets are four times as wide as those of the level below
_SPAN = 256  # buckets in the longest window that a level answers for
_SIZE = _SPAN + 2  # and the two that its ends lie in

LONGEST_WINDOW_SECONDS = _FINEST_SECONDS * _GROWTH ** (_LEVELS - 1) * _SPAN
"""The longest window that can be asked for: 262,144 seconds, three days."""


class SlidingWindow:
    """Sums over any window from one second to three days; not thread-safe.

    Nine rings of 258 buckets, 1/64 s to 1024 s wide: about 2,300 numbers, however much is counted.
    A question is answered by the finest ring that reaches back far enough, which cuts the window
    into 64 to 256 buckets. The oldest bucket is counted whole, so a sum is never too low, and
    holds at most 1/64 of the window (1.6 %) more than was asked for.

    Example:
        >>> window = SlidingWindow()
        >>> window.add(100, at=0.0)
        >>> window.add(50, at=30.0)
        >>> window.total(60, at=59.0), window.total(60, at=62.0)
        (150, 50)
    """

    __slots__ = ("_rings",)

    def __init__(self) -> None:
        self._rings = [_Ring(_FINEST_SECONDS * _GROWTH**level) for level in range(_LEVELS)]

    def add(self, count: int, *, at: float) -> None:
        """Count something; what lies before the longest window is passed over.

        Args:
            count: How much; negative to take back what was counted at that time.
            at: When, in seconds of a clock that never goes backwards.
        """
        for ring in self._rings:
            ring.add(count, at)

    def total(self, seconds: float, *, at: float) -> int:
        """Return what was counted in the last `seconds` before `at`."""
        for ring in self._rings:
            if seconds <= ring.reach_seconds:
                return ring.total(seconds, at)
        return self._rings[-1].total(LONGEST_WINDOW_SECONDS, at)


class _Ring:
    """Buckets of one width; `head` is the number of the newest one, counted from time 0."""

    __slots__ = ("counts", "head", "per_second", "reach_seconds")

    def __init__(self, width_seconds: float) -> None:
        self.per_second = 1 / width_seconds  # a power of two: exact
        self.reach_seconds = width_seconds * _SPAN
        self.counts = [0] * _SIZE
        self.head = 0

    def add(self, count: int, at: float) -> None:
        number = int(at * self.per_second)
        if number > self.head:
            self.advance(number)
        if number > self.head - _SIZE:
            self.counts[number % _SIZE] += count

    def total(self, seconds: float, at: float) -> int:
        self.advance(int(at * self.per_second))
        first = int((at - seconds) * self.per_second) % _SIZE
        after = self.head % _SIZE + 1
        if first < after:
            return sum(self.counts[first:after])
        return sum(self.counts[first:]) + sum(self.counts[:after])

    def advance(self, number: int) -> None:
        """Empty the buckets between the newest one and bucket `number`, which is now the newest."""
        passed = number - self.head
        if passed >= _SIZE:
            self.counts = [0] * _SIZE
        else:
            for each in range(self.head + 1, number + 1):
                self.counts[each % _SIZE] = 0
        self.head = max(self.head, number)
