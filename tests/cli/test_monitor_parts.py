"""Figures, tables and rows of facts: readable, and never wider than there is room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from sdk_workflow.cli.monitor import figures
from sdk_workflow.cli.monitor.lines import Cell, Column, beside, facts, fitted, line, table

if TYPE_CHECKING:
    from collections.abc import Callable

COLUMNS = [
    Column("NAME", 100, 4, is_left=True),
    Column("CALLS", 90),
    Column("COST", 50),
    Column("WORDS", 10, 6, is_left=True),
]
ROWS = [
    [Cell("a long name"), Cell("12"), Cell("$1.20"), Cell("some words of a text")],
    [Cell("b"), Cell("7"), Cell("$0"), Cell("-")],
]


def shown(lines: list[Text]) -> list[str]:
    return [text.plain for text in lines]


@pytest.mark.parametrize(
    ("show", "value", "expected"),
    [
        (figures.count, 0, "0"),
        (figures.count, 9_999.4, "9999"),
        (figures.count, 999_999, "1000.0k"),
        (figures.count, 3_000_000_000, "3.0G"),
        (figures.count, 2e14, "200.0T"),
        (figures.count, -5, "-5"),
        (figures.usd, 0.000004, "$0"),
        (figures.usd, 0.0099, "$0.00990"),
        (figures.usd, 9_999, "$9999.00"),
        (figures.usd, 2_000_000, "$2.0M"),
        (figures.milliseconds, 9.96, "10.0ms"),
        (figures.milliseconds, 999, "999ms"),
        (figures.milliseconds, 59_990, "59.99s"),
        (figures.duration, 0, "0s"),
        (figures.duration, -3, "0s"),
        (figures.duration, 60, "1m00s"),
        (figures.duration, 86_400, "1d00h"),
        (figures.share, 0.00999, "1.0%"),
        (figures.share, 1, "100%"),
        (figures.clock_time, 86_399, "23:59:59"),
    ],
)
def test_a_figure_is_short_and_says_its_unit(
    show: Callable[[float], str], value: float, expected: str
) -> None:
    assert show(value) == expected


@pytest.mark.parametrize(
    "show",
    [figures.count, figures.usd, figures.milliseconds, figures.duration, figures.share,
     figures.clock_time],
)  # fmt: skip
def test_what_is_not_known_is_a_hyphen(show: Callable[[None], str]) -> None:
    assert show(None) == "-"


def test_a_course_with_too_many_values_shows_the_peak_of_each_group() -> None:
    assert figures.sparkline([0, 0, 8, 0, 4, 0], 3) == "▁█▅"


def test_the_last_value_of_a_course_never_shares_its_place_with_more_than_its_group() -> None:
    assert len(figures.sparkline(list(range(7)), 4)) == 4


@pytest.mark.parametrize(("values", "width"), [([], 5), ([1, 2], 0)])
def test_a_course_of_nothing_is_empty(values: list[float | None], width: int) -> None:
    assert figures.sparkline(values, width) == ""


def test_a_course_that_is_not_known_is_blank_and_one_of_zeros_flat() -> None:
    assert figures.sparkline([None, None], 5) == "  "
    assert figures.sparkline([0, 0], 5) == "▁▁"


@pytest.mark.parametrize(("share", "full"), [(-1, 0), (0, 0), (0.49, 5), (1, 10), (7, 10)])
def test_a_bar_is_full_to_the_share_and_never_wider(share: float, full: int) -> None:
    assert figures.bar(share, 10) == "█" * full + "░" * (10 - full)


@given(st.text())
def test_text_for_a_terminal_without_unicode_keeps_its_length(text: str) -> None:
    plain = figures.as_ascii(text)

    assert len(plain) == len(text)
    assert plain.isascii()


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S", "Zs"])), st.integers(0, 30))
def test_a_fitted_text_fills_exactly_its_place(text: str, width: int) -> None:
    assert cell_len(fitted(text, width)) == width


def test_a_text_that_is_cut_ends_with_an_ellipsis() -> None:
    assert fitted("abcdef", 4) == "abc…"
    assert fitted("ab", 4) == "ab  "
    assert fitted("ab", 4, is_left=False) == "  ab"
    assert line([Cell("abc"), Cell("def")], 5).plain == "abcd…"


def test_wide_characters_count_as_two_cells() -> None:
    assert fitted("世界世界", 5) == "世界…"


def test_a_table_with_room_shows_every_column_in_order() -> None:
    assert shown(table(COLUMNS, ROWS, 60)) == [
        "NAME         CALLS   COST  WORDS               ",
        "a long name     12  $1.20  some words of a text",
        "b                7     $0  -                   ",
    ]


def test_without_room_words_are_cut_before_columns_are_left_out() -> None:
    assert shown(table(COLUMNS, ROWS, 34)) == [
        "NAME         CALLS   COST  WORDS  ",
        "a long name     12  $1.20  some w…",
        "b                7     $0  -      ",
    ]


def test_the_columns_of_least_weight_are_left_out_first() -> None:
    assert shown(table(COLUMNS, ROWS, 19))[1] == "a lo…     12  $1.20"


def test_the_first_column_is_there_however_narrow_it_is() -> None:
    assert shown(table([Column("PID", 100)], [[Cell("123456")]], 3)) == ["PID", "12…"]


def test_a_table_without_rows_is_its_heading() -> None:
    assert shown(table(COLUMNS[:2], [], 60)) == ["NAME  CALLS"]


@given(width=st.integers(1, 80))
def test_no_line_is_wider_than_the_room(width: int) -> None:
    pairs = [("name", Cell("value")), ("other", Cell("世界" * 9)), ("third", Cell("x"))]

    lines = [*table(COLUMNS, ROWS, width), *facts(pairs, width), line(ROWS[0], width)]

    assert max(text.cell_len for text in lines) <= width


def test_facts_flow_into_as_many_lines_as_they_take() -> None:
    pairs = [("calls", Cell("12")), ("errors", Cell("3")), ("cost", Cell("$1"))]

    assert shown(facts(pairs, 80)) == ["calls 12   errors 3   cost $1"]
    assert shown(facts(pairs, 20)) == ["calls 12   errors 3", "cost $1"]
    assert shown(facts(pairs, 19)) == ["calls 12   errors 3", "cost $1"]
    assert shown(facts(pairs, 18)) == ["calls 12", "errors 3   cost $1"]
    assert facts([], 80) == []


def test_two_pictures_stand_side_by_side_whichever_is_longer() -> None:
    left, right = [Text("ab"), Text("c")], [Text("X")]

    assert shown(beside(left, right, 3, 1)) == ["ab  X", "c"]
    assert shown(beside(right, left, 3, 1)) == ["X   ab", "    c"]
    assert left[0].plain == "ab"
