"""Ways to a simulation: its HTTP face, its control, and an ASGI server of one request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio

from sdk_workflow.simulator.control import control
from tests.simulator.simulated import HEADERS, answer

if TYPE_CHECKING:
    from sdk_workflow.simulator.asgi import SimulatorApp
    from sdk_workflow.simulator.simulation import Simulation


def http(simulated: Simulation, method: str, path: str, body: Any = None, **headers: str) -> Any:
    raw = b"" if body is None else json.dumps(body).encode()
    return answer(simulated.handle(method, path, {**HEADERS, **headers}, raw))


def send(simulated: Simulation, method: str, target: str, body: Any = None) -> tuple[int, Any]:
    raw = b"" if body is None else json.dumps(body).encode()
    answer = control(simulated, method, f"/__sim/{target}", raw)
    assert answer.headers["content-type"] == "application/json"
    return answer.status, answer.body


class Wire:
    """An ASGI server of one request."""

    def __init__(self, app: SimulatorApp, method: str, path: str, body: bytes = b"") -> None:
        self.sent: list[Any] = []
        self._app = app
        self._left = anyio.Event()
        self.parts = [{"type": "http.request", "body": body, "more_body": False}]
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in HEADERS.items()],
            "client": ("127.0.0.1", 5),
        }

    async def receive(self) -> Any:
        if self.parts:
            return self.parts.pop(0)
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def run(self) -> Wire:
        await self._app(self.scope, self.receive, self.send)
        return self

    def leave(self) -> None:
        self._left.set()

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent[1:])
