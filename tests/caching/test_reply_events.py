"""A finished reply as a stream: what is built from its events is the same reply."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from sdk_workflow._internal.reply_builder import ReplyBuilder
from sdk_workflow._internal.reply_events import reply_events
from sdk_workflow.types import Reply, Usage
from tests.scripted import reply

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
TEXTS = st.text() | st.text(min_size=250, max_size=600)
CITATIONS = st.none() | st.lists(st.fixed_dictionaries({"page": st.integers()}), max_size=3)
BLOCKS = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": TEXTS}),
    st.fixed_dictionaries({"type": st.just("text"), "text": TEXTS, "citations": CITATIONS}),
    st.fixed_dictionaries({"type": st.just("thinking"), "thinking": TEXTS, "signature": TEXTS}),
    st.fixed_dictionaries({"type": st.just("redacted_thinking"), "data": st.text()}),
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["tool_use", "server_tool_use"]),
            "id": st.text(),
            "name": st.text(),
            "input": st.dictionaries(st.text(), JSON, max_size=3),
        }
    ),
    st.fixed_dictionaries({"type": st.just("of_tomorrow"), "content": JSON}),
)
COUNTS = st.integers(0, 10**9)
REPLIES = st.builds(
    Reply,
    id=st.text(),
    model=st.text(),
    content=st.lists(BLOCKS, max_size=4).map(tuple),
    stop_reason=st.text(min_size=1),
    stop_sequence=st.none() | st.text(),
    usage=st.builds(
        Usage,
        input_tokens=COUNTS,
        output_tokens=COUNTS,
        cache_read_input_tokens=COUNTS,
        cache_write_5m_input_tokens=COUNTS,
        cache_write_1h_input_tokens=COUNTS,
    ),
)


def built(finished: Reply, **options: Any) -> Reply:
    builder = ReplyBuilder()
    for event in reply_events(finished, **options):
        builder.add(event)
    return builder.finish(served_by=finished.served_by)


@given(finished=REPLIES, size=st.integers(1, 300))
def test_what_is_built_from_the_events_is_the_reply(finished: Reply, size: int) -> None:
    assert built(finished) == finished
    assert built(finished, characters_per_delta=size) == finished


def test_the_reply_itself_stays_as_it_is() -> None:
    block = {"type": "text", "text": "Hi", "citations": [{"page": 1}]}
    list(reply_events(reply([block], stop_reason="end_turn")))
    assert block == {"type": "text", "text": "Hi", "citations": [{"page": 1}]}


def test_text_comes_in_pieces() -> None:
    long = reply([{"type": "text", "text": "abcde"}], stop_reason="end_turn")
    pieces = [
        event["delta"]["text"]
        for event in reply_events(long, characters_per_delta=2)
        if event["type"] == "content_block_delta"
    ]
    assert pieces == ["ab", "cd", "e"]


@pytest.mark.parametrize(("tokens", "at_start"), [(0, 0), (1, 1), (50, 1)])
def test_the_start_announces_one_token_of_output_at_the_most(tokens: int, at_start: int) -> None:
    finished = reply([], stop_reason="end_turn", usage=Usage(output_tokens=tokens))
    first = next(iter(reply_events(finished)))
    assert first["message"]["usage"]["output_tokens"] == at_start


def test_details_of_the_stop_go_along() -> None:
    details = {"type": "refusal"}
    events = list(reply_events(reply([], stop_reason="refusal"), stop_details=details))
    assert events[-2]["delta"]["stop_details"] == details
