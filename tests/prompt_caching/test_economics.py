"""What a breakpoint is worth, against the sums worked out by hand."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from sdk_workflow.config.models import default_catalog
from sdk_workflow.config.prices import Rates
from sdk_workflow.core.prompt_caching.economics import (
    Lifetimes,
    Odds,
    PriceRatios,
    best_lifetimes,
)
from sdk_workflow.core.prompt_caching.turn_gaps import Tally, TurnTallies, turn_odds

RATIOS = PriceRatios()


def test_writing_pays_from_a_chance_of_22_percent_on() -> None:
    # 1.25 - 1 = 0.25 is paid, 1.25 - 0.1 = 1.15 is gained: 0.25 / 1.15 = 0.217
    below, above = Odds(0.21, 0.21), Odds(0.22, 0.22)
    assert best_lifetimes(below, RATIOS, total=1_000) == Lifetimes()
    assert best_lifetimes(above, RATIOS, total=1_000) == Lifetimes("5m")


def test_an_hour_pays_for_a_whole_prompt_where_pauses_are_likely() -> None:
    # 0.75 more is paid, 1.15 gained: 0.652
    assert best_lifetimes(Odds(0.3, 0.94), RATIOS, total=1_000) == Lifetimes("5m")
    assert best_lifetimes(Odds(0.3, 0.96), RATIOS, total=1_000) == Lifetimes("1h")


def test_an_hour_for_a_short_end_protects_all_that_comes_before() -> None:
    odds = Odds(0.9, 0.95)
    assert best_lifetimes(odds, RATIOS, total=20_000, live=19_000) == Lifetimes("1h")
    assert best_lifetimes(odds, RATIOS, total=20_000, live=18_000) == Lifetimes("5m")


def test_the_history_alone_is_kept_where_the_end_is_long() -> None:
    found = best_lifetimes(Odds(0.9, 0.95), RATIOS, total=20_000, live=18_000, history=18_100)
    assert found == Lifetimes("5m", "1h")


def test_what_is_protected_already_needs_no_second_hour() -> None:
    found = best_lifetimes(
        Odds(0.9, 0.95), RATIOS, total=20_000, live=18_000, protected=17_900, history=18_100
    )
    assert found == Lifetimes("5m")


def test_a_short_end_is_left_unwritten_where_what_is_there_will_do() -> None:
    # Nothing: 1.15 * (0.1 + 0.5) * 1000 = 690. Five minutes: 690 + 1.15 * 0.1 * 100 - 25 = 676.5.
    found = best_lifetimes(Odds(0.1, 0.6), RATIOS, total=1_100, live=1_000, protected=1_000)
    assert found == Lifetimes()


def test_ratios_are_those_of_the_price_list() -> None:
    rates = default_catalog().find("claude-sonnet-5-5").prices[-1].rates
    assert PriceRatios.from_rates(rates) == PriceRatios(read=0.05)
    free = Rates(input=0, cache_write_5m=0, cache_write_1h=0, cache_read=0, output=0)
    assert PriceRatios.from_rates(free) == PriceRatios()


SHARE = st.floats(0, 1)
SIZE = st.integers(0, 50_000)


@given(soon=SHARE, later=SHARE, sizes=st.lists(SIZE, min_size=4, max_size=4))
def test_the_choice_is_never_worse_than_any_other(
    soon: float, later: float, sizes: list[int]
) -> None:
    live, history, total = sorted(sizes[:3])
    protected = min(sizes[3], live)
    odds = Odds(soon, soon + (1 - soon) * later)
    chosen = best_lifetimes(
        odds, RATIOS, total=total, live=live, protected=protected, history=history
    )
    pause = odds.within_1h - odds.within_5m
    expected = {
        Lifetimes(): 1.15 * (soon * live + pause * protected),
        Lifetimes("5m"): 1.15 * (soon * total + pause * protected) - 0.25 * (total - live),
        Lifetimes("1h"): 1.15 * odds.within_1h * total - (total - live),
    }
    if history > live:
        expected[Lifetimes("5m", "1h")] = (
            1.15 * (soon * total + pause * history)
            - 0.25 * (total - live)
            - 0.75 * (history - live)
        )
    assert expected[chosen] >= max(expected.values()) - 1e-6


def test_a_slow_answer_to_the_first_answer_speaks_for_more_of_them() -> None:
    own, operation = TurnTallies(), TurnTallies()
    for tallies in (own, operation):
        tallies.add_call("opening")
        tallies.add_gap("opening", 1_200)
    odds = turn_odds("user", own, operation, is_conversation=True)
    assert odds.within_1h - odds.within_5m > 0.65


def test_other_conversations_count_until_this_one_speaks_for_itself() -> None:
    own, operation = TurnTallies(), TurnTallies()
    for _ in range(50):
        operation.add_call("tool")
        operation.add_gap("tool", 1_000)
    assert turn_odds("tool", own, operation, is_conversation=True).within_5m < 0.05
    for _ in range(20):
        own.add_call("tool")
        own.add_gap("tool", 10)
    assert turn_odds("tool", own, operation, is_conversation=True).within_5m > 0.85


def test_what_a_conversation_says_itself_counts_once() -> None:
    own, operation = TurnTallies(), TurnTallies()
    for tallies in (own, operation):
        for _ in range(10):
            tallies.add_call("tool")
            tallies.add_gap("tool", 10)
    odds = turn_odds("tool", own, operation, is_conversation=True)
    assert odds.within_1h - odds.within_5m == pytest.approx(2 * (0.96 - 0.93) / 12)


def test_lifetimes_end_where_the_api_ends_them() -> None:
    tally = Tally(calls=4)
    for gap in (299.9, 300.0, 3_599.0, 3_600.0):
        tally = tally.with_gap(gap)
    assert tally == Tally(calls=4, within_5m=1, within_1h=3)
