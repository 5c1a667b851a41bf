"""How often similar texts got a wrong answer, how sure that is, and when to stop serving them.

Bounds are those of Clopper and Pearson (1934), one-sided and exact: computed from the binomial
distribution itself. This module knows labels and a clock, but neither texts nor answers.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdk_workflow.protocols import Clock

__all__ = [
    "Breaker",
    "BreakerState",
    "FalseHitRate",
    "LabelWindow",
    "labels_needed",
    "lower_bound",
    "upper_bound",
]

BreakerState = Literal["closed", "open", "half_open"]

_WINDOW = 1000
_FIRST_TEST = 100
_BISECTIONS = 50  # to 1e-15, the precision of a float


def upper_bound(errors: int, labels: int, confidence: float = 0.95) -> float:
    """Return the rate that the true one is below, at the given confidence.

    Example:
        >>> round(upper_bound(0, 59), 3)
        0.05
    """
    if errors >= labels:
        return 1.0
    return _rate_where(lambda rate: _at_most(errors, labels, rate) > 1 - confidence)


def lower_bound(errors: int, labels: int, confidence: float = 0.95) -> float:
    """Return the rate that the true one is above, at the given confidence.

    Example:
        >>> round(lower_bound(10, 100), 3)
        0.055
    """
    if errors <= 0:
        return 0.0
    return _rate_where(lambda rate: _at_most(errors - 1, labels, rate) > confidence)


def labels_needed(budget: float, errors: int = 0, confidence: float = 0.95) -> int:
    """Return how many labels prove a rate within `budget` when `errors` of them are errors.

    Example:
        >>> [labels_needed(0.05, errors) for errors in (0, 1, 2)]
        [59, 93, 124]
    """
    enough = errors + 1
    while upper_bound(errors, enough, confidence) > budget:
        enough *= 2
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if upper_bound(errors, middle, confidence) > budget:
            too_few = middle
        else:
            enough = middle
    return enough


@dataclass(frozen=True, slots=True, kw_only=True)
class FalseHitRate:
    """How many of the labelled pairs were wrong, with a 95 % bound on each side.

    Attributes:
        labels: Pairs that were compared or reported, the last 1,000.
        errors: Those whose answers differed.
        lower: The true rate is above this.
        upper: The true rate is below this.
        is_certified: Whether `upper` is within the error budget. Few labels certify nothing.
    """

    labels: int
    errors: int
    lower: float
    upper: float
    is_certified: bool


class LabelWindow:
    """The last labels, at most 1,000; True is an error.

    Example:
        >>> window = LabelWindow()
        >>> for _ in range(59):
        ...     window.add(is_error=False)
        >>> window.rate(budget=0.05).is_certified
        True
    """

    __slots__ = ("_errors", "_labels")

    def __init__(self) -> None:
        self._labels: deque[bool] = deque(maxlen=_WINDOW)
        self._errors = 0

    def __len__(self) -> int:
        """Return how many labels there are."""
        return len(self._labels)

    @property
    def lower(self) -> float:
        """The bound that the true error rate is above."""
        return lower_bound(self._errors, len(self._labels))

    def add(self, *, is_error: bool) -> None:
        """Take a label; beyond 1,000 the oldest is forgotten."""
        if len(self._labels) == _WINDOW:
            self._errors -= self._labels[0]
        self._labels.append(is_error)
        self._errors += is_error

    def rate(self, budget: float) -> FalseHitRate:
        """Return the counts and their bounds."""
        upper = upper_bound(self._errors, len(self._labels))
        return FalseHitRate(
            labels=len(self._labels),
            errors=self._errors,
            lower=self.lower,
            upper=upper,
            is_certified=upper <= budget,
        )


class Breaker:
    """Stops a scope from serving similar texts once they are proven to be wrong too often.

    It opens when the *lower* bound of the error rate passes the budget: with few labels the upper
    one always does. It looks only at the 100th, 200th, 400th, 800th and 1,600th label and every
    1,000 after that; a test after each label would sooner or later open it by chance. Open, it lets
    nothing be served. After the cool-down it is half open: still nothing is served, but the next
    100 labels decide whether it closes.

    Args:
        clock: Where the time comes from.
        error_budget: The share of wrong answers that is accepted, 0..1.
        cool_down_seconds: How long it stays open.

    Example:
        >>> from sdk_workflow._internal.clock import VirtualClock
        >>> breaker = Breaker(VirtualClock(), error_budget=0.05)
        >>> for number in range(100):
        ...     breaker.add(is_error=number % 4 == 0)
        >>> breaker.state
        'open'
    """

    __slots__ = (
        "_budget",
        "_clock",
        "_cool_down",
        "_count",
        "_is_open",
        "_next_test",
        "_opened",
        "_window",
    )

    def __init__(
        self, clock: Clock, *, error_budget: float, cool_down_seconds: float = 600.0
    ) -> None:
        self._clock = clock
        self._budget = error_budget
        self._cool_down = cool_down_seconds
        self._is_open = False
        self._opened = 0.0
        self._window = LabelWindow()
        self._count, self._next_test = 0, _FIRST_TEST

    @property
    def state(self) -> BreakerState:
        """Whether similar texts may be served ("closed"), may not, or are on trial."""
        if not self._is_open:
            return "closed"
        is_over = self._clock.monotonic() >= self._opened + self._cool_down
        return "half_open" if is_over else "open"

    def add(self, *, is_error: bool) -> None:
        """Take a label; while open it says nothing new and is passed over."""
        state = self.state
        if state == "open":
            return
        self._window.add(is_error=is_error)
        self._count += 1
        if self._count < self._next_test:
            return
        is_too_wrong = self._window.lower > self._budget
        if is_too_wrong or state == "half_open":
            self._is_open, self._opened = is_too_wrong, self._clock.monotonic()
            self._window = LabelWindow()
            self._count, self._next_test = 0, _FIRST_TEST
        else:
            self._next_test = min(2 * self._count, self._count + _WINDOW)


def _at_most(errors: int, labels: int, rate: float) -> float:
    """Return the chance of at most so many errors: the binomial distribution function."""
    if errors * 2 > labels:  # the shorter of the two sums
        return 1 - _at_most(labels - errors - 1, labels, 1 - rate)
    log_rate, log_rest = math.log(rate), math.log1p(-rate)
    all_ways = math.lgamma(labels + 1)
    return math.fsum(
        math.exp(
            all_ways
            - math.lgamma(count + 1)
            - math.lgamma(labels - count + 1)
            + count * log_rate
            + (labels - count) * log_rest
        )
        for count in range(errors + 1)
    )


def _rate_where(is_below: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return (low + high) / 2
