from __future__ import annotations

import random
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from sdk_workflow._internal.reply_builder import ReplyBuilder
from sdk_workflow.simulator.brain import Thought
from sdk_workflow.simulator.generation import Generation, Lifecycle, Speech
from sdk_workflow.simulator.situation import Probe
from sdk_workflow.simulator.speech import speak
from sdk_workflow.simulator.tokens import PseudoTokenizer
from sdk_workflow.types import Reply

TOKENIZER = PseudoTokenizer()
CALL = Probe(tool="read", input={"path": "a.txt"})


def say(thought: Thought, *, max_tokens: int = 1000, stop: tuple[str, ...] = ()) -> Speech:
    params = {"model": "claude-haiku-4-5", "max_tokens": max_tokens, "stop_sequences": stop}
    return speak(thought, params, TOKENIZER, random.Random(1))  # noqa: S311 - has to be repeatable


def generation(speech: Speech) -> Generation:
    usage = {"input_tokens": 7, "output_tokens": speech.output_tokens, "service_tier": "standard"}
    return Generation(id="msg_1", request_id="req_1", model="m", speech=speech, usage=usage)


def test_text_and_calls_become_blocks_in_that_order() -> None:
    speech = say(Thought(text="I will look.", calls=(CALL, CALL)))
    assert [block["type"] for block in speech.content] == ["text", "tool_use", "tool_use"]
    assert speech.stop_reason == "tool_use"
    assert speech.content[1]["input"] == {"path": "a.txt"}
    assert speech.content[1]["caller"] == {"type": "direct"}
    assert speech.content[1]["id"] != speech.content[2]["id"]


def test_output_tokens_are_those_of_the_blocks() -> None:
    speech = say(Thought(text="I will look.", calls=(CALL,)))
    assert speech.output_tokens == sum(TOKENIZER.count_block(block) for block in speech.content)


@pytest.mark.parametrize(
    ("thought", "content", "reason"),
    [
        (Thought(text="Done."), 1, "end_turn"),
        (Thought(calls=(CALL,)), 1, "tool_use"),
        (Thought(), 0, "end_turn"),
    ],
)
def test_the_stop_reason_tells_what_came_last(thought: Thought, content: int, reason: str) -> None:
    speech = say(thought)
    assert (len(speech.content), speech.stop_reason) == (content, reason)


def test_text_is_cut_at_max_tokens_and_nothing_follows() -> None:
    speech = say(Thought(text="a b c d e", calls=(CALL,)), max_tokens=3)
    assert speech.content == ({"type": "text", "text": "a b c"},)
    assert (speech.stop_reason, speech.output_tokens) == ("max_tokens", 3)


def test_a_call_that_does_not_fit_is_left_out_whole() -> None:
    speech = say(Thought(text="Hm", calls=(CALL, CALL)), max_tokens=25)
    assert [block["type"] for block in speech.content] == ["text", "tool_use"]
    assert speech.stop_reason == "max_tokens"
    assert speech.output_tokens <= 25


def test_the_first_stop_sequence_ends_the_text_and_is_not_part_of_it() -> None:
    speech = say(Thought(text="one END two STOP", calls=(CALL,)), stop=("STOP", "END", "never"))
    assert speech.content == ({"type": "text", "text": "one "},)
    assert (speech.stop_reason, speech.stop_sequence) == ("stop_sequence", "END")


def test_a_stop_sequence_behind_the_cut_was_never_reached() -> None:
    speech = say(Thought(text="one two three END"), max_tokens=2, stop=("END",))
    assert (speech.stop_reason, speech.stop_sequence) == ("max_tokens", None)


def test_a_stop_sequence_at_the_very_start_leaves_nothing() -> None:
    speech = say(Thought(text="END of it"), stop=("END",))
    assert (speech.content, speech.stop_reason) == ((), "stop_sequence")


def test_the_events_have_the_exact_order_and_shape() -> None:
    made = generation(say(Thought(text="I will look now.", calls=(CALL,))))
    events = list(made.events())
    kinds = [event["type"] for event in events]
    assert kinds[:3] == ["message_start", "ping", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert events[0]["message"] == {
        **made.message(),
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 7, "output_tokens": 1, "service_tier": "standard"},
    }
    text, use = (event["content_block"] for event in events if "content_block" in event)
    assert text == {"type": "text", "text": ""}
    assert (use["name"], use["input"]) == ("read", {})
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    assert [each["text"] for each in deltas if each["type"] == "text_delta"] == [
        "I will look",
        " now.",
    ]
    json_parts = [each["partial_json"] for each in deltas if each["type"] == "input_json_delta"]
    assert json_parts[0] == ""
    assert "".join(json_parts) == '{"path": "a.txt"}'
    assert events[-2] == {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": made.speech.output_tokens},
    }


def test_an_answer_can_be_withdrawn_before_it_begins_and_then_only_dropped() -> None:
    told: list[str] = []

    def life() -> Lifecycle:
        told.clear()
        return Lifecycle(
            on_drop=lambda: told.append("dropped"), on_withdraw=lambda: told.append("withdrawn")
        )

    refused = life()
    for _ in range(2):
        refused.withdraw()
    assert told == ["withdrawn", "dropped"]
    begun = life()
    begun.begin()
    begun.withdraw()
    assert told == ["dropped"]


def test_an_event_is_made_only_when_it_is_asked_for() -> None:
    content: list[Any] = [{"type": "text", "text": "one"}]
    speech = Speech(content=content, output_tokens=1, stop_reason="end_turn")  # type: ignore[arg-type]
    events = generation(speech).events()
    assert next(events)["type"] == "message_start"
    content.append({"type": "text", "text": "two"})
    assert sum(event["type"] == "content_block_start" for event in events) == 2


PROBES = st.builds(
    lambda fields: Probe(tool="t", input=fields),
    st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.text()), max_size=3),
)
THOUGHTS = st.builds(
    lambda text, calls: Thought(text=text, calls=tuple(calls)),
    st.text(),
    st.lists(PROBES, max_size=3),
)


@given(
    thought=THOUGHTS, max_tokens=st.integers(1, 200), stop=st.lists(st.text(min_size=1), max_size=2)
)
def test_folding_the_events_gives_the_plain_message(
    thought: Thought, max_tokens: int, stop: list[str]
) -> None:
    made = generation(say(thought, max_tokens=max_tokens, stop=tuple(stop)))
    builder = ReplyBuilder()
    for event in made.events():
        builder.add(event)
    assert builder.finish() == Reply.from_api(made.message())
    assert made.speech.output_tokens <= max_tokens
