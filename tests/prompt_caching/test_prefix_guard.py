"""The guard of the prefix: what has moved, why, told once, and never with a word of the prompt."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow.core.cache import PrefixChange, assert_stable_prefix, find_prefix_change
from sdk_workflow.core.prompt_caching.prefix_watch import PrefixWatch
from tests.prompt_caching.prompts import MARK, RULES, Desk, call, text, tool, user

if TYPE_CHECKING:
    from sdk_workflow.types import Call

TIME = "a date or a time in the text"
ID = "an identifier in the text"
NUMBER = "a number in the text"


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("It is 2026-11-20.", "It is 2026-11-21.", TIME),
        ("Now: 2026-11-20T10:00:00Z", "Now: 2026-11-20T10:00:01.5+01:00", TIME),
        ("At 9:05 am", "At 10:15 p.m.", TIME),
        ("On Friday, Nov 20, 2026", "On Saturday, November 21st, 2026", TIME),
        ("On 20 Nov 2026", "On 21 December 2026", TIME),
        ("20.11.2026", "21.11.2026", TIME),
        ("since 1795219200", "since 1795219260.123", TIME),
        (
            "run 0b8f1f1e-3a4e-4f7e-9c55-2f6a7c0f1a2b",
            "run 1c8f1f1e-3a4e-4f7e-9c55-2f6a7c0f1a2c",
            ID,
        ),
        ("commit 3e9cf39fb3a1d2", "commit 71653a2aa0bc9e", ID),
        ("req_011CQzfoo12xyz", "req_011CQzbar34abc", ID),
        ("Visitor 17 of 20", "Visitor 18 of 20", NUMBER),
        ("Up 1,024.5", "Up 7", NUMBER),
        ("Run 12 on Monday", "Run 13 on Friday", "dates, identifiers or numbers in the text"),
        ("Be brief.", "Be verbose.", "the text"),
        ("Be brief.", None, "the text"),
        (None, "Be brief.", "the text"),
    ],
)
def test_a_change_of_the_system_text_is_named(
    before: str | None, after: str | None, reason: str
) -> None:
    change = find_prefix_change(call(system=before), call(system=after))
    assert change == PrefixChange(part="system", reason=reason)


def test_blocks_in_another_order_are_named() -> None:
    one, other = text("one"), text("other")
    change = find_prefix_change(call(system=(one, other)), call(system=(other, one)))
    assert change == PrefixChange(part="system", reason="the order of the blocks")


REORDERED = {
    "input_schema": {"type": "object"},
    "description": tool()["description"],
    "name": "look",
}


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (
            (tool(input_schema={"required": ["a", "b"]}),),
            (tool(input_schema={"required": ["b", "a"]}),),
            "the definition of a tool",
        ),
        ((tool("a"), tool("b")), (tool("b"), tool("a")), "the order of the tools"),
        ((tool("a"),), (tool("a"), tool("b")), "a tool was added"),
        ((tool("a"), tool("b")), (tool("a"),), "a tool was removed"),
        ((tool("a"),), (tool("b"),), "other tools"),
        ((tool(),), (tool(description="Other."),), "the definition of a tool"),
        ((tool(description="On 2026-11-20"),), (tool(description="On 2026-11-21"),), TIME),
        ((tool(),), (REORDERED,), "the order of the keys in a definition"),
        (({"type": "web_search_1", "name": ""},), (), "a tool was removed"),
    ],
)
def test_a_change_of_the_tools_is_named(before: Any, after: Any, reason: str) -> None:
    change = find_prefix_change(call(tools=before), call(tools=after))
    assert change == PrefixChange(part="tools", reason=reason)


def test_the_tools_come_before_the_system_text() -> None:
    change = find_prefix_change(call(tools=(tool("a"),), system="x"), call(system="y"))
    assert change is not None
    assert change.part == "tools"


def test_breakpoints_and_messages_are_no_change() -> None:
    marked = call(
        user("Other"), tools=(tool(cache_control=MARK),), system=(text(RULES, cache_control=MARK),)
    )
    assert find_prefix_change(call(tools=(tool(),)), marked) is None
    assert_stable_prefix(call(tools=(tool(),)), marked)


def test_the_assertion_says_what_moved_and_quotes_nothing() -> None:
    with pytest.raises(AssertionError, match=r"system differ .* a date or a time") as caught:
        assert_stable_prefix(call(system="Secret 10:00"), call(system="Secret 11:00"))
    assert "Secret" not in str(caught.value)


# While the program runs


def changes(*calls: Call, desk: Desk | None = None) -> list[PrefixChange]:
    desk = desk or Desk()
    prepared = []
    for each in calls:
        desk.clock.advance(10)
        prepared.append(desk.optimizer.prepare(each))
    return [each.change for each in prepared if each.change is not None]


def at(hour: int, **fields: Any) -> Call:
    return call(user(f"Hi {hour}"), system=f"It is {hour}:00. {RULES}", **fields)


def test_a_session_whose_system_text_changes_is_told_once_of_each_kind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "sdk_workflow.prompt_cache"):
        found = changes(at(1), at(2), at(3), call(), call(system=RULES + "More."))
    assert [each.reason for each in found] == [TIME, "the text"]
    assert len(caplog.records) == 2
    assert "warehouse" not in caplog.text
    assert "'message'" in caplog.text


def test_a_session_whose_tools_change_is_told() -> None:
    found = changes(call(tools=(tool("a"),)), call(tools=(tool("a"), tool("b"))))
    assert [(each.part, each.reason) for each in found] == [("tools", "a tool was added")]


def test_calls_without_a_session_are_told_of_passing_values() -> None:
    found = changes(at(1, session_id=None), at(2, session_id=None), at(3, session_id=None))
    assert [each.reason for each in found] == [TIME]


def test_new_sessions_are_told_of_passing_values_too() -> None:
    assert len(changes(at(1, session_id="a"), at(2, session_id="b"))) == 1


def test_other_prompts_of_the_same_operation_are_none_of_its_business() -> None:
    lone: dict[str, Any] = {"session_id": None}
    other = RULES.replace("warehouse", "shop")
    assert changes(call(**lone), call(system=other, **lone), call(system=None, **lone)) == []


def test_operations_are_told_each_for_itself() -> None:
    calls = [at(hour, operation=name) for name in ("a", "b") for hour in (1, 2)]
    assert len(changes(*calls)) == 2


def test_tools_in_another_order_are_noticed_without_a_session() -> None:
    tools = (tool("a"), tool("b"))
    found = changes(call(tools=tools, session_id=None), call(tools=tools[::-1], session_id=None))
    assert [each.reason for each in found] == ["the order of the tools"]


def test_prompts_without_a_front_are_never_compared() -> None:
    bare: dict[str, Any] = {"system": None, "session_id": None}
    assert changes(call(user("a"), **bare), call(user("b"), model="claude-opus-5-5", **bare)) == []


def test_what_was_told_long_ago_is_forgotten() -> None:
    desk = Desk()
    desk.optimizer._watch = PrefixWatch(max_size=1)
    calls = [
        at(hour + later, operation=name, session_id=str(hour))
        for hour, name in ((1, "a"), (3, "b"), (5, "a"))
        for later in (0, 1)
    ]
    assert len(changes(*calls, desk=desk)) == 3
    assert len(desk.optimizer._watch._skeletons) == len(desk.optimizer._watch._told) == 1
