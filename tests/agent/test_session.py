from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.agent.options import RunOptions
from sdk_workflow.agent.session import AgentSession
from sdk_workflow.agent.state import SessionState
from sdk_workflow.core.agent_client import AgentClientManager
from sdk_workflow.core.performance import PerformanceTracer
from sdk_workflow.events import (
    RunFailed,
    RunFinished,
    RunStarted,
    StateChanged,
    TextDelta,
    ToolFinished,
    ToolStarted,
)
from sdk_workflow.exceptions import (
    DeadlineExceeded,
    OverloadedError,
    ToolDenied,
    ToolNotFound,
    UsageError,
)
from sdk_workflow.tools.registry import Tool
from sdk_workflow.types import ToolResult, ToolSpec, Usage
from tests.scripted import ScriptedTransport, reply, text_reply, tool_reply

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sdk_workflow.events import Event
    from sdk_workflow.types import Call, Message, Reply, ToolCall

pytestmark = pytest.mark.anyio


def echo(text: str) -> str:
    """Repeat a text.

    Args:
        text: What to repeat.
    """
    return f"echo {text}"


def open_session(*script: Any, **options: Any) -> AgentSession:
    options.setdefault("model", "haiku")
    return AgentSession(AgentClientManager(ScriptedTransport(*script)), **options)


def roles(session: AgentSession) -> list[str]:
    return [message["role"] for message in session.get_history()]


def assert_each_tool_use_has_its_result(history: Sequence[Message]) -> None:
    for index, message in enumerate(history):
        content = message["content"] if isinstance(message["content"], list) else []
        wanted = [block["id"] for block in content if block["type"] == "tool_use"]
        if wanted:
            answer = history[index + 1]["content"]
            assert wanted == [block["tool_use_id"] for block in answer]


async def test_plain_answer_comes_back_with_its_facts() -> None:
    session = open_session(text_reply("Hello"))

    result = await session.message("Hi")

    assert (result.text, result.stop_reason, result.turns) == ("Hello", "end_turn", 1)
    assert result.usage == Usage(input_tokens=100, output_tokens=10)
    assert result.session_id == session.session_id
    assert result.served_by == "simulator"
    assert roles(session) == ["user", "assistant"]
    assert session.get_state() is SessionState.IDLE


async def test_cost_adds_up_over_turns_at_the_catalogue_s_prices() -> None:
    session = open_session(tool_reply(("echo", {"text": "a"})), text_reply("done"), tools=[echo])

    result = await session.message("Hi")

    # haiku-5-5: 0.10 $/MTok in, 0.50 $/MTok out; twice 100 in and 10 out
    assert result.cost_usd == pytest.approx(2 * (100 * 0.10 + 10 * 0.50) / 1e6)
    assert result.saved_usd == 0


async def test_cost_is_unknown_where_a_model_has_no_price() -> None:
    session = open_session(text_reply("x", model="my-own-model"), model="my-own-model")

    assert (await session.message("Hi")).cost_usd is None


async def test_tool_result_goes_back_to_the_model() -> None:
    transport = ScriptedTransport(tool_reply(("echo", {"text": "a"})), text_reply("done"))
    session = AgentSession(AgentClientManager(transport), model="haiku", tools=[echo])

    result = await session.message("Use the tool")

    assert [record.name for record in result.tool_calls] == ["echo"]
    assert transport.calls[1].messages[-1]["content"] == [
        {"type": "tool_result", "tool_use_id": "call_0", "content": "echo a"}
    ]
    assert transport.calls[0].tools[0]["name"] == "echo"


async def test_tool_calls_of_one_reply_run_side_by_side_and_answer_in_order() -> None:
    both_running = anyio.Event()
    running: list[str] = []

    async def wait(name: str) -> str:
        running.append(name)
        if len(running) == 2:
            both_running.set()
        await both_running.wait()
        return name

    session = open_session(
        tool_reply(("wait", {"name": "first"}), ("wait", {"name": "second"})),
        text_reply("done"),
        tools=[make_tool("wait", wait)],
    )

    result = await session.message("Go")

    blocks = session.get_history()[2]["content"]
    assert [block["content"] for block in blocks] == ["first", "second"]
    assert [record.id for record in result.tool_calls] == ["call_0", "call_1"]


