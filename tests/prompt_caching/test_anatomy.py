"""Reading a call: its places in their order, the breakpoints in it, what may carry one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sdk_workflow.core.prompt_caching.anatomy import (
    Mark,
    Place,
    Tier,
    blocks_after,
    can_hold_mark,
    explicit_marks,
    fingerprint,
    last_markable,
    next_markable,
    opening_text,
    system_end,
    turn_kind,
)
from tests.prompt_caching.prompts import (
    HOUR,
    MARK,
    assistant,
    call,
    result,
    text,
    tool,
    use,
    user,
)

if TYPE_CHECKING:
    from sdk_workflow.types import Message

THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "s"}


def at(item: int, block: int = 0) -> Place:
    return Place(Tier.MESSAGES, item, block)


def test_breakpoints_are_found_in_the_order_of_rendering() -> None:
    search = {"type": "web_search_1", "name": "w", "cache_control": HOUR}
    marked = call(
        user(text("a", cache_control=MARK), result(1, [text("b", cache_control=HOUR)])),
        user({"type": "document", "source": {"content": [text("c", cache_control=MARK)]}}),
        tools=(search, tool(cache_control=MARK)),
        system=(text("d"), text("e", cache_control=MARK)),
    )
    assert explicit_marks(marked) == [
        Mark(Place(Tier.TOOLS, 1), "5m"),
        Mark(Place(Tier.SYSTEM, -1, 0), "1h"),
        Mark(Place(Tier.SYSTEM, 1), "5m"),
        Mark(at(0, 0), "5m"),
        Mark(at(0, 1), "1h"),
        Mark(at(1, 0), "5m"),
    ]


@pytest.mark.parametrize(
    ("messages", "place"),
    [
        ([user("a"), user("b")], at(1)),
        ([user("a"), user("")], at(0)),
        ([user("a"), assistant(text("b"), THOUGHT, text(""))], at(1, 0)),
        ([user("a"), assistant()], at(0)),
        ([], None),
    ],
)
def test_the_last_block_that_may_carry_a_breakpoint(
    messages: list[Message], place: Place | None
) -> None:
    assert last_markable(messages) == place


def test_the_next_block_that_may_carry_a_breakpoint() -> None:
    messages = [user("a"), assistant(THOUGHT, text(""), text("b"), use(1)), user(THOUGHT)]
    assert next_markable(messages, at(0)) == at(1, 2)
    assert next_markable(messages, at(1, 2)) == at(1, 3)
    assert next_markable(messages, at(1, 3)) is None


def test_whether_a_place_can_hold_a_breakpoint() -> None:
    messages = [user("a"), user(""), assistant(THOUGHT, text("b"))]
    places = [at(0), at(0, 1), at(1), at(2, 0), at(2, 1), at(2, 2), at(3)]
    found = [can_hold_mark(messages, place) for place in places]
    assert found == [True, False, False, False, True, False, False]


def test_every_block_behind_a_place_counts_and_an_empty_message_is_one() -> None:
    messages = [user(text(), text(), text()), assistant("a"), user(), user(text(), text())]
    assert blocks_after(messages, at(0, 0)) == 6
    assert blocks_after(messages, at(3, 1)) == 0


@pytest.mark.parametrize(
    ("messages", "kind"),
    [
        ([], "opening"),
        ([user("a"), user("b")], "opening"),
        ([user("a"), assistant("b"), user("c")], "user"),
        ([user("a"), assistant(use(1)), user(result(1))], "tool"),
        (
            [user("a"), assistant(use(1)), user(result(1)), {"role": "system", "content": "x"}],
            "tool",
        ),
    ],
)
def test_what_a_call_continues(messages: list[Message], kind: str) -> None:
    assert turn_kind(messages) == kind


@pytest.mark.parametrize(
    ("messages", "opening"),
    [([], ""), ([user("a")], "a"), ([user({"type": "image"}, text("b"))], "b"), ([user()], "")],
)
def test_how_a_conversation_opens(messages: list[Message], opening: str) -> None:
    assert opening_text(messages) == opening


def test_a_system_prompt_of_empty_texts_has_no_end() -> None:
    assert system_end((text(""),)) is None
    assert system_end((text("a"), text(""))) == Place(Tier.SYSTEM, 0)


def test_fingerprints_tell_values_and_the_order_of_keys() -> None:
    one: Any = {"a": 1, "b": [True, None, 0.5, "é"]}
    assert fingerprint(one) == fingerprint({"a": 1, "b": [True, None, 0.5, "é"]})
    assert fingerprint(one) != fingerprint({"b": one["b"], "a": 1})
    assert fingerprint("x" * 9 + str(1)) == fingerprint("xxxxxxxxx1")


def test_fingerprints_take_whatever_json_would_not() -> None:
    class Odd:
        def __repr__(self) -> str:
            return "odd"

    assert fingerprint({"a": Odd()}) == b'{"a": "odd"}'
