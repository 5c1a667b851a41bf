"""Answers a call out of the response caches, and lets one of many identical calls through.

What may be cached, and what is kept, is the policy of the `CacheManager`; this module waits, replays
and tells.
"""

from __future__ import annotations

import copy
import dataclasses
from typing import TYPE_CHECKING

from sdk_workflow._internal.held_emit import seen_like
from sdk_workflow._internal.reply_events import reply_events
from sdk_workflow.core.caching.lookup import SharedAnswer
from sdk_workflow.core.caching.shared_calls import (
    ABANDONED,
    SharedCalls,
    leading,
    leads_a_call,
)
from sdk_workflow.core.caching.stored_reply import StoredReply
from sdk_workflow.events import CacheLookedUp

if TYPE_CHECKING:
    from sdk_workflow.core.cache_manager import CacheManager
    from sdk_workflow.core.caching.lookup import CacheLookup
    from sdk_workflow.core.caching.shared_calls import (
        Abandoned,
        SharedCall,
    )
    from sdk_workflow.events import EventSink
    from sdk_workflow.protocols import Proceed
    from sdk_workflow.types import Call, Emit, Reply, StreamEvent

__all__ = ["ResponseCacheMiddleware"]


class ResponseCacheMiddleware:
    """Looks a call up, and sends it only where no cache may answer it; one for all callers.

    Identical calls that come while one is on its way wait for its answer, in whatever event loop or
    thread they run. Its error is theirs too; its cancellation is not: the next one then sends the
    call itself. An answer that may not be kept is not shared either, and each sends its own call.
    A call that streams gets the events of a stored answer replayed.

    Args:
        manager: The caches and their rules.
        on_event: Sees `CacheLookedUp`, once for each tier that was asked or passed over.

    Example:
        >>> import anyio
        >>> from sdk_workflow.core.cache_manager import CacheManager
        >>> from sdk_workflow.core.lru_cache import LRUCache
        >>> from sdk_workflow.simulator.transport import SimulatorTransport
        >>> from sdk_workflow.types import Call
        >>> transport = SimulatorTransport()
        >>> cache = ResponseCacheMiddleware(CacheManager(LRUCache(), None, None, backend="simulator"))
        >>> call = Call(model="claude-haiku-5-5", messages=({"role": "user", "content": "Hi"},))
        >>> async def twice():
        ...     return [(await cache(call, transport.send)).served_by for _ in range(2)]
        >>> anyio.run(twice)
        ['simulator', 'lru']
    """

    def __init__(self, manager: CacheManager, *, on_event: EventSink | None = None) -> None:
        self._cascade = manager.cascade
        self._counts = manager.counts
        self._on_event = on_event
        self._calls = SharedCalls()

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        """Answer a call from a cache, or send it and keep the answer.

        Raises:
            SdkWorkflowError: What the rest of the chain raised, for this call or an identical one.
        """
        look = self._cascade.look_exact(call)
        if look.outcome == "hit":
            return await self._serve(look)
        if look.key is None:
            self._tell(look)
            self._counts.note_call("skipped")
            return await proceed(call)
        return await self._share(look, look.key.exact, proceed)

    async def _share(self, look: CacheLookup, key: str, proceed: Proceed) -> Reply:
        while True:
            shared, makes_it = self._calls.join(key)
            if makes_it:
                return await self._lead(look, key, shared, proceed)
            if leads_a_call():
                return await self._ask_alone(look, proceed)
            outcome = await shared.wait()
            if isinstance(outcome, Exception):
                self._miss(look)
                raise _for_another(outcome)
            if isinstance(outcome, SharedAnswer):
                return await self._serve(self._cascade.share(look, outcome), shared=True)
            if outcome is None:
                return await self._ask_alone(look, proceed)

    async def _lead(
        self, look: CacheLookup, key: str, shared: SharedCall, proceed: Proceed
    ) -> Reply:
        """Make the call that others may wait for."""
        listener = None if look.call.emit is None else _Listener(look.call.emit)
        outcome: Exception | Abandoned = ABANDONED
        try:
            with leading(shared):
                return await self._find(look, key, shared, proceed=proceed, listener=listener)
        except Exception as error:
            # A listener that fails is the fault of this caller alone: the next one may send it.
            if listener is None or not listener.has_failed:
                outcome = error
            raise
        finally:
            self._calls.end(key, shared, outcome)

    async def _find(
        self,
        look: CacheLookup,
        key: str,
        shared: SharedCall,
        *,
        proceed: Proceed,
        listener: _Listener | None,
    ) -> Reply:
        # Between the first look and the start of this call another thread may have stored it.
        found = self._cascade.look_again(look)
        if found.reply is None:
            self._tell(look)
            found = await self._cascade.alook_semantic(look)
        if found.reply is not None and found.stored is not None:
            answer = SharedAnswer(stored=found.stored, hit=found.reply.cache_hit)
            self._calls.end(key, shared, answer)
            return await self._serve(found)
        self._tell(found)
        self._counts.note_call("miss")
        call = look.call
        if listener is not None and call.emit is not None:
            call = dataclasses.replace(call, emit=seen_like(call.emit, listener))
        reply = await proceed(call)
        kept = self._cascade.keep(look, reply)
        if isinstance(kept, StoredReply):
            # Nobody has to wait until it is learnt.
            self._calls.end(key, shared, SharedAnswer(stored=kept))
            await self._cascade.alearn(found, kept)
        else:
            self._calls.end(key, shared, None)
        return reply

    async def _ask_alone(self, look: CacheLookup, proceed: Proceed) -> Reply:
        """Send a call that has nobody to share an answer with."""
        self._miss(look)
        reply = await proceed(look.call)
        kept = self._cascade.keep(look, reply)
        if isinstance(kept, StoredReply):
            await self._cascade.alearn(look, kept)
        return reply

    async def _serve(self, look: CacheLookup, *, shared: bool = False) -> Reply:
        reply: Reply = look.reply  # type: ignore[assignment]  # set, because it is a hit
        self._tell(look)
        self._counts.note_call("hit", shared=shared)
        if look.call.emit is not None:
            for event in reply_events(reply):
                await look.call.emit(event)
        return reply

    def _miss(self, look: CacheLookup) -> None:
        self._tell(look)
        self._counts.note_call("miss")

    def _tell(self, look: CacheLookup) -> None:
        self._cascade.note(look)
        if self._on_event is None or look.is_off:
            return
        hit = None if look.reply is None else look.reply.cache_hit
        self._on_event(
            CacheLookedUp(
                session_id=look.call.session_id,
                call=look.call,
                tier=look.tier,
                outcome=look.outcome,
                reason=look.reason,
                saved_usd=0.0 if hit is None or hit.saved is None else hit.saved.usd,
            )
        )


class _Listener:
    """Hands events on, and notes whether it was the listener who failed."""

    __slots__ = ("_emit", "has_failed")

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self.has_failed = False

    async def __call__(self, event: StreamEvent) -> None:
        """Take the next event."""
        try:
            await self._emit(event)
        except Exception:
            self.has_failed = True
            raise


def _for_another(error: Exception) -> Exception:
    """Return an error for another caller: raised in two places, one object would mix their traces."""
    try:
        own = copy.copy(error)
    except Exception:  # noqa: BLE001 - an error that cannot be copied is better than none
        return error
    own.__cause__ = error.__cause__
    return own
