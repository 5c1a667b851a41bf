"""What may be cached: nothing that no rule allows."""

from __future__ import annotations

from typing import Any

import pytest

from sdk_workflow.core.caching.eligibility import (
    EligibilityRules,
    last_user_text,
    why_not_stored,
)
from sdk_workflow.types import CacheHit, Call, Usage
from tests.caching.fakes import answer, ask
from tests.scripted import reply, tool_reply

RULES = EligibilityRules()
TOOL = {"name": "read", "input_schema": {"type": "object"}}
IMAGE = {"type": "image", "source": {"type": "base64", "data": "AAAA"}}


def asks(*blocks: Any, **fields: Any) -> Call:
    return Call(model="m", messages=({"role": "user", "content": list(blocks)},), **fields)


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def both(call: Call, rules: EligibilityRules = RULES) -> tuple[str | None, str | None]:
    return rules.refusal(call, "lru"), rules.refusal(call, "semantic")


def test_a_plain_question_may_go_into_both_tiers() -> None:
    assert both(ask("What is a monad?")) == (None, None)
    assert RULES.ttl_seconds(ask("What is a monad?")) is None


@pytest.mark.parametrize("temperature", [0.1, 1])
def test_a_temperature_keeps_a_call_out_unless_it_is_asked_for(temperature: float) -> None:
    call = ask("Hi", parameters={"temperature": temperature})
    assert both(call) == ("temperature", "temperature")
    assert both(call, EligibilityRules(allows_temperature=True)) == (None, "temperature")


@pytest.mark.parametrize("temperature", [0, 0.0, None])
def test_no_temperature_is_no_obstacle(temperature: float | None) -> None:
    assert both(ask("Hi", parameters={"temperature": temperature})) == (None, None)


def test_tools_keep_a_call_out_unless_every_one_is_declared() -> None:
    call = ask("Hi", tools=(TOOL, {**TOOL, "name": "bash"}))
    assert both(call) == ("tools", "tools")
    assert both(call, EligibilityRules(cacheable_tools=frozenset({"read"}))) == ("tools", "tools")
    rules = EligibilityRules(cacheable_tools=frozenset({"read", "bash"}))
    assert both(call, rules) == (None, "tools")


def test_a_tool_without_a_name_is_not_declared() -> None:
    assert RULES.refusal(ask("Hi", tools=({"type": "computer"},)), "lru") == "tools"


@pytest.mark.parametrize("name", ["thread", "container", "mcp_servers", "context_management"])
def test_what_the_server_keeps_is_in_no_key(name: str) -> None:
    assert both(ask("Hi", parameters={name: {"type": "create"}})) == ("server_state",) * 2


@pytest.mark.parametrize("kind", ["base64", "text", "content"])
def test_media_in_the_request_go_into_the_exact_tier_only(kind: str) -> None:
    document = {"type": "document", "source": {"type": kind}}
    assert both(asks(document, text("What is it?"))) == (None, "media")


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "source": {"type": "url", "url": "u"}},
        {"type": "document", "source": {"type": "file", "file_id": "f"}},
        {"type": "image"},
        {"type": "image", "source": "odd"},
        {"type": "container_upload", "file_id": "f"},
        {"type": "tool_result", "content": [IMAGE, {"type": "image", "source": {"type": "url"}}]},
    ],
)
def test_media_elsewhere_may_change_and_keep_a_call_out(block: Any) -> None:
    assert both(asks(block, text("What is it?"))) == ("media_elsewhere",) * 2


def test_media_in_the_system_prompt_are_seen_too() -> None:
    call = ask("Hi", system=({"type": "document", "source": {"type": "url"}},))
    assert RULES.refusal(call, "lru") == "media_elsewhere"


def test_the_result_of_a_tool_that_is_text_is_no_medium() -> None:
    assert both(asks({"type": "tool_result", "content": "x"}, text("Hi"))) == (None, None)


@pytest.mark.parametrize(
    "question",
    [
        "What day is it today?",
        "who is the CURRENT president",
        "What are the latest prices?",
        "Is it raining now?",
        "What is on my list?",
        "What happened last week?",
        "What's the weather in Rome?",
    ],
)
def test_a_question_about_the_present_is_kept_shortly_and_matched_exactly(question: str) -> None:
    assert both(ask(question)) == (None, "volatile")
    assert RULES.ttl_seconds(ask(question)) == 60.0
    assert EligibilityRules(volatile_ttl_seconds=0).ttl_seconds(ask(question)) == 0


@pytest.mark.parametrize(
    "question", ["What is a nowhere?", "Who was Myron?", "What is a snow owl?"]
)
def test_a_volatile_word_inside_another_word_is_none(question: str) -> None:
    assert both(ask(question)) == (None, None)


def test_every_text_of_the_last_message_counts() -> None:
    assert RULES.refusal(asks(text("today"), text("And so?")), "semantic") == "volatile"


@pytest.mark.parametrize(("words", "reason"), [("x" * 512, None), ("x" * 513, "long_text"),
                                               ("é" * 257, "long_text")])  # fmt: skip
def test_a_long_text_is_matched_exactly(words: str, reason: str | None) -> None:
    assert both(ask(words)) == (None, reason)


@pytest.mark.parametrize(
    "messages",
    [
        (),
        ({"role": "assistant", "content": "Hi"},),
        ({"role": "user", "content": "Hi"}, {"role": "assistant", "content": "{"}),
        ({"role": "user", "content": [{"type": "tool_result", "content": "x"}]},),
    ],
)
def test_a_call_that_ends_in_no_text_of_the_user_is_matched_exactly(messages: Any) -> None:
    assert both(Call(model="m", messages=messages)) == (None, "no_text")


def test_the_last_user_text_is_found_behind_other_messages() -> None:
    messages: Any = ({"role": "user", "content": "one"}, {"role": "user", "content": "two"},
                     {"role": "system", "content": "three"})  # fmt: skip
    assert last_user_text(Call(model="m", messages=messages)) == "two"


@pytest.mark.parametrize(
    "reason", ["max_tokens", "refusal", "tool_use", "pause_turn", "stop_sequence", None]
)
def test_a_reply_that_did_not_end_by_itself_is_not_stored(reason: Any) -> None:
    assert why_not_stored(reply([text("x")], stop_reason=reason)) == f"stop_reason_{reason}"


def test_a_finished_reply_may_be_stored() -> None:
    assert why_not_stored(answer()) is None


def test_a_reply_that_asks_for_tools_is_not_stored() -> None:
    assert why_not_stored(tool_reply(("read", {}))) == "stop_reason_tool_use"


@pytest.mark.parametrize("content", [[], [text("")], [text(""), text(" \n")]])
def test_an_empty_reply_is_not_stored(content: Any) -> None:
    assert why_not_stored(reply(content, stop_reason="end_turn")) == "empty"


def test_a_reply_with_one_block_that_says_something_may_be_stored() -> None:
    assert why_not_stored(reply([text(""), text("Yes.")], stop_reason="end_turn")) is None


def test_a_reply_out_of_a_cache_is_not_stored_again() -> None:
    hit = CacheHit(tier="lru", hit_id="h", age_seconds=1, usage=Usage())
    assert why_not_stored(answer(cache_hit=hit)) == "from_cache"
