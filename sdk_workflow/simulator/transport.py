"""The simulator as a `Transport`: in this process, without HTTP, streaming as it generates.

It fails as the way to the real API would: a broken connection, silence and malformed JSON leave as
the same typed errors.
"""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.api_errors import error_from_response
from sdk_workflow._internal.reply_builder import ReplyBuilder
from sdk_workflow._internal.request_body import encode_body
from sdk_workflow._internal.sse import SSEDecoder
from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow.exceptions import LLMError, ServiceUnavailable
from sdk_workflow.simulator.engine import Engine
from sdk_workflow.simulator.simulation import Simulation
from sdk_workflow.simulator.steps import Answer, Head, Raw, Reset, Send, Wait
from sdk_workflow.types import Reply

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sdk_workflow.protocols import Clock
    from sdk_workflow.simulator.steps import Stall, Step
    from sdk_workflow.types import Call, Emit

__all__ = ["SimulatorTransport"]

_HINT = "Send the request again; what arrived so far is not the answer."
_READ_TIMEOUT_SECONDS = 600.0  # that of the official SDK


class SimulatorTransport:
    """Sends calls to an engine in this process.

    Args:
        engine: What answers: an engine, or one with faults, limits and a journal around it; None
            makes an engine from `clock` and `seed`.
        clock: Measures the time to the first token, and is the new engine's clock; None takes the
            machine's own, or that of the simulation.
        seed: The seed of the new engine; it has no meaning beside an `engine`.
        read_timeout_seconds: How long a silent answer is waited for.

    Raises:
        ValueError: If both an engine and a seed are given.

    Example:
        >>> import anyio
        >>> from sdk_workflow.types import Call
        >>> call = Call(model="claude-haiku-5-5", messages=({"role": "user", "content": "Hello"},))
        >>> anyio.run(SimulatorTransport().send, call).served_by
        'simulator'
    """

    def __init__(
        self,
        engine: Engine | Simulation | None = None,
        *,
        clock: Clock | None = None,
        seed: int | None = None,
        read_timeout_seconds: float = _READ_TIMEOUT_SECONDS,
    ) -> None:
        if engine is not None and seed is not None:
            raise ValueError(f"The engine has a seed already; seed={seed!r} would be ignored.")
        if clock is None and isinstance(engine, Simulation):
            clock = engine.clock
        if clock is None:
            from sdk_workflow._internal.clock import SystemClock

            clock = SystemClock()
        if engine is None:
            engine = Engine(clock=clock, seed=seed or 0)
        if isinstance(engine, Engine):
            engine = Simulation(engine, clock=clock)
        self._clock = clock
        self._simulation = engine
        self._read_timeout_seconds = read_timeout_seconds

    @trace_function(name="simulator.reply")
    async def send(self, call: Call) -> Reply:
        """Answer a call; where `call.emit` is set, event by event.

        Raises:
            LLMError: The typed form of what the API, or the way to it, would answer; and of what
                JSON cannot carry there (`unencodable_request`).
        """
        is_streamed = call.emit is not None
        steps = self._simulation.create(
            _sendable(call), is_streamed=is_streamed, key=call.tenant or ""
        )
        with closing(steps):
            receiver = _Receiver(self._clock, call.emit, self._read_timeout_seconds)
            return await receiver.receive(steps)

    @trace_function(name="simulator.count_tokens")
    async def count_tokens(self, call: Call) -> int:
        """Return the size of the call's prompt.

        Raises:
            LLMError: The typed form of what the API would answer.
        """
        steps = self._simulation.count_tokens(_sendable(call), key=call.tenant or "")
        with closing(steps):
            receiver = _Receiver(self._clock, None, self._read_timeout_seconds)
            return int((await receiver.receive_body(steps))["input_tokens"])

    async def aclose(self) -> None:
        """Do nothing: there is no connection to release."""


def _sendable(call: Call) -> dict[str, Any]:
    """Return the body as a server would read it, or refuse what could not be sent.

    It takes 5 us for a short prompt, and 4 ms for a megabyte.
    """
    body: dict[str, Any] = json.loads(encode_body(call.to_params()))
    return body


