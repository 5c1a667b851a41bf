"""The names of the levels, and their numbers in the standard library."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sdk_workflow._internal.suggest import did_you_mean
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LEVELS", "level_number"]

LEVELS: Mapping[str, int] = {
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
    "CRITICAL": logging.CRITICAL,
}


def level_number(name: str) -> int:
    """Return the number of a level, upper and lower case alike.

    Raises:
        UsageError: If there is no such level.

    Example:
        >>> level_number("warning")
        30
    """
    number = LEVELS.get(str(name).upper())
    if number is None:
        raise UsageError(
            f"There is no log level {name!r}.",
            code="unknown_level",
            hint=did_you_mean(str(name), LEVELS) or f"The levels are {', '.join(LEVELS)}.",
        )
    return number