async def test_failing_tool_becomes_an_error_result_and_the_session_goes_on() -> None:
    def broken() -> str:
        raise ValueError("no such luck")

    session = open_session(
        tool_reply(("broken", {})), text_reply("I see"), tools=[make_tool("broken", broken)]
    )

    result = await session.message("Go")

    (block,) = session.get_history()[2]["content"]
    assert block["is_error"]
    assert "no such luck" in block["content"]
    assert (result.text, result.tool_calls[0].is_error) == ("I see", True)


async def test_unknown_tool_is_answered_with_a_suggestion() -> None:
    session = open_session(tool_reply(("ecko", {})), text_reply("ok"), tools=[echo])

    await session.message("Go")

    (block,) = session.get_history()[2]["content"]
    assert "'echo'" in block["content"]


async def test_run_stops_at_its_limit_of_turns_with_a_valid_history() -> None:
    script = [tool_reply(("echo", {"text": "again"})) for _ in range(3)]
    session = open_session(*script, tools=[echo], options=RunOptions(max_turns=3))

    result = await session.message("Loop")

    assert (result.stop_reason, result.turns) == ("max_turns", 3)
    assert len(result.tool_calls) == 2, "the tools of the last reply are not run in vain"
    assert_each_tool_use_has_its_result(session.get_history())
    assert session.get_state() is SessionState.IDLE


async def test_paused_turn_is_continued() -> None:
    paused = text_reply("Searching", stop_reason="pause_turn")
    session = open_session(paused, text_reply("Found"))

    result = await session.message("Search")

    assert (result.text, result.turns) == ("Found", 2)
    assert roles(session) == ["user", "assistant", "assistant"]


async def test_tool_call_in_a_reply_that_was_cut_off_is_dropped_from_the_history() -> None:
    cut = reply(
        [
            {"type": "text", "text": "Let me"},
            {"type": "tool_use", "id": "call_0", "name": "echo", "input": {}},
        ],
        stop_reason="max_tokens",
    )
    session = open_session(cut, tools=[echo])

    result = await session.message("Go")

    assert result.stop_reason == "max_tokens"
    assert session.get_history()[1]["content"] == [{"type": "text", "text": "Let me"}]


async def test_message_that_never_reached_the_model_leaves_no_trace() -> None:
    session = open_session(OverloadedError("busy"), text_reply("now"))

    with pytest.raises(OverloadedError):
        await session.message("Hi")
    assert (roles(session), session.get_state()) == ([], SessionState.ERROR)

    assert (await session.message("Hi")).text == "now"


async def test_failure_after_a_tool_keeps_what_was_reached() -> None:
    session = open_session(
        tool_reply(("echo", {"text": "a"})),
        OverloadedError("busy"),
        text_reply("done"),
        tools=[echo],
    )

    with pytest.raises(OverloadedError):
        await session.message("Go")
    assert roles(session) == ["user", "assistant", "user"]

    assert (await session.message("Go on")).text == "done"


async def test_cancelled_tool_is_reported_as_unknown_in_a_valid_history() -> None:
    async def hang() -> str:
        await anyio.sleep_forever()
        return "never"

    session = open_session(tool_reply(("hang", {})), tools=[make_tool("hang", hang)])

    with pytest.raises(DeadlineExceeded, match=r"0\.05 s"):
        await session.message("Go", timeout_seconds=0.05)

    assert_each_tool_use_has_its_result(session.get_history())
    (block,) = session.get_history()[2]["content"]
    assert "unknown" in block["content"]
    assert session.get_state() is SessionState.ERROR


async def test_second_message_while_one_is_under_way_is_refused() -> None:
    async def ask_again(_call: Call) -> Reply:
        with pytest.raises(UsageError, match="being answered"):
            await session.message("Me too")
        return text_reply("first")

    session = open_session(ask_again)

    assert (await session.message("Hi")).text == "first"
    assert roles(session) == ["user", "assistant"]