class _Receiver:
    """The client's end of one request: carries out the steps, and makes a reply or an error."""

    def __init__(self, clock: Clock, emit: Emit | None, read_timeout_seconds: float) -> None:
        self._clock = clock
        self._emit = emit
        self._read_timeout_seconds = read_timeout_seconds
        self._started = clock.monotonic()
        self._builder = ReplyBuilder()
        self._decoder = SSEDecoder()
        self._head: Head | None = None
        self._first_ms: float | None = None

    async def receive(self, steps: Iterator[Step]) -> Reply:
        """Return the reply."""
        body = await self._body_of(steps)
        if body is not None:
            return Reply.from_api(body, **self._facts())
        return self._builder.finish(**self._facts(), time_to_first_token_ms=self._first_ms)

    async def receive_body(self, steps: Iterator[Step]) -> Mapping[str, Any]:
        """Return the body of an answer that is never streamed."""
        return await self._body_of(steps) or {}

    async def _body_of(self, steps: Iterator[Step]) -> Mapping[str, Any] | None:
        """Carry out the steps; return the body of a plain answer, None behind a stream."""
        from anyio.lowlevel import checkpoint

        for step in steps:
            if isinstance(step, Send):
                await self._take_event(step.event)
                await checkpoint()
            elif isinstance(step, Answer):
                await checkpoint()
                return self._read(step)
            elif isinstance(step, Head):
                self._take_head(step)
                await checkpoint()
            elif isinstance(step, Raw):
                self._take_bytes(step.data)
            else:
                await self._suffer(step)
        return None

    async def _suffer(self, step: Wait | Stall | Reset) -> None:
        if isinstance(step, Reset):
            raise self._broken("Connection reset by peer", "connection_failed")
        seconds = step.seconds if isinstance(step, Wait) else float("inf")
        if seconds >= self._read_timeout_seconds:
            await self._clock.sleep(self._read_timeout_seconds)
            raise self._broken("The read timed out", "timeout")
        await self._clock.sleep(seconds)

    def _read(self, answer: Answer) -> Mapping[str, Any]:
        self._take_head(Head(answer.status, answer.headers))
        if isinstance(answer.body, bytes):
            raise self._malformed()  # only a fault makes bytes of a body, and no JSON of them
        if answer.status >= 400:  # noqa: PLR2004 - HTTP classes
            raise error_from_response(answer.status, answer.body, answer.headers)
        return answer.body

    def _take_head(self, head: Head) -> None:
        self._head = head
        self._builder.request_id = head.headers.get("request-id")

    async def _take_event(self, event: dict[str, Any]) -> None:
        if self._first_ms is None and event["type"] == "content_block_delta":
            self._first_ms = (self._clock.monotonic() - self._started) * 1000
        self._builder.add(event)
        if self._emit is not None:
            await self._emit(event)

    def _take_bytes(self, data: bytes) -> None:
        """Take bytes that a fault has made: of a stream, less than an event or a broken one."""
        try:
            list(self._decoder.feed(data))
        except ValueError as error:
            raise self._builder.interrupted(
                "The stream holds an event that is not JSON."
            ) from error

    def _facts(self) -> dict[str, Any]:
        headers = {} if self._head is None else dict(self._head.headers)
        request_id = headers.get("request-id")
        return {"served_by": "simulator", "request_id": request_id, "headers": headers}

    def _broken(self, why: str, code: str) -> LLMError:
        if self._head is not None and self._emit is not None:
            return self._builder.interrupted(f"The connection broke: {why}.")
        return ServiceUnavailable(
            f"The API could not be reached: {why}.",
            code=code,
            hint="This is a simulated fault; send the request again.",
        )

    def _malformed(self) -> LLMError:
        status = None if self._head is None else self._head.status
        return LLMError(
            f"The server answered {status} with something that is not a JSON object.",
            status=status,
            request_id=self._builder.request_id,
            code="malformed_response",
            retryable=True,
            hint=_HINT,
        )
