"""Texts that are made for a regular expression."""

from __future__ import annotations

import re

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from sdk_workflow.simulator.pattern_faker import UnreadablePatternError, matches, text_for


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"^[A-Z]{3}-\d{4}$", "AAA-0000"),
        ("^(red|green)$", "red"),
        ("^[^abc]$", "d"),
        (r"^\w+@\w+\.(com|org)$", "a@a.com"),
        (r"^#(?:[0-9a-f]{3}){1,2}$", "#000"),
        (r"^(?P<a>x)(?<b>y)z*$", "xy"),
        (r"^\x41\u0042\u{43}$", "ABC"),
        (r"^\p{Lu}\pN\P{L}$", "A00"),
        (r"^[\d-]a??b{2}?\.\\$", "0bb.\\"),
        (r"[]\]a-c]", "]"),
        (r"^[a\-z][x-]$", "ax"),
        (r"^[^\]a-]$", "b"),
        (r"\bword\b", "word"),
        (r"^\t\S\D\W$", "\taa-"),
        ("a{2,}", "aa"),
        ("^.$", "a"),
        ("", ""),
    ],
)
def test_a_text_is_the_shortest_that_its_pattern_takes(pattern: str, expected: str) -> None:
    assert text_for(pattern) == expected
    assert matches(pattern, expected)


def test_other_variants_are_other_texts() -> None:
    texts = {text_for("^[a-c]-[0-9]$", variant=variant) for variant in range(30)}
    assert len(texts) == 30
    assert all(re.fullmatch("[a-c]-[0-9]", text) for text in texts)


def test_open_repetitions_are_repeated_more_often_when_that_is_asked_for() -> None:
    assert text_for("^a{1,3}b{4}c+$", extra=5) == "aaabbbbcccc"


@pytest.mark.parametrize(
    "pattern",
    [
        "(?=a)b", "(?!a)b", "(?<=a)b", "(?<!a)b", "(?i)a", r"(a)\1", "(", ")", "a)", "[a", "[z-a]",
        "*", "a{x}", "a{}", "a{1", "\\", r"\xzz", r"\u{110000}", "(?<a", r"[^\s\S]",
        "(" * 40 + ")" * 40, "(a{1000}){1000}", r"[a-\b\d]",
    ],
)  # fmt: skip
def test_what_is_not_understood_is_said_so(pattern: str) -> None:
    with pytest.raises(UnreadablePatternError):
        text_for(pattern)


def test_a_wide_range_is_cut() -> None:
    assert text_for("[一-鿿]") == "一"


_ATOMS = st.sampled_from(["a", r"\d", "[a-f]", "[^x]", ".", r"\w", "(?:ab|c)", r"\-", "(d|e)"])
_COUNTS = st.sampled_from(["", "*", "+", "?", "{2}", "{1,3}", "{2,}", "+?"])
_PATTERNS = st.lists(st.builds("{}{}".format, _ATOMS, _COUNTS), max_size=6).map("".join)


@example(one=".", other="", variant=390, extra=0)  # far behind the letters
@given(one=_PATTERNS, other=_PATTERNS, variant=st.integers(0, 500), extra=st.integers(0, 4))
def test_every_text_fits_its_pattern(one: str, other: str, variant: int, extra: int) -> None:
    pattern = f"^(?:{one}|{other})$"
    assert matches(pattern, text_for(pattern, variant=variant, extra=extra))


@given(st.text(st.sampled_from("ab(){}[]|*+?\\^$.-:<=!,019dpPux"), max_size=20))
def test_any_text_is_read_as_a_pattern_or_refused(pattern: str) -> None:
    try:
        assert isinstance(text_for(pattern), str)
    except UnreadablePatternError:
        return