async def test_second_message_while_a_tool_runs_is_refused() -> None:
    refused: list[UsageError] = []

    async def ask_again() -> str:
        try:
            await session.message("Me too")
        except UsageError as error:
            refused.append(error)
        return "done"

    session = open_session(
        tool_reply(("ask", {})), text_reply("first"), tools=[make_tool("ask", ask_again)]
    )

    assert (await session.message("Hi")).text == "first"
    assert [error.code for error in refused] == ["session_busy"]
    assert roles(session) == ["user", "assistant", "user", "assistant"]


async def test_session_closed_while_a_run_fails_keeps_the_real_error() -> None:
    events: list[Event] = []

    async def close_and_fail(_call: Call) -> Reply:
        await session.close()
        raise OverloadedError("busy")

    session = open_session(close_and_fail, sinks=[events.append])

    with pytest.raises(OverloadedError):
        await session.message("Hi")
    assert session.get_state() is SessionState.CLOSED
    assert isinstance(events[-1], RunFailed)


async def test_session_closed_while_a_run_is_cancelled_lets_the_cancellation_through() -> None:
    async def close_and_hang(_call: Call) -> Reply:
        await session.close()
        await anyio.sleep_forever()
        raise AssertionError

    session = open_session(close_and_hang)

    with anyio.move_on_after(0.01) as scope:
        await session.message("Hi")
    assert scope.cancelled_caught


async def test_stream_without_a_with_ends_cleanly_at_a_time_limit() -> None:
    async def hang(_call: Call) -> Reply:
        await anyio.sleep_forever()
        raise AssertionError

    session = open_session(hang, text_reply("later"))
    with anyio.move_on_after(0.01) as scope:
        async for _event in session.stream("Hi"):
            pass

    assert scope.cancelled_caught
    assert (await session.message("Hi")).text == "later"


async def test_bad_message_is_refused_before_any_call() -> None:
    transport = ScriptedTransport()
    session = AgentSession(AgentClientManager(transport), model="haiku")

    with pytest.raises(UsageError, match="empty"):
        await session.message("  ")

    assert (transport.calls, session.get_state()) == ([], SessionState.READY)


async def test_unknown_run_option_is_refused_with_a_suggestion() -> None:
    session = open_session()

    with pytest.raises(UsageError) as caught:
        await session.message("Hi", max_turn=3)

    assert "max_turns" in caught.value.hint


async def test_sinks_see_the_whole_run_in_order() -> None:
    events: list[Event] = []
    session = open_session(
        tool_reply(("echo", {"text": "a"}), text="Wait"),
        text_reply("done"),
        tools=[echo],
        sinks=[events.append],
    )
    events.clear()

    await session.message("Go")

    kinds = [type(event) for event in events if not isinstance(event, StateChanged)]
    assert kinds == [RunStarted, TextDelta, ToolStarted, ToolFinished, TextDelta, RunFinished]
    assert {event.session_id for event in events} == {session.session_id}
    states = [event.after for event in events if isinstance(event, StateChanged)]
    assert states == [
        "awaiting_model",
        "processing_response",
        "executing_tool",
        "awaiting_model",
        "processing_response",
        "idle",
    ]


async def test_failing_sink_does_not_disturb_the_run() -> None:
    def broken(_event: Event) -> None:
        raise RuntimeError("sink")

    assert (await open_session(text_reply("ok"), sinks=[broken]).message("Hi")).text == "ok"


async def test_failed_run_is_shown_to_the_sinks() -> None:
    events: list[Event] = []
    session = open_session(OverloadedError("busy"), sinks=[events.append])

    with pytest.raises(OverloadedError):
        await session.message("Hi")

    failed = events[-1]
    assert isinstance(failed, RunFailed)
    assert (failed.turns, failed.usage) == (0, Usage())


async def test_failed_run_tells_what_was_spent_until_then() -> None:
    events: list[Event] = []
    session = open_session(
        tool_reply(("echo", {"text": "a"})),
        OverloadedError("busy"),
        tools=[echo],
        sinks=[events.append],
    )

    with pytest.raises(OverloadedError):
        await session.message("Hi")

    failed = events[-1]
    assert isinstance(failed, RunFailed)
    assert (failed.turns, failed.usage) == (1, Usage(input_tokens=100, output_tokens=10))


