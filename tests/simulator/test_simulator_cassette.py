"""Cassettes: a whole run with its tools is recorded, replayed without model and tools, and compared."""

from __future__ import annotations

import dataclasses
import functools
import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow._internal.reply_builder import ReplyBuilder
from sdk_workflow.agent.session import AgentSession
from sdk_workflow.core.agent_client import AgentClientManager
from sdk_workflow.exceptions import (
    LLMError,
    OverloadedError,
    StorageError,
    StreamInterrupted,
    ToolFailed,
    UsageError,
)
from sdk_workflow.simulator.cassette import CassetteDrift, CassettePlayer, CassetteRecorder
from sdk_workflow.simulator.cassette_file import Cassette, RecordedCall, RecordedTool
from sdk_workflow.simulator.drift import Difference, differences
from sdk_workflow.simulator.replies import reply_events
from sdk_workflow.simulator.transport import SimulatorTransport
from sdk_workflow.testing.replay import replayed_tools
from sdk_workflow.tools.registry import Tool
from sdk_workflow.types import Call, Reply, ToolSpec, Usage
from tests.simulator.simulated import MODEL, NOVEMBER_21, call, simulation, streamed

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.types import RunResult

KEY = "sk-ant-api03-planted_SECRET"
SCHEMA = {
    "type": "object",
    "properties": {"item": {"type": "string"}},
    "required": ["item"],
    "additionalProperties": False,
}
SCRIPT: list[Any] = [
    {
        "text": "Let me count.",
        "tools": [
            {"name": "stock", "input": {"item": "beans"}},
            {"name": "stock", "input": {"item": "gold"}},
        ],
    },
    "There are 12 beans, and no gold.",
]


def stock(item: str) -> str:
    if item == "gold":
        raise ToolFailed(f"No {item} here; ask with {KEY}.", code="no_gold")
    return "12"


STOCK = Tool(spec=ToolSpec(name="stock", description="Count.", input_schema=SCHEMA), run=stock)


async def run(transport: Any, tools: list[Tool], recorder: Any = None, **options: Any) -> RunResult:
    async with (
        AgentClientManager(transport) as client,
        AgentSession(client, model=MODEL, tools=tools, **options) as session,
    ):
        if recorder is not None:
            session.on_after_tool_execution(recorder.record_tool)
        return await session.message("How many beans, and how much gold?")


def record(path: Path | None = None, script: Any = SCRIPT) -> tuple[Cassette, RunResult]:
    recorder = CassetteRecorder(SimulatorTransport(simulation(script=script)), path)
    result = anyio.run(functools.partial(run, recorder, [STOCK], recorder))
    return recorder.cassette, result


