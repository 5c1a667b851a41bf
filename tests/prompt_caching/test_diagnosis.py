"""Explaining a reply: from the API's diagnostics, its books, and what was seen before."""

from __future__ import annotations

from typing import Any

import pytest

from tests.prompt_caching.prompts import RULES, Desk, assistant, call, reply, tool, user, words


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