async def test_stream_yields_events_and_ends_with_the_result() -> None:
    session = open_session(text_reply("Hello"))
    stream = session.stream("Hi")

    events = [event async for event in stream]

    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "Hello"
    assert isinstance(events[-1], RunFinished)
    assert stream.result.text == "Hello"


async def test_stream_left_early_cancels_the_run_and_the_session_stays_usable() -> None:
    async def hang(_call: Call) -> Reply:
        await anyio.sleep_forever()
        raise AssertionError

    session = open_session(hang, text_reply("later"))
    async with session.stream("Hi") as stream:
        async for _event in stream:
            break

    assert (await session.message("Hi")).text == "later"


async def test_unstreamed_run_sends_calls_without_emit() -> None:
    transport = ScriptedTransport(text_reply("x"), text_reply("y"))
    session = AgentSession(AgentClientManager(transport), model="haiku")

    plain = await session.message("Hi", stream=False)
    streamed = await session.message("Hi")

    assert [call.emit is None for call in transport.calls] == [True, False]
    assert plain.time_to_first_token_ms is None
    assert streamed.time_to_first_token_ms is not None


async def test_time_to_first_token_counts_from_the_start_of_the_run() -> None:
    clock = VirtualClock()

    async def slow(call: Call) -> Reply:
        assert call.emit is not None
        clock.advance(0.5)
        delta = {"type": "text_delta", "text": "x"}
        await call.emit({"type": "content_block_delta", "index": 0, "delta": delta})
        clock.advance(1.0)
        return text_reply("x")

    result = await open_session(slow, clock=clock).message("Hi")

    assert (result.time_to_first_token_ms, result.duration_ms) == (500.0, 1500.0)


async def test_time_to_first_token_is_that_of_the_attempt_that_answered() -> None:
    clock = VirtualClock()

    async def broken_once(call: Call) -> Reply:
        assert call.emit is not None
        for _attempt in range(2):
            await call.emit({"type": "message_start"})
            clock.advance(0.5)
            delta = {"type": "text_delta", "text": "x"}
            await call.emit({"type": "content_block_delta", "index": 0, "delta": delta})
        return text_reply("x")

    result = await open_session(broken_once, clock=clock).message("Hi")

    assert result.time_to_first_token_ms == 1000.0


async def test_time_to_first_token_is_that_of_the_first_reply_with_text() -> None:
    clock = VirtualClock()

    def saying(answer: Reply) -> Any:
        async def say(call: Call) -> Reply:
            assert call.emit is not None
            clock.advance(0.5)
            await call.emit({"type": "message_start"})
            delta = {"type": "text_delta", "text": "x"}
            await call.emit({"type": "content_block_delta", "index": 0, "delta": delta})
            return answer

        return say

    silent = tool_reply(("nothing", {}))
    script = (silent, saying(silent), saying(text_reply("x")))
    result = await open_session(*script, clock=clock).message("Hi")

    assert (result.turns, result.time_to_first_token_ms) == (3, 500.0)


async def test_memory_strategy_picks_what_is_sent() -> None:
    class LastOnly:
        def select(self, history: Sequence[Message]) -> Sequence[Message]:
            return history[-1:]

    transport = ScriptedTransport(text_reply("a"), text_reply("b"))
    session = AgentSession(AgentClientManager(transport), model="haiku", memory=LastOnly())

    await session.message("one")
    await session.message("two")

    assert [len(call.messages) for call in transport.calls] == [1, 1]
    assert len(session.get_history()) == 4


async def test_system_prompt_can_be_replaced_between_messages() -> None:
    transport = ScriptedTransport(text_reply("a"), text_reply("b"))
    session = AgentSession(AgentClientManager(transport), model="haiku", system="Be kind.")

    await session.message("one")
    session.set_system_prompt("Be brief.")
    await session.message("two")

    assert [call.system for call in transport.calls] == ["Be kind.", "Be brief."]
    assert session.get_last_request() is transport.calls[-1]
    last = session.get_last_response()
    assert last is not None
    assert last.text == "b"


