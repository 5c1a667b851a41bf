"""Explaining a reply: from the API's diagnostics, its books, and what was seen before."""

from __future__ import annotations

import dataclasses
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from tests.prompt_caching.prompts import (
    MARK,
    RULES,
    Desk,
    assistant,
    call,
    reply,
    text,
    tool,
    user,
    words,
)

if TYPE_CHECKING:
    from sdk_workflow.core.cache import CacheDiagnosis


def explained(desk: Desk, each: Any, *, after: float = 10.0) -> Any:
    built = desk.build(each, after=after)
    return desk.optimizer.explain(each, desk.send(built))


def two_turns() -> list[Any]:
    return [call(user("Hi")), call(user("Hi"), assistant("Yes."), user("And?"))]


def test_the_first_call_is_first_sight_and_the_second_a_hit() -> None:
    desk = Desk()
    first, second = (explained(desk, each) for each in two_turns())
    assert first.reason == "first_sight"
    assert first.written_tokens > 2_000
    assert first.explanation == "Nothing of the prompt had been sent before."
    assert second.reason == "hit"
    assert second.read_tokens == first.written_tokens
    assert second.missed_tokens == 0


def test_a_prompt_below_the_minimum_is_named() -> None:
    assert explained(Desk(), call(system=None)).reason == "below_minimum"


def test_a_gap_beyond_the_lifetime_is_named() -> None:
    desk = Desk()
    first, second = two_turns()
    explained(desk, first)
    assert explained(desk, second, after=3_700).reason == "expired"


def test_a_prefix_that_expired_between_conversations_is_named() -> None:
    desk = Desk()
    explained(desk, call(user("a"), session_id="a"))
    assert explained(desk, call(user("b"), session_id="b"), after=3_700).reason == "expired"


@pytest.mark.parametrize(
    ("fields", "part"), [({"system": RULES + "!"}, "system"), ({"tools": (tool(),)}, "tools")]
)
def test_a_moved_prefix_is_named_with_its_part(fields: dict[str, Any], part: str) -> None:
    desk = Desk()
    explained(desk, call(user("Hi")))
    found = explained(desk, call(user("Hi"), assistant("Yes."), user("And?"), **fields))
    assert (found.reason, found.part) == ("prefix_moved", part)
    assert found.explanation.endswith(f"It was the {part}.")


def test_a_call_that_came_before_the_other_answered_is_named() -> None:
    desk = Desk()
    for name in ("a", "b"):
        desk.build(call(user(words(name)), session_id=None), after=1)
    written = reply(cache_write_5m_input_tokens=2_000)
    found = desk.optimizer.explain(call(user(words("b")), session_id=None), written)
    assert found.reason == "not_yet_readable"
    assert found.missed_tokens > 1_900


def test_a_call_that_reads_in_spite_of_that_is_a_hit() -> None:
    desk = Desk()
    for name in ("a", "b"):
        desk.build(call(user(words(name)), session_id=None), after=1)
    read = reply(cache_read_input_tokens=2_400)
    assert desk.optimizer.explain(call(user(words("b")), session_id=None), read).reason == "hit"


def test_what_nobody_marked_is_named() -> None:
    desk = Desk()
    calls = [call(user(str(turn)), session_id=None) for turn in range(6)]
    found = [explained(desk, each, after=90_000).reason for each in calls]
    assert found[-1] == "not_worth_it"


def test_an_entry_that_is_gone_is_named() -> None:
    desk = Desk()
    first, second = two_turns()
    explained(desk, first)
    desk.build(second)
    found = desk.optimizer.explain(second, reply(cache_write_5m_input_tokens=2_500))
    assert found.reason == "entry_gone"
    assert found.missed_tokens > 1_900


def test_what_another_process_wrote_is_a_hit() -> None:
    desk = Desk()
    desk.build(call())
    assert desk.optimizer.explain(call(), reply(cache_read_input_tokens=9)).reason == "hit"


@pytest.mark.parametrize(("read", "reason"), [(0, "first_sight"), (9, "hit")])
def test_a_call_that_was_never_built_is_explained_by_its_books(read: int, reason: str) -> None:
    found = Desk().optimizer.explain(call(), reply(cache_read_input_tokens=read))
    assert found.reason == reason


@pytest.mark.parametrize(
    ("kind", "reason", "part"),
    [
        ("model_changed", "model_changed", None),
        ("tools_changed", "prefix_moved", "tools"),
        ("system_changed", "prefix_moved", "system"),
        ("messages_changed", "prefix_moved", "messages"),
        ("previous_message_not_found", "unavailable", None),
        ("unavailable", "unavailable", None),
    ],
)
def test_the_diagnostics_of_the_api_have_the_last_word(
    kind: str, reason: str, part: str | None
) -> None:
    told = {"cache_miss_reason": {"type": kind, "cache_missed_input_tokens": 7}}
    found = Desk().optimizer.explain(call(), reply(), diagnostics=told)
    assert (found.reason, found.part, found.missed_tokens) == (reason, part, 7)


