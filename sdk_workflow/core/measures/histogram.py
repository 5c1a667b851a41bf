"""A histogram of whole numbers whose buckets grow with the value, so that the error stays relative.

Each octave (from one power of two to the next) is cut into equally wide buckets, as in HDR
Histogram. It knows no unit and takes no lock: whoever shares one between threads holds a lock.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from itertools import accumulate
from math import ceil
from operator import add
from typing import TYPE_CHECKING

from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["MAX_VALUE", "Histogram"]

MAX_VALUE = 2**63 - 1
"""Larger values count as this one: in nanoseconds, 292 years."""

# 0.07 * 100 is a hair above 7: without a tolerance its rank would be the eighth value.
_RANK_TOLERANCE = 1e-9


class Histogram:
    """Counts values of 0 to `MAX_VALUE`, and tells any quantile within a bound.

    A quantile is the middle of the bucket that holds the value of that rank (nearest rank), so it
    is off by at most 1 / (2 * buckets_per_octave): 0.39 % at 128, 1.6 % at 32. Values up to twice
    `buckets_per_octave` are exact. Octaves without a value take no memory, and all of them take
    57 KiB at 128. Two histograms are merged by adding their counts, which loses nothing.

    Args:
        buckets_per_octave: A power of two.

    Raises:
        UsageError: If `buckets_per_octave` is not a power of two.

    Example:
        >>> latencies = Histogram()
        >>> for milliseconds in range(1, 101):
        ...     latencies.observe(milliseconds * 1_000_000)
        >>> [round(value / 1e6, 1) for value in latencies.quantiles((0.5, 0.99))]
        [49.9, 98.8]
    """

    __slots__ = ("_bits", "_mask", "_rows", "total")

    def __init__(self, buckets_per_octave: int = 128) -> None:
        if buckets_per_octave < 1 or buckets_per_octave & (buckets_per_octave - 1):
            raise UsageError(
                f"An octave cannot be cut into {buckets_per_octave!r} buckets.",
                hint="Pass a power of two for buckets_per_octave, such as 128.",
            )
        self._bits = buckets_per_octave.bit_length() - 1
        self._mask = buckets_per_octave - 1
        # Octave -> its counts. Octave 0 holds the values below `buckets_per_octave`.
        self._rows: dict[int, array[int]] = {}
        self.total = 0

    def observe(self, value: int) -> None:
        """Count one value; a negative one counts as 0.

        Written out in one piece: it takes 130 ns, and each call of a helper would add 50.
        """
        if value < 0:  # noqa: PLR1730 - `max` takes three times as long
            value = 0
        octave = value.bit_length() - self._bits
        try:
            if octave > 0:
                self._rows[octave][(value >> (octave - 1)) & self._mask] += 1
            else:
                self._rows[0][value] += 1
        except KeyError:
            self._open_row(min(value, MAX_VALUE))
        else:
            self.total += value

    def _open_row(self, value: int) -> None:
        octave = max(value.bit_length() - self._bits, 0)
        if octave not in self._rows:  # a value beyond the last octave comes here each time
            self._rows[octave] = array("Q", bytes(8 * (self._mask + 1)))
        self.observe(value)

    @property
    def count(self) -> int:
        """How many values were counted."""
        return sum(map(sum, self._rows.values()))

    @property
    def mean(self) -> float | None:
        """The exact mean; None before the first value."""
        count = self.count
        return self.total / count if count else None

    @property
    def largest(self) -> float | None:
        """The largest value, within the bound; None before the first one."""
        if not self._rows:
            return None
        octave = max(self._rows)
        row = self._rows[octave]
        return self._middle(octave, max(index for index, count in enumerate(row) if count))

    def quantiles(self, shares: Sequence[float]) -> list[float]:
        """Return the values that these shares (0..1) of all values do not exceed.

        The list is empty before the first value.
        """
        rows = [(octave, row, sum(row)) for octave, row in sorted(self._rows.items())]
        count = sum(size for _, _, size in rows)
        if not count:
            return []
        ranks = (min(max(ceil(share * count - _RANK_TOLERANCE), 1), count) for share in shares)
        return [self._value_at(rank, rows) for rank in ranks]

    def counts_up_to(self, bounds: Sequence[float]) -> list[int]:
        """Return how many values are at most each of these ascending bounds.

        A bucket counts where its smallest value does: whatever is equal to a bound is in, and so
        may be what lies above it by less than 1 / buckets_per_octave.
        """
        found, seen = [0] * len(bounds), 0
        for smallest, count in self._buckets():
            seen += count
            first = bisect_left(bounds, smallest)
            found[first:] = [seen] * (len(bounds) - first)
        return found

    def merge(self, other: Histogram) -> None:
        """Add the counts of another histogram with as many buckets per octave.

        Raises:
            UsageError: If the other one's buckets are not as wide.
        """
        self._check_width(other)
        for octave, theirs in other._rows.items():
            ours = self._rows.get(octave)
            self._rows[octave] = array("Q", map(add, ours, theirs)) if ours else theirs[:]
        self.total += other.total

    def merge_all(self, others: Iterable[Histogram]) -> None:
        """Do what `merge` does for many, in a third of the time for 60 of them.

        Raises:
            UsageError: As `merge`; nothing was added then.
        """
        rows = {octave: [row] for octave, row in self._rows.items()}
        total = self.total
        for other in others:
            self._check_width(other)
            total += other.total
            for octave, row in other._rows.items():  # noqa: SLF001 - of its own class
                rows.setdefault(octave, []).append(row)
        self._rows = {
            octave: array("Q", map(sum, zip(*found, strict=True))) for octave, found in rows.items()
        }
        self.total = total

    def _check_width(self, other: Histogram) -> None:
        if other._mask != self._mask:
            raise UsageError(
                f"Buckets of {other._mask + 1} and {self._mask + 1} to the octave do not add up.",
                hint="Merge histograms with the same buckets_per_octave.",
            )

    def _value_at(self, rank: int, rows: Sequence[tuple[int, array[int], int]]) -> float:
        """Return the value of a rank from 1 to the count; `rows` ascend, each with its sum."""
        left, place = rank, iter(rows)
        octave, row, size = next(place)
        while left > size:
            left -= size
            octave, row, size = next(place)
        return self._middle(octave, bisect_left(list(accumulate(row)), left))

    def _buckets(self) -> Iterator[tuple[int, int]]:
        """Yield the smallest value and the count of each bucket that is in use, ascending."""
        for octave, row in sorted(self._rows.items()):
            for index, count in enumerate(row):
                if count:
                    yield self._bucket(octave, index)[0], count

    def _middle(self, octave: int, index: int) -> float:
        smallest, width = self._bucket(octave, index)
        return smallest + (width - 1) / 2

    def _bucket(self, octave: int, index: int) -> tuple[int, int]:
        """Return the smallest value of a bucket, and how many values it is wide."""
        if octave == 0:
            return index, 1
        width = 1 << (octave - 1)
        return (self._mask + 1 + index) * width, width