async def test_tools_can_be_registered_and_taken_away() -> None:
    session = open_session()
    session.register_tool(echo)
    assert [spec.name for spec in session.get_tools()] == ["echo"]
    with pytest.raises(UsageError, match="registered"):
        session.register_tool(echo)

    session.unregister_tool("echo")
    assert session.get_tools() == ()
    with pytest.raises(ToolNotFound):
        session.unregister_tool("echo")


async def test_hooks_may_change_refuse_and_rewrite_tool_calls() -> None:
    session = open_session(
        tool_reply(("echo", {"text": "a"}), ("echo", {"text": "secret"}), ("echo", {"text": "no"})),
        text_reply("done"),
        tools=[echo],
    )

    def before(call: ToolCall) -> ToolCall | None:
        if call.input["text"] == "secret":
            raise ToolDenied("not that one")
        return None

    def after(_call: ToolCall, result: ToolResult) -> ToolResult:
        return ToolResult(tool_call_id=result.tool_call_id, content=result.content.upper())

    session.on_before_tool_call(before)
    session.on_after_tool_execution(after)
    session.register_validator("echo", lambda given: "forbidden" if given["text"] == "no" else None)

    await session.message("Go")

    contents = [block["content"] for block in session.get_history()[2]["content"]]
    assert contents[0] == "ECHO A"
    assert "not that one" in contents[1]
    assert "forbidden" in contents[2]


async def test_run_is_one_trace_with_a_child_for_each_call() -> None:
    tracer = PerformanceTracer()
    session = open_session(
        tool_reply(("echo", {"text": "a"})), text_reply("done"), tools=[echo], tracer=tracer
    )

    result = await session.message("Go")

    spans = {span.name: span for span in tracer.finished_spans()}
    inside = {"tool.compile_schema", "tool.check", "tool.run"}
    assert set(spans) == {"invoke_agent", "execute_tool echo", *inside}
    assert result.trace_id == f"{spans['invoke_agent'].trace_id:032x}"
    assert spans["execute_tool echo"].parent_id == spans["invoke_agent"].span_id


async def test_session_without_a_tracer_has_no_trace_id() -> None:
    assert (await open_session(text_reply("x")).message("Hi")).trace_id is None


async def test_debug_logs_states_and_calls_but_no_contents(
    caplog: pytest.LogCaptureFixture,
) -> None:
    session = open_session(text_reply("secret answer"), text_reply("b"))
    session.set_debug(True)
    with caplog.at_level("DEBUG", logger="sdk_workflow.agent"):
        await session.message("secret question")
        session.set_debug(False)
        logged = len(caplog.records)
        await session.message("again")

    assert "ready -> awaiting_model" in caplog.text
    assert "secret" not in caplog.text
    assert len(caplog.records) == logged


async def test_closed_session_refuses_messages() -> None:
    async with open_session() as session:
        pass
    await session.close()

    assert session.get_state() is SessionState.CLOSED
    with pytest.raises(UsageError, match="closed"):
        await session.message("Hi")


async def test_builtin_tools_are_confined_to_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("inside")
    session = open_session(
        tool_reply(("read", {"path": "notes.txt"}), ("read", {"path": "/etc/hostname"})),
        text_reply("done"),
        tools=["read"],
        working_directory=tmp_path,
    )

    result = await session.message("Go")
    await session.close()

    assert session.get_history()[2]["content"][0]["content"] == "inside"
    assert [record.is_error for record in result.tool_calls] == [False, True]


@pytest.mark.parametrize("bad", ["reed", 7])
def test_what_is_no_tool_is_refused(bad: Any) -> None:
    with pytest.raises(UsageError):
        open_session(tools=[bad])


def test_message_sync_answers_without_an_event_loop() -> None:
    session = open_session(text_reply("one"), text_reply("two"))

    assert [session.message_sync("Hi").text, session.message_sync("Hi").text] == ["one", "two"]
    session.close_sync()


@pytest.mark.parametrize("name", ["max_tokens", "max_turns", "timeout_seconds"])
def test_limits_under_which_nothing_can_run_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=name):
        RunOptions().changed({name: 0})


def make_tool(name: str, run: Any) -> Tool:
    spec = ToolSpec(name=name, description="A test's tool.", input_schema={"type": "object"})
    return Tool(spec=spec, run=run)
