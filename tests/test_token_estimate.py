"""A guess at the size of a prompt, with the error that its docstring names."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_workflow._internal.token_estimate import CharacterTokenCounter
from sdk_workflow.protocols import TokenCounter
from sdk_workflow.simulator.tokens import PseudoTokenizer

COUNT = CharacterTokenCounter().count
WORDS = ["the", "tide", "comes", "in", "at", "seven", "and", "leaves", "harbour", "dry", "noon"]


def prompt(content: Any, **fields: Any) -> dict[str, Any]:
    return {
        "model": "claude-opus-5-5",
        "messages": [{"role": "user", "content": content}],
        **fields,
    }


def test_it_is_a_token_counter() -> None:
    assert isinstance(CharacterTokenCounter(), TokenCounter)


@given(words=st.lists(st.sampled_from(WORDS), min_size=200, max_size=2_000))
def test_prose_is_estimated_within_the_error_that_is_named(words: list[str]) -> None:
    params = prompt(" ".join(words))
    newest = PseudoTokenizer().count(params)
    older = PseudoTokenizer().count({**params, "model": "claude-haiku-4-5"})
    assert 0.9 * newest <= COUNT(params) <= 1.4 * older


@pytest.mark.parametrize(
    ("content", "tokens"),
    [
        ("", 4),
        ("a" * 300, 104),
        ("海" * 100, 104),
        ("\ud800" * 100, 104),
        ([{"type": "text", "text": "a" * 300}], 104),
        ([{"type": "tool_result", "tool_use_id": "t", "content": "a" * 300}], 104),
        ([{"type": "tool_result", "tool_use_id": "t"}], 4),
        ([{"type": "image", "source": {"data": "x" * 10_000}}], 1_504),
    ],
)
def test_each_kind_of_content_counts_by_its_length(content: Any, tokens: int) -> None:
    assert COUNT(prompt(content)) == tokens


def test_a_mark_for_the_cache_is_no_part_of_the_prompt() -> None:
    use = {"type": "tool_use", "id": "t", "name": "read", "input": {"path": "a"}}
    assert COUNT(prompt([use])) == COUNT(prompt([{**use, "cache_control": {"type": "ephemeral"}}]))
    assert COUNT(prompt([use])) > 10


def test_the_system_prompt_and_the_tools_count() -> None:
    tool = {"name": "read", "description": "d" * 300}
    assert COUNT(prompt("", system="s" * 300)) == 104
    assert COUNT(prompt("", tools=[tool])) > 4 + 480 + 100
    assert COUNT({}) == 0


@pytest.mark.parametrize(
    "content", [float("nan"), [{"type": "text"}], [{"type": "text", "text": 5}], ["Hi"], 7, {"a"}]
)
def test_a_malformed_prompt_counts_as_nothing_and_fails_elsewhere(content: Any) -> None:
    assert COUNT(prompt(content)) == 0


def test_a_tool_that_holds_itself_counts_as_nothing() -> None:
    schema: dict[str, Any] = {}
    schema["items"] = schema
    assert COUNT(prompt("Hi", tools=[schema])) == 0
