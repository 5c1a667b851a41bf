"""Holds money back before each request and settles it afterwards, so that a limit is never passed.

How much, and who waits for whom, is the cost manager's business; this module knows when a request
can have been billed.
"""

from __future__ import annotations

import dataclasses
import logging
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from sdk_workflow._internal.held_emit import NotingEmit, seen_like
from sdk_workflow._internal.tracing import current_span
from sdk_workflow.core.budgeting.waiting import off_loop
from sdk_workflow.exceptions import (
    BudgetExceeded,
    ConfigError,
    LLMError,
    StorageError,
    UnpricedModel,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sdk_workflow.core.cost_records import Cost, Reservation
    from sdk_workflow.events import BudgetReached, EventSink
    from sdk_workflow.protocols import Proceed
    from sdk_workflow.types import Call, Reply, Usage

__all__ = ["BudgetKeeper", "BudgetMiddleware", "hold_names"]

_logger = logging.getLogger("sdk_workflow.budget")

_MAX_NAMES = 10_000
_REFUSED = 4  # the class of a status: 4xx
_OVERLOADED = 529
# Time-outs and callers that left may come too late.
_UNKNOWN_OUTCOME = frozenset({408, 499})
# On this side of the wire; by another budget, for one.
_REFUSED_HERE = (BudgetExceeded, ConfigError, UnpricedModel, UsageError)
# By name: the HTTP stack is known to its adapter alone. Nothing was sent where one of these is the
# cause; any other broken connection may have broken after the request had arrived.
_NEVER_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol"})


class BudgetKeeper(Protocol):
    """What the middleware needs of `managers.cost_manager.CostManager`."""

    @property
    def is_shared(self) -> bool:
        """Whether a change may wait for a disk."""
        ...

    def has_room(self, call: Call) -> bool:
        """Return whether a call would find room now."""
        ...

    async def reserve_in_turn(
        self, call: Call, *, counted_prompt_tokens: int | None = None
    ) -> Reservation:
        """Hold back the most that a call can cost, when its turn has come."""
        ...

    def settle(
        self,
        reservation: Reservation,
        usage: Usage,
        *,
        message_id: str | None = None,
        model: str | None = None,
        geo: str | None = None,
    ) -> Cost:
        """Replace a hold by what the call has cost."""
        ...

    def forfeit(self, reservation: Reservation) -> Cost:
        """Count a hold as spent in full."""
        ...

    def release(self, reservation: Reservation) -> None:
        """Give a hold back."""
        ...

    def take_crossings(self) -> tuple[BudgetReached, ...]:
        """Return the limits that were reached since the last call."""
        ...


class BudgetMiddleware:
    """Lets a call through when its worst case fits into the budget; the innermost layer.

    After a reply the hold is settled at what was billed. Where the request provably was not billed
    (refused with a 4xx status or 529, no connection) it is given back. Everything else - a time
    limit, a cancellation, a connection that broke, any error once a reply is being streamed -
    leaves the outcome unknown, and the hold counts in full.

    A call that brings a `hold_id` is held under it; further attempts of it under `hold_names`.

    Args:
        keeper: The cost manager.
        on_event: Sees `BudgetReached`, once each time that a limit is reached.
        count_tokens: Asked for the exact size of a prompt where the bytes of its text leave no
            room, such as `AgentClientManager.count_tokens`; never by default.
        hint: What to do where nothing is left: how this very limit is raised.

    Example:
        >>> import anyio
        >>> from sdk_workflow.managers.cost_manager import CostManager
        >>> from sdk_workflow.simulator.transport import SimulatorTransport
        >>> from sdk_workflow.types import Call
        >>> costs = CostManager(hard_limit_usd="0.10")
        >>> budget = BudgetMiddleware(costs)
        >>> call = Call(model="claude-haiku-5-5", messages=({"role": "user", "content": "Hi"},))
        >>> anyio.run(budget, call, SimulatorTransport().send).stop_reason
        'end_turn'
        >>> costs.check_budget_status(0.10)["held_usd"]
        0.0
    """

    def __init__(
        self,
        keeper: BudgetKeeper,
        *,
        on_event: EventSink | None = None,
        count_tokens: Callable[[Call], Awaitable[int]] | None = None,
        hint: str = "",
    ) -> None:
        self._keeper = keeper
        self._on_event = on_event
        self._count_tokens = count_tokens
        self._hint = hint
        # How often a name was used: under one that is settled, a further call would cost nothing.
        self._attempts: OrderedDict[str, int] = OrderedDict()

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        """Send the call when there is room for it.

        Raises:
            BudgetExceeded: If there is no room for it, and waiting does not help.
            UnpricedModel: If a hard limit is set and its cost cannot be bounded.
        """
        named = self._named(call)
        try:
            reservation = await self._reserve(named)
        except BudgetExceeded as error:
            if self._hint and not error.retryable:
                error.hint = self._hint
            raise
        except BaseException as error:
            _note_never_sent(error)
            raise
        finally:
            self._tell(call)
        sent, stream = _watched(_clamped(named, reservation))
        try:
            reply = await proceed(sent)
        except BaseException as error:
            has_begun = stream is not None and stream.has_shown
            is_free = not has_begun and _is_unbilled(error)
            end = self._keeper.release if is_free else self._keeper.forfeit
            await self._end(call, end, reservation)
            raise
        await self._end(call, self._settle, reservation, reply)
        return reply

    def _named(self, call: Call) -> Call:
        """Return the call with a name for its hold that no earlier attempt has used."""
        name = call.hold_id
        if name is None:
            return call
        attempt = self._attempts[name] = self._attempts.pop(name, 0) + 1
        if len(self._attempts) > _MAX_NAMES:
            self._attempts.popitem(last=False)
        return dataclasses.replace(call, hold_id=_hold_name(name, attempt))

    async def _reserve(self, call: Call) -> Reservation:
        keeper = self._keeper
        counted = await self._count_if_tight(call)
        reservation = await keeper.reserve_in_turn(call, counted_prompt_tokens=counted)
        if keeper.is_shared:
            import anyio

            try:  # the thread that asked the ledger could not be cancelled
                await anyio.lowlevel.checkpoint_if_cancelled()
            except BaseException:
                await self._end(call, keeper.release, reservation)
                raise
        return reservation

    async def _count_if_tight(self, call: Call) -> int | None:
        """Return the counted size of the prompt, where it is wanted and its bytes are too many."""
        keeper = self._keeper
        if self._count_tokens is None:
            return None
        if await off_loop(keeper.has_room, call, is_shared=keeper.is_shared):
            return None
        try:
            return await self._count_tokens(call)
        except LLMError as error:  # then the bytes have to do
            _logger.info("The tokens of a call could not be counted: %s", error)
            return None

    async def _end(self, call: Call, end: Callable[..., object], *args: object) -> None:
        """End a hold; where that fails, it counts in full, and the call's own outcome goes on."""
        try:
            await off_loop(end, *args, is_shared=self._keeper.is_shared)
        except StorageError as error:
            _logger.error("A hold stays in the ledger in full: %s", error)  # noqa: TRY400 - told
        self._tell(call)

    def _settle(self, reservation: Reservation, reply: Reply) -> None:
        try:
            self._keeper.settle(
                reservation,
                reply.usage,
                message_id=reply.id,
                model=reply.model,
                geo=reply.inference_geo,
            )
        except UsageError as error:  # a server that reports nonsense
            _logger.warning("A call counts at its full hold: %s", error)
            self._keeper.forfeit(reservation)

    def _tell(self, call: Call) -> None:
        for event in self._keeper.take_crossings():
            _logger.warning("The %s limit of $%.4f is reached.", event.limit, event.limit_usd)
            if self._on_event is not None:
                self._on_event(dataclasses.replace(event, session_id=call.session_id))


def hold_names(hold_id: str, attempts: int) -> list[str]:
    """Return the names that the holds of a call can have, after so many attempts at the most.

    Example:
        >>> hold_names("review-42/run_1/0.0", 2)
        ['review-42/run_1/0.0', 'review-42/run_1/0.0+2']
    """
    return [_hold_name(hold_id, attempt) for attempt in range(1, attempts + 1)]


def _hold_name(hold_id: str, attempt: int) -> str:
    return hold_id if attempt == 1 else f"{hold_id}+{attempt}"


def _clamped(call: Call, reservation: Reservation) -> Call:
    """Return the call with the output that its hold allows."""
    if not reservation.is_clamped:
        return call
    span = current_span()
    if span is not None:
        span.add_event("budget_clamped", max_tokens=reservation.max_tokens)
    return dataclasses.replace(call, max_tokens=reservation.max_tokens)


def _watched(call: Call) -> tuple[Call, NotingEmit | None]:
    """Return the call with a listener that notes when a reply begins to arrive: that is billed."""
    if call.emit is None:
        return call, None
    stream = NotingEmit(call.emit)
    return dataclasses.replace(call, emit=seen_like(call.emit, stream)), stream


def _note_never_sent(error: BaseException) -> None:
    """Let a budget around this one know that a call was given up before it was sent."""
    with suppress(AttributeError):  # an exception of somebody's own may take no attributes
        error._never_sent = True  # type: ignore[attr-defined]  # noqa: SLF001


def _is_unbilled(error: BaseException) -> bool:
    """Return whether an error proves that nothing was generated."""
    if getattr(error, "_never_sent", False):
        return True
    if not isinstance(error, LLMError):
        return isinstance(error, _REFUSED_HERE)
    status = error.status or 0
    if status == _OVERLOADED or (status // 100 == _REFUSED and status not in _UNKNOWN_OUTCOME):
        return True
    cause = error.__cause__
    while cause is not None:
        if type(cause).__name__ in _NEVER_SENT:
            return True
        cause = cause.__cause__
    return False
