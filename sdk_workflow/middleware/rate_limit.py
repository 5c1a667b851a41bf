"""Lets calls start when the server's limits allow it: one queue for all callers of a runtime.

When that is, is the policy of `core.pacing`; this module queues, waits and wakes. Callers may live
in several event loops.
"""

from __future__ import annotations

from collections import deque
from threading import RLock
from typing import TYPE_CHECKING

from sdk_workflow._internal.clock import SystemClock
from sdk_workflow._internal.loop_runner import running_loop_runner
from sdk_workflow._internal.time_left import seconds_left
from sdk_workflow._internal.token_estimate import CharacterTokenCounter
from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow.core.pacing import Pacer, model_class
from sdk_workflow.core.rate_view import Cost
from sdk_workflow.exceptions import LLMError, OverloadedError, RateLimitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdk_workflow.core.pacing import Ticket
    from sdk_workflow.protocols import Clock, Proceed, TokenCounter
    from sdk_workflow.types import Call, Reply

__all__ = ["RateLimitMiddleware"]

_NO_COST = Cost()


class RateLimitMiddleware:
    """Paces the calls of all callers that share it, each class of models by itself.

    Whoever came first starts first. A call whose turn cannot come within its time limit raises at
    once.

    Args:
        clock: Where times come from; the machine's clock by default.
        counter: Estimates the size of prompts; by their length by default.
        new_pacer: Makes the pacer of a class of models.
        max_wait_seconds: The longest wait, also where no time limit is around the call.

    Example:
        >>> import anyio
        >>> from sdk_workflow.simulator.transport import SimulatorTransport
        >>> from sdk_workflow.types import Call
        >>> call = Call(model="claude-haiku-5-5", messages=({"role": "user", "content": "Hi"},))
        >>> limiter = RateLimitMiddleware()
        >>> anyio.run(limiter, call, SimulatorTransport().send).stop_reason
        'end_turn'
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        counter: TokenCounter | None = None,
        new_pacer: Callable[[Clock], Pacer] = Pacer,
        max_wait_seconds: float = 600.0,
    ) -> None:
        self._clock: Clock = clock or SystemClock()
        self._counter: TokenCounter = counter or CharacterTokenCounter()
        self._new_pacer = new_pacer
        self._max_wait_seconds = max_wait_seconds
        self._lanes: dict[str, _Lane] = {}
        self._lane_of_model: dict[str, _Lane] = {}

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        """Send the call when its turn has come, and learn from what comes back.

        Raises:
            RateLimitError: If its turn cannot come in time (`paced`), or the server refused it.
        """
        lane = self._lane_of_model.get(call.model) or self._add_lane(call.model)
        cost = self._cost(call, lane) if lane.pacer.wants_costs else _NO_COST
        ticket = lane.try_start(cost) or await self._wait_for_turn(lane, cost)
        try:
            reply = await proceed(call)
        except LLMError as error:
            lane.failed(ticket, error)
            raise
        except BaseException:
            lane.ended(ticket)
            raise
        lane.succeeded(ticket, reply)
        return reply

    def _add_lane(self, model: str) -> _Lane:
        # setdefault, because two threads may come here at once.
        name = model_class(model)
        lane = self._lanes.setdefault(name, _Lane(name, self._new_pacer(self._clock)))
        return self._lane_of_model.setdefault(model, lane)

    def _cost(self, call: Call, lane: _Lane) -> Cost:
        estimate = self._counter.count(call.to_params())
        return lane.pacer.cost(estimated_tokens=estimate, max_tokens=call.max_tokens)

    @trace_function(name="pacing.wait")
    async def _wait_for_turn(self, lane: _Lane, cost: Cost) -> Ticket:
        import anyio

        longest = self._max_wait_seconds
        with anyio.move_on_after(longest):
            return await self._queue(lane, cost)
        raise _paced(lane, longest)

    async def _queue(self, lane: _Lane, cost: Cost) -> Ticket:
        waiter = lane.join()
        try:
            while True:
                waiter.rearm()
                outcome = lane.try_turn(waiter, cost)
                if not isinstance(outcome, float):
                    return outcome
                _check_wait(lane, outcome)
                await waiter.wait(self._clock, outcome)
        except BaseException:
            lane.leave(waiter)
            raise


def _check_wait(lane: _Lane, wait: float) -> None:
    if seconds_left() <= wait < float("inf"):
        raise _paced(lane, wait)


def _paced(lane: _Lane, wait: float) -> RateLimitError:
    return RateLimitError(
        f"The limits of {lane.name} let no call start for {round(wait, 2):g} s.",
        retry_after_seconds=wait,
        code="paced",
        hint="Send fewer requests at once, or wait and try again.",
    )


class _Waiter:
    """One caller in the queue: asleep until it is woken or its time has come."""

    __slots__ = ("_event", "_run_soon")

    def __init__(self) -> None:
        import anyio

        self._event = anyio.Event()
        self._run_soon = running_loop_runner()

    def rearm(self) -> None:
        """Forget that it was woken."""
        import anyio

        self._event = anyio.Event()

    def wake(self) -> None:
        """Let it look again; from any thread."""
        self._run_soon(self._wake)

    def _wake(self) -> None:
        self._event.set()

    async def wait(self, clock: Clock, seconds: float) -> None:
        """Sleep until it is woken, and at most for `seconds` of the clock."""
        if seconds == float("inf"):
            await self._event.wait()
            return
        import anyio

        async with anyio.create_task_group() as tasks:

            async def wake_later() -> None:
                await clock.sleep(seconds)
                self._event.set()

            tasks.start_soon(wake_later)
            await self._event.wait()
            tasks.cancel_scope.cancel()


class _Lane:
    """The pacer of one class of models, and those who wait for it, in the order they came.

    Only the first of them asks the pacer; it wakes the next one when it starts. The lock is held
    for arithmetic only, never across a wait. It is one that its owner may take again, because the
    garbage collector may end a call that was given up, and with it call `ended`, at any moment.
    """

    __slots__ = ("_lock", "_queue", "name", "pacer")

    def __init__(self, name: str, pacer: Pacer) -> None:
        self.name = name
        self.pacer = pacer
        self._lock = RLock()
        self._queue: deque[_Waiter] = deque()

    def try_start(self, cost: Cost) -> Ticket | None:
        """Start at once, if nobody waits and the pacer lets it."""
        with self._lock:
            if self._queue or self.pacer.wait_seconds(cost) > 0:
                return None
            return self.pacer.start(cost)

    def join(self) -> _Waiter:
        """Stand at the end of the queue."""
        waiter = _Waiter()
        with self._lock:
            self._queue.append(waiter)
        return waiter

    def try_turn(self, waiter: _Waiter, cost: Cost) -> Ticket | float:
        """Start, if it is this one's turn, or return how long it has to wait."""
        with self._lock:
            if self._queue[0] is not waiter:
                return float("inf")
            wait = self.pacer.wait_seconds(cost)
            if wait > 0:
                return wait
            self._queue.popleft()
            ticket = self.pacer.start(cost)
        self._wake_first()
        return ticket

    def leave(self, waiter: _Waiter) -> None:
        """Give up waiting."""
        self._drop(waiter)
        self._wake_first()

    def succeeded(self, ticket: Ticket, reply: Reply) -> None:
        """Take a finished reply into account."""
        usage = reply.usage
        with self._lock:
            self.pacer.succeeded(
                ticket,
                reply.headers,
                counted_tokens=usage.prompt_tokens - usage.cache_read_input_tokens,
                output_tokens=usage.output_tokens,
            )
        self._wake_first()

    def failed(self, ticket: Ticket, error: LLMError) -> None:
        """Take an error into account."""
        wait = error.retry_after_seconds
        with self._lock:
            if isinstance(error, RateLimitError) and error.retryable:
                self.pacer.refused(ticket, error.headers, retry_after_seconds=wait)
            elif isinstance(error, OverloadedError):
                self.pacer.overloaded(ticket, retry_after_seconds=wait)
            else:
                self.pacer.ended(ticket)
        self._wake_first()

    def ended(self, ticket: Ticket) -> None:
        """Take the end of a call into account, of which nothing else is known."""
        with self._lock:
            self.pacer.ended(ticket)
        self._wake_first()

    def _wake_first(self) -> None:
        while (first := self._first()) is not None:
            try:
                first.wake()
            except RuntimeError:  # its loop is closed, and nobody will ever come back from there
                self._drop(first)
            else:
                return

    def _first(self) -> _Waiter | None:
        with self._lock:
            return self._queue[0] if self._queue else None

    def _drop(self, waiter: _Waiter) -> None:
        with self._lock:
            if waiter in self._queue:
                self._queue.remove(waiter)
