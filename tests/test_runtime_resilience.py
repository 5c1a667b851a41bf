"""How the runtime wires what keeps calls alive: limits, retries, pacing and fallbacks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from sdk_workflow.config.settings import Settings
from sdk_workflow.events import (
    CallRetried,
    FallbackUsed,
    ModelCallFailed,
    ModelCallFinished,
    ModelCallStarted,
    TextDelta,
)
from sdk_workflow.exceptions import (
    ConfigError,
    DeadlineExceeded,
    OverloadedError,
    RateLimitError,
)
from sdk_workflow.runtime import build_runtime, open_session
from sdk_workflow.transports.timeouts import Timeouts
from sdk_workflow.types import Call
from sdk_workflow.wiring import client as wiring
from sdk_workflow.wiring.transports import make_transport
from tests.integration.fault_matrix import HurriedClock
from tests.scripted import ScriptedTransport, text_reply

if TYPE_CHECKING:
    from sdk_workflow.runtime import Runtime

pytestmark = pytest.mark.anyio

KEY = "sk-ant-not-a-real-key"
CALL = Call(model="claude-opus-5-5", messages=({"role": "user", "content": "Hi"},))
BUSY = OverloadedError("busy")


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> ScriptedTransport:
    """Stand in for the official SDK."""
    transport = ScriptedTransport()
    build = make_transport

    def choose(settings: Any, backend: Any, clock: Any) -> Any:
        return build(settings, backend, clock) if backend == "simulator" else transport

    monkeypatch.setattr(wiring, "make_transport", choose)
    return transport


def wired(**settings: Any) -> Runtime:
    sinks = settings.pop("sinks", ())
    own = Settings(api_key=KEY, cache_mode="off", **settings)
    return build_runtime(own, clock=HurriedClock(), sinks=sinks)


async def test_failures_are_retried_as_often_as_the_settings_say(
    scripted: ScriptedTransport,
) -> None:
    scripted.script[:] = [BUSY] * 10
    with pytest.raises(OverloadedError, match="tried 3 times"):
        await wired(max_retries=2).client.create(CALL)
    assert len(scripted.calls) == 3


async def test_retries_can_be_switched_off(scripted: ScriptedTransport) -> None:
    scripted.script[:] = [BUSY]
    with pytest.raises(OverloadedError) as caught:
        await wired(max_retries=0).client.create(CALL)
    assert caught.value is BUSY


async def test_one_limit_holds_over_all_attempts(scripted: ScriptedTransport) -> None:
    async def hang(_call: Call) -> Any:
        await anyio.sleep_forever()

    scripted.script[:] = [hang]
    with pytest.raises(DeadlineExceeded, match=r"0\.05 s"):
        await wired(request_timeout_seconds=0.05).client.create(CALL)


async def test_the_limit_bounds_what_the_server_asks_to_wait(scripted: ScriptedTransport) -> None:
    scripted.script[:] = [RateLimitError("slow", retry_after_seconds=20)]
    with pytest.raises(RateLimitError, match="asks to wait 20 s, and 10 s are left"):
        await wired(request_timeout_seconds=10).client.create(CALL)


async def test_all_callers_of_a_runtime_are_paced_together(scripted: ScriptedTransport) -> None:
    scripted.script[:] = [
        RateLimitError("slow", retry_after_seconds=3, retryable=True),
        text_reply("one"),
    ]
    runtime = wired()
    await runtime.client.create(CALL)
    clock: Any = runtime.clock
    assert clock.waits == [3], "the limiter has nothing left to wait for"


async def test_the_other_models_are_asked_under_their_ids(scripted: ScriptedTransport) -> None:
    scripted.script[:] = [BUSY, BUSY, text_reply("Hi")]
    events: list[Any] = []
    names = {"fallback_models": "sonnet, my-own-model", "base_url": "http://localhost:11434"}
    runtime = wired(max_retries=0, sinks=[events.append], **names)
    await runtime.client.create(CALL)
    assert [call.model for call in scripted.calls] == [
        "claude-opus-5-5",
        "claude-sonnet-5-5",
        "my-own-model",
    ]
    assert [type(event) for event in events] == [
        ModelCallStarted,
        FallbackUsed,
        FallbackUsed,
        ModelCallFinished,
    ]


async def test_another_model_is_asked_after_all_retries_of_the_first(
    scripted: ScriptedTransport,
) -> None:
    scripted.script[:] = [BUSY, BUSY, BUSY, text_reply("Hi")]
    await wired(max_retries=1, fallback_models="haiku").client.create(CALL)
    assert [call.model.split("-")[1] for call in scripted.calls] == [
        *("opus", "opus"),
        *("haiku", "haiku"),
    ]


async def test_the_simulator_steps_in_only_where_it_was_asked_for(
    scripted: ScriptedTransport, caplog: pytest.LogCaptureFixture
) -> None:
    scripted.script[:] = [BUSY, BUSY]
    with pytest.raises(OverloadedError):
        await wired(max_retries=0, fallback_models="haiku").client.create(CALL)
    scripted.script[:] = [BUSY]
    runtime = wired(max_retries=0, fallback_to_simulator=True)
    with caplog.at_level(logging.WARNING):
        reply = await runtime.client.create(CALL)
    assert reply.served_by == "simulator"
    assert "the simulator makes an answer up" in caplog.text


async def test_a_streamed_reply_is_retried_unseen_through_the_whole_chain(
    scripted: ScriptedTransport,
) -> None:
    async def cut(call: Call) -> Any:
        assert call.emit is not None
        await call.emit({"type": "message_start"})
        raise BUSY

    scripted.script[:] = [cut, text_reply("Hello")]
    seen = []
    async with wired(fallback_models="haiku").client.stream(CALL) as stream:
        seen = [event["type"] async for event in stream]
    assert seen == ["content_block_delta"]
    assert stream.reply.text == "Hello"


async def test_who_looks_on_sees_what_happens_to_calls(scripted: ScriptedTransport) -> None:
    scripted.script[:] = [BUSY, text_reply("Hi"), BUSY]
    events: list[Any] = []
    runtime = wired(max_retries=1, sinks=[events.append])
    await runtime.client.create(CALL)
    runtime = wired(max_retries=0, sinks=[events.append])
    with pytest.raises(OverloadedError):
        await runtime.client.create(CALL)
    assert [type(event) for event in events] == [
        ModelCallStarted,
        CallRetried,
        ModelCallFinished,
        ModelCallStarted,
        ModelCallFailed,
    ]


async def test_the_sinks_of_a_single_session_see_its_calls_as_well() -> None:
    events: list[Any] = []
    async with open_session(backend="simulator", sinks=[events.append]) as session:
        await session.message("Hello")
    kinds = [type(event) for event in events]
    assert kinds.count(ModelCallFinished) == 1
    assert kinds.count(TextDelta) > 1
    assert {event.session_id for event in events} == {session.session_id}


async def test_a_sink_that_raises_disturbs_no_call(
    scripted: ScriptedTransport, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_event: object) -> None:
        raise ValueError("tired")

    scripted.script[:] = [BUSY, text_reply("Hi")]
    assert (await wired(sinks=[broken]).client.create(CALL)).text == "Hi"
    assert caplog.text.count("failed; later failures are only counted") == 1


def test_the_transport_gets_its_limits_and_leaves_retrying_to_the_chain() -> None:
    settings = Settings(
        api_key=KEY,
        request_timeout_seconds=44,
        connect_timeout_seconds=3,
        first_token_timeout_seconds=22,
        idle_timeout_seconds=11,
    )
    transport: Any = build_runtime(settings).client._transport
    assert transport._options["max_retries"] == 0
    assert transport._timeouts == Timeouts(
        connect_seconds=3, first_token_seconds=22, idle_seconds=11, total_seconds=44
    )


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("max_retries", -1, "a whole number from 0 to 20"),
        ("max_retries", 21, "a whole number from 0 to 20"),
        ("max_retries", True, "a whole number from 0 to 20"),
        ("request_timeout_seconds", 0, "a number of seconds above 0"),
        ("idle_timeout_seconds", float("inf"), "a number of seconds above 0"),
        ("fallback_models", 7, "names of models"),
        ("fallback_to_simulator", "maybe", "true or false"),
    ],
)
def test_unusable_limits_are_refused_with_what_would_be_right(
    name: str, value: Any, rule: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        build_runtime(Settings(backend="simulator"), **{name: value})
    assert rule in caught.value.hint


# Counting


async def test_a_count_is_retried_within_its_limit_and_seen(scripted: ScriptedTransport) -> None:
    scripted.script[:] = [BUSY, text_reply("")]
    events: list[Any] = []
    runtime = wired(sinks=[events.append])
    with runtime.tracer.span("run"):
        assert await runtime.client.count_tokens(CALL) == 42
    assert [type(event) for event in events] == [CallRetried]
    (span,) = (
        each for each in runtime.tracer.finished_spans() if each.name.startswith("count_tokens")
    )
    assert [name for _, name, _ in span.events or ()] == ["retry"]


async def test_a_count_that_hangs_ends_with_the_time_limit(
    scripted: ScriptedTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(_call: Call) -> int:
        await anyio.sleep_forever()
        raise AssertionError

    monkeypatch.setattr(scripted, "count_tokens", hang)
    with pytest.raises(DeadlineExceeded, match=r"0\.05 s"):
        await wired(request_timeout_seconds=0.05).client.count_tokens(CALL)


async def test_calls_and_counts_share_one_budget_against_storms(
    scripted: ScriptedTransport,
) -> None:
    scripted.script[:] = [BUSY] * 100
    runtime = wired(max_retries=10, request_timeout_seconds=1000)
    clock: Any = runtime.clock
    now = clock.monotonic()
    clock.monotonic = lambda: now  # no second passes, and nothing is earned
    for ask in (runtime.client.create, runtime.client.count_tokens):
        with pytest.raises(OverloadedError):
            await ask(CALL)
    assert len(scripted.calls) == 2 + 10


async def test_a_count_is_not_paced_with_the_calls(scripted: ScriptedTransport) -> None:
    scripted.script[:] = [RateLimitError("slow", retry_after_seconds=3600), text_reply("")]
    runtime = wired()
    with pytest.raises(RateLimitError):
        await runtime.client.create(CALL)
    assert await runtime.client.count_tokens(CALL) == 42
