"""Breakpoints beside those of the user, and blocks that can carry none."""

from __future__ import annotations

from typing import Any

from tests.prompt_caching.prompts import (
    HOUR,
    MARK,
    RULES,
    Desk,
    assistant,
    call,
    exchange,
    result,
    text,
    tool,
    use,
    user,
)

LONE: dict[str, Any] = {"session_id": None}


def test_the_users_own_breakpoints_stay_and_count() -> None:
    own = (text("a" * 3_000, cache_control=HOUR), text("b" * 3_000, cache_control=HOUR))
    messages = (user(text("c", cache_control=HOUR), text("d")),)
    marks = Desk().marks(call(*messages, system=own, tools=(tool(),)))
    assert marks == {
        "system.0": "1h",
        "system.1": "1h",
        "messages.0.0": "1h",
        "automatic": "5m",
    }


def test_four_breakpoints_of_the_user_are_enough() -> None:
    system = tuple(text(name * 3_000, cache_control=MARK) for name in "abcd")
    full = call(user("Hi"), system=system)
    assert Desk().build(full) is full


def test_an_automatic_breakpoint_of_the_user_takes_the_place_of_ours() -> None:
    marks = Desk().marks(call(user("Hi"), parameters={"cache_control": HOUR}))
    assert marks == {"system.0": "1h", "automatic": "1h"}


def test_five_minutes_of_the_user_in_front_keep_an_hour_away() -> None:
    desk, messages = Desk(), [user("Count.")]
    marks: dict[str, Any] = {}
    for turn in range(3):
        own = (text(RULES, cache_control=MARK),)
        marks = desk.marks(call(*messages, system=own), after=1_200)
        messages += exchange(turn)
    assert marks == {"system.0": "5m", "automatic": "5m"}


def test_a_breakpoint_inside_a_tool_result_counts() -> None:
    inner = [text("x", cache_control=MARK), text("y", cache_control=MARK)]
    messages = [
        user("Count."),
        *exchange(0),
        assistant(use(9)),
        user(result(9, inner, cache_control=MARK)),
    ]
    assert Desk().marks(call(*messages)) == {"messages.4.0": "5m", "system.0": "5m"}


def test_a_breakpoint_that_is_null_counts_as_none() -> None:
    marks = Desk(automatic=False).marks(call(user(text("Hi", cache_control=None))))
    assert marks == {"system.0": "5m", "messages.0.0": "5m"}


# What cannot be marked


def test_deferred_tools_and_web_search_are_passed_over() -> None:
    tools = (tool(), tool("late", defer_loading=True), {"type": "web_search_20250305", "name": "w"})
    assert "tools.0" in Desk().marks(call(tools=tools))


def test_tools_without_a_system_prompt_are_the_prefix() -> None:
    marks = Desk().marks(call(system=None, tools=(tool(), tool("b"))))
    assert marks == {"tools.1": "5m", "automatic": "5m"}


def test_thinking_and_empty_text_are_passed_over() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    messages = [user("Hi"), assistant(text("Yes."), thought), user(text("Go"), text(""))]
    marks = Desk(automatic=False).marks(call(*messages))
    assert marks == {"system.0": "5m", "messages.2.0": "5m"}


def test_messages_that_hold_nothing_to_mark_get_no_breakpoint() -> None:
    marks = Desk().marks(call(user(text(""))))
    assert marks == {"system.0": "5m"}


def test_a_continued_thread_gets_an_automatic_breakpoint_and_nothing_else() -> None:
    thread = {"thread": {"type": "continue", "previous_message_id": "m"}}
    desk = Desk()
    assert desk.marks(call(user("Hi"), system=None, parameters=thread)) == {"automatic": "5m"}
    own = call(user("Hi"), system=None, parameters={**thread, "cache_control": HOUR})
    assert desk.build(own) is own


def test_a_mapping_that_is_no_dictionary_is_read_like_one() -> None:
    from types import MappingProxyType

    tools = (MappingProxyType(tool()),)
    assert Desk().marks(call(tools=tools)) == Desk().marks(call(tools=(tool(),)))
