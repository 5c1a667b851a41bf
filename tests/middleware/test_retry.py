"""The retry layer: repeats what failed in passing, within its time, and shows nothing twice."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow._internal.held_emit import UnseenEmit
from sdk_workflow.core.backoff import Backoff, RetryBudget
from sdk_workflow.core.performance import PerformanceTracer
from sdk_workflow.events import CallRetried
from sdk_workflow.exceptions import (
    LLMError,
    OverloadedError,
    RateLimitError,
    RequestRejected,
    ServiceUnavailable,
    StreamInterrupted,
)
from sdk_workflow.middleware.retry import RetryMiddleware
from sdk_workflow.types import Call
from tests.scripted import ScriptedTransport, text_reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk_workflow.types import Reply, StreamEvent

pytestmark = pytest.mark.anyio

CALL = Call(
    model="claude-haiku-5-5", messages=({"role": "user", "content": "Hi"},), session_id="ses_1"
)
BUSY = OverloadedError("busy")
DELTA: StreamEvent = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "He"}}


class EagerClock(VirtualClock):
    """A virtual clock that moves by itself when somebody sleeps."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.advance(seconds)
        await anyio.lowlevel.checkpoint()


def layer(clock: EagerClock | None = None, **options: Any) -> RetryMiddleware:
    return RetryMiddleware(clock=clock or EagerClock(), random_share=lambda: 0.0, **options)


async def last_error(retry: RetryMiddleware, transport: ScriptedTransport, call: Call) -> LLMError:
    with pytest.raises(LLMError) as caught:
        await retry(call, transport.send)
    return caught.value


async def test_a_call_that_succeeds_is_handed_on_as_it_is() -> None:
    transport = ScriptedTransport(text_reply("Hello"))
    assert (await layer()(CALL, transport.send)).text == "Hello"
    assert transport.calls[0] is CALL


async def test_a_passing_failure_is_repeated_after_growing_waits() -> None:
    clock = EagerClock()
    transport = ScriptedTransport(BUSY, BUSY, ServiceUnavailable("no"), text_reply("Hello"))
    assert (await layer(clock)(CALL, transport.send)).text == "Hello"
    assert clock.waits == [0.5, 1.0, 2.0]


async def test_the_wait_that_the_server_asks_for_is_waited() -> None:
    clock = EagerClock()
    transport = ScriptedTransport(RateLimitError("no", retry_after_seconds=17), text_reply("Hi"))
    await layer(clock)(CALL, transport.send)
    assert clock.waits == [17]


async def test_a_wait_of_hours_is_told_at_once_and_not_waited() -> None:
    clock = EagerClock()
    error = RateLimitError("Slow down.", retry_after_seconds=7200, request_id="req_1")
    error.__cause__ = ValueError("root")
    last = await last_error(layer(clock), ScriptedTransport(error), CALL)
    assert clock.waits == []
    assert str(last) == "Slow down (the server asks to wait 7200 s, and 600 s are left)."
    assert type(last) is RateLimitError
    assert (last.request_id, last.retry_after_seconds, last.retryable) == ("req_1", 7200, True)
    assert last.__cause__ is error.__cause__
    assert str(error) == "Slow down."


async def test_the_time_limit_around_the_call_bounds_the_wait() -> None:
    error = RateLimitError("Slow down.", retry_after_seconds=50)
    with anyio.fail_after(40):
        last = await last_error(layer(), ScriptedTransport(error), CALL)
    assert "asks to wait 50 s, and 40 s are left" in str(last)


@pytest.mark.parametrize(
    "error",
    [
        RequestRejected("no such model"),
        RateLimitError("spent", retryable=False),
        ServiceUnavailable("never", retryable=False),
    ],
)
async def test_what_cannot_succeed_later_is_raised_at_once_and_unchanged(error: LLMError) -> None:
    transport = ScriptedTransport(error)
    assert await last_error(layer(), transport, CALL) is error
    assert len(transport.calls) == 1


async def test_without_retries_the_first_error_is_raised_unchanged() -> None:
    retry = layer(backoff=Backoff(max_retries=0))
    assert await last_error(retry, ScriptedTransport(BUSY), CALL) is BUSY


async def test_after_the_last_retry_the_last_error_says_how_often_it_was_tried() -> None:
    transport = ScriptedTransport(*[OverloadedError("busy.")] * 5)
    last = await last_error(layer(), transport, CALL)
    assert (str(last), type(last)) == ("busy (tried 5 times).", OverloadedError)
    assert len(transport.calls) == 5


async def test_callers_share_one_budget_of_retries() -> None:
    clock = EagerClock()
    retry = layer(clock, budget=RetryBudget(clock, reserve=2, per_second=0, share=0))
    first = await last_error(retry, ScriptedTransport(*[BUSY] * 5), CALL)
    second = ScriptedTransport(*[BUSY] * 5)
    last = await last_error(retry, second, CALL)
    assert "too many calls of this process failed lately" in str(first)
    assert "too many calls of this process failed lately" in str(last)
    assert len(second.calls) == 1