@pytest.mark.parametrize(
    "told", [{"cache_miss_reason": None}, {"cache_miss_reason": {"type": "x"}}]
)
def test_diagnostics_that_say_nothing_change_nothing(told: dict[str, Any]) -> None:
    found = Desk().optimizer.explain(call(), reply(), diagnostics=told)
    assert found.reason == "first_sight"


LONG = (user(words("first", 400)), assistant(words("said", 400)), user(words("second", 400)))
LONGER = (*LONG, assistant("ok"), user("And?"))
IMAGE = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": "aGVsbG8="},
}
CITED = {
    "type": "document",
    "source": {"type": "text", "media_type": "text/plain", "data": "Shelf 4 is full."},
    "citations": {"enabled": True},
}


def after_a_long_turn(
    *messages: Any, after: float = 20.0, first: dict[str, Any] | None = None, **fields: Any
) -> tuple[CacheDiagnosis, CacheDiagnosis]:
    """Return what is said of a turn that fills the cache, and of the one behind it."""
    desk = Desk()
    before = explained(desk, call(*LONG, tools=(tool(),), **(first or {})))
    fields = {"tools": (tool(),), **(first or {}), **fields}
    return before, explained(desk, call(*(messages or LONGER), **fields), after=after)


def missed_of(before: CacheDiagnosis, now: CacheDiagnosis) -> int:
    return before.read_tokens + before.written_tokens - now.read_tokens


@pytest.mark.parametrize("after", [20.0, 400.0, 4_000.0])
@pytest.mark.parametrize(
    "edited",
    [
        (user(words("edited", 400)), *LONGER[1:]),
        (*LONGER[:1], assistant(words("edited", 400)), *LONGER[2:]),
        LONGER[:1],
    ],
)
def test_an_edited_history_is_named_with_what_was_missed(edited: Any, after: float) -> None:
    before, now = after_a_long_turn(*edited, after=after)
    assert (now.reason, now.part) == ("prefix_moved", "messages")
    assert now.missed_tokens == missed_of(before, now) > 400


@pytest.mark.parametrize("first", [{}, {"session_id": None}])
@pytest.mark.parametrize(
    ("messages", "fields"),
    [
        (LONGER, {"tool_choice": {"type": "none"}}),
        (LONGER, {"tool_choice": MappingProxyType({"type": "none"})}),
        (LONGER, {"parameters": {"thinking": {"type": "adaptive"}}}),
        (LONGER, {"parameters": {"output_config": {"effort": "low"}}}),
        ((*LONGER[:-1], user(text("And?"), IMAGE)), {}),
        ((*LONGER[:-1], user(text("And?"), CITED)), {}),
        (LONG, {"tool_choice": {"type": "none"}}),
    ],
)
def test_a_changed_setting_is_named_with_what_was_missed(
    messages: Any, fields: dict[str, Any], first: dict[str, Any]
) -> None:
    first = {"model": "claude-opus-4-8", **first}
    before, now = after_a_long_turn(*messages, first=first, **fields)
    assert (now.reason, now.part) == ("parameters_changed", None)
    assert now.missed_tokens == missed_of(before, now) > 800
    assert "tool choice" in now.explanation


@pytest.mark.parametrize("after", [301.0, 400.0])
def test_a_tail_that_lapsed_is_named_though_the_front_was_read(after: float) -> None:
    desk = Desk()
    explained(desk, call(*LONG))
    third = (*LONG, assistant(words("third", 400)), user(words("fourth", 400)))
    before = explained(desk, call(*third))
    # Another conversation keeps the front alive that it shares with this one.
    explained(desk, call(user("Hello"), session_id="other"), after=200)
    now = explained(desk, call(*third, assistant("ok"), user("So?")), after=after - 200)
    assert now.reason == "expired"
    assert now.read_tokens > 0
    assert now.missed_tokens == missed_of(before, now) > 800


def test_a_tail_that_has_not_lapsed_is_a_hit() -> None:
    before, now = after_a_long_turn(after=299)
    assert (now.reason, now.missed_tokens) == ("hit", 0)
    assert now.read_tokens == before.written_tokens


@pytest.mark.parametrize("session", ["s", None])
@pytest.mark.parametrize(
    ("fields", "reason", "part"),
    [
        ({"model": "claude-haiku-5-5"}, "model_changed", None),
        ({"parameters": {"speed": "fast"}}, "model_changed", None),
        ({"tools": (tool("other"),), "system": "New."}, "prefix_moved", "tools"),
        ({"system": RULES + "!", "tool_choice": {"type": "none"}}, "prefix_moved", "system"),
    ],
)
def test_what_changed_in_front_of_the_messages_is_named_with_what_was_missed(
    fields: dict[str, Any], reason: str, part: str | None, session: str | None
) -> None:
    first = {"session_id": session, "model": "claude-opus-5-5"}
    before, now = after_a_long_turn(first=first, **fields)
    assert (now.reason, now.part) == (reason, part)
    assert now.missed_tokens == missed_of(before, now) > 800


