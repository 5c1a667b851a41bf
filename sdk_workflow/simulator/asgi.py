"""The simulation as an ASGI application: carries out its steps as bytes on a connection.

It needs no library but anyio, and knows no rule of the API.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.sse import encode_event
from sdk_workflow.simulator.control import CONTROL_PREFIX, control, is_local
from sdk_workflow.simulator.delivery import encode_body
from sdk_workflow.simulator.errors import ApiError
from sdk_workflow.simulator.http_request import max_body_bytes, too_large
from sdk_workflow.simulator.steps import Answer, Head, Raw, Reset, Send, Wait

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from anyio import CancelScope

    from sdk_workflow.protocols import Clock
    from sdk_workflow.simulator.simulation import Simulation
    from sdk_workflow.simulator.steps import Stall, Step, Steps

__all__ = ["RESET_EXTENSION", "SimulatorApp"]

RESET_EXTENSION = "sdk_workflow.reset"
"""The ASGI extension that breaks the connection; without it, a reset is a response left unfinished."""

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_SendMessage = Callable[[_Message], Awaitable[None]]


class SimulatorApp:
    """The ASGI 3 application of one simulation; any ASGI server or test client may run it.

    Args:
        simulation: What answers.
    """

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation

    async def __call__(
        self, scope: MutableMapping[str, Any], receive: _Receive, send: _SendMessage
    ) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            raise ValueError(f"The simulator speaks HTTP, not {scope['type']!r}.")
        connection = _Connection(scope, receive, send)
        try:
            body = await connection.body()
            if body is not None:
                await self._answer(connection, body)
        except Exception:
            if not connection.has_begun:
                # The server logs what is raised; its client gets the API's own form of it.
                refusal = self.simulation.engine.refuse(_INTERNAL)
                await connection.take(Answer(refusal.status, refusal.headers, refusal.body))
            raise

    async def _answer(self, connection: _Connection, body: bytearray) -> None:
        if len(body) > connection.max_body_bytes:
            refusal = self.simulation.engine.refuse(too_large())
            await connection.take(Answer(refusal.status, refusal.headers, refusal.body))
            return
        if connection.target.startswith(CONTROL_PREFIX):
            await connection.take(self._controlled(connection, bytes(body)))
            return
        steps = self.simulation.handle(
            connection.method, connection.target, connection.headers, bytes(body)
        )
        with closing(steps):
            await connection.follow(steps, self.simulation.clock)

    def _controlled(self, connection: _Connection, body: bytes) -> Answer:
        if not is_local(connection.client_host, connection.headers):
            refusal = self.simulation.engine.refuse(_NOT_LOCAL)
            return Answer(refusal.status, refusal.headers, refusal.body)
        return control(self.simulation, connection.method, connection.target, body)


class _Connection:
    """One request of one connection."""

    def __init__(
        self, scope: MutableMapping[str, Any], receive: _Receive, send: _SendMessage
    ) -> None:
        self.method: str = scope["method"]
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        self.target = (path + b"?" + scope["query_string"]).decode("latin-1")
        self.max_body_bytes = max_body_bytes(self.target)
        self.headers = _merged(scope["headers"])
        client = scope.get("client")
        self.client_host: str | None = client[0] if client else None
        self.has_begun = False
        self._is_complete = False
        self._reset: Callable[[], None] | None = scope.get("extensions", {}).get(RESET_EXTENSION)
        self._receive = receive
        self._send = send

    async def body(self) -> bytearray | None:
        """Return the body, or as much of it as is too much; None where the client left before."""
        body = bytearray()
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if not message.get("more_body", False) or len(body) > self.max_body_bytes:
                return body

    async def follow(self, steps: Steps, clock: Clock) -> None:
        """Carry out all steps, or as many as there are before the client leaves."""
        first = next(steps)
        if isinstance(first, Answer):
            await self.take(first)
            return
        import anyio

        async with anyio.create_task_group() as group:
            group.start_soon(self._watch, group.cancel_scope)
            for step in itertools.chain((first,), steps):
                await self._carry_out(step, clock)
            if not self._is_complete:
                await self._write(b"", is_last=True)
            group.cancel_scope.cancel()

    async def take(self, answer: Answer) -> None:
        """Send a whole answer."""
        content = encode_body(answer.body)
        await self._begin(answer.status, {**answer.headers, "content-length": str(len(content))})
        await self._write(b"" if self.method == "HEAD" else content, is_last=True)

    async def _carry_out(self, step: Step, clock: Clock) -> None:
        if isinstance(step, Send):
            await self._write(encode_event(step.event))
        elif isinstance(step, Raw):
            await self._write(step.data)
        elif isinstance(step, Wait):
            await clock.sleep(step.seconds)
        elif isinstance(step, Head):
            await self._begin(step.status, step.headers)
        elif isinstance(step, Answer):
            await self.take(step)
        else:
            await self._end_badly(step)

    async def _end_badly(self, step: Stall | Reset) -> None:
        """Break the connection or leave it silent, and wait until the client is gone."""
        from anyio import sleep_forever

        if isinstance(step, Reset):
            if self._reset is None:
                raise ConnectionResetError("The simulated fault broke the connection.")
            self._reset()
        await sleep_forever()

    async def _watch(self, scope: CancelScope) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        scope.cancel()

    async def _begin(self, status: int, headers: Mapping[str, str]) -> None:
        self.has_begun = True
        pairs = [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
        ]
        await self._send({"type": "http.response.start", "status": status, "headers": pairs})

    async def _write(self, data: bytes, *, is_last: bool = False) -> None:
        from anyio.lowlevel import checkpoint

        self._is_complete = is_last
        await self._send({"type": "http.response.body", "body": data, "more_body": not is_last})
        # A server may take a chunk without a pause: others want to run between two of them.
        await checkpoint()


def _merged(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by name; one that is repeated is a list, as if separated by commas."""
    headers: dict[str, str] = {}
    for name, value in pairs:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


_INTERNAL = ApiError(500, "api_error", "Internal server error")
_NOT_LOCAL = ApiError(
    403, "permission_error", "The simulator is controlled from its own machine only."
)
