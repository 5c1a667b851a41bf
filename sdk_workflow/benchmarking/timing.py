"""Measuring side by side: every contender runs once in each round, and ratios are taken per round.

A shared machine is never quiet. What disturbs one contender of a round disturbs its neighbour too,
so a median of ratios of neighbours holds still where milliseconds do not.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

__all__ = ["Series", "interleave", "interleave_async", "percentile", "ratio_of"]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` (0..1) of all values lie, interpolated.

    Example:
        >>> percentile([4.0, 1.0, 3.0, 2.0], 0.5)
        2.5
    """
    ordered = sorted(values)
    position = (len(ordered) - 1) * share
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


@dataclass(frozen=True, slots=True)
class Series:
    """What one contender took in each round; seconds, or a ratio to another contender.

    Example:
        >>> Series([1.0, 2.0, 3.0]).median
        2.0
    """

    values: Sequence[float]

    @property
    def median(self) -> float:
        """The middle value."""
        return median(self.values)

    @property
    def p10(self) -> float:
        """The value that a tenth of the rounds stayed below."""
        return percentile(self.values, 0.10)

    @property
    def p95(self) -> float:
        """The value that a twentieth of the rounds exceeded."""
        return percentile(self.values, 0.95)

    def per(self, count: int) -> Series:
        """Return the series of one item, where each round took `count` of them."""
        return Series([value / count for value in self.values])

    def to_json(self) -> dict[str, Any]:
        """Return the summary and every value."""
        return {
            "median": self.median,
            "p10": self.p10,
            "p95": self.p95,
            "values": list(self.values),
        }


def ratio_of(ours: Series, base: Series) -> Series:
    """Return `ours` as a multiple of `base`, round by round."""
    return Series([a / b for a, b in zip(ours.values, base.values, strict=True)])


@dataclass(frozen=True, slots=True)
class Times:
    """One contender's rounds in wall time and in CPU time of this process, in seconds."""

    wall: Series
    cpu: Series


def interleave(
    contenders: Mapping[str, Callable[[], tuple[float, float]]], *, rounds: int
) -> dict[str, Times]:
    """Run every contender once a round, in an order that rotates, after one round that is not kept.

    Args:
        contenders: Each runs once and returns the wall and the CPU seconds that it took.
        rounds: Rounds that count.
    """
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for number in range(-1, rounds):
        for name in _rotated(list(contenders), number):
            taken = contenders[name]()
            if number >= 0:
                found[name].append(taken)
    return {name: _times(taken) for name, taken in found.items()}


async def interleave_async(
    contenders: Mapping[str, Callable[[], Awaitable[object]]], *, rounds: int
) -> dict[str, Times]:
    """Do what `interleave` does with coroutines of this process, and time them."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for number in range(-1, rounds):
        for name in _rotated(list(contenders), number):
            gc.collect()  # nobody pays for the garbage of its predecessor
            wall, cpu = perf_counter(), process_time()
            await contenders[name]()
            taken = perf_counter() - wall, process_time() - cpu
            if number >= 0:
                found[name].append(taken)
    return {name: _times(taken) for name, taken in found.items()}


def _rotated(names: list[str], number: int) -> list[str]:
    first = number % len(names)
    return names[first:] + names[:first]


def _times(taken: Sequence[tuple[float, float]]) -> Times:
    return Times(wall=Series([wall for wall, _ in taken]), cpu=Series([cpu for _, cpu in taken]))
