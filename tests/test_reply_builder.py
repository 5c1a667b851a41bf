from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_workflow._internal.reply_builder import ReplyBuilder, read_message
from sdk_workflow.exceptions import LLMError, OverloadedError, StreamInterrupted
from sdk_workflow.types import Usage

Event = dict[str, Any]


def start(**usage: int) -> Event:
    message = {"id": "msg_1", "model": "m", "content": [], "usage": {"output_tokens": 1, **usage}}
    return {"type": "message_start", "message": message}


def opened(index: int, **block: Any) -> Event:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, kind: str, **fields: Any) -> Event:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def closed(index: int) -> Event:
    return {"type": "content_block_stop", "index": index}


def ended(reason: str = "end_turn", **usage: Any) -> Event:
    return {
        "type": "message_delta",
        "delta": {"stop_reason": reason, "stop_sequence": None},
        "usage": {"output_tokens": 9, **usage},
    }


STOP: Event = {"type": "message_stop"}


def build(*events: Event) -> ReplyBuilder:
    builder = ReplyBuilder()
    for event in events:
        builder.add(event)
    return builder


def tool_call(*pieces: str) -> list[Event]:
    block = opened(0, type="tool_use", id="toolu_1", name="read", input={})
    deltas = [delta(0, "input_json_delta", partial_json=piece) for piece in pieces]
    return [block, *deltas, closed(0)]


def test_text_arrives_in_order_of_its_blocks() -> None:
    builder = build(
        start(input_tokens=5),
        {"type": "ping"},
        opened(1, type="text", text=""),
        opened(0, type="text", text="Oh. "),
        delta(1, "text_delta", text="world"),
        delta(0, "text_delta", text="Hello "),
        closed(0),
        closed(1),
        ended(),
        STOP,
    )
    reply = builder.finish(served_by="simulator")
    assert reply.text == "Oh. Hello world"
    assert reply.usage == Usage(input_tokens=5, output_tokens=9)
    assert (reply.stop_reason, reply.served_by, reply.id) == ("end_turn", "simulator", "msg_1")


def test_a_tool_call_is_put_together_from_its_pieces() -> None:
    reply = build(
        start(), *tool_call("", '{"path": "a', '.txt"}'), ended("tool_use"), STOP
    ).finish()
    assert reply.content == (
        {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {"path": "a.txt"}},
    )


def test_a_tool_call_without_pieces_keeps_its_empty_input() -> None:
    reply = build(start(), *tool_call(""), ended("tool_use"), STOP).finish()
    assert reply.tool_calls[0].input == {}


def test_a_tool_call_cut_off_at_max_tokens_is_left_out() -> None:
    reply = build(start(), *tool_call('{"path": "a'), ended("max_tokens"), STOP).finish()
    assert (reply.stop_reason, reply.content) == ("max_tokens", ())


@pytest.mark.parametrize("arguments", ['{"path": "a', "nonsense"])
def test_broken_arguments_are_a_fault_where_nothing_was_cut_off(arguments: str) -> None:
    with pytest.raises(StreamInterrupted, match="message_stop"):
        build(start(), *tool_call(arguments), ended("tool_use"), STOP)


def test_thinking_keeps_its_signature_and_citations_are_collected() -> None:
    builder = build(
        start(),
        opened(0, type="thinking", thinking="", signature=""),
        delta(0, "thinking_delta", thinking="Hm"),
        delta(0, "signature_delta", signature="abc"),
        closed(0),
        opened(1, type="text", text=""),
        delta(1, "citations_delta", citation={"page": 1}),
        delta(1, "citations_delta", citation={"page": 2}),
        delta(1, "a_delta_of_tomorrow", text="?"),
        closed(1),
        ended(),
        STOP,
    )
    assert builder.finish().content == (
        {"type": "thinking", "thinking": "Hm", "signature": "abc"},
        {"type": "text", "text": "", "citations": [{"page": 1}, {"page": 2}]},
    )


