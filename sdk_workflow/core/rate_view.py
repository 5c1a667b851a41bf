"""What the server's limits look like from here: token buckets that its response headers fill in.

The limits belong to an organisation, so others may draw from the same buckets. Between two replies
each bucket is carried forward from our own calls; with each reply the server's word replaces that.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sdk_workflow._internal.api_errors import http_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["KINDS", "Bucket", "Cost", "Reading", "read_limits"]

KINDS = ("requests", "input-tokens", "output-tokens", "tokens")
_NAMES = tuple(
    tuple(f"anthropic-ratelimit-{kind}-{fact}" for fact in ("limit", "remaining", "reset"))
    for kind in KINDS
)
# What stays in a bucket: our estimates of costs are wrong by a few percent, and where two calls
# meet a bucket that is nearly empty, the second would be refused. Paid once, not for each call.
_MARGIN = 0.03
_WINDOW_SECONDS = 60.0
# A window counts as longer than a minute only well above it: `reset` is rounded to seconds.
_LONG_WINDOW_SECONDS = 90.0
_TELLING_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one call takes out of the buckets: one request, and so many tokens.

    `estimated_tokens` is the size of the prompt that `input_tokens` was derived from.
    """

    input_tokens: float = 0.0
    output_tokens: float = 0.0
    estimated_tokens: int = 0

    def amounts(self) -> tuple[float, float, float, float]:
        """Return the amounts in the order of `KINDS`."""
        both = self.input_tokens + self.output_tokens
        return (1.0, self.input_tokens, self.output_tokens, both)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One bucket as a response's headers show it; `per_second` is how fast it fills up.

    It may hold less than a minute's worth, which is all that `limit` says: `reset` tells how much.
    """

    capacity: float
    remaining: float
    per_second: float


@dataclass(slots=True, kw_only=True)
class Bucket:
    """One bucket as we believe it to stand.

    Example:
        >>> bucket = Bucket(capacity=600.0, per_second=10.0, level=0.0, seen_at=0.0)
        >>> bucket.wait_seconds(42.0, now=0.0)
        6.0
        >>> bucket.take(42.0, now=6.0)
        >>> bucket.wait_seconds(42.0, now=6.0)
        4.2
    """

    capacity: float
    per_second: float
    level: float
    seen_at: float

    def take(self, amount: float, *, now: float) -> None:
        """Take `amount` out, or put it back where it is negative."""
        self.level = (
            min(self.level + (now - self.seen_at) * self.per_second, self.capacity) - amount
        )
        self.seen_at = now

    def wait_seconds(self, amount: float, *, now: float) -> float:
        """Return how long it takes until `amount` can be taken; 0 where it can be now.

        What is larger than the bucket has to wait for a full one.
        """
        needed = min(amount + self.capacity * _MARGIN, self.capacity)
        missing = needed - self.level - (now - self.seen_at) * self.per_second
        return missing / self.per_second if missing > 0 else 0.0


def read_limits(headers: Mapping[str, str], *, now: float) -> Iterator[tuple[int, Reading]]:
    """Yield what the headers say, each with its index in `KINDS`; malformed ones are left out.

    Args:
        headers: A response's headers, with lower-case names.
        now: When the response began, in seconds since the Unix epoch. The server's own `date` goes
            before it, so that no clock that is wrong makes a bucket fill up in hours.

    Example:
        >>> names = ("limit", "remaining")
        >>> headers = {f"anthropic-ratelimit-requests-{name}": "600" for name in names}
        >>> list(read_limits(headers, now=0.0))
        [(0, Reading(capacity=600.0, remaining=600.0, per_second=10.0))]
    """
    for index, (limit_name, remaining_name, reset_name) in enumerate(_NAMES):
        if limit_name not in headers or remaining_name not in headers:
            continue
        # The tightest limit under a name of its own; where the parts are known, it says no more.
        if index == len(KINDS) - 1 and _NAMES[1][0] in headers:
            continue
        try:
            limit, remaining = float(headers[limit_name]), float(headers[remaining_name])
        except ValueError:
            continue
        if 0 < limit < float("inf") and 0 <= remaining <= limit:
            full_in = _seconds_until_full(headers, reset_name, now=now)
            rate = _per_second(limit, remaining, full_in)
            capacity = limit if full_in is None else min(remaining + full_in * rate, limit)
            yield index, Reading(capacity=capacity, remaining=remaining, per_second=rate)


def _seconds_until_full(headers: Mapping[str, str], reset_name: str, *, now: float) -> float | None:
    """Return how long a bucket takes to fill up; None where nothing credible is said of it."""
    try:
        full_at = datetime.fromisoformat(headers[reset_name].replace("Z", "+00:00")).timestamp()
    except (KeyError, ValueError):
        return None
    since = http_time(headers.get("date"))
    seconds = full_at - (now if since is None else since)
    return seconds if seconds > 0 else None


def _per_second(limit: float, remaining: float, full_in: float | None) -> float:
    """Return how fast a bucket fills up: in a minute, or in the time that it says."""
    used = limit - remaining
    if full_in is None or used < limit * _TELLING_SHARE:
        return limit / _WINDOW_SECONDS
    window = full_in * limit / used
    return limit / (window if window > _LONG_WINDOW_SECONDS else _WINDOW_SECONDS)
