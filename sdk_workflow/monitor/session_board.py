"""The sessions of a process as the live document shows them, followed by their events."""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.clock import utc_text
from sdk_workflow.events import (
    ContextFilling,
    ModelCallFinished,
    RunFailed,
    RunFinished,
    RunStarted,
    StateChanged,
)
from sdk_workflow.monitor.event_lines import shown_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sdk_workflow.events import Event
    from sdk_workflow.monitor.feed import EventsByKind
    from sdk_workflow.types import Usage

__all__ = ["SessionBoard"]

_KEPT = 200
_SHOWN = 50


@dataclass(slots=True)
class _Session:
    started_at: float
    last_active_at: float
    status: str = "ready"
    model: str | None = None
    turns: int = 0
    cost_usd: float = 0.0
    usage: Usage | None = None
    context_share: float | None = None


class SessionBoard:
    """Follows the last 200 sessions, and shows the 50 that were active last.

    Args:
        window_of: Returns how many tokens fit into the context window of a model, where known.
        costs_of: Returns dollars by session, of those that it knows; what is not known there
            counts when its runs end.

    Example:
        >>> board = SessionBoard()
        >>> event = RunStarted(session_id="s", text="private", model="haiku")
        >>> board.note_all({RunStarted: [(0.0, event)]})
        >>> board.rows()[0]["model"], "private" in str(board.rows())
        ('haiku', False)
    """

    def __init__(
        self,
        *,
        window_of: Callable[[str], int | None] = lambda _: None,
        costs_of: Callable[[Sequence[str]], Mapping[str, float]] = lambda _: {},
    ) -> None:
        self._window_of = window_of
        self._costs_of = costs_of
        self._sessions: dict[str, _Session] = {}
        self._handlers: dict[type[Event], Callable[[_Session, Any], None]] = {
            RunStarted: _on_start,
            StateChanged: _on_state,
            RunFinished: _on_end,
            RunFailed: _on_failure,
            ContextFilling: _on_filling,
        }

    def note_all(self, events: EventsByKind) -> None:
        """Follow those events that tell of a session, in the order in which they happened.

        Only calls come by the hundred, and they need no order among the others.
        """
        found = [timed for kind in self._handlers for timed in events.get(kind, ())]
        for at, event in sorted(found, key=itemgetter(0)):
            if event.session_id is not None:
                self._handlers[type(event)](self._of(event.session_id, at), event)
        for at, event in events.get(ModelCallFinished, ()):
            if event.session_id is not None:
                _on_reply(self._of(event.session_id, at), event)

    def _of(self, name: str, at: float) -> _Session:
        session = self._sessions.get(name)
        if session is None:
            session = self._sessions[name] = _Session(at, at)
            if len(self._sessions) > _KEPT:
                self._forget_one()
        elif at > session.last_active_at:
            session.last_active_at = at
        return session

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the sessions, the one that was active last first."""
        found = sorted(
            self._sessions.items(), key=lambda item: item[1].last_active_at, reverse=True
        )[:_SHOWN]
        costs = self._costs_of([name for name, _ in found])
        return [
            {
                "session_id": shown_name(name),
                "status": session.status,
                "model": shown_name(session.model),
                "turns": session.turns,
                "cost_usd": costs.get(name, session.cost_usd),
                "context_share": self._share(session),
                "started_at": utc_text(session.started_at),
                "last_active_at": utc_text(session.last_active_at),
            }
            for name, session in found
        ]

    def _share(self, session: _Session) -> float | None:
        """Return how full the context window is after the last reply, 0..1."""
        usage, model = session.usage, session.model
        window_tokens = None if usage is None or model is None else self._window_of(model)
        if usage is not None and window_tokens:
            return round((usage.prompt_tokens + usage.output_tokens) / window_tokens, 4)
        return session.context_share

    def _forget_one(self) -> None:
        oldest = min(self._sessions, key=lambda name: self._sessions[name].last_active_at)
        del self._sessions[oldest]


def _on_start(session: _Session, event: RunStarted) -> None:
    session.model = event.model
    session.status = "awaiting_model"


def _on_state(session: _Session, event: StateChanged) -> None:
    session.status = event.after


def _on_reply(session: _Session, event: Any) -> None:
    session.turns += 1
    reply = event.reply
    if reply.cache_hit is None:
        session.model = reply.model
        session.usage = reply.usage


def _on_end(session: _Session, event: RunFinished) -> None:
    session.status = "idle"
    session.cost_usd += event.result.cost_usd or 0.0


def _on_failure(session: _Session, _: RunFailed) -> None:
    session.status = "error"


def _on_filling(session: _Session, event: ContextFilling) -> None:
    session.context_share = round(event.used_tokens / (event.window_tokens or 1), 4)
