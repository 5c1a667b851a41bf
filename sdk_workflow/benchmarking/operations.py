"""What a suite consists of: operations to repeat, ratios between them, targets to hold them to."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle, islice, repeat
from typing import TYPE_CHECKING, Literal, TypeVar, Union

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from sdk_workflow.benchmarking.parts import Parts

    OpenSuite = Callable[[Path, Parts], AbstractContextManager[Sequence["Entry"]]]

__all__ = [
    "Entry",
    "Operation",
    "Ratio",
    "Skipped",
    "Target",
    "Timer",
    "Unit",
    "each_of",
    "times",
]

Timer = Literal["wall", "cpu"]
"""What an operation is timed by: wall time, or the CPU time of all threads of the process."""
Unit = Literal["ns", "x"]
"""What a figure is in: nanoseconds, or a multiple of another figure."""
Share = Literal["p50", "p95"]
"""The percentile of a figure that a target is about."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure must not exceed.

    Attributes:
        limit: In nanoseconds, or as a multiple for a ratio.
        share: The percentile that is held against it.
    """

    limit: float
    share: Share = "p50"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Something to be done again and again.

    Attributes:
        name: What is done, unique within its suite.
        repeat: Does it as often as it is told; a coroutine function where `is_async` is set.
        is_async: Whether it runs on an event loop.
        items: How many things are done at once; figures are those of one.
        timer: What it is timed by.
        plan: What the original plan asks.
        goal: What this project asks of itself.

    Example:
        >>> Operation(name="add", repeat=times(lambda: 1 + 1)).items
        1
    """

    name: str
    repeat: Callable[[int], object] | Callable[[int], Awaitable[object]]
    is_async: bool = False
    items: int = 1
    timer: Timer = "wall"
    plan: Target | None = None
    goal: Target | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """One operation of a suite as a multiple of another, taken round by round.

    Attributes:
        name: What the ratio says.
        over: The name of the operation that is divided.
        under: The name of the operation that divides.
        goal: What this project asks of itself.
    """

    name: str
    over: str
    under: str
    goal: Target | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """What was not measured, and why: a sentence."""

    name: str
    reason: str


Entry = Union[Operation, Ratio, Skipped]  # noqa: UP007 - evaluated on 3.10
"""One row of a suite."""


def times(work: Callable[[], object]) -> Callable[[int], None]:
    """Return what does `work` as often as it is told."""

    def loop(count: int) -> None:
        for _ in repeat(None, count):
            work()

    return loop


def each_of(take: Callable[[Item], object], items: Sequence[Item]) -> Callable[[int], None]:
    """Return what hands over items in turn: quicker than a function around `take` by 60 ns a call."""
    endless = cycle(items)

    def loop(count: int) -> None:
        for item in islice(endless, count):
            take(item)

    return loop
