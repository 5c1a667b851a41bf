"""A streamed reply that breaks off in the middle: asked for again where nobody saw any of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow._internal.sinks import SinkSet
from sdk_workflow.cli import batch
from sdk_workflow.cli.rendering import JsonLinesView, JsonView, TextView
from sdk_workflow.events import TextDelta, shows_no_text
from sdk_workflow.exceptions import OverloadedError, StreamInterrupted
from sdk_workflow.runtime import build_runtime, run_sync
from sdk_workflow.testing import Simulator
from tests.integration.fault_matrix import HurriedClock

if TYPE_CHECKING:
    from sdk_workflow.agent.session import AgentSession
    from sdk_workflow.events import Event
    from sdk_workflow.exceptions import LLMError

pytestmark = pytest.mark.socket

ANSWER = "The tide is high at noon, and it is low again some six hours after that."
FAULTS: dict[str, type[LLMError]] = {
    "truncate": StreamInterrupted,
    "reset": StreamInterrupted,
    "error_event": OverloadedError,
}
each_fault = pytest.mark.parametrize("fault", FAULTS)


def failing_once(fault: str) -> Simulator:
    """Return a server whose first reply breaks off after two pieces of text."""
    return Simulator(script=[ANSWER], faults=f"{fault}:after_events=5@0")


def wiring(url: str) -> dict[str, Any]:
    return {
        "backend": "anthropic",
        "api_key": "sk-ant-not-a-real-key",
        "base_url": url,
        "model": "haiku",
        "clock": HurriedClock(),
    }


@shows_no_text
def count_only(_event: Event) -> None:
    pass


@each_fault
@pytest.mark.parametrize("sinks", [(), (count_only,)], ids=["no sinks", "a sink without text"])
def test_a_run_is_recovered_where_nobody_sees_its_text(fault: str, sinks: Any) -> None:
    simulator = failing_once(fault)
    with simulator.serving() as url:
        result = run_sync("When is the tide high?", sinks=sinks, **wiring(url))
    assert result.text == ANSWER
    assert result.time_to_first_token_ms is not None
    assert [asked.is_streamed for asked in simulator.requests] == [True, True]


@each_fault
def test_a_run_fails_where_a_sink_has_seen_some_of_it(fault: str) -> None:
    simulator, events = failing_once(fault), list[Any]()
    with simulator.serving() as url, pytest.raises(FAULTS[fault]) as caught:
        run_sync("When is the tide high?", sinks=[events.append], **wiring(url))
    shown = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert shown
    assert ANSWER.startswith(shown)
    assert [asked.request_id for asked in simulator.requests] == [caught.value.request_id]


@each_fault
@pytest.mark.anyio
async def test_a_message_is_recovered_where_nobody_sees_its_text(fault: str) -> None:
    simulator = failing_once(fault)
    with simulator.serving() as url:
        async with build_runtime(**wiring(url)) as runtime, runtime.session() as session:
            result = await session.message("When is the tide high?")
    assert (result.text, len(simulator.requests)) == (ANSWER, 2)


@each_fault
@pytest.mark.anyio
async def test_a_message_fails_where_its_stream_was_read(fault: str) -> None:
    simulator, shown = failing_once(fault), list[str]()
    with simulator.serving() as url:
        async with build_runtime(**wiring(url)) as runtime, runtime.session() as session:
            with pytest.raises(FAULTS[fault]):
                await read_stream(session, shown)
    assert shown
    assert ANSWER.startswith("".join(shown))
    assert len(simulator.requests) == 1


async def read_stream(session: AgentSession, shown: list[str]) -> None:
    async for event in session.stream("When is the tide high?"):
        if isinstance(event, TextDelta):
            shown.append(event.text)  # noqa: PERF401 - it has to outlive the error


def test_of_the_command_lines_views_only_the_one_for_json_shows_no_text() -> None:
    sinks: list[Any] = [view.on_event for view in (TextView, JsonLinesView, JsonView)]
    assert [getattr(sink, "takes_text", True) for sink in sinks] == [True, True, False]


def test_a_batch_shows_no_text() -> None:
    assert not SinkSet([batch._ignore]).take_text
