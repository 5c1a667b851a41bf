"""What is known about tokens: one record for each call, and the figures that are made of many.

Plain values and the check of what callers pass in. Money is none of its business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from sdk_workflow.exceptions import UsageError
from sdk_workflow.types import Usage

__all__ = ["TokenAnalytics", "TokenTotals", "UsageRecord", "checked_usage"]

_MOST = 10**12  # a trillion tokens in one call is a mistake, not a call
_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
)
_FIELDS = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_write_5m_input_tokens",
    "cache_write_1h_input_tokens",
)
_SPLIT = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")


class TokenTotals(TypedDict):
    """Sums over calls; `total_tokens` is the whole prompts and the answers."""

    calls: int
    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int
    cache_write_input_tokens: int
    total_tokens: int


class TokenAnalytics(TypedDict):
    """All figures of a token manager.

    `average_tokens` is per call, over all of them. `trend_tokens_per_call` says by how much a call
    is larger than the one before: the slope of a line through the last 50; 0.0 below two calls.
    `saved_calls` and `saved_tokens` were answered by a response cache, and are in no other sum.
    `context_usage_pct` is of the conversation that reported last; None where its model's window is
    not known.
    """

    totals: TokenTotals
    average_tokens: float
    trend_tokens_per_call: float
    saved_calls: int
    saved_tokens: int
    context_usage_pct: float | None
    by_model: dict[str, TokenTotals]
    by_operation: dict[str, TokenTotals]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRecord:
    """The tokens of one call.

    Attributes:
        at: When they were reported, in seconds since the Unix epoch.
        usage: The tokens, as the API counts them.
        operation: What the call was for.
        message_id: The id of the reply; None where nobody said.
        model: The model that answered; None where nobody said.
        session_id: The session that called; None outside of one.

    Example:
        >>> UsageRecord(at=0.0, usage=Usage(input_tokens=7, output_tokens=3)).total_tokens
        10
    """

    at: float
    usage: Usage
    operation: str = "message"
    message_id: str | None = None
    model: str | None = None
    session_id: str | None = None

    @property
    def total_tokens(self) -> int:
        """The whole prompt and the answer."""
        return self.usage.prompt_tokens + self.usage.output_tokens


def checked_usage(usage: object) -> Usage:
    """Return a usage whose counts make sense.

    Args:
        usage: A `Usage`, or the `usage` object of the API.

    Raises:
        UsageError: If a count is negative, not a whole number or beyond all reason, or if there
            are no counts at all.

    Example:
        >>> checked_usage({"input_tokens": 3, "output_tokens": 4, "service_tier": "standard"})
        Usage(input_tokens=3, output_tokens=4, cache_read_input_tokens=0, \
cache_write_5m_input_tokens=0, cache_write_1h_input_tokens=0)
    """
    if isinstance(usage, Usage):
        for name in _FIELDS:
            _check_count(name, getattr(usage, name))
        return usage
    if not isinstance(usage, Mapping) or not any(name in usage for name in _COUNTS):
        raise UsageError(
            f"{usage!r} holds no counts of tokens.",
            hint="Pass a Usage, or the `usage` object as the API sent it.",
        )
    split = usage.get("cache_creation")
    if split is not None and not isinstance(split, Mapping):
        raise UsageError(f"cache_creation={split!r} is no object.", hint="Pass what the API sent.")
    for names, values in ((_COUNTS, usage), (_SPLIT, split or {})):
        for name in names:
            if values.get(name) is not None:
                _check_count(name, values[name])
    return Usage.from_api(usage)


def _check_count(name: str, count: Any) -> None:
    # `type`, because True is an int too.
    if type(count) is not int or not 0 <= count <= _MOST:
        raise UsageError(
            f"{name}={count!r} is no count of tokens.",
            hint="Give a whole number from 0 on, as the API reported it.",
        )
