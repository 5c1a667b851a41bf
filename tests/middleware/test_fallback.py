"""The fallback layer: another model, and the simulator only where it was asked for, said aloud."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow._internal.held_emit import UnseenEmit
from sdk_workflow.events import FallbackUsed
from sdk_workflow.exceptions import (
    DeadlineExceeded,
    OverloadedError,
    RateLimitError,
    RequestRejected,
    ServiceUnavailable,
    StreamInterrupted,
)
from sdk_workflow.middleware.fallback import FallbackMiddleware
from sdk_workflow.simulator.transport import SimulatorTransport
from sdk_workflow.types import Call
from tests.scripted import ScriptedTransport, text_reply

if TYPE_CHECKING:
    from sdk_workflow.exceptions import LLMError
    from sdk_workflow.types import Reply, StreamEvent

pytestmark = pytest.mark.anyio

CALL = Call(model="claude-opus-5-5", messages=({"role": "user", "content": "Hi"},))
MODELS = ["claude-sonnet-5-5", "claude-haiku-5-5"]
BUSY = OverloadedError("busy")


def asked(transport: ScriptedTransport) -> list[str]:
    return [call.model for call in transport.calls]


async def test_the_model_of_the_call_comes_first_and_alone_where_it_answers() -> None:
    transport = ScriptedTransport(text_reply("Hi"))
    await FallbackMiddleware(MODELS)(CALL, transport.send)
    assert transport.calls == [CALL]


@pytest.mark.parametrize("error", [BUSY, ServiceUnavailable("no"), RateLimitError("slow")])
async def test_the_others_are_asked_in_turn(error: LLMError) -> None:
    transport = ScriptedTransport(error, RequestRejected("not me"), text_reply("Hi"))
    assert (await FallbackMiddleware(MODELS)(CALL, transport.send)).text == "Hi"
    assert asked(transport) == ["claude-opus-5-5", *MODELS]


async def test_a_model_is_not_its_own_fallback() -> None:
    transport = ScriptedTransport(BUSY, text_reply("Hi"))
    call = dataclasses.replace(CALL, model=MODELS[0])
    await FallbackMiddleware(MODELS)(call, transport.send)
    assert asked(transport) == MODELS


async def test_where_all_fail_the_first_error_is_raised() -> None:
    transport = ScriptedTransport(BUSY, ServiceUnavailable("no"), ServiceUnavailable("no"))
    with pytest.raises(OverloadedError) as caught:
        await FallbackMiddleware(MODELS)(CALL, transport.send)
    assert caught.value is BUSY


@pytest.mark.parametrize(
    "error",
    [
        RequestRejected("wrong"),
        DeadlineExceeded("late"),
        StreamInterrupted("cut"),
        RateLimitError("the money is up", retryable=False),
        ValueError("mine"),
    ],
)
async def test_what_another_model_cannot_mend_is_raised_at_once(error: Exception) -> None:
    transport = ScriptedTransport(error)
    simulator = SimulatorTransport().send
    with pytest.raises(type(error)) as caught:
        await FallbackMiddleware(MODELS, simulator=simulator)(CALL, transport.send)
    assert caught.value is error
    assert len(transport.calls) == 1


async def test_the_simulator_answers_last_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    events: list[Any] = []
    fallback = FallbackMiddleware(
        MODELS[:1], simulator=SimulatorTransport().send, on_event=events.append
    )
    with caplog.at_level(logging.WARNING, "sdk_workflow.fallback"):
        reply = await fallback(CALL, ScriptedTransport(BUSY, BUSY).send)
    assert reply.served_by == "simulator"
    assert [event.fallback for event in events] == ["claude-sonnet-5-5", "simulator"]
    assert events[0] == FallbackUsed(call=CALL, error=BUSY, fallback="claude-sonnet-5-5")
    assert "asking claude-sonnet-5-5" in caplog.text
    assert "the simulator makes an answer up" in caplog.text


async def test_the_simulator_never_answers_unasked() -> None:
    with pytest.raises(OverloadedError):
        await FallbackMiddleware(MODELS)(CALL, ScriptedTransport(BUSY, BUSY, BUSY).send)


async def test_a_simulator_that_cannot_answer_leaves_the_first_error() -> None:
    call = dataclasses.replace(CALL, model="nobody")
    with pytest.raises(OverloadedError) as caught:
        await FallbackMiddleware(simulator=SimulatorTransport().send)(
            call, ScriptedTransport(BUSY).send
        )
    assert caught.value is BUSY


# Streams


def breaking(text: str, error: LLMError) -> Any:
    async def run(call: Call) -> Reply:
        assert call.emit is not None
        await call.emit({"type": "text", "text": text})
        raise error

    return run


async def test_once_something_was_shown_no_other_model_is_asked() -> None:
    seen: list[StreamEvent] = []

    async def listen(event: StreamEvent) -> None:
        seen.append(event)

    call = dataclasses.replace(CALL, emit=listen)
    transport = ScriptedTransport(breaking("one", BUSY))
    with pytest.raises(OverloadedError):
        await FallbackMiddleware(MODELS)(call, transport.send)
    assert len(transport.calls) == 1
    later = ServiceUnavailable("also broken")
    transport = ScriptedTransport(BUSY, breaking("two", later))
    with pytest.raises(ServiceUnavailable) as caught:
        await FallbackMiddleware(MODELS)(call, transport.send)
    assert caught.value is later
    assert [event["text"] for event in seen] == ["one", "two"]


async def test_a_stream_that_has_shown_nothing_goes_on_with_another_model() -> None:
    seen: list[StreamEvent] = []

    async def listen(event: StreamEvent) -> None:
        seen.append(event)

    call = dataclasses.replace(CALL, emit=listen)
    reply = await FallbackMiddleware(MODELS)(call, ScriptedTransport(BUSY, text_reply("Hi")).send)
    assert reply.text == "Hi"
    assert len(seen) == 1


async def test_a_stream_that_nobody_saw_goes_on_with_another_model_at_any_point() -> None:
    heard: list[StreamEvent] = []

    async def listen(event: StreamEvent) -> None:
        heard.append(event)

    transport = ScriptedTransport(breaking("He", BUSY), text_reply("Hello"))
    call = dataclasses.replace(CALL, emit=UnseenEmit(listen))
    assert (await FallbackMiddleware(MODELS)(call, transport.send)).text == "Hello"
    assert heard
    assert asked(transport) == ["claude-opus-5-5", MODELS[0]]
