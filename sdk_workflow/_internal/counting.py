"""Counts: how many of something a caller asks for, and how a number of things reads."""

from __future__ import annotations

import sys
from typing import Any

from sdk_workflow.exceptions import UsageError

__all__ = ["check_days", "check_limit", "count_of"]

_MOST_DAYS = 1_000_000


def check_limit(limit: object) -> None:
    """Refuse what is not a number of things to return; none are returned for one below 1.

    Raises:
        UsageError: If it is no whole number, or more than can be.
    """
    if type(limit) is not int or limit > sys.maxsize:
        raise UsageError(f"limit={limit!r} makes no sense.", hint="Give a whole number from 0 on.")


def check_days(name: str, days: Any) -> None:
    """Refuse what is not a number of days to look back.

    Raises:
        UsageError: If it is not a number from 0 to a million.
    """
    if type(days) not in {int, float} or not 0 <= days <= _MOST_DAYS:
        raise UsageError(
            f"{name} is {days!r}.", hint=f"Give a number of days from 0 to {_MOST_DAYS}."
        )


def count_of(number: int, noun: str) -> str:
    """Return a number of things in words.

    Example:
        >>> count_of(1, "call"), count_of(2000, "call")
        ('1 call', '2,000 calls')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