def test_a_run_is_replayed_without_its_model_and_its_tools(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    _, recorded = record(path)
    player = CassettePlayer(Cassette.load(path))
    tools = replayed_tools(player)
    assert [tool.spec for tool in tools] == [STOCK.spec]
    replayed = anyio.run(run, player, tools)
    assert replayed.text == recorded.text == "There are 12 beans, and no gold."
    assert replayed.usage == recorded.usage
    calls = [
        [(c.name, dict(c.input), c.is_error, c.error_code) for c in result.tool_calls]
        for result in (recorded, replayed)
    ]
    assert calls[0] == calls[1]
    assert calls[0][1] == ("stock", {"item": "gold"}, True, "no_gold")
    player.assert_finished()
    assert player.remaining_calls == 0


def test_a_replayed_stream_folds_into_the_recorded_reply() -> None:
    cassette, _ = record()
    events: list[Any] = []
    first = Call.from_params(cassette.calls[0].request)
    reply = anyio.run(CassettePlayer(cassette).send, streamed(first, events))
    builder = ReplyBuilder()
    for event in events:
        builder.add(event)
    folded = builder.finish(served_by="simulator", request_id=reply.request_id)
    assert folded == reply
    assert [block["type"] for block in reply.content] == ["text", "tool_use", "tool_use"]


def test_what_was_streamed_is_recorded_as_one_reply() -> None:
    recorder = CassetteRecorder(SimulatorTransport(simulation(script=["Hello there, friend."])))
    events: list[Any] = []
    reply = anyio.run(recorder.send, streamed(call(), events))
    assert len(events) > 4
    recorded = recorder.cassette.calls[0]
    assert recorded.was_streamed
    assert recorded.message is not None
    assert recorded.message["content"] == [{"type": "text", "text": "Hello there, friend."}]
    assert anyio.run(CassettePlayer(recorder.cassette).send, call()).text == reply.text


def test_another_request_is_a_drift_that_says_where() -> None:
    cassette, _ = record()
    changed = dataclasses.replace(STOCK, spec=dataclasses.replace(STOCK.spec, description="Count!"))
    with pytest.raises(CassetteDrift) as caught:
        anyio.run(run, CassettePlayer(cassette), [changed])
    assert [str(difference) for difference in caught.value.differences] == [
        "tools.0.description: 'Count.' -> 'Count!'"
    ]
    assert "tools.0.description" in str(caught.value)
    assert (caught.value.code, caught.value.retryable) == ("cassette_drift", False)
    assert "Record the cassette again" in caught.value.hint


def test_a_drift_can_be_looked_at_and_played_over() -> None:
    cassette, recorded = record()
    player = CassettePlayer(cassette, on_drift="next")
    result = anyio.run(functools.partial(run, player, replayed_tools(player), system="Be brief."))
    assert result.text == recorded.text
    assert len(player.drifts) == 2
    assert str(player.drifts[0].differences[0]) == "system: nothing -> 'Be brief.'"


def test_a_run_that_asks_for_more_or_less_than_was_recorded_is_a_drift() -> None:
    cassette, _ = record()
    player = CassettePlayer(cassette)
    with pytest.raises(CassetteDrift, match="2 recorded calls were not asked for"):
        player.assert_finished()
    for recorded in cassette.calls:
        anyio.run(player.send, Call.from_params(recorded.request))
    player.assert_finished()
    with pytest.raises(CassetteDrift, match="more than was recorded"):
        anyio.run(player.send, Call.from_params(cassette.calls[0].request))


def test_calls_side_by_side_are_played_in_any_order() -> None:
    recorder = CassetteRecorder(SimulatorTransport(simulation(script=["A.", "B."])))
    for text in ("a", "b"):
        anyio.run(recorder.send, call(text))
    player = CassettePlayer(recorder.cassette)
    assert [anyio.run(player.send, call(text)).text for text in ("b", "a")] == ["B.", "A."]


def test_a_long_drift_is_cut_with_a_count() -> None:
    drift = CassetteDrift("Other.", [Difference(f"a.{index}", 1, 2) for index in range(20)])
    assert str(drift).count("->") == 8
    assert str(drift).endswith("and 12 more")


def test_a_tool_that_was_called_otherwise_is_a_drift() -> None:
    cassette, _ = record()
    player = CassettePlayer(cassette)
    with pytest.raises(CassetteDrift, match=r"input\.item: 'beans' -> 'tea'"):
        player.tool_result("stock", {"item": "tea"})
    with pytest.raises(CassetteDrift, match="tool 'other' was not recorded"):
        player.tool_result("other", {})
    tolerant = CassettePlayer(cassette, on_drift="next")
    assert tolerant.tool_result("stock", {"item": "tea"}).content == "12"
    with pytest.raises(CassetteDrift):
        tolerant.tool_result("other", {})


def test_the_same_tool_call_gives_each_recorded_result_once() -> None:
    cassette = Cassette()
    for content in ("1", "2"):
        cassette.add(RecordedTool(id="x", name="now", input={}, content=content))
    player = CassettePlayer(cassette)
    assert [player.tool_result("now", {}).content for _ in range(2)] == ["1", "2"]


def failures(transport: Any) -> list[LLMError]:
    found: list[LLMError] = []
    for _ in range(2):
        with pytest.raises(LLMError) as error:
            anyio.run(transport.send, streamed(call(), []))
        found.append(error.value)
    return found


def test_errors_are_recorded_and_raised_again_with_their_type() -> None:
    simulated = simulation(faults="529:retry-after=3@0;truncate@1")
    recorder = CassetteRecorder(SimulatorTransport(simulated))
    caught = failures(recorder)
    caught += failures(CassettePlayer(recorder.cassette))
    assert [type(error) for error in caught] == [OverloadedError, StreamInterrupted] * 2
    assert caught[2].retry_after_seconds == caught[0].retry_after_seconds == 3.0
    # Headers stay out of a cassette, as those of replies do.
    assert vars(caught[2]) == {**vars(caught[0]), "headers": {}}


def test_an_error_of_an_unknown_type_is_an_llm_error() -> None:
    cassette = Cassette()
    request = call().to_params()
    for name in ("SomethingNew", "UsageError"):
        cassette.add(RecordedCall(request=request, error={"class": name, "message": "Odd."}))
    player = CassettePlayer(cassette)
    for _ in range(2):
        with pytest.raises(LLMError, match="Odd") as caught:
            anyio.run(player.send, call())
        assert type(caught.value) is LLMError


def test_counting_tokens_is_recorded_too() -> None:
    recorder = CassetteRecorder(SimulatorTransport(simulation()))
    tokens = anyio.run(recorder.count_tokens, call())
    player = CassettePlayer(recorder.cassette)
    assert anyio.run(player.count_tokens, call()) == tokens > 0
    anyio.run(player.aclose)
    with pytest.raises(CassetteDrift):
        anyio.run(player.count_tokens, call())


def test_the_time_of_each_call_is_recorded() -> None:
    clock = VirtualClock(NOVEMBER_21)
    recorder = CassetteRecorder(SimulatorTransport(simulation(clock=clock)), clock=clock)
    for pause in (0, 2, 300):
        clock.advance(pause)
        anyio.run(recorder.send, call())
    assert [recorded.at_seconds for recorded in recorder.cassette.calls] == [0, 2, 302]


def test_secrets_never_reach_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    script = [
        {"text": f"Key {KEY}", "tools": [{"name": "stock", "input": {"item": "gold"}}]},
        f"It was {KEY}, mail ann@example.com.",
    ]
    record(path, script)
    text = path.read_text()
    assert "planted_SECRET" not in text
    assert text.count("sk-ant-[redacted]") >= 4
    assert "ann@example.com" in text
    hidden = CassetteRecorder(
        SimulatorTransport(simulation(script=script[1:])), redacts_emails=True
    )
    anyio.run(hidden.send, call("I am bob@example.com"))
    hidden.cassette.save(path)
    assert "@example.com" not in path.read_text()
    # The one who asks with the secret again is answered all the same.
    player = CassettePlayer(Cassette.load(path))
    assert anyio.run(player.send, call("I am bob@example.com")).text.endswith("mail [e-mail].")


def test_a_cassette_survives_its_file(tmp_path: Path) -> None:
    cassette, _ = record()
    odd = "line\u2028separator, \ud800 and \x1c"
    cassette.add(RecordedTool(id="1", name="odd", input={"a": [1, None]}, content=odd))
    cassette.save(tmp_path / "run.jsonl")
    loaded = Cassette.load(tmp_path / "run.jsonl")
    assert loaded.calls == cassette.calls
    assert loaded.tools[:-1] == cassette.tools[:-1]
    assert loaded.tools[-1].content == odd.replace("\ud800", "?")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1"),
        ("[]", "line 1: it is no JSON object"),
        ('{"schema": "sdk_workflow.cassette/9"}', "version 'sdk_workflow.cassette/9'"),
        ('{"schema": "sdk_workflow.cassette/1"}\n{', "line 2"),
        ('{"schema": "sdk_workflow.cassette/1"}\n{"kind": "call"}', "line 2"),
        ('{"schema": "sdk_workflow.cassette/1"}\n{"kind": "tool", "new": 1}', "line 2"),
        ('{"schema": "sdk_workflow.cassette/1"}\n{}', "line 2"),
    ],
)
def test_a_damaged_cassette_is_refused_with_its_line(
    tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(content)
    with pytest.raises(StorageError, match=message):
        Cassette.load(path)


def test_a_cassette_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"missing\.jsonl"):
        Cassette.load(tmp_path / "missing.jsonl")


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_spent(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="The cassette"):
        CassetteRecorder(SimulatorTransport(), tmp_path / "no" / "run.jsonl")


