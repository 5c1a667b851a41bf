"""The suites by their names; one is loaded when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from sdk_workflow._internal.suggest import did_you_mean
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from sdk_workflow.benchmarking.operations import OpenSuite

__all__ = ["ALL", "NAMES", "find_suites"]

NAMES = ("managers", "caches", "observability", "executors")
ALL = "all"


def find_suites(name: str) -> dict[str, OpenSuite]:
    """Return the suites that a name stands for: each with what opens it.

    Raises:
        UsageError: If there is no such suite.

    Example:
        >>> list(find_suites("caches"))
        ['caches']
    """
    if name not in {ALL, *NAMES}:
        known = f"The suites are {', '.join(NAMES)} and {ALL}."
        raise UsageError(
            f"There is no suite {name!r}.",
            code="unknown_suite",
            hint=f"{did_you_mean(name, (*NAMES, ALL))} {known}".strip(),
        )
    chosen = NAMES if name == ALL else (name,)
    return {each: import_module(f"{__name__}.{each}").open_suite for each in chosen}
