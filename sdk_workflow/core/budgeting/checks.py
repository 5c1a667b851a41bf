"""What callers may pass to a budget, and how it is read."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

from sdk_workflow.exceptions import UsageError

OnExhausted = Literal["wait", "reject", "clamp"]
"""What happens to a call that finds no room: it waits for its turn as long as that can help, is
refused at once, or is given fewer output tokens."""

__all__ = ["OnExhausted", "check_names", "check_options", "seconds_of"]


def check_options(
    *, on_exhausted: Any, scope: Any, hold_seconds: Any, max_wait_seconds: Any, max_entries: Any
) -> None:
    """Refuse options that make no sense.

    Raises:
        UsageError: If the policy is not known, the scope is no name, a duration is negative or not
            finite, or the count is below 1 or no whole number.

    Example:
        >>> options = {"hold_seconds": 900, "max_wait_seconds": 0.5, "max_entries": 10}
        >>> check_options(on_exhausted="wait", scope="run", **options)
    """
    if on_exhausted not in get_args(OnExhausted):
        raise UsageError(
            f"on_exhausted={on_exhausted!r} is not known.",
            hint=f"Choose one of {', '.join(get_args(OnExhausted))}.",
        )
    if not isinstance(scope, str) or not scope:
        raise UsageError(f"scope={scope!r} is no name.", hint="Give the budget a name.")
    for name, value in (("hold_seconds", hold_seconds), ("max_wait_seconds", max_wait_seconds)):
        if type(value) not in {int, float} or not math.isfinite(value) or value < 0:
            raise UsageError(f"{name}={value!r} is no duration.", hint="Give seconds, such as 600.")
    if type(max_entries) is not int or max_entries < 1:
        raise UsageError(
            f"max_entries={max_entries!r} makes no sense.", hint="Give a whole number from 1 on."
        )


def check_names(*, session_id: Any, **names: Any) -> None:
    """Refuse names of what was spent that are no text; reports sort by them.

    Raises:
        UsageError: If one is no text; only a session may have none.
    """
    for name, value in names.items():
        if not isinstance(value, str):
            raise UsageError(f"{name}={value!r} is no text.", hint="Pass the name as a string.")
    if session_id is not None:
        check_names(session_id=None, of_session=session_id)


def seconds_of(at: Any) -> float:
    """Return a moment in seconds since the Unix epoch; one without a zone counts as UTC.

    Raises:
        UsageError: If it is no datetime.
    """
    from datetime import datetime, timezone

    if not isinstance(at, datetime):
        raise UsageError(f"at={at!r} is no moment.", hint="Give a datetime.")
    return (at if at.tzinfo else at.replace(tzinfo=timezone.utc)).timestamp()
