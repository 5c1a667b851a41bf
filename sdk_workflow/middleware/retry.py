"""Sends a failed call again where that may help, within its time limit, and shows nothing twice.

When and how often is the policy of `core.backoff`; this module waits, counts and tells.
"""

from __future__ import annotations

import dataclasses
import logging
import random
from typing import TYPE_CHECKING, TypeVar

from sdk_workflow._internal.clock import SystemClock
from sdk_workflow._internal.held_emit import HeldEmit, is_seen
from sdk_workflow._internal.time_left import seconds_left
from sdk_workflow._internal.tracing import current_span, trace_span
from sdk_workflow.core.backoff import FINAL, Backoff, RetryBudget
from sdk_workflow.events import CallRetried
from sdk_workflow.exceptions import LLMError

if TYPE_CHECKING:
    from sdk_workflow._internal.pipeline import Ask
    from sdk_workflow.core.backoff import RandomShare
    from sdk_workflow.events import EventSink
    from sdk_workflow.protocols import Clock
    from sdk_workflow.types import Call

__all__ = ["RetryMiddleware"]

ResultT = TypeVar("ResultT")

_logger = logging.getLogger("sdk_workflow.retry")


class RetryMiddleware:
    """Repeats calls that failed in passing; one for all callers of a runtime.

    A call that cannot succeed by itself later raises at once, and so does one whose next wait is
    longer than what is left of its time. A streamed reply is asked for again only while nothing of
    it has been shown. What is raised in the end is the last error, with the reason why it is the
    last in its message.

    Args:
        backoff: How long to wait, and how often; the defaults of `Backoff` otherwise.
        budget: Shared by all callers; a new one by default.
        clock: Where times come from; the machine's clock by default.
        max_wait_seconds: The longest wait, also where no time limit is around the call.
        random_share: Draws the jitter.
        on_event: Sees `CallRetried`.

    Example:
        >>> import anyio
        >>> from sdk_workflow.exceptions import OverloadedError
        >>> from sdk_workflow.simulator.transport import SimulatorTransport
        >>> from sdk_workflow.types import Call
        >>> transport, attempts = SimulatorTransport(), []
        >>> async def flaky(call):
        ...     attempts.append(call)
        ...     if len(attempts) == 1:
        ...         raise OverloadedError("busy")
        ...     return await transport.send(call)
        >>> call = Call(model="claude-haiku-5-5", messages=({"role": "user", "content": "Hi"},))
        >>> retry = RetryMiddleware(backoff=Backoff(first_seconds=0.001))
        >>> anyio.run(retry, call, flaky).stop_reason, len(attempts)
        ('end_turn', 2)
    """

    def __init__(
        self,
        *,
        backoff: Backoff | None = None,
        budget: RetryBudget | None = None,
        clock: Clock | None = None,
        max_wait_seconds: float = 600.0,
        random_share: RandomShare = random.random,  # noqa: S311 - spreads waits, guards nothing
        on_event: EventSink | None = None,
    ) -> None:
        self._backoff = backoff or Backoff()
        self._clock: Clock = clock or SystemClock()
        self._budget = budget or RetryBudget(self._clock)
        self._max_wait_seconds = max_wait_seconds
        self._random_share = random_share
        self._on_event = on_event

    async def __call__(self, call: Call, proceed: Ask[ResultT]) -> ResultT:
        """Send the call until it succeeds or there is a reason to stop.

        Raises:
            LLMError: The error of the last attempt.
        """
        self._budget.note_call()
        retries = 0
        while True:
            held = HeldEmit(call.emit) if is_seen(call.emit) else None
            attempt = call if held is None else dataclasses.replace(call, emit=held)
            try:
                return await proceed(attempt)
            except LLMError as error:
                if held is not None and held.has_shown:
                    raise
                wait = self._wait_seconds(error, retries)
                retries += 1
                self._tell(call, error, retries, wait)
            with trace_span("retry.wait"):
                await self._clock.sleep(wait)

    def _wait_seconds(self, error: LLMError, retries: int) -> float:
        """Return the wait before the next attempt, or raise where there is none."""
        verdict = self._backoff.judge(
            error,
            retries,
            share=self._random_share(),
            seconds_left=min(seconds_left(), self._max_wait_seconds),
        )
        if verdict.refusal == FINAL:
            raise error
        reason = verdict.refusal
        if not reason and not self._budget.spend(error):
            reason = "too many calls of this process failed lately to try more often"
        if not reason:
            return verdict.wait_seconds
        raise _explained(error, reason) from error.__cause__

    def _tell(self, call: Call, error: LLMError, attempt: int, wait: float) -> None:
        _logger.info("Attempt %d failed (%s); next in %.3g s.", attempt, error.code, wait)
        span = current_span()
        if span is not None:
            span.add_event("retry", attempt=attempt, error=error.code, wait_seconds=wait)
            span.set(**{"http.request.resend_count": attempt})
        if self._on_event is not None:
            self._on_event(
                CallRetried(
                    session_id=call.session_id,
                    call=call,
                    attempt=attempt,
                    error=error,
                    wait_seconds=wait,
                )
            )


def _explained(error: LLMError, reason: str) -> LLMError:
    """Return the same error with the reason why it is the last one in its message."""
    kind = type(error)
    last = kind.__new__(kind)  # `copy.copy` calls the class, whose arguments may be its own
    vars(last).update(vars(error))
    last.message = f"{error.message.rstrip('.')} ({reason})."
    last.args = (last.message,)
    return last
