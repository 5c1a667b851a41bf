from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.core.agent_client import AgentClientManager
from sdk_workflow.events import ModelCallFailed, ModelCallFinished, ModelCallStarted
from sdk_workflow.exceptions import DeadlineExceeded, LLMError, OverloadedError, UsageError
from sdk_workflow.types import Call
from tests.scripted import ScriptedTransport, text_reply

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sdk_workflow.events import Event
    from sdk_workflow.protocols import CountMiddleware, Proceed
    from sdk_workflow.types import Reply, StreamEvent

CALL = Call(model="claude-haiku-5-5", messages=({"role": "user", "content": "Hi"},))

pytestmark = pytest.mark.anyio


def new_events() -> list[Event]:
    return []


async def test_client_returns_the_reply_of_the_transport() -> None:
    expected = text_reply("Hello")
    async with AgentClientManager(ScriptedTransport(expected)) as client:
        assert expected == await client.create(CALL)


async def test_middleware_run_in_the_order_given_around_the_transport() -> None:
    seen: list[str] = []

    def layer(name: str) -> object:
        async def run(call: Call, proceed: Proceed) -> Reply:
            seen.append(f"{name} in")
            reply = await proceed(call)
            seen.append(f"{name} out")
            return reply

        return run

    client = AgentClientManager(
        ScriptedTransport(text_reply("x")),
        middleware=(layer("outer"), layer("inner")),  # type: ignore[arg-type]
    )
    await client.create(CALL)

    assert seen == ["outer in", "inner in", "inner out", "outer out"]


async def test_middleware_may_answer_without_the_transport() -> None:
    transport = ScriptedTransport()

    async def answer(_call: Call, _proceed: Proceed) -> Reply:
        return text_reply("from a cache")

    reply = await AgentClientManager(transport, middleware=(answer,)).create(CALL)

    assert (reply.text, transport.calls) == ("from a cache", [])


async def test_finished_call_is_shown_to_the_sinks_with_its_duration() -> None:
    clock, events = VirtualClock(), new_events()

    async def slow(_call: Call) -> Reply:
        clock.advance(0.25)
        return text_reply("done")

    client = AgentClientManager(ScriptedTransport(slow), sinks=(events.append,), clock=clock)
    await client.create(CALL)

    started, event = events
    assert isinstance(started, ModelCallStarted)
    assert started.call is CALL
    assert isinstance(event, ModelCallFinished)
    assert (event.reply.text, event.duration_ms) == ("done", 250.0)


async def test_a_call_that_a_cache_answers_is_shown_as_started_too() -> None:
    events = new_events()

    async def answer(_call: Call, _proceed: Proceed) -> Reply:
        return text_reply("from a cache")

    client = AgentClientManager(ScriptedTransport(), middleware=(answer,), sinks=(events.append,))
    await client.create(CALL)

    assert [type(event) for event in events] == [ModelCallStarted, ModelCallFinished]


async def test_typed_error_passes_unchanged_and_is_shown_to_the_sinks() -> None:
    error, events = OverloadedError("busy"), new_events()
    client = AgentClientManager(ScriptedTransport(error), sinks=(events.append,))

    with pytest.raises(OverloadedError) as caught:
        await client.create(CALL)

    assert caught.value is error
    assert isinstance(events[0], ModelCallStarted)
    assert isinstance(events[1], ModelCallFailed)
    assert events[1].error is error


@pytest.mark.parametrize(
    ("raw", "expected"), [(TimeoutError(), DeadlineExceeded), (RuntimeError("boom"), LLMError)]
)
async def test_untyped_error_becomes_a_typed_one_with_the_original_as_cause(
    raw: Exception, expected: type[LLMError]
) -> None:
    client = AgentClientManager(ScriptedTransport(raw))

    with pytest.raises(expected) as caught:
        await client.create(CALL)

    assert caught.value.__cause__ is raw


async def test_cancellation_is_not_turned_into_an_error() -> None:
    async def hang(_call: Call) -> Reply:
        await anyio.sleep_forever()
        raise AssertionError

    client = AgentClientManager(ScriptedTransport(hang))

    with anyio.move_on_after(0) as scope:
        await client.create(CALL)

    assert scope.cancelled_caught


