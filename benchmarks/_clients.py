"""The two sides of each comparison: the official SDK as its users call it, and this library."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Literal

import anthropic
from anthropic import beta_async_tool

from benchmarks._stub_server import MODEL
from sdk_workflow import AgentSession, Call, PerformanceTracer, tool
from sdk_workflow._internal.clock import SystemClock
from sdk_workflow.config.models import ModelCatalog
from sdk_workflow.config.settings import Settings
from sdk_workflow.core.agent_client import AgentClientManager
from sdk_workflow.core.metrics import MetricsEngine
from sdk_workflow.transports.anthropic_sdk import AnthropicTransport
from sdk_workflow.wiring.caches import make_cache
from sdk_workflow.wiring.layers import LayerParts, make_layers
from sdk_workflow.wiring.managers import Managers

if TYPE_CHECKING:
    from sdk_workflow.types import Emit, StreamEvent

__all__ = ["Http", "Ours", "Sdk"]

Http = Literal["httpx2", "aiohttp"]
"""What carries the requests: the SDK's own default, or `anthropic.DefaultAioHttpClient`."""

_MESSAGES: tuple[Any, ...] = ({"role": "user", "content": "Say something about a fox and a dog."},)
_SUM = "What is 2 + 3?"


@beta_async_tool(name="add")
async def _sdk_add(a: int, b: int) -> str:
    """Add two numbers.

    Args:
        a: The first number.
        b: The second number.
    """
    return str(a + b)


@tool
async def add(a: int, b: int) -> str:
    """Add two numbers.

    Args:
        a: The first number.
        b: The second number.
    """
    return str(a + b)


class Sdk:
    """The official SDK with its defaults, apart from the HTTP client.

    Args:
        base_url: The stub.
        http: What carries the requests.
    """

    def __init__(self, base_url: str, http: Http) -> None:
        given: dict[str, Any] = {} if http == "httpx2" else {"http_client": _http_client(http)}
        self._client = anthropic.AsyncAnthropic(api_key="benchmark", base_url=base_url, **given)

    async def call(self) -> None:
        """Make one plain call."""
        message = await self._client.messages.create(
            model=MODEL, max_tokens=1024, messages=_MESSAGES
        )
        assert message.stop_reason == "end_turn"

    async def stream(self) -> None:
        """Stream one reply to its end and take the finished message."""
        async with self._client.messages.stream(
            model=MODEL, max_tokens=1024, messages=_MESSAGES
        ) as stream:
            async for _event in stream:
                pass
            message = await stream.get_final_message()
        assert message.stop_reason == "end_turn"

    async def stream_raw(self) -> None:
        """Stream one reply to its end as bare events, with nothing put together."""
        events = await self._client.messages.create(
            model=MODEL, max_tokens=1024, messages=_MESSAGES, stream=True
        )
        async for _event in events:
            pass

    async def run(self) -> None:
        """Answer one prompt that takes one tool call, by the SDK's own loop."""
        runner = self._client.beta.messages.tool_runner(
            model=MODEL,
            max_tokens=1024,
            tools=[_sdk_add],
            messages=[{"role": "user", "content": _SUM}],
        )
        message = await runner.until_done()
        assert message.stop_reason == "end_turn"

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


class Ours:
    """This library's whole stack: client, a runtime's middleware, and a tracer with an open trace.

    Args:
        base_url: The stub.
        http: What carries the requests; None leaves the choice to the transport.
    """

    def __init__(self, base_url: str, http: Http | None) -> None:
        given: dict[str, Any] = {} if http is None else {"http_client": _http_client(http)}
        transport = AnthropicTransport(api_key="benchmark", base_url=base_url, **given)
        settings, clock, catalog = Settings(), SystemClock(), ModelCatalog.load()
        metrics = MetricsEngine(clock=clock)
        managers = Managers(settings, "anthropic", clock, catalog, on_event=metrics.on_event)
        sinks = (metrics.on_event, managers.on_event)
        parts = LayerParts(
            settings=settings,
            backend="anthropic",
            clock=clock,
            catalog=catalog,
            on_event=metrics.on_event,
            managers=managers,
            cache=make_cache(settings, "anthropic", clock, catalog),
        )
        # The very chain that a runtime composes, and the sinks that it brings.
        layers, _ = make_layers(parts)
        self._client = AgentClientManager(transport, middleware=layers, sinks=sinks)
        self._counter = itertools.count()
        self._tracer = PerformanceTracer()

    async def call(self) -> None:
        """Make one plain call under a root span."""
        with self._tracer.span("benchmark"):
            reply = await self._client.create(self._new_call())
        assert reply.stop_reason == "end_turn"

    async def stream(self) -> None:
        """Stream one reply to its end under a root span, each event handed on as it arrives."""

        async def emit(_event: StreamEvent) -> None: ...

        with self._tracer.span("benchmark"):
            reply = await self._client.create(self._new_call(emit))
        assert reply.stop_reason == "end_turn"

    async def run(self, *, stream: bool = False) -> None:
        """Answer one prompt that takes one tool call, in a session of its own.

        The SDK's loop does not stream unless asked to, a session does: `stream` sets it.
        """
        async with AgentSession(
            self._client, model=MODEL, tools=[add], tracer=self._tracer
        ) as session:
            result = await session.message(_SUM, stream=stream)
        assert len(result.tool_calls) == 1
        assert result.stop_reason == "end_turn"

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _new_call(self, emit: Emit | None = None) -> Call:
        """Return a call that no cache knows: a hit would measure nothing but the cache."""
        text = f"{_MESSAGES[0]['content']} ({next(self._counter)})"
        message = {"role": "user", "content": text}
        return Call(model=MODEL, max_tokens=1024, messages=(message,), emit=emit)


def _http_client(http: Http) -> Any:
    if http == "aiohttp":
        return anthropic.DefaultAioHttpClient()
    return anthropic.DefaultAsyncHttpxClient()
