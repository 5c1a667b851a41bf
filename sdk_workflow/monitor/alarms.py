"""What somebody should look at: loops, budgets, filling context windows; the last 50 of them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.clock import utc_text
from sdk_workflow.events import BudgetReached, ContextFilling, Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdk_workflow.monitor.feed import EventsByKind

__all__ = ["Alarms", "LoopNoticed"]

_KEPT = 50
_MAX_CHARACTERS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopNoticed(Event):
    """A session ran one tool with the same arguments so many times."""

    tool: str
    times: int


class Alarms:
    """Keeps the last alarms as rows of the live document.

    Example:
        >>> alarms = Alarms()
        >>> loop = LoopNoticed(session_id="s", tool="read", times=5)
        >>> alarms.note_all({LoopNoticed: [(0.0, loop)]})
        >>> alarms.rows()[0]["text"]
        'read ran 5 times with the same arguments'
    """

    def __init__(self) -> None:
        self._rows: deque[dict[str, Any]] = deque(maxlen=_KEPT)

    def note_all(self, events: EventsByKind) -> None:
        """Keep those events that give alarm."""
        found = [timed for kind in _TEXTS for timed in events.get(kind, ())]
        for at, event in sorted(found, key=itemgetter(0)):
            kind, text = _TEXTS[type(event)]
            self._rows.append(
                {
                    "kind": kind,
                    "at": utc_text(at),
                    "session_id": event.session_id,
                    "text": text(event),
                }
            )

    def rows(self) -> list[dict[str, Any]]:
        """Return the alarms, the oldest first."""
        return list(self._rows)


def _loop_text(event: LoopNoticed) -> str:
    return f"{event.tool[:_MAX_CHARACTERS]} ran {event.times} times with the same arguments"


def _budget_text(event: BudgetReached) -> str:
    return (
        f"{event.limit} limit of ${event.limit_usd:.4f} reached: ${event.spent_usd:.4f} spent, "
        f"${event.held_usd:.4f} held"
    )


def _context_text(event: ContextFilling) -> str:
    share = event.used_tokens / (event.window_tokens or 1)
    left = "" if event.turns_left is None else f", about {event.turns_left} more turns fit"
    return f"context window {share:.0%} full{left}"


_TEXTS: dict[type[Event], tuple[str, Callable[[Any], str]]] = {
    LoopNoticed: ("loop", _loop_text),
    BudgetReached: ("budget", _budget_text),
    ContextFilling: ("context", _context_text),
}