async def test_each_call_adds_to_the_budget() -> None:
    clock = EagerClock()
    retry = layer(clock, budget=RetryBudget(clock, reserve=1, per_second=0, share=0.5))
    for _ in range(3):  # each takes one retry, and two calls earn one
        await retry(CALL, ScriptedTransport(BUSY, text_reply("Hi")).send)
        await retry(CALL, ScriptedTransport(text_reply("Hi")).send)


async def test_errors_that_are_not_of_the_api_pass_through() -> None:
    with pytest.raises(ValueError, match="mine"):
        await layer()(CALL, ScriptedTransport(ValueError("mine")).send)


async def test_cancelling_a_wait_ends_the_call() -> None:
    transport = ScriptedTransport(BUSY, text_reply("never"))
    retry = RetryMiddleware(clock=VirtualClock())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(retry, CALL, transport.send)
        while not transport.calls:
            await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert len(transport.calls) == 1


# Streams


def attempt(events: Sequence[StreamEvent], outcome: Reply | Exception) -> Any:
    async def run(call: Call) -> Reply:
        assert call.emit is not None
        for event in events:
            await call.emit(event)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return run


def listening(seen: list[StreamEvent]) -> Call:
    async def listen(event: StreamEvent) -> None:
        seen.append(event)

    return dataclasses.replace(CALL, emit=listen)


OPENING: tuple[StreamEvent, ...] = (
    {"type": "message_start"},
    {"type": "ping"},
    {"type": "content_block_start"},
)


@pytest.mark.parametrize("count", range(4))
async def test_a_stream_that_broke_before_anything_was_shown_starts_again_unseen(
    count: int,
) -> None:
    seen: list[StreamEvent] = []
    whole: list[StreamEvent] = [*OPENING, DELTA, {"type": "message_stop"}]
    transport = ScriptedTransport(
        attempt(OPENING[:count], StreamInterrupted("cut")), attempt(whole, text_reply("He"))
    )
    await layer()(listening(seen), transport.send)
    assert seen == whole


@pytest.mark.parametrize(
    "shown",
    [
        DELTA,
        {"type": "content_block_delta", "delta": {"type": "input_json_delta"}},
        {"type": "content_block_stop"},
        {"type": "something new"},
    ],
)
async def test_a_stream_that_has_shown_something_is_never_repeated(shown: dict[str, Any]) -> None:
    seen: list[StreamEvent] = []
    error = StreamInterrupted("cut", partial_text="He")
    transport = ScriptedTransport(attempt([*OPENING, shown], error))
    assert await last_error(layer(), transport, listening(seen)) is error
    assert seen == [*OPENING, shown]


async def test_a_stream_whose_listener_shows_nothing_is_repeated_at_any_point() -> None:
    heard: list[StreamEvent] = []
    call = listening(heard)
    assert call.emit is not None
    unseen = dataclasses.replace(call, emit=UnseenEmit(call.emit))
    transport = ScriptedTransport(
        attempt([*OPENING, DELTA], StreamInterrupted("cut")), attempt([DELTA], text_reply("He"))
    )
    assert (await layer()(unseen, transport.send)).text == "He"
    assert heard == [*OPENING, DELTA, DELTA]


async def test_an_error_of_the_listener_is_not_repeated() -> None:
    error = OverloadedError("of the listener's own call")

    async def listen(_event: StreamEvent) -> None:
        raise error

    transport = ScriptedTransport(attempt([DELTA], text_reply("x")))
    call = dataclasses.replace(CALL, emit=listen)
    assert await last_error(layer(), transport, call) is error


# Telling


async def test_each_retry_is_an_event() -> None:
    events: list[Any] = []
    transport = ScriptedTransport(BUSY, BUSY, text_reply("Hi"))
    await layer(on_event=events.append)(CALL, transport.send)
    assert events == [
        CallRetried(session_id="ses_1", call=CALL, attempt=1, error=BUSY, wait_seconds=0.5),
        CallRetried(session_id="ses_1", call=CALL, attempt=2, error=BUSY, wait_seconds=1.0),
    ]


async def test_each_retry_is_an_event_of_the_ambient_span() -> None:
    tracer = PerformanceTracer()
    with tracer.span("chat"):
        await layer()(CALL, ScriptedTransport(BUSY, BUSY, text_reply("Hi")).send)
    *waits, span = tracer.finished_spans()
    assert [wait.name for wait in waits] == ["retry.wait"] * 2
    assert [(name, facts["attempt"], facts["error"]) for _, name, facts in span.events or ()] == [
        ("retry", 1, "overloaded"),
        ("retry", 2, "overloaded"),
    ]
    assert span.attributes["http.request.resend_count"] == 2


async def test_an_error_whose_class_takes_arguments_of_its_own_is_explained_too() -> None:
    class Flooded(OverloadedError):
        def __init__(self, *, level: int) -> None:
            super().__init__("The harbour is full.")
            self.level = level

    async def send(_call: Call) -> Reply:
        raise Flooded(level=3)

    retry = RetryMiddleware(backoff=Backoff(max_retries=1, first_seconds=0.0))
    with pytest.raises(Flooded, match=r"full \(tried 2 times\)") as caught:
        await retry(CALL, send)
    assert caught.value.level == 3