async def test_closing_the_client_closes_the_transport_and_refuses_calls() -> None:
    transport = ScriptedTransport(text_reply("x"))
    client = AgentClientManager(transport)
    await client.close()
    await client.close()

    assert transport.is_closed
    with pytest.raises(UsageError, match="closed"):
        await client.create(CALL)
    with pytest.raises(UsageError, match="closed"):
        client.stream(CALL)
    with pytest.raises(UsageError, match="closed"):
        await client.count_tokens(CALL)


async def test_count_tokens_asks_the_transport() -> None:
    assert await AgentClientManager(ScriptedTransport(text_reply(""))).count_tokens(CALL) == 42


async def test_count_tokens_maps_failures_too() -> None:
    client = AgentClientManager(ScriptedTransport(RuntimeError("boom"), OverloadedError("busy")))

    with pytest.raises(LLMError, match="boom"):
        await client.count_tokens(CALL)
    with pytest.raises(OverloadedError):
        await client.count_tokens(CALL)


def streaming_transport(count: int, made: list[int]) -> ScriptedTransport:
    async def produce(call: Call) -> Reply:
        assert call.emit is not None
        for number in range(count):
            made.append(number)
            await call.emit({"type": "ping", "number": number})
        return text_reply("all of it")

    return ScriptedTransport(produce)


async def test_stream_yields_each_event_before_the_next_but_one_is_made() -> None:
    made: list[int] = []
    seen: list[StreamEvent] = []
    async with AgentClientManager(streaming_transport(5, made)).stream(CALL) as stream:
        async for event in stream:
            seen.append(event)
            assert len(made) <= len(seen) + 1

    assert [event["number"] for event in seen] == [0, 1, 2, 3, 4]
    assert stream.reply.text == "all of it"


async def test_stream_read_to_its_end_needs_no_with() -> None:
    stream = AgentClientManager(streaming_transport(3, [])).stream(CALL)

    assert [event["number"] async for event in stream] == [0, 1, 2]
    assert stream.reply.text == "all of it"


async def test_stream_left_early_cancels_the_call() -> None:
    made: list[int] = []
    async with AgentClientManager(streaming_transport(1000, made)).stream(CALL) as stream:
        async for _event in stream:
            break

    assert len(made) <= 3
    with pytest.raises(UsageError, match="not finished"):
        _ = stream.reply


async def test_stream_raises_what_ended_the_call() -> None:
    client = AgentClientManager(ScriptedTransport(OverloadedError("busy")))

    with pytest.raises(OverloadedError, match="busy"):
        _ = [event async for event in client.stream(CALL)]


async def test_call_with_its_own_emit_cannot_be_streamed_again() -> None:
    async def emit(_event: StreamEvent) -> None: ...

    call = Call(model="m", messages=CALL.messages, emit=emit)

    with pytest.raises(UsageError, match="emit"):
        AgentClientManager(ScriptedTransport()).stream(call)


async def test_a_layer_that_sends_again_is_refused_once_the_client_is_closed() -> None:
    transport = ScriptedTransport(OverloadedError("busy"), text_reply("too late"))
    clients: list[AgentClientManager] = []

    async def again(call: Call, proceed: Proceed) -> Reply:
        with pytest.raises(OverloadedError):
            await proceed(call)
        await clients[0].close()
        return await proceed(call)

    clients.append(AgentClientManager(transport, middleware=(again,)))
    with pytest.raises(UsageError, match="closed"):
        await clients[0].create(CALL)

    assert len(transport.calls) == 1


async def test_counting_goes_through_its_own_layers_in_their_order() -> None:
    seen: list[str] = []

    def layer(name: str) -> CountMiddleware:
        async def run(call: Call, proceed: Callable[[Call], Awaitable[int]]) -> int:
            seen.append(name)
            return await proceed(call) + 1

        return run

    transport = ScriptedTransport(text_reply(""))
    client = AgentClientManager(transport, counting=(layer("outer"), layer("inner")))

    assert await client.count_tokens(CALL) == 44
    assert seen == ["outer", "inner"]
