from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import given

from sdk_workflow.protocols import TokenCounter
from sdk_workflow.simulator.tokens import PseudoTokenizer, truncate

COUNTER = PseudoTokenizer()
OLD, NEW = "claude-haiku-4-5", "claude-sonnet-5-5"


def count(content: Any, **params: Any) -> int:
    return COUNTER.count({"messages": [{"role": "user", "content": content}], **params})


def text_tokens(text: str, factor: float = 1.0) -> int:
    return COUNTER.count_block({"type": "text", "text": text}, factor)


def test_it_is_a_token_counter() -> None:
    assert isinstance(COUNTER, TokenCounter)


def test_the_recorded_pair_of_a_small_prompt_with_tools_is_met_within_ten_per_cent() -> None:
    tool = {"name": "t", "description": "d" * 430, "input_schema": {"type": "object"}}
    assert abs(count("x" * 61, tools=[tool], model=OLD) - 656) < 66


def test_a_string_counts_like_its_text_block() -> None:
    text = "The quick brown fox"
    assert count(text) == count([{"type": "text", "text": text}])


@given(st.text(" \n\tab\u00e9\u6771", max_size=50), st.sampled_from([1.0, 1.3]))
def test_a_text_never_has_more_tokens_than_bytes(text: str, factor: float) -> None:
    assert text_tokens(text, factor) <= len(text.encode())
    assert text_tokens(" " * 9, factor) == 9
    assert text_tokens("a", factor) == 1


def test_models_of_the_newer_tokenizer_count_more() -> None:
    text = "word " * 1000
    assert count(text, model=OLD) < count(text, model=NEW) < 1.35 * count(text, model=OLD)


def test_a_broken_token_counts_as_a_whole_one() -> None:
    assert [text_tokens("abcd"), text_tokens("abcde"), text_tokens("abcd", 1.3)] == [1, 2, 2]


def test_a_model_that_nobody_knows_counts_with_factor_one() -> None:
    assert count("Hello there", model="unheard-of") == count("Hello there")
    assert count("Hello there", model=None) == count("Hello there")


def test_every_part_of_a_prompt_adds_its_own() -> None:
    bare = count("Hello")
    assert count("Hello", system="Be brief.") > bare
    assert count("Hello", system=[{"type": "text", "text": "Be brief."}]) > bare
    assert count("Hello", tools=[{"name": "t"}]) > bare + 400
    blocks = [
        {"type": "text", "text": "Hello"},
        {"type": "tool_result", "tool_use_id": "t", "content": "out"},
        {"type": "tool_result", "tool_use_id": "t"},
        {"type": "tool_use", "id": "t", "name": "read", "input": {"path": "a"}},
        {"type": "thinking", "thinking": "Hm"},
        {"type": "image", "source": {}},
    ]
    sizes = [count(blocks[:length]) for length in range(len(blocks) + 1)]
    assert sizes == sorted(set(sizes))


def test_a_cache_marker_is_no_part_of_the_prompt() -> None:
    document = {"type": "document", "source": {"type": "text", "data": "words"}}
    marked = {**document, "cache_control": {"type": "ephemeral"}}
    assert count([document]) == count([marked])


def test_a_prompt_without_messages_counts_nothing() -> None:
    assert COUNTER.count({}) == 0


def test_text_outside_ascii_takes_more_tokens() -> None:
    assert text_tokens("ü" * 100) == 2 * text_tokens("u" * 100)


@given(text=st.text(), more=st.text(), factor=st.floats(1, 2))
def test_a_longer_text_never_has_fewer_tokens(text: str, more: str, factor: float) -> None:
    assert text_tokens(text, factor) <= text_tokens(text + more, factor)


@given(text=st.text(), limit=st.integers(0, 40), factor=st.floats(1, 2))
def test_truncation_keeps_the_longest_beginning_that_fits(
    text: str, limit: int, factor: float
) -> None:
    kept = truncate(text, limit, factor)
    assert text.startswith(kept)
    assert text_tokens(kept, factor) <= limit
    if kept != text:
        assert text_tokens(text[: len(kept) + 1], factor) > limit
