"""How often an operation is repeated, and what its figures are; it reads no clock itself.

A sampling is a generator that says how many calls to make and is told how long they took, so that
one plan serves operations with and without an event loop, and tests need no time at all.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from sdk_workflow.benchmarking.timing import percentile

if TYPE_CHECKING:
    from collections.abc import Generator

    Steps = Generator[int, "Took", None]

__all__ = ["MAX_ROUNDS", "Effort", "Sampling", "Took"]

MAX_ROUNDS = 10
# Reading the clock twice takes 0.1 us: at most one per cent of a sample.
_MIN_SAMPLE_NS = 10_000
_WARM_UP_NS = 20_000_000
_TRIES = 2  # one of them may be interrupted by other programs


class Took(NamedTuple):
    """What some calls took, in nanoseconds: by the operation's own timer, and as time passed."""

    timed: int
    wall: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is measured.

    Attributes:
        samples: Timed samples of each operation.
        time_limit_seconds: What the samples of one operation may take together.
    """

    samples: int = 1000
    time_limit_seconds: float = 1.0

    @property
    def rounds(self) -> int:
        """In how many rounds the operations take turns."""
        return min(MAX_ROUNDS, self.samples)


@dataclass(slots=True)
class Sampling:
    """The samples of one operation, in nanoseconds of one call.

    Attributes:
        effort: How much is wanted.
        calls: How many calls one sample is the mean of; 0 until that is known.
        is_cut: Whether the time limit ended a round early.
        rounds: The samples of each round.

    Example:
        >>> sampling = Sampling(Effort(samples=2))
        >>> for _ in range(2):
        ...     steps = sampling.next_round()
        ...     calls = next(steps)
        ...     try:
        ...         while True:
        ...             calls = steps.send(Took(2_000 * calls, 2_000 * calls))
        ...     except StopIteration:
        ...         pass
        >>> sampling.calls, [list(taken) for taken in sampling.rounds]
        (8, [[2000.0], [2000.0]])
    """

    effort: Effort
    calls: int = 0
    is_cut: bool = False
    rounds: list[array[float]] = field(default_factory=list)

    def next_round(self) -> Steps:
        """Yield how many calls to make; take what they took."""
        if not self.calls:
            yield from self._find_calls()
            yield from self._warm_up()
        yield self.calls  # the operations before have filled the processor's caches
        yield from self._take(self._share_of_round())

    def values(self) -> list[float]:
        """Return every sample."""
        return [value for taken in self.rounds for value in taken]

    def medians(self) -> list[float]:
        """Return the median of each round that has samples."""
        return [percentile(taken, 0.5) for taken in self.rounds if taken]

    def _find_calls(self) -> Steps:
        yield 1  # loads what loads at first use
        calls = 1
        while True:
            quickest: float = inf
            for _ in range(_TRIES):
                quickest = min(quickest, (yield calls).timed)
            if quickest >= _MIN_SAMPLE_NS:
                break
            calls *= 2
        self.calls = calls

    def _warm_up(self) -> Steps:
        left = _WARM_UP_NS
        for _ in range(self.effort.samples):
            if left <= 0:
                break
            left -= (yield self.calls).wall

    def _take(self, wanted: int) -> Steps:
        taken = array("d")
        self.rounds.append(taken)  # at once: what an interrupt leaves is there
        left = self.effort.time_limit_seconds * 1e9 / self.effort.rounds
        for _ in range(wanted):
            if left <= 0:
                self.is_cut = True
                break
            took = yield self.calls
            taken.append(took.timed / self.calls)
            left -= took.wall

    def _share_of_round(self) -> int:
        """Return the samples of this round: the first ones take what does not divide."""
        each, rest = divmod(self.effort.samples, self.effort.rounds)
        return each + (len(self.rounds) < rest)
