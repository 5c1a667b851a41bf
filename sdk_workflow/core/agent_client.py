"""The client: owns the transport's life and the composed chain around it.

It knows no cache, no budget and no price: those are middleware, composed once at construction.
Every failure leaves as one typed error.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, TypeVar

from sdk_workflow._internal.clock import SystemClock
from sdk_workflow._internal.pipeline import compose
from sdk_workflow._internal.sinks import SinkSet
from sdk_workflow._internal.task_stream import TaskStream
from sdk_workflow.events import ModelCallFailed, ModelCallFinished, ModelCallStarted
from sdk_workflow.exceptions import DeadlineExceeded, LLMError, SdkWorkflowError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

    from sdk_workflow._internal.pipeline import Ask
    from sdk_workflow.events import EventSink
    from sdk_workflow.protocols import Clock, CountMiddleware, Middleware, Transport
    from sdk_workflow.types import (
        Call,
        Reply,
        StreamEvent,  # noqa: F401 - ruff does not read the string in the base of ReplyStream
    )

__all__ = ["AgentClientManager", "ReplyStream"]

ResultT = TypeVar("ResultT")


class AgentClientManager:
    """Sends calls to a model through a chain of middleware.

    Args:
        transport: The way to the model; closed together with the client.
        middleware: The layers around each call, the first outermost.
        counting: The layers around each count of a prompt, the first outermost.
        sinks: Who sees `ModelCallStarted`, `ModelCallFinished` and `ModelCallFailed`.
        clock: Where durations come from; the machine's clock by default.

    Example:
        >>> import anyio
        >>> from sdk_workflow.simulator.transport import SimulatorTransport
        >>> from sdk_workflow.types import Call
        >>> async def ask() -> str:
        ...     async with AgentClientManager(SimulatorTransport()) as client:
        ...         message = {"role": "user", "content": "Hello"}
        ...         call = Call(model="claude-haiku-5-5", messages=(message,))
        ...         return (await client.create(call)).served_by
        >>> anyio.run(ask)
        'simulator'
    """

    def __init__(
        self,
        transport: Transport,
        *,
        middleware: Sequence[Middleware] = (),
        counting: Sequence[CountMiddleware] = (),
        sinks: Sequence[EventSink] = (),
        clock: Clock | None = None,
    ) -> None:
        self._transport = transport
        self._chain = compose(middleware, self._while_open(transport.send))
        self._count = compose(counting, self._while_open(transport.count_tokens))
        self._sinks = SinkSet(sinks)
        self._clock: Clock = clock or SystemClock()
        self._is_closed = False

    async def create(self, call: Call) -> Reply:
        """Send one call and return the finished reply.

        Raises:
            SdkWorkflowError: Whatever went wrong, typed; the original error is its cause.
        """
        self._check_open()
        self._sinks.emit(ModelCallStarted(session_id=call.session_id, call=call))
        started = self._clock.monotonic()
        try:
            reply = await self._chain(call)
        except BaseException as error:
            typed = _typed(error)
            self._sinks.emit(
                ModelCallFailed(
                    session_id=call.session_id,
                    call=call,
                    error=typed,
                    duration_ms=self._elapsed_ms(started),
                )
            )
            if typed is error:
                raise
            raise typed from error
        self._sinks.emit(
            ModelCallFinished(
                session_id=call.session_id,
                call=call,
                reply=reply,
                duration_ms=self._elapsed_ms(started),
            )
        )
        return reply

    def stream(self, call: Call) -> ReplyStream:
        """Return the reply as a stream of the API's events.

        `call.emit` must be unset, because the stream takes its place.

        Raises:
            UsageError: If `call.emit` is set.
        """
        self._check_open()
        if call.emit is not None:
            raise UsageError(
                "A call that has its own `emit` cannot be streamed a second time.",
                hint="Call `create`, which streams into `emit`, or leave `emit` unset.",
            )
        return ReplyStream(lambda events: self.create(dataclasses.replace(call, emit=events.send)))

    async def count_tokens(self, call: Call) -> int:
        """Return the size of the prompt in tokens; what goes wrong is typed as in `create`."""
        self._check_open()
        try:
            return await self._count(call)
        except Exception as error:
            typed = _typed(error)
            if typed is error:
                raise
            raise typed from error

    async def close(self) -> None:
        """Close the transport; a second call does nothing."""
        if not self._is_closed:
            self._is_closed = True
            await self._transport.aclose()

    async def __aenter__(self) -> Self:
        """Return the client itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the client."""
        await self.close()

    def _while_open(self, ask: Ask[ResultT]) -> Ask[ResultT]:
        """Return `ask`, refused once the client is closed: a layer may send again after that."""

        async def run(call: Call) -> ResultT:
            self._check_open()
            return await ask(call)

        return run

    def _check_open(self) -> None:
        if self._is_closed:
            raise UsageError(
                "This client is closed.", code="client_closed", hint="Create a new one."
            )

    def _elapsed_ms(self, started: float) -> float:
        return (self._clock.monotonic() - started) * 1000


class ReplyStream(TaskStream["StreamEvent", "Reply"]):
    """One reply on its way: an async iterator of the API's events.

    Each event is handed over before the next one is asked for. `reply` is the finished reply,
    there once the iteration has ended. Enter it with `async with` to be able to stop early.
    """

    @property
    def reply(self) -> Reply:
        """The finished reply.

        Raises:
            UsageError: If the stream has not been read to its end.
        """
        return self.result


def _typed(error: BaseException) -> BaseException:
    """Return the typed error for anything that a middleware or transport let through."""
    if isinstance(error, SdkWorkflowError) or not isinstance(error, Exception):
        return error
    if isinstance(error, TimeoutError):
        return DeadlineExceeded(
            "The call did not finish in time.", hint="Raise the timeout, or ask for less at once."
        )
    return LLMError(
        f"The call failed unexpectedly: {type(error).__name__}: {error}",
        code="unexpected_error",
        hint="Its cause is attached: a fault of a middleware, a transport or whoever listens.",
    )
