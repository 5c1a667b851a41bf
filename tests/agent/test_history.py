"""A history in which each tool call is answered, whoever wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_workflow.agent.history import UNKNOWN_OUTCOME, paired

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk_workflow.types import Message

_IDS = st.sampled_from(["a", "b", "c"])
_BLOCKS = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, st.sampled_from(["x", "y"])),
    _IDS.map(lambda name: {"type": "tool_use", "id": name, "name": "t", "input": {}}),
    _IDS.map(lambda name: {"type": "tool_result", "tool_use_id": name, "content": name}),
)
_HISTORIES = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["user", "assistant"]),
            "content": st.one_of(st.sampled_from(["", "Hi"]), st.lists(_BLOCKS, max_size=4)),
        }
    ),
    max_size=6,
)


def use(name: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": name, "name": "t", "input": {}}


def result(name: str, content: str = "fine") -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": name, "content": content}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


LOST = {**result("a", UNKNOWN_OUTCOME), "is_error": True}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param([assistant(use("a"))], [assistant(use("a")), user(LOST)], id="at the end"),
        pytest.param(
            [assistant(use("a")), assistant(text("b"))],
            [assistant(use("a")), user(LOST), assistant(text("b"))],
            id="no answer in between",
        ),
        pytest.param(
            [assistant(use("a")), {"role": "user", "content": "And?"}],
            [assistant(use("a")), user(LOST, text("And?"))],
            id="an answer of words only",
        ),
        pytest.param(
            [assistant(use("b"), use("a")), user(result("b"))],
            [assistant(use("b"), use("a")), user(result("b"), LOST)],
            id="one of two",
        ),
        pytest.param(
            [assistant(use("a")), user(text("Here:"), result("a"))],
            [assistant(use("a")), user(result("a"), text("Here:"))],
            id="words before the result",
        ),
        pytest.param(
            [assistant(use("a")), user(result("a"), result("a", "again"))],
            [assistant(use("a")), user(result("a"))],
            id="answered twice",
        ),
        pytest.param([user(result("a"))], [], id="a lone result"),
        pytest.param(
            [user(result("a"), text("Hi"))], [user(text("Hi"))], id="a lone result and words"
        ),
        pytest.param(
            [assistant(result("a"), text("Hi"))],
            [assistant(text("Hi"))],
            id="a result on the wrong side",
        ),
        pytest.param(
            [assistant(use("a"), use("a")), user(result("a"))],
            [assistant(use("a"), use("a")), user(result("a"))],
            id="one id twice",
        ),
    ],
)
def test_a_torn_pair_is_mended(before: list[Message], after: list[Message]) -> None:
    assert list(paired(before)) == after


def test_what_is_whole_is_returned_as_it_is() -> None:
    history = [
        {"role": "user", "content": "Hi"},
        assistant(text("Let me see."), use("a"), use("b")),
        user(result("a"), result("b"), text("Go on.")),
        assistant(text("Done.")),
    ]

    assert paired(history) is history


@given(history=_HISTORIES)
def test_whatever_comes_in_each_call_is_answered_first_and_nothing_else_is(
    history: list[Message],
) -> None:
    whole = paired(history)

    wanted: Sequence[str] = []
    for message in whole:
        blocks = message["content"] if isinstance(message["content"], list) else []
        answered = [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"]
        assert answered == list(wanted)
        assert all(b["type"] == "tool_result" for b in blocks[: len(answered)])
        calls = [b["id"] for b in blocks if b["type"] == "tool_use"]
        wanted = list(dict.fromkeys(calls)) if message["role"] == "assistant" else []
    assert wanted == []
    assert paired(whole) is whole


@given(history=_HISTORIES)
def test_no_word_is_lost(history: list[Message]) -> None:
    def words(messages: Sequence[Message]) -> list[str]:
        return [
            block["text"]
            for message in messages
            for block in (
                [text(message["content"])]
                if isinstance(message["content"], str)
                else message["content"]
            )
            if block["type"] == "text" and block["text"]
        ]

    assert words(paired(history)) == words(history)
