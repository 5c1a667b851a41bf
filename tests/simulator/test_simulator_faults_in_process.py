"""Every fault, for a plain call and for a stream, as a caller in the same process meets it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.exceptions import (
    LLMError,
    OverloadedError,
    RateLimitError,
    ServiceUnavailable,
    StreamInterrupted,
)
from sdk_workflow.simulator.faults import KINDS
from sdk_workflow.simulator.transport import SimulatorTransport
from sdk_workflow.testing.virtual_time import LoopClock, run_virtual
from tests.simulator.simulated import call, events_of, simulation, streamed

if TYPE_CHECKING:
    from sdk_workflow.types import Reply

TEXT = "one two three four five six seven eight nine ten eleven twelve"


def send(faults: str, *, is_streamed: bool, **options: Any) -> tuple[Reply, list[Any], float]:
    """Return the reply, the events that were shown and the virtual seconds that it took."""
    simulated = simulation(clock=LoopClock(), faults=faults, script=[TEXT])
    transport = SimulatorTransport(simulated, **options)
    events: list[Any] = []

    async def ask() -> tuple[Reply, float]:
        asked = streamed(call(), events) if is_streamed else call()
        return await transport.send(asked), simulated.clock.monotonic()

    reply, seconds = run_virtual(ask)
    return reply, events, seconds


PLAIN: list[tuple[str, type[LLMError], str]] = [
    ("529", OverloadedError, "overloaded"),
    ("status:status=503", ServiceUnavailable, "service_unavailable"),
    ("storm", OverloadedError, "overloaded"),
    ("stall", ServiceUnavailable, "timeout"),
    ("stall:before_headers=true", ServiceUnavailable, "timeout"),
    ("slow_headers:seconds=900", ServiceUnavailable, "timeout"),
    ("reset", ServiceUnavailable, "connection_failed"),
    ("reset:before_headers=true", ServiceUnavailable, "connection_failed"),
    ("reset:after_bytes=5", ServiceUnavailable, "connection_failed"),
    ("truncate", LLMError, "malformed_response"),
    ("truncate:after_bytes=0", LLMError, "malformed_response"),
    ("truncate:after_bytes=99999", LLMError, "malformed_response"),
    ("error_event", OverloadedError, "overloaded"),
    ("error_event:error_type=api_error", ServiceUnavailable, "service_unavailable"),
    ("malformed_event", LLMError, "malformed_response"),
    ("malformed_body", LLMError, "malformed_response"),
]


@pytest.mark.parametrize(("faults", "error", "code"), PLAIN)
def test_a_fault_makes_a_plain_call_fail_with_its_typed_error(
    faults: str, error: type[LLMError], code: str
) -> None:
    with pytest.raises(error) as caught:
        send(faults, is_streamed=False)
    assert type(caught.value) is error
    assert (caught.value.code, caught.value.retryable) == (code, True)


STREAMED: list[tuple[str, type[LLMError], str]] = [
    ("529", OverloadedError, "overloaded_error"),
    ("storm", OverloadedError, "overloaded_error"),
    ("stall", StreamInterrupted, "timed out"),
    ("stall:after_bytes=40", StreamInterrupted, "timed out"),
    ("stall:before_headers=true", ServiceUnavailable, "timed out"),
    ("slow_headers:seconds=900", ServiceUnavailable, "timed out"),
    ("reset", StreamInterrupted, "reset by peer"),
    ("reset:after_bytes=700", StreamInterrupted, "reset by peer"),
    ("reset:before_headers=true", ServiceUnavailable, "reset by peer"),
    ("truncate", StreamInterrupted, "ended before"),
    ("truncate:after_bytes=1", StreamInterrupted, "ended before"),
    ("error_event", OverloadedError, "overloaded_error"),
    ("error_event:error_type=api_error:after_events=5", ServiceUnavailable, "api_error"),
    ("error_event:after_bytes=500", OverloadedError, "overloaded_error"),
    ("malformed_event", StreamInterrupted, "not JSON"),
    ("malformed_body", StreamInterrupted, "not JSON"),
]


@pytest.mark.parametrize(("faults", "error", "words"), STREAMED)
def test_a_fault_makes_a_stream_fail_with_its_typed_error(
    faults: str, error: type[LLMError], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        send(faults, is_streamed=True)
    assert type(caught.value) is error
    assert caught.value.request_id or error is not StreamInterrupted
    assert caught.value.retryable


def test_each_kind_of_fault_is_tried_in_both_forms() -> None:
    for cases in (PLAIN, STREAMED):
        tried = {faults.partition(":")[0] for faults, _, _ in cases} - {"529"}
        assert tried | {"status"} == set(KINDS)


def test_slow_headers_delay_an_answer_that_then_comes() -> None:
    for is_streamed in (False, True):
        reply, _, seconds = send("slow_headers:seconds=7", is_streamed=is_streamed)
        assert (reply.text, seconds) == (TEXT, 7.0)
    assert send("slow_headers", is_streamed=False)[2] == 5.0


def test_silence_lasts_until_the_read_timeout() -> None:
    for is_streamed in (False, True):
        with pytest.raises(LLMError):
            send("stall", is_streamed=is_streamed, read_timeout_seconds=3.0)
    started = anyio.run(lambda: _seconds_of_a_stall(30.0))
    assert started == pytest.approx(30.0)


async def _seconds_of_a_stall(limit: float) -> float:
    clock = VirtualClock()
    transport = SimulatorTransport(
        simulation(clock=clock, faults="stall"), read_timeout_seconds=limit
    )
    began = clock.monotonic()
    failed: list[float] = []

    async def ask() -> None:
        with pytest.raises(ServiceUnavailable):
            await transport.send(call())
        failed.append(clock.monotonic() - began)

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        clock.advance(limit - 1)
        await anyio.wait_all_tasks_blocked()
        assert not failed
        clock.advance(1)
    return failed[0]


def events_of_a_whole_stream() -> list[Any]:
    return send("529@5", is_streamed=True)[1]


@pytest.mark.parametrize("kind", ["truncate", "reset", "stall", "error_event"])
def test_a_stream_can_be_cut_at_every_event_and_is_never_taken_for_whole(kind: str) -> None:
    count = len(events_of_a_whole_stream())
    assert count > 8
    for cut in range(count + 2):
        events: list[Any] = []
        simulated = simulation(
            clock=LoopClock(), faults=f"{kind}:after_events={cut}", script=[TEXT]
        )
        transport = SimulatorTransport(simulated)
        with pytest.raises(LLMError):
            run_virtual(transport.send, streamed(call(), events))
        # A cut behind the end strikes before the last event.
        assert len(events) == min(cut, count - 1)


def test_a_stream_can_be_cut_at_every_byte_and_is_never_taken_for_whole() -> None:
    for cut in (*range(0, 1400, 7), 10**6):
        events: list[Any] = []
        simulated = simulation(faults=f"truncate:after_bytes={cut}", script=[TEXT])
        with pytest.raises(StreamInterrupted):
            anyio.run(SimulatorTransport(simulated).send, streamed(call(), events))


@pytest.mark.parametrize("kind", ["truncate", "reset", "stall"])
def test_a_cut_behind_the_last_byte_takes_one_off_it(kind: str) -> None:
    simulated = simulation(faults=f"{kind}:after_bytes=1000000", script=[TEXT])
    events = events_of(simulated.create(call().to_params(), is_streamed=True))
    assert [event["type"] for event in events][-1] == "message_delta"


def test_the_text_that_had_arrived_goes_along_with_the_error() -> None:
    with pytest.raises(StreamInterrupted) as caught:
        send("reset:after_events=5", is_streamed=True)
    assert caught.value.partial_text == "one two three four five six"
    with pytest.raises(StreamInterrupted) as caught:
        send("malformed_event:after_events=4", is_streamed=True)
    assert caught.value.partial_text == "one two three"


def test_headers_and_details_of_an_error_arrive() -> None:
    faults = "429:retry-after=12:error_code=enforced_spend_limit_reached:message=Spent"
    with pytest.raises(RateLimitError, match="Spent") as caught:
        send(faults, is_streamed=False)
    error = caught.value
    assert (error.status, error.retry_after_seconds) == (429, 12.0)
    assert (error.code, error.retryable) == ("enforced_spend_limit_reached", False)
    assert str(error.request_id).startswith("req_")


def test_a_request_that_the_api_refuses_is_refused_whatever_fault_is_due() -> None:
    simulated = simulation(faults="truncate")
    with pytest.raises(LLMError, match="model: claude-0"):
        anyio.run(SimulatorTransport(simulated).send, call(model="claude-0"))


def test_the_call_after_a_fault_gets_the_reply_that_the_fault_withheld() -> None:
    simulated = simulation(faults="truncate@0;529@1;reset@2", script=["First.", "Second."])
    transport = SimulatorTransport(simulated)

    async def ask() -> list[str]:
        for _ in range(3):
            with pytest.raises(LLMError):
                await transport.send(streamed(call(), []))
        return [(await transport.send(streamed(call(), []))).text for _ in range(2)]

    assert anyio.run(ask) == ["First.", "Second."]


def test_counting_tokens_can_fail_too() -> None:
    path = "/v1/messages/count_tokens"
    transport = SimulatorTransport(
        simulation(faults=f"529:path={path}@0;malformed_body:path={path}@1")
    )

    async def count() -> int:
        with pytest.raises(OverloadedError):
            await transport.count_tokens(call())
        with pytest.raises(LLMError) as caught:
            await transport.count_tokens(call())
        assert caught.value.code == "malformed_response"
        return await transport.count_tokens(call())

    assert anyio.run(count) > 0
