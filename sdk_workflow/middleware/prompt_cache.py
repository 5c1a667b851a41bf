"""Sends calls with prompt-cache breakpoints, one ahead where several share a prefix nobody has sent.

Where breakpoints go is the policy of `core.cache`; this module waits, wakes and tells.
"""

from __future__ import annotations

import contextlib
import dataclasses
from threading import Lock
from typing import TYPE_CHECKING

from sdk_workflow._internal.held_emit import seen_like
from sdk_workflow._internal.loop_runner import running_loop_runner
from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow.core.cache import PromptCacheOptimizer
from sdk_workflow.events import PrefixMoved

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from anyio import Event

    from sdk_workflow.core.cache import PrefixChange
    from sdk_workflow.core.prompt_caching.anatomy import Ttl
    from sdk_workflow.events import EventSink
    from sdk_workflow.protocols import Proceed
    from sdk_workflow.types import Call, Emit, Reply, StreamEvent

__all__ = ["PromptCacheMiddleware", "prewarm"]


class PromptCacheMiddleware:
    """Places breakpoints; one for all callers of a runtime.

    What a call writes can be read once the model begins to answer. So where several calls with the
    same long tools and system prompt come at once, and nobody has sent those lately, the first one
    goes ahead, and the others wait until its answer begins: at its first event, or at its end where
    it is not streamed. If it fails or is cancelled before that, the next one goes ahead. A call
    that comes alone never waits.

    Args:
        optimizer: Decides; a new one by default.
        max_wait_seconds: The longest wait for another call's answer to begin; 0 for no waiting.
        on_event: Sees `PrefixMoved`, once for each kind of change.

    Example:
        >>> import anyio
        >>> from sdk_workflow.simulator.transport import SimulatorTransport
        >>> from sdk_workflow.types import Call
        >>> question = {"role": "user", "content": "Hi"}
        >>> call = Call(model="claude-haiku-5-5", system="Be brief. " * 600, messages=(question,))
        >>> async def ask_twice() -> int:
        ...     middleware, transport = PromptCacheMiddleware(), SimulatorTransport()
        ...     await middleware(call, transport.send)
        ...     return (await middleware(call, transport.send)).usage.cache_read_input_tokens
        >>> anyio.run(ask_twice) > 1_000
        True
    """

    def __init__(
        self,
        optimizer: PromptCacheOptimizer | None = None,
        *,
        max_wait_seconds: float = 10.0,
        on_event: EventSink | None = None,
    ) -> None:
        self._optimizer = optimizer or PromptCacheOptimizer()
        self._max_wait_seconds = max_wait_seconds
        self._on_event = on_event
        self._lock = Lock()
        self._leads: dict[Hashable, _Lead] = {}

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        """Send the call with its breakpoints."""
        prepared = self._optimizer.prepare(call)
        if prepared.change is not None:
            self._tell(call, prepared.change)
        if prepared.cold_prefix is None:
            return await proceed(prepared.call)
        lead = await self._lead_or_wait(prepared.cold_prefix)
        if lead is None:
            return await proceed(prepared.call)
        return await self._go_ahead(lead, prepared.call, proceed)

    def _tell(self, call: Call, change: PrefixChange) -> None:
        if self._on_event is not None:
            moved = PrefixMoved(
                session_id=call.session_id, call=call, part=change.part, reason=change.reason
            )
            self._on_event(moved)

    @trace_function(name="prompt_cache.wait_for_prefix")
    async def _lead_or_wait(self, prefix: Hashable) -> _Lead | None:
        """Return a lead to go ahead with; None once the prefix can be read or time is up."""
        import anyio

        with anyio.move_on_after(self._max_wait_seconds):
            while True:
                lead, is_ours = self._enter(prefix)
                if is_ours:
                    return lead
                if await lead.has_answered():
                    return None
        return None

    def _enter(self, prefix: Hashable) -> tuple[_Lead, bool]:
        """Return who goes ahead with a prefix, and whether that is the caller."""
        with self._lock:
            lead = self._leads.get(prefix)
            if lead is not None:
                return lead, False
            lead = self._leads[prefix] = _Lead(prefix)
            return lead, True

    async def _go_ahead(self, lead: _Lead, call: Call, proceed: Proceed) -> Reply:
        def answer() -> None:
            self._optimizer.note_answering(call)
            self._end(lead, has_answered=True)

        if call.emit is not None:
            emit = seen_like(call.emit, _NotingEmit(call.emit, answer))
            call = dataclasses.replace(call, emit=emit)
        try:
            reply = await proceed(call)
            answer()
            return reply
        finally:
            self._end(lead, has_answered=False)  # does nothing once it has answered

    def _end(self, lead: _Lead, *, has_answered: bool) -> None:
        with self._lock:
            if self._leads.get(lead.prefix) is lead:
                del self._leads[lead.prefix]
        lead.end(has_answered=has_answered)


class _Lead:
    """The call that goes ahead with a prefix, and those who wait for it, in any event loop."""

    __slots__ = ("_has_answered", "_lock", "_waiters", "prefix")

    def __init__(self, prefix: Hashable) -> None:
        self.prefix = prefix
        self._lock = Lock()
        self._has_answered: bool | None = None
        self._waiters: list[tuple[Callable[[Callable[[], object]], object], Event]] = []

    async def has_answered(self) -> bool:
        """Wait for its answer to begin; return False where that never happens."""
        import anyio

        event = anyio.Event()
        with self._lock:
            if self._has_answered is not None:
                return self._has_answered
            self._waiters.append((running_loop_runner(), event))
        await event.wait()
        return bool(self._has_answered)

    def end(self, *, has_answered: bool) -> None:
        """Let the waiters go on; only the first call counts."""
        with self._lock:
            if self._has_answered is not None:
                return
            self._has_answered = has_answered
            waiters, self._waiters = self._waiters, []
        for run_soon, event in waiters:
            with contextlib.suppress(RuntimeError):  # whose loop is closed waits no more
                run_soon(event.set)


class _NotingEmit:
    """Hands events on, and notes the first one."""

    __slots__ = ("_emit", "_note")

    def __init__(self, emit: Emit, note: Callable[[], None]) -> None:
        self._emit = emit
        self._note: Callable[[], None] | None = note

    async def __call__(self, event: StreamEvent) -> None:
        """Take the next event."""
        if self._note is not None:
            note, self._note = self._note, None
            note()
        await self._emit(event)


@trace_function(name="prompt_cache.prewarm")
async def prewarm(
    optimizer: PromptCacheOptimizer, call: Call, proceed: Proceed, *, ttl: Ttl | None = None
) -> Reply:
    """Write the tools and the system prompt of `call` into the cache, and wait until it is done.

    It pays before many calls at once that share a long prefix where nobody may wait for the first
    of them, or some minutes before a prefix is needed. Give the middleware the same optimizer, so
    that it knows.

    Args:
        optimizer: What makes the call, and is told of it.
        call: One of the calls to come.
        proceed: What sends it, such as `AgentClientManager.create`.
        ttl: How long it is to live; what the gaps seen so far suggest by default.

    Raises:
        UsageError: As `PromptCacheOptimizer.prewarm`.
        LLMError: It could not be sent.
    """
    reply = await proceed(optimizer.prewarm(call, ttl=ttl))
    optimizer.note_answering(call)
    return reply
