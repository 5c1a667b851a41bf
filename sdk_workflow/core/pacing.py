"""How many calls may be under way, and when the next one may start: the policy of the rate limiter.

Plain arithmetic on an injected clock, for one class of models. It waits for nothing, knows no calls
and holds no lock: `middleware.rate_limit` does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdk_workflow.core.rate_view import KINDS, Bucket, Cost, read_limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk_workflow.protocols import Clock

__all__ = ["Pacer", "Ticket", "model_class"]

_SHRINK = 0.7
# Near the number at which the server refused last, one more call at once is tried in four rounds.
_CAREFUL = 0.25
_NEAR = 0.9
_LEARNING = 0.2
# What rounding leaves of a wait that is over.
_NO_WAIT_SECONDS = 1e-6
# A header that is wrong must not silence a process for days: after that, one more call asks again.
_MAX_PAUSE_SECONDS = 3600.0
_FAMILY = re.compile(r"(?:.*[./])?claude-(?:(\d+)-(?:\d+-)?)?([a-z]+)(?:-(\d{1,2})(?!\d))?")


def model_class(model: str) -> str:
    """Return the class of models that shares one set of limits: a family in a major version.

    Example:
        >>> [model_class(name) for name in ("claude-opus-5-5", "claude-opus-5-1", "qwen3:8b")]
        ['opus-5', 'opus-5', 'qwen3:8b']
    """
    match = _FAMILY.match(model)
    if match is None:
        return model
    early, family, major = match.groups()
    return f"{family}-{early or major or ''}".rstrip("-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """One call that is under way.

    Attributes:
        started_at: When, on the clock's monotonic scale.
        in_flight: How many calls were under way, this one included.
        cost: What it took out of the buckets.
        spent: What all calls before it, and itself, had taken, by kind.
    """

    started_at: float
    in_flight: int
    cost: Cost
    spent: tuple[float, ...]


class Pacer:
    """Paces the calls to one class of models.

    A window limits how many calls are under way. It opens by one for each call that comes back,
    shrinks to 0.7 when the server refuses one, and near the number that was refused it opens slowly
    again. Beside it, what each call costs is taken out of the buckets that the response headers
    show. A server that names no limits is not paced before it refuses something.

    Args:
        clock: Where times come from.
        first_window: Calls at once before anything is known.
        max_window: Calls at once at the most.

    Example:
        >>> from sdk_workflow._internal.clock import VirtualClock
        >>> pacer = Pacer(VirtualClock(), first_window=1)
        >>> ticket = pacer.start(Cost())
        >>> pacer.wait_seconds(Cost())
        inf
        >>> pacer.refused(ticket, {}, retry_after_seconds=7.0)
        >>> pacer.wait_seconds(Cost())
        7.0
    """

    def __init__(self, clock: Clock, *, first_window: int = 8, max_window: int = 1000) -> None:
        self._clock = clock
        self._max_window = max_window
        self._window = float(first_window)
        self._ceiling: float | None = None
        self._is_free = False
        self._was_refused = False
        self._in_flight = 0
        self._paused_until = 0.0
        self._shrunk_at = float("-inf")
        self._buckets: dict[int, Bucket] = {}
        self._learned_at = float("-inf")
        self._spent = (0.0,) * len(KINDS)
        self._tokens_per_estimate = 1.0

    @property
    def in_flight(self) -> int:
        """How many calls are under way."""
        return self._in_flight

    @property
    def window(self) -> int:
        """How many calls may be under way."""
        return max(int(self._window), 1)

    @property
    def wants_costs(self) -> bool:
        """Whether it matters what a call costs; not where the server names no limits."""
        return not self._is_free

    def cost(self, *, estimated_tokens: int, max_tokens: int) -> Cost:
        """Return what a call is going to cost.

        The server takes `max_tokens` of output at the start and gives back what was not used.
        What a prompt costs against its estimate is learned: text that is read from the prompt
        cache costs nothing.
        """
        return Cost(
            input_tokens=estimated_tokens * self._tokens_per_estimate,
            output_tokens=max_tokens,
            estimated_tokens=estimated_tokens,
        )

    def wait_seconds(self, cost: Cost) -> float:
        """Return how long a call has to wait; 0 to start, infinity for one that has to end first."""
        if self._in_flight >= self.window:
            return float("inf")
        if self._is_free and not self._paused_until:
            return 0.0
        now = self._clock.monotonic()
        wait = self._paused_until - now
        if wait <= 0:
            self._paused_until = 0.0
        amounts = cost.amounts()
        for kind, bucket in self._buckets.items():
            wait = max(wait, bucket.wait_seconds(amounts[kind], now=now))
        return wait if wait > _NO_WAIT_SECONDS else 0.0

    def start(self, cost: Cost) -> Ticket:
        """Count a call as under way."""
        now = self._clock.monotonic()
        self._in_flight += 1
        if not self._is_free:
            self._take(cost.amounts(), now)
        return Ticket(started_at=now, in_flight=self._in_flight, cost=cost, spent=self._spent)

    def succeeded(
        self,
        ticket: Ticket,
        headers: Mapping[str, str],
        *,
        counted_tokens: int,
        output_tokens: int,
    ) -> None:
        """Count a call as answered.

        Args:
            ticket: What `start` returned.
            headers: The reply's headers.
            counted_tokens: Tokens of the prompt that count against the limits: not the cached ones.
            output_tokens: Tokens of the reply.
        """
        self._open(max(self._in_flight, ticket.in_flight))
        self._in_flight -= 1
        if self._is_free:
            return
        if ticket.cost.estimated_tokens:
            seen = counted_tokens / ticket.cost.estimated_tokens
            self._tokens_per_estimate += _LEARNING * (seen - self._tokens_per_estimate)
        actual = Cost(input_tokens=counted_tokens, output_tokens=output_tokens).amounts()
        planned = ticket.cost.amounts()
        self._take([a - p for a, p in zip(actual, planned, strict=True)], self._clock.monotonic())
        if not self._learn(ticket, headers) and not self._buckets and not self._was_refused:
            self._is_free = True
            self._window = float(self._max_window)

    def refused(
        self, ticket: Ticket, headers: Mapping[str, str], *, retry_after_seconds: float | None
    ) -> None:
        """Count a call as refused for the limits (429): all callers slow down."""
        self._is_free, self._was_refused = False, True
        self._give_back(ticket)
        self._learn(ticket, headers)
        if ticket.started_at > self._shrunk_at:
            self._ceiling = max(ticket.in_flight - 1.0, 1.0)
        self._shrink(ticket)
        self._pause(retry_after_seconds)

    def overloaded(self, ticket: Ticket, *, retry_after_seconds: float | None) -> None:
        """Count a call as refused by a server that is overloaded (529).

        That says nothing about our limits: the buckets and the ceiling stay as they are.
        """
        self._give_back(ticket)
        self._shrink(ticket)
        self._pause(retry_after_seconds)

    def ended(self, _ticket: Ticket) -> None:
        """Count a call as over, with nothing known about it: failed otherwise, or cancelled."""
        self._in_flight -= 1

    def _open(self, in_use: int) -> None:
        """Open the window after a success, as far as it is used: beyond that nothing was shown."""
        step = 1.0
        if self._ceiling is not None and self._window >= self._ceiling * _NEAR:
            step = _CAREFUL / self._window
            if in_use < self.window:
                return
            if self._window >= self._ceiling + 2:
                self._ceiling = None  # what was refused there passes now
        elif in_use * 2 <= self.window:
            return
        self._window = min(self._window + step, float(self._max_window))

    def _shrink(self, ticket: Ticket) -> None:
        """Shrink the window, once for all calls that were under way together."""
        if ticket.started_at > self._shrunk_at:
            self._window = max(min(self._window, ticket.in_flight) * _SHRINK, 1.0)
            self._shrunk_at = self._clock.monotonic()

    def _pause(self, seconds: float | None) -> None:
        if seconds is not None and seconds > 0:
            pause = min(seconds, _MAX_PAUSE_SECONDS)
            self._paused_until = max(self._paused_until, self._clock.monotonic() + pause)

    def _take(self, amounts: tuple[float, ...] | list[float], now: float) -> None:
        self._spent = tuple(a + b for a, b in zip(self._spent, amounts, strict=True))
        for kind, bucket in self._buckets.items():
            bucket.take(amounts[kind], now=now)

    def _give_back(self, ticket: Ticket) -> None:
        self._in_flight -= 1
        self._take([-amount for amount in ticket.cost.amounts()], self._clock.monotonic())

    def _learn(self, ticket: Ticket, headers: Mapping[str, str]) -> bool:
        """Believe the headers of a response; return whether there were any.

        They show the buckets as they stood when the call started. Since then they filled up, and
        the calls that started later took their share. Headers of an older call than the last one
        learned from are old news.
        """
        found = False
        now = self._clock.monotonic()
        age = now - ticket.started_at
        for kind, reading in read_limits(headers, now=self._clock.now() - age):
            found = True
            if ticket.started_at < self._learned_at:
                continue
            filled = reading.remaining + age * reading.per_second
            taken_since = max(self._spent[kind] - ticket.spent[kind], 0.0)
            self._buckets[kind] = Bucket(
                capacity=reading.capacity,
                per_second=reading.per_second,
                level=min(filled, reading.capacity) - taken_since,
                seen_at=now,
            )
        if found:
            self._learned_at = max(self._learned_at, ticket.started_at)
        return found