def test_absent_and_null_usage_keeps_what_the_start_said() -> None:
    builder = build(
        start(input_tokens=5, cache_read_input_tokens=7), ended(input_tokens=None), STOP
    )
    usage = builder.finish().usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (5, 7, 9)


def test_unknown_events_are_ignored() -> None:
    builder = build(start(), {"type": "news"}, {"type": None}, {"type": []}, {}, ended(), STOP)
    assert builder.finish().content == ()


def test_content_and_partial_text_can_be_asked_for_on_the_way() -> None:
    builder = build(start())
    assert (builder.has_content, builder.partial_text) == (False, "")
    builder.add(opened(0, type="text", text=""))
    builder.add(delta(0, "text_delta", text="half"))
    assert (builder.has_content, builder.partial_text) == (True, "half")


COMPLETE = [
    start(),
    opened(0, type="text", text=""),
    delta(0, "text_delta", text="half an answer"),
    closed(0),
    ended(),
    STOP,
]


@pytest.mark.parametrize("length", range(len(COMPLETE)))
def test_a_stream_cut_anywhere_is_no_reply(length: int) -> None:
    builder = build(*COMPLETE[:length])
    with pytest.raises(StreamInterrupted, match="ended before") as caught:
        builder.finish()
    assert caught.value.partial_text == ("half an answer" if length > 2 else "")
    assert caught.value.retryable


@pytest.mark.parametrize(
    "events",
    [
        [{"type": "message_start"}],
        [{"type": "message_start", "message": {"id": "msg_1"}}],
        [ended()],
        [STOP],
        [start(), delta(0, "text_delta", text="x")],
        [start(), closed(0)],
        [start(), opened(0, type="text", text=""), opened(0, type="text", text="")],
        [start(), opened(0, type="text", text=""), delta(0, "text_delta", text=None)],
        [start(), opened(0, type="text", text=""), delta(0, "text_delta")],
        [start(), opened(0, type="text", text=""), ended(), STOP],
        [start(), opened(0, type="text", text=""), closed(0), closed(0)],
        [start(), {"type": "content_block_start", "index": 0}],
        [start(), {"type": "message_delta", "delta": None, "usage": {}}],
        [start(), *tool_call("[1]")],
    ],
)
def test_events_that_form_no_reply_are_refused(events: list[Event]) -> None:
    with pytest.raises(StreamInterrupted, match="malformed"):
        build(*events)


def test_an_error_event_becomes_the_typed_error() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    with pytest.raises(OverloadedError, match="Overloaded"):
        build(start(), error)


def test_an_error_of_no_known_type_keeps_the_partial_text() -> None:
    error = {"type": "error", "error": {"type": "odd", "message": "gone"}, "request_id": "req_1"}
    with pytest.raises(StreamInterrupted, match="gone") as caught:
        build(*COMPLETE[:3], error)
    assert (caught.value.partial_text, caught.value.request_id) == ("half an answer", "req_1")


# What comes after the end, and what is no reply


@pytest.mark.parametrize(
    "late",
    [
        start(),
        {"type": "error", "error": {"type": "overloaded_error", "message": "late"}},
        delta(0, "text_delta", text="more"),
        {"type": "message_delta"},
    ],
    ids=lambda event: event["type"],
)
def test_what_comes_after_a_whole_reply_is_ignored(late: Event) -> None:
    builder = build(*COMPLETE)
    assert builder.is_finished
    builder.add(late)
    assert builder.finish().text == "half an answer"


@pytest.mark.parametrize("length", range(len(COMPLETE)))
def test_a_reply_is_not_finished_before_its_last_event(length: int) -> None:
    assert not build(*COMPLETE[:length]).is_finished


