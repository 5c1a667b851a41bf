"""Typical use of the public interface, never run: mypy checks what each expression comes to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import assert_type

import sdk_workflow
from sdk_workflow import (
    AgentClientManager,
    AgentSession,
    Call,
    ModelCatalog,
    Money,
    PerformanceTracer,
    Reply,
    RunOptions,
    RunResult,
    Runtime,
    SessionState,
    Settings,
    Tool,
    Usage,
    build_runtime,
    load_settings,
    open_session,
    run,
    run_sync,
    tool,
    trace_function,
)
from sdk_workflow.core.agent_client import ReplyStream
from sdk_workflow.events import Event
from sdk_workflow.exceptions import LLMError, RateLimitError, StreamInterrupted
from sdk_workflow.types import ServedBy, StreamEvent, ToolCall, ToolRecord, ToolSpec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from sdk_workflow import Profiler, SdkWorkflowError
    from sdk_workflow.protocols import (
        Clock,
        CountMiddleware,
        MemoryStrategy,
        Middleware,
        Proceed,
        TokenCounter,
        Transport,
    )
    from sdk_workflow.types import Message


def three_lines() -> None:
    result = run_sync("Which of these files is longest?", tools=["read", "bash"])
    assert_type(result, RunResult)
    assert_type(result.text, str)
    assert_type(result.cost_usd, float | None)
    assert_type(result.served_by, ServedBy)
    assert_type(result.tool_calls, tuple[ToolRecord, ...])
    assert_type(result.usage + result.usage, Usage)
    assert_type(sdk_workflow.__version__, str)


async def conversation() -> None:
    assert_type(await run("Hello", backend="simulator"), RunResult)
    async with open_session(model="haiku", working_directory=Path()) as session:
        assert_type(session, AgentSession)
        assert_type(await session.message("Hello", max_tokens=100), RunResult)
        assert_type(session.message_sync("Hello"), RunResult)
        assert_type(session.get_state(), SessionState)
        assert_type(session.get_tools(), tuple[ToolSpec, ...])
        assert_type(session.get_last_request(), Call | None)
        assert_type(session.get_last_response(), Reply | None)
        assert_type(session.session_id, str)


async def streaming(session: AgentSession) -> None:
    async with session.stream("Hello") as events:
        async for event in events:
            assert_type(event, Event)
    assert_type(events.result, RunResult)


async def wired_by_hand(transport: Transport) -> None:
    settings = load_settings({"model": "haiku"})
    assert_type(settings, Settings)
    assert_type(settings.tools, tuple[str, ...])
    async with build_runtime(settings, backend="simulator", max_turns=3) as runtime:
        assert_type(runtime, Runtime)
        assert_type(runtime.client, AgentClientManager)
        assert_type(runtime.catalog, ModelCatalog)
        assert_type(runtime.tracer, PerformanceTracer)
        assert_type(runtime.session(), AgentSession)
    async with AgentClientManager(transport, middleware=[say_it], counting=[count_it]) as client:
        call = Call(model="haiku", messages=({"role": "user", "content": "Hi"},))
        reply = await client.create(call)
        assert_type(reply, Reply)
        assert_type(reply.text, str)
        assert_type(reply.tool_calls, tuple[ToolCall, ...])
        assert_type(await client.count_tokens(call), int)
        stream = client.stream(call)
        assert_type(stream, ReplyStream)
        async for event in stream:
            assert_type(event, StreamEvent)
        assert_type(stream.reply, Reply)


async def say_it(call: Call, proceed: Proceed) -> Reply:
    return await proceed(call)


async def count_it(call: Call, proceed: Callable[[Call], Awaitable[int]]) -> int:
    return await proceed(call)


counting: CountMiddleware = count_it


@tool
async def add(one: int, two: int = 0) -> str:
    """Add two numbers."""
    return str(one + two)


@tool(name="shout")
def loud(text: str) -> str:
    """Say a text loudly."""
    return text.upper()


def tools_are_tools(session: AgentSession) -> None:
    assert_type(add, Tool)
    assert_type(loud, Tool)
    session.register_tool(add)
    session.register_tool("read")
    session.register_tool(loud)


@trace_function
def traced(number: int) -> str:
    return str(number)


@trace_function(name="twice", attributes={"kind": "test"})
async def traced_async(number: int) -> int:
    return 2 * number


async def decorated_functions_keep_their_types() -> None:
    assert_type(traced(1), str)
    assert_type(await traced_async(1), int)


def observed(tracer: PerformanceTracer, profiler: Profiler) -> None:
    span_id = tracer.start_span("work")
    assert_type(span_id, str)
    tracer.end_span(span_id, {"items": 3})
    with tracer.span("request", kind="test"):
        pass
    assert_type(tracer.export_traces("json"), str)
    with profiler:
        pass
    profiler.export_flamegraph(Path("flame.html"))


def money_and_usage() -> None:
    assert_type(Money.from_usd("1.25") + Money(5) * 3, Money)
    assert_type(Money(1).usd, float)
    assert_type(Money(1) < Money(2), bool)
    assert_type(Usage.from_api({}).prompt_tokens, int)
    assert_type(ModelCatalog.load().price("haiku", Usage()), Money | None)
    RunOptions(max_turns=3, timeout_seconds=None)


def errors_say_what_to_do(error: SdkWorkflowError) -> None:
    assert_type(error.hint, str)
    assert_type(error.retryable, bool)
    if isinstance(error, LLMError):
        assert_type(error.status, int | None)
    if isinstance(error, RateLimitError):
        assert_type(error.retry_after_seconds, float | None)
    if isinstance(error, StreamInterrupted):
        assert_type(error.partial_text, str)


# The replaceable parts: what a user writes fits the protocol without inheriting from it.


class OwnTransport:
    async def send(self, call: Call) -> Reply:
        return Reply.from_api({"id": "msg_1", "model": call.model, "content": []})

    async def count_tokens(self, call: Call) -> int:
        return len(call.messages)

    async def aclose(self) -> None:
        return


class OwnClock:
    def now(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        del seconds


class LastOnly:
    def select(self, history: Sequence[Message]) -> Sequence[Message]:
        return history[-1:]


class Letters:
    def count(self, params: Mapping[str, Any]) -> int:
        return len(str(params))


OWN_TRANSPORT: Transport = OwnTransport()
OWN_CLOCK: Clock = OwnClock()
OWN_MEMORY: MemoryStrategy = LastOnly()
OWN_COUNTER: TokenCounter = Letters()
OWN_MIDDLEWARE: Middleware = say_it