def test_the_transport_is_closed_even_if_the_file_cannot_be_written(tmp_path: Path) -> None:
    closed: list[bool] = []

    class Closing(SimulatorTransport):
        async def aclose(self) -> None:
            closed.append(True)

    folder = tmp_path / "gone"
    folder.mkdir()
    recorder = CassetteRecorder(Closing(), folder / "run.jsonl")
    folder.rmdir()
    with pytest.raises(StorageError):
        anyio.run(recorder.aclose)
    assert closed == [True]


BLOCKS = st.lists(
    st.one_of(
        st.builds(lambda text: {"type": "text", "text": text}, st.text(max_size=80)),
        st.builds(
            lambda text: {"type": "thinking", "thinking": text, "signature": "sig"},
            st.text(max_size=60),
        ),
        st.builds(
            lambda value: {"type": "tool_use", "id": "t", "name": "n", "input": value},
            st.dictionaries(st.text(max_size=5), st.text(max_size=40), max_size=3),
        ),
        st.just({"type": "redacted_thinking", "data": "x"}),
    ),
    max_size=4,
)


@given(BLOCKS, st.integers(0, 500))
def test_any_reply_comes_back_from_its_events(blocks: list[Any], output_tokens: int) -> None:
    reply = Reply(
        id="msg_1",
        model=MODEL,
        content=tuple(blocks),
        stop_reason="end_turn",
        usage=Usage(input_tokens=3, cache_write_1h_input_tokens=2, output_tokens=output_tokens),
    )
    builder = ReplyBuilder()
    for event in reply_events(reply):
        builder.add(event)
    assert builder.finish() == reply


VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from("ab"),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=8,
)


@example({"a": 0}, {"a": False})
@example([1], [True])
@given(VALUES, VALUES)
def test_two_values_differ_somewhere_exactly_if_they_are_not_equal(first: Any, second: Any) -> None:
    assert list(differences(first, first)) == []
    is_same = json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
    assert bool(list(differences(first, second))) != is_same


@pytest.mark.parametrize(
    ("difference", "shown"),
    [
        (Difference("a", 1, None), "a: 1 -> null"),
        (Difference("a", {"b": [1]}, "x"), "a: {\"b\": [1]} -> 'x'"),
        (
            Difference("a", "same " * 30 + "old end", "same " * 30 + "new end"),
            "a: …'same same same same old end' -> …'same same same same new end'",
        ),
        (Difference("a", "x" * 300, 5), f"a: '{'x' * 100}'… -> 5"),
        (
            Difference("a", "x" * 150, "x" * 160),
            f"a: …'{'x' * 20}' -> …'{'x' * 30}'",
        ),
        (Difference("a", ["y" * 300], 5), f'a: ["{"y" * 97}… -> 5'),
    ],
)
def test_a_difference_is_shown_short_and_where_it_begins(
    difference: Difference, shown: str
) -> None:
    assert str(difference) == shown
