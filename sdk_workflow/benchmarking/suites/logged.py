"""The structured log: an entry that is written, and one below the level."""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any, NamedTuple

from sdk_workflow.benchmarking.operations import Operation, Skipped, Target, times

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from pathlib import Path

    from sdk_workflow.benchmarking.operations import Entry

__all__ = ["LOGGING", "Log", "log_entries", "open_log"]

LOGGING = "sdk_workflow.core.logging"
_WRITTEN, _DISABLED = "log entry, buffered", "log entry, below the level"
_PLAN = Target(1e6, "p95")
_GOAL_NS, _QUICK_GOAL_NS = 10_000.0, 3_000.0
_QUICK_ENCODERS = ("orjson", "msgspec")


class Log(NamedTuple):
    """Two calls of one logger: the second is below its level."""

    line: Callable[[], object]
    below_level: Callable[[], object]


def open_log(stack: ExitStack, home: Path) -> Log | None:
    """Return a log in a state folder, which the stack closes; None where there is no logger."""
    if importlib.util.find_spec(LOGGING) is None:
        return None
    logger: Any = importlib.import_module(LOGGING).open_logger(home, name="sdk_workflow.benchmark")
    stack.callback(logger.close)
    return Log(
        line=lambda: logger.info("call finished", model="claude-haiku-5-5", tokens=150, ms=301.5),
        below_level=lambda: logger.debug("call finished", model="claude-haiku-5-5", tokens=150),
    )


def log_entries(log: Log | None) -> list[Entry]:
    """Return the operations of a log; the goal depends on the JSON encoder that it finds."""
    if log is None:
        reason = f"There is no {LOGGING} in this version."
        return [Skipped(name=name, reason=reason) for name in (_WRITTEN, _DISABLED)]
    is_quick = any(importlib.util.find_spec(name) for name in _QUICK_ENCODERS)
    goal = Target(_QUICK_GOAL_NS if is_quick else _GOAL_NS)
    return [
        Operation(name=_WRITTEN, repeat=times(log.line), plan=_PLAN, goal=goal),
        Operation(name=_DISABLED, repeat=times(log.below_level), goal=Target(200)),
    ]
