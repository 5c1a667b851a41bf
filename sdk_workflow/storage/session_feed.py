"""What events tell of sessions: each becomes a change of one session, or is only counted.

It keeps the runs under way and touches no file.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING

from sdk_workflow.events import ModelCallFinished, RunFailed, RunFinished, RunStarted
from sdk_workflow.exceptions import SdkWorkflowError
from sdk_workflow.storage.session_info import RunEnd, SessionInfo, Spent, run_key
from sdk_workflow.storage.session_paths import check_session_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdk_workflow.events import Event
    from sdk_workflow.protocols import Clock
    from sdk_workflow.types import Money, Reply, Usage

    Change = Callable[[SessionInfo], SessionInfo]

__all__ = ["SessionFeed"]

_PICO_PER_USD = 10**12


@dataclass(slots=True)
class _Run:
    """A run under way: the key of its message, and what its calls have taken so far."""

    key: str
    spent: Spent = field(default_factory=Spent)


class SessionFeed:
    """Turns the events of runs into changes; safe to use from many threads.

    Args:
        clock: Where times come from.
        price: Returns what a reply costs; None where its model has no price.
    """

    def __init__(self, clock: Clock, price: Callable[[Reply], Money | None]) -> None:
        self._clock = clock
        self._price = price
        self._lock = Lock()  # around the runs
        self._runs: dict[str, _Run] = {}

    def change_of(self, event: Event) -> tuple[str, Change] | None:
        """Return which session an event changes, and how; None where it changes none.

        Raises:
            UsageError: If the event's session has an id that none can have.
        """
        if isinstance(event, ModelCallFinished):
            self._count(event)
        elif isinstance(event, RunStarted) and event.session_id is not None:
            return self._begin(check_session_id(event.session_id), event)
        elif isinstance(event, RunFinished):
            return self._finish(
                check_session_id(event.session_id or event.result.session_id), event
            )
        elif isinstance(event, RunFailed) and event.session_id is not None:
            return self._fail(check_session_id(event.session_id), event)
        return None

    def with_run(self, info: SessionInfo) -> SessionInfo:
        """Return a session with what the run under way has taken so far."""
        with self._lock:
            run = self._runs.get(info.session_id)
            return info if run is None else replace(info, spent=info.spent + run.spent)

    def _count(self, event: ModelCallFinished) -> None:
        price = self._price(event.reply)
        cost = 0 if price is None else price.pico
        spent = _spent(event.reply.usage, turns=1, cost_pico=cost)
        with self._lock:
            run = self._runs.get(event.session_id or "")
            if run is not None:
                run.spent += spent

    def _begin(self, name: str, event: RunStarted) -> tuple[str, Change]:
        with self._lock:
            self._runs[name] = _Run(run_key(event.text))
        now = self._clock.now()
        return name, lambda info: info.begun(text=event.text, model=event.model, now=now)

    def _finish(self, name: str, event: RunFinished) -> tuple[str, Change]:
        result = event.result
        cost = None if result.cost_usd is None else round(result.cost_usd * _PICO_PER_USD)
        end = self._end(name, result.usage, result.turns, cost)
        return name, functools.partial(SessionInfo.finished, run=end, now=self._clock.now())

    def _fail(self, name: str, event: RunFailed) -> tuple[str, Change]:
        end = self._end(name, event.usage, event.turns, None)
        error = event.error
        # What ends a run without being an error (a cancellation, Ctrl-C) is no `Exception`.
        is_failure = isinstance(error, Exception)
        code = error.code if isinstance(error, SdkWorkflowError) else type(error).__name__
        return name, functools.partial(
            SessionInfo.failed,
            run=end,
            error=f"{code}: {error}",
            status="failed" if is_failure else "cancelled",
            now=self._clock.now(),
        )

    def _end(self, name: str, usage: Usage, turns: int, cost_pico: int | None) -> RunEnd:
        with self._lock:
            run = self._runs.pop(name, None) or _Run("")
        seen = run.spent
        cost = seen.cost_pico if cost_pico is None else cost_pico
        return RunEnd(
            key=run.key,
            spent=_spent(usage, turns=turns, cost_pico=cost),
            has_whole_cost=cost_pico is not None,
            may_be_resumed=turns > seen.turns,
        )


def _spent(usage: Usage, *, turns: int, cost_pico: int) -> Spent:
    return Spent(
        turns=turns,
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.output_tokens,
        cost_pico=cost_pico,
    )