def test_a_reply_that_says_no_reason_why_it_stopped_is_not_whole() -> None:
    builder = build(*COMPLETE[:4], STOP)  # the event that tells it was lost on the way
    with pytest.raises(StreamInterrupted, match="no finished message") as caught:
        builder.finish()
    assert caught.value.partial_text == "half an answer"


def test_a_server_may_leave_the_usage_out_where_the_reason_comes() -> None:
    last = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    assert build(*COMPLETE[:4], last, STOP).finish().usage.output_tokens == 1


@pytest.mark.parametrize(
    "events",
    [
        [start(), start()],
        [opened(0, type="text", text="")],
        [start(), opened(0, type="text", text=None)],
        [start(), {**opened(0, type="text", text=""), "index": "0"}],
        [start(), {**opened(0, type="text", text=""), "index": None}],
    ],
)
def test_events_out_of_shape_are_refused_at_once(events: list[Event]) -> None:
    with pytest.raises(StreamInterrupted, match="malformed"):
        build(*events)


MESSAGE: Event = {
    "id": "msg_1",
    "model": "m",
    "content": [{"type": "text", "text": "Hello"}, {"type": "news", "of": "tomorrow"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 7, "output_tokens": 9, "service_tier": "standard"},
}
CALL_OF_TOOL: Event = {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {}}


def test_a_whole_message_is_read_with_its_facts() -> None:
    reply = read_message(MESSAGE, request_id="req_1")
    assert (reply.text, reply.request_id, reply.usage.output_tokens) == ("Hello", "req_1", 9)
    assert read_message({**MESSAGE, "usage": None}).usage == Usage()


@pytest.mark.parametrize(
    "change",
    [
        {"id": None},
        {"model": 5},
        {"content": "Hello"},
        {"content": None},
        {"content": ["Hello"]},
        {"content": [{"text": "Hello"}]},
        {"content": [{"type": "text", "text": None}]},
        {"content": [{**CALL_OF_TOOL, "id": None}]},
        {"content": [{**CALL_OF_TOOL, "name": 5}]},
        {"content": [{**CALL_OF_TOOL, "input": "{}"}]},
        {"stop_reason": None},
        {"stop_reason": ""},
        {"usage": {"input_tokens": "7"}},
        {"usage": {"output_tokens": True}},
        {"usage": {"cache_creation": {"ephemeral_1h_input_tokens": 1.5}}},
    ],
    ids=repr,
)
def test_a_message_that_is_not_whole_is_refused(change: Event) -> None:
    with pytest.raises(ValueError, match="This must hold"):
        read_message({**MESSAGE, **change})


def test_what_is_no_object_is_no_message() -> None:
    with pytest.raises(ValueError, match="a message is an object"):
        read_message([])


JUNK = st.sampled_from([None, "", 0, -1, 1.5, [], {}, "x", True, [None], {"a": None}])


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value inside of the events."""
    items = enumerate(value) if isinstance(value, list) else ()
    pairs = value.items() if isinstance(value, dict) else items
    inner = [found for key, part in pairs for found in places(part, (*path, key))]
    return [path, *inner] if len(path) > 1 else inner


WHOLE = [*COMPLETE[:4], *[{**event, "index": 1} for event in tool_call("{}")], ended(), STOP]


@given(data=st.data())
def test_events_of_any_shape_give_a_whole_reply_or_a_typed_error(data: st.DataObject) -> None:
    events: Any = copy.deepcopy(WHOLE)
    for _ in range(data.draw(st.integers(1, 2))):
        *path, last = data.draw(st.sampled_from(places(events)))
        target = events
        for key in path:
            target = target[key]
        target[last] = data.draw(JUNK)
    builder = ReplyBuilder()
    try:
        for event in events:
            builder.add(event)
        reply = builder.finish()
    except LLMError:
        assert isinstance(builder.partial_text, str)
        return
    assert isinstance(reply.text, str)
    assert all(isinstance(call.name, str) for call in reply.tool_calls)
    assert isinstance(reply.usage.prompt_tokens, int)