def test_a_side_call_to_another_model_costs_the_conversation_nothing() -> None:
    desk = Desk()
    before = explained(desk, call(*LONG))
    explained(desk, call(user(words("side", 2_000)), model="claude-haiku-5-5"))
    now = explained(desk, call(*LONGER))
    assert (now.reason, now.read_tokens) == ("hit", before.written_tokens)


def test_calls_of_another_operation_are_not_compared() -> None:
    desk = Desk()
    explained(desk, call(*LONG))
    title = call(user("A title?"), model="claude-haiku-5-5", operation="title")
    assert explained(desk, title).reason == "first_sight"


def test_another_conversation_that_begins_alike_is_not_compared_without_a_session() -> None:
    desk = Desk()
    explained(desk, call(user("Hi"), session_id=None))
    other = call(user("Hi"), session_id=None, system=words("other", 900))
    found = explained(desk, other)
    assert (found.reason, found.missed_tokens) == ("first_sight", 0)


def test_a_reply_is_explained_the_same_way_again() -> None:
    desk = Desk()
    explained(desk, call(*LONG))
    changed = call(*LONGER, tool_choice={"type": "none"}, tools=(tool(),))
    built = desk.build(changed)
    answer = desk.send(built)
    found = [desk.optimizer.explain(each, answer) for each in (changed, built, changed)]
    assert found[0].reason == "prefix_moved"
    assert found[0] == found[1] == found[2]


def test_breakpoints_and_the_form_of_a_text_do_not_count_as_changes() -> None:
    desk = Desk()
    marked = user(text(LONG[0]["content"], cache_control=MARK))
    first, second = call(marked, *LONG[1:]), call(*LONGER)
    built = desk.build(first)
    before = desk.optimizer.explain(built, desk.send(built))
    now = explained(desk, second, after=400)
    assert (now.reason, now.missed_tokens) == ("expired", missed_of(before, now))


@pytest.mark.parametrize(("after", "reason"), [(3_500, "entry_gone"), (3_700, "expired")])
def test_what_was_written_for_an_hour_is_expected_for_an_hour(after: float, reason: str) -> None:
    desk = Desk()
    first, second = two_turns()
    desk.build(first)
    desk.optimizer.explain(first, reply(cache_write_1h_input_tokens=2_000))
    desk.build(second, after=after)
    answer = dataclasses.replace(reply(cache_write_5m_input_tokens=2_100), id="n")
    found = desk.optimizer.explain(second, answer)
    assert (found.reason, found.missed_tokens) == (reason, 2_000)


def test_a_miss_without_a_breakpoint_is_named() -> None:
    desk = Desk()
    calls = [call(user("Hi"), session_id=None) for _ in range(6)]
    for each in calls[:-1]:
        desk.build(each, after=90_000)
    first, last = reply(cache_write_1h_input_tokens=2_000), reply(input_tokens=2_000)
    desk.optimizer.explain(calls[-2], first)
    desk.build(calls[-1], after=3_000)
    found = desk.optimizer.explain(calls[-1], dataclasses.replace(last, id="n"))
    assert (found.reason, found.missed_tokens) == ("not_worth_it", 2_000)


@pytest.mark.parametrize("fields", [{"max_tokens": 0}, {"parameters": {"thread": {}}}])
def test_what_is_not_the_whole_conversation_is_not_compared(fields: dict[str, Any]) -> None:
    desk = Desk()
    explained(desk, call(*LONG))
    answer = dataclasses.replace(reply(), id="n")
    assert desk.optimizer.explain(call(user("Hi"), **fields), answer).missed_tokens == 0
    assert explained(desk, call(*LONGER)).reason == "hit"


def test_an_edited_opening_is_named_though_no_reply_was_explained_before() -> None:
    desk = Desk()
    desk.ask(call(*LONG))
    found = explained(desk, call(user("Edited"), *LONGER[1:]))
    assert (found.reason, found.part) == ("prefix_moved", "messages")


def test_a_conversation_that_begins_alike_and_reads_the_front_is_a_hit() -> None:
    desk = Desk()
    for messages in ((user("Hi"),), (user("Hi"), assistant("Yes."), user("And?"))):
        desk.ask(call(*messages, session_id=None))
    found = explained(desk, call(user("Hi"), session_id=None))
    assert (found.reason, found.missed_tokens) == ("hit", 0)
