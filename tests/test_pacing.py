"""The policy of the rate limiter: what the headers say, how the window moves, when a call may start."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timezone
from email.utils import format_datetime
from math import inf
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow.core.pacing import Pacer, model_class
from sdk_workflow.core.rate_view import Bucket, Cost, read_limits

if TYPE_CHECKING:
    from sdk_workflow.core.pacing import Ticket

NOW = 1_800_000_000.0
ONE = Cost()
SHOWN = {
    "anthropic-ratelimit-requests-limit": "100000",
    "anthropic-ratelimit-requests-remaining": "100000",
}


def limits(kind: str, limit: object, remaining: object, reset: object = None) -> dict[str, str]:
    facts = {"limit": limit, "remaining": remaining, "reset": reset}
    return {
        f"anthropic-ratelimit-{kind}-{name}": str(value)
        for name, value in facts.items()
        if value is not None
    }


def after(seconds: float) -> str:
    return datetime.fromtimestamp(NOW + seconds, tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def http_date(seconds: float) -> str:
    return format_datetime(datetime.fromtimestamp(NOW + seconds, tz=timezone.utc), usegmt=True)


# Reading the headers


def test_each_kind_of_limit_is_read_with_its_place() -> None:
    headers = {
        **limits("requests", 50, 49),
        **limits("input-tokens", 60_000, 6_000),
        **limits("output-tokens", 8_000, 8_000),
    }
    found = dict(read_limits(headers, now=NOW))
    assert {kind: (one.capacity, one.remaining) for kind, one in found.items()} == {
        0: (50, 49),
        1: (60_000, 6_000),
        2: (8_000, 8_000),
    }
    assert found[1].per_second == 1_000


def test_the_tightest_limit_counts_only_where_its_parts_are_not_named() -> None:
    both = {**limits("tokens", 60, 6), **limits("input-tokens", 60, 6)}
    assert [kind for kind, _ in read_limits(both, now=NOW)] == [1]
    assert [kind for kind, _ in read_limits(limits("tokens", 60, 6), now=NOW)] == [3]


@pytest.mark.parametrize(
    ("limit", "remaining"),
    [(60, None), (None, 60), ("many", 1), (60, "few"), (0, 0), (-1, 0), (60, 61), (60, -1),
     ("nan", 1), ("inf", 1), (60, "nan")],
)  # fmt: skip
def test_limits_that_make_no_sense_are_left_out(limit: object, remaining: object) -> None:
    assert list(read_limits(limits("requests", limit, remaining), now=NOW)) == []


@pytest.mark.parametrize(
    ("remaining", "reset", "per_second"),
    [
        (0, None, 1.0),
        (0, after(60), 1.0),
        (0, after(61), 1.0),
        (0, after(-5), 1.0),
        (0, "soon", 1.0),
        (30, after(30), 1.0),
        (58, after(60), 1.0),
        (0, after(600), 0.1),
        (30, after(300), 0.1),
    ],
)
def test_a_bucket_fills_up_in_a_minute_unless_its_reset_shows_a_longer_window(
    remaining: int, reset: str | None, per_second: float
) -> None:
    ((_, reading),) = read_limits(limits("requests", 60, remaining, reset), now=NOW)
    assert reading.per_second == pytest.approx(per_second)


@pytest.mark.parametrize(
    ("limit", "remaining", "reset", "capacity"),
    [
        (600, 9, None, 600),
        (600, 9, after(1), 19),  # at least 10 and at most this: `reset` is in whole seconds
        (60, 0, after(1), 1),
        (60, 0, after(60), 60),
        (60, 30, after(35), 60),
        (60, 30, after(0), 60),  # what is full already would say more
        (60, 30, after(300), 60),
    ],
)
def test_a_bucket_holds_what_remains_and_what_comes_until_it_is_full(
    limit: int, remaining: int, reset: str | None, capacity: int
) -> None:
    ((_, reading),) = read_limits(limits("requests", limit, remaining, reset), now=NOW)
    assert reading.capacity == pytest.approx(capacity)


# A bucket


def test_the_clock_of_the_server_goes_before_one_that_is_wrong() -> None:
    headers = {**limits("requests", 60, 30, after(3600 + 30)), "date": http_date(3600)}
    ((_, reading),) = read_limits(headers, now=NOW)
    assert reading.per_second == 1


def test_a_time_before_the_calendar_is_no_reset() -> None:
    ((_, reading),) = read_limits(limits("requests", 60, 0, "0001-01-01T00:00:00"), now=NOW)
    assert reading.per_second == 1


def test_a_bucket_never_holds_more_than_its_limit() -> None:
    bucket = Bucket(capacity=60, per_second=1, level=0, seen_at=0)
    bucket.take(10, now=1_000)
    assert bucket.level == 50


def test_what_is_larger_than_a_bucket_waits_for_a_full_one() -> None:
    bucket = Bucket(capacity=60, per_second=1, level=30, seen_at=0)
    assert bucket.wait_seconds(1_000, now=0) == 30
    assert bucket.wait_seconds(1_000, now=30) == 0


def test_a_little_stays_in_a_bucket_because_estimates_are_wrong() -> None:
    bucket = Bucket(capacity=100, per_second=1, level=50, seen_at=0)
    assert bucket.wait_seconds(47, now=0) == 0
    assert bucket.wait_seconds(49, now=0) == pytest.approx(2)


# The window


def run_full(pacer: Pacer, clock: VirtualClock, calls: int) -> None:
    """Let so many calls succeed, one after the other, while the window is always full."""
    running: deque[Ticket] = deque()
    for _ in range(calls):
        while pacer.wait_seconds(ONE) == 0:
            running.append(pacer.start(ONE))
        clock.advance(0.2)
        pacer.succeeded(running.popleft(), SHOWN, counted_tokens=0, output_tokens=0)
    for ticket in running:
        pacer.ended(ticket)


def refuse_last(pacer: Pacer, clock: VirtualClock, count: int) -> None:
    """Start so many calls and let the last one be refused; nothing is known of the others."""
    tickets = [pacer.start(ONE) for _ in range(count)]
    clock.advance(0.1)
    pacer.refused(tickets.pop(), {}, retry_after_seconds=None)
    for ticket in tickets:
        pacer.ended(ticket)
    clock.advance(0.1)


def test_the_window_bounds_the_calls_under_way() -> None:
    pacer = Pacer(VirtualClock(), first_window=2)
    first = pacer.start(ONE)
    pacer.start(ONE)
    assert (pacer.in_flight, pacer.wait_seconds(ONE)) == (2, inf)
    pacer.ended(first)
    assert (pacer.in_flight, pacer.wait_seconds(ONE)) == (1, 0)


def test_the_window_opens_by_one_for_each_call_until_something_is_refused() -> None:
    clock = VirtualClock()
    pacer = Pacer(clock, first_window=2, max_window=50)
    for size in (12, 22, 50, 50):
        run_full(pacer, clock, 10 if size < 50 else 100)
        assert pacer.window == size


def test_calls_that_come_back_together_open_the_window_as_well() -> None:
    pacer = Pacer(VirtualClock(), first_window=8)
    for ticket in [pacer.start(ONE) for _ in range(8)]:
        pacer.succeeded(ticket, SHOWN, counted_tokens=0, output_tokens=0)
    assert 12 <= pacer.window <= 16


def test_a_window_that_is_not_used_does_not_open() -> None:
    pacer = Pacer(VirtualClock(), first_window=4)
    for _ in range(50):
        ticket = pacer.start(ONE)
        pacer.succeeded(ticket, limits("requests", 99, 98), counted_tokens=0, output_tokens=0)
    assert pacer.window == 4


def test_a_server_that_names_no_limits_is_not_paced() -> None:
    pacer = Pacer(VirtualClock(), first_window=1)
    wanted = [pacer.wants_costs]
    pacer.succeeded(pacer.start(ONE), {}, counted_tokens=0, output_tokens=0)
    wanted.append(pacer.wants_costs)
    assert wanted == [True, False]
    for _ in range(1_000):
        assert pacer.wait_seconds(ONE) == 0
        pacer.start(ONE)
    assert pacer.wait_seconds(ONE) == inf


def test_a_server_that_names_no_limits_is_paced_once_it_refuses() -> None:
    clock = VirtualClock()
    pacer = Pacer(clock, first_window=1)
    pacer.succeeded(pacer.start(ONE), {}, counted_tokens=0, output_tokens=0)
    tickets = [pacer.start(ONE) for _ in range(20)]
    clock.advance(1)
    pacer.refused(tickets.pop(), {}, retry_after_seconds=None)
    assert pacer.wants_costs
    assert pacer.window == 14
    for ticket in tickets:
        pacer.succeeded(ticket, {}, counted_tokens=0, output_tokens=0)
    assert pacer.window < 25, "it does not open all at once again"


def test_a_round_of_refusals_shrinks_the_window_once() -> None:
    clock = VirtualClock()
    pacer = Pacer(clock, first_window=10)
    tickets = [pacer.start(ONE) for _ in range(10)]
    clock.advance(0.1)
    for ticket in reversed(tickets):
        pacer.refused(ticket, {}, retry_after_seconds=None)
    assert pacer.window == 7
    clock.advance(0.1)
    later = pacer.start(ONE)
    pacer.refused(later, {}, retry_after_seconds=None)
    assert pacer.window == 1


def test_near_the_number_that_was_refused_the_window_opens_slowly() -> None:
    clock = VirtualClock()
    pacer = Pacer(clock, first_window=21)
    refuse_last(pacer, clock, 21)
    assert pacer.window == 14
    run_full(pacer, clock, 5)
    assert pacer.window == 18, "back near the old number at once"
    run_full(pacer, clock, 100)
    assert pacer.window in {19, 20}, "but not beyond it within some rounds"


def test_near_that_number_a_window_that_is_not_full_does_not_open() -> None:
    clock = VirtualClock()
    pacer = Pacer(clock, first_window=21)
    refuse_last(pacer, clock, 21)
    run_full(pacer, clock, 5)
    for _ in range(2_000):
        pacer.succeeded(pacer.start(ONE), SHOWN, counted_tokens=0, output_tokens=0)
    assert pacer.window == 18


def test_a_number_that_was_refused_by_chance_is_forgotten_when_it_passes() -> None:
    clock = VirtualClock()
    pacer = Pacer(clock, first_window=4)
    refuse_last(pacer, clock, 4)
    run_full(pacer, clock, 200)
    assert pacer.window > 40


# Pauses


def test_one_refusal_pauses_everybody_for_as_long_as_the_server_asks() -> None:
    clock = VirtualClock()
    pacer = Pacer(clock)
    first, second = pacer.start(ONE), pacer.start(ONE)
    pacer.refused(first, {}, retry_after_seconds=30)
    pacer.refused(second, {}, retry_after_seconds=10)
    assert pacer.wait_seconds(ONE) == 30
    clock.advance(29.5)
    assert pacer.wait_seconds(ONE) == 0.5
    clock.advance(0.5)
    assert pacer.wait_seconds(ONE) == 0


def test_a_pause_of_days_is_cut_to_an_hour_so_that_somebody_asks_again() -> None:
    clock = VirtualClock()
    pacer = Pacer(clock)
    pacer.refused(pacer.start(ONE), {}, retry_after_seconds=3 * 86_400.0)
    assert pacer.wait_seconds(ONE) == 3600
    clock.advance(3600)
    assert pacer.wait_seconds(ONE) == 0


def test_an_overloaded_server_shrinks_the_window_and_leaves_the_buckets_alone() -> None:
    clock = VirtualClock()
    pacer = Pacer(clock)
    shown = limits("requests", 60, 60)
    pacer.succeeded(pacer.start(ONE), shown, counted_tokens=0, output_tokens=0)
    before = pacer._buckets[0].level
    tickets = [pacer.start(ONE) for _ in range(4)]
    pacer.overloaded(tickets[0], retry_after_seconds=3)
    assert pacer.window == 1
    assert pacer.wait_seconds(ONE) == inf
    for ticket in tickets[1:]:
        pacer.ended(ticket)
    assert pacer.wait_seconds(ONE) == 3
    assert pacer._buckets[0].level == pytest.approx(before - 3), "the refused one cost nothing"
    clock.advance(3)
    run_full(pacer, clock, 40)
    assert pacer.window > 8, "nothing is known about a number that would be too many"


# Tokens


def prompt(pacer: Pacer, tokens: int, *, output: int = 0) -> Cost:
    return pacer.cost(estimated_tokens=tokens, max_tokens=output)


def test_calls_wait_until_the_bucket_of_the_headers_holds_their_tokens() -> None:
    clock = VirtualClock()
    pacer = Pacer(clock)
    cost = prompt(pacer, 1_000)
    shown = limits("input-tokens", 60_000, 3_000)
    pacer.succeeded(pacer.start(cost), shown, counted_tokens=1_000, output_tokens=0)
    pacer.start(cost)
    assert pacer.wait_seconds(cost) == pytest.approx(0.8), "1,000 and a margin of 1,800 - 2,000"
    clock.advance(0.8)
    assert pacer.wait_seconds(cost) == 0


def test_what_started_after_a_call_is_not_in_its_headers_and_counts() -> None:
    clock = VirtualClock()
    pacer = Pacer(clock)
    cost = prompt(pacer, 10_000)
    early = pacer.start(cost)
    pacer.start(cost)
    pacer.start(cost)
    shown = limits("input-tokens", 60_000, 50_000)
    pacer.succeeded(early, shown, counted_tokens=10_000, output_tokens=0)
    assert pacer._buckets[1].level == 30_000


def test_headers_are_as_old_as_their_call() -> None:
    clock = VirtualClock(start=NOW)
    pacer = Pacer(clock)
    ticket = pacer.start(ONE)
    clock.advance(4)
    pacer.succeeded(ticket, limits("requests", 60, 0, after(5)), counted_tokens=0, output_tokens=0)
    assert (pacer._buckets[0].capacity, pacer._buckets[0].level) == (5, 4)


def test_headers_of_an_older_call_are_old_news() -> None:
    clock = VirtualClock()
    pacer = Pacer(clock)
    early = pacer.start(ONE)
    clock.advance(1)
    late = pacer.start(ONE)
    new, old = limits("requests", 60, 10), limits("requests", 60, 50)
    pacer.succeeded(late, new, counted_tokens=0, output_tokens=0)
    pacer.succeeded(early, old, counted_tokens=0, output_tokens=0)
    assert pacer._buckets[0].level == 10


def test_output_is_reserved_in_full_and_given_back() -> None:
    clock = VirtualClock()
    pacer = Pacer(clock)
    cost = prompt(pacer, 0, output=4_000)
    shown = limits("output-tokens", 10_000, 10_000)
    pacer.succeeded(pacer.start(cost), shown, counted_tokens=0, output_tokens=0)
    ticket = pacer.start(cost)
    assert pacer._buckets[2].level == 6_000
    pacer.succeeded(ticket, {}, counted_tokens=0, output_tokens=500)
    assert pacer._buckets[2].level == 9_500


def test_what_a_prompt_costs_against_its_estimate_is_learned() -> None:
    pacer = Pacer(VirtualClock())
    shown = limits("input-tokens", 10**9, 10**9)
    for _ in range(40):
        ticket = pacer.start(prompt(pacer, 1_000))
        pacer.succeeded(ticket, shown, counted_tokens=100, output_tokens=0)
    assert prompt(pacer, 1_000).input_tokens == pytest.approx(100, rel=0.01)
    assert prompt(pacer, 1_000).estimated_tokens == 1_000


def test_the_headers_of_a_refusal_are_believed_too() -> None:
    pacer = Pacer(VirtualClock())
    cost = prompt(pacer, 1_000)
    ticket = pacer.start(cost)
    pacer.refused(ticket, limits("input-tokens", 60_000, 0), retry_after_seconds=None)
    assert pacer.wait_seconds(cost) == pytest.approx(2.8)


steps = st.lists(
    st.tuples(
        st.sampled_from(["start", "succeeded", "refused", "overloaded", "ended", "wait"]),
        st.integers(0, 100),
    ),
    max_size=150,
)


def end(pacer: Pacer, ticket: Ticket, how: str, number: int) -> None:
    shown = limits("input-tokens", 50_000, number * 500)
    if how == "succeeded":
        pacer.succeeded(ticket, shown, counted_tokens=number, output_tokens=number)
    elif how == "refused":
        pacer.refused(ticket, shown, retry_after_seconds=number)
    elif how == "overloaded":
        pacer.overloaded(ticket, retry_after_seconds=None)
    else:
        pacer.ended(ticket)


@given(steps=steps, first_window=st.integers(1, 30))
def test_whatever_happens_the_books_balance_and_somebody_may_start_again(
    steps: list[tuple[str, int]], first_window: int
) -> None:
    clock = VirtualClock()
    pacer = Pacer(clock, first_window=first_window, max_window=50)
    running: list[Ticket] = []
    for step, number in steps:
        if step == "wait":
            clock.advance(number / 10)
        elif step == "start":
            cost = prompt(pacer, number * 100, output=number)
            if pacer.wait_seconds(cost) == 0:
                running.append(pacer.start(cost))
        elif running:
            end(pacer, running.pop(number % len(running)), step, number)
        assert pacer.in_flight == len(running)
        assert 1 <= pacer.window <= 50
    for ticket in running:
        pacer.ended(ticket)
    assert pacer.wait_seconds(prompt(pacer, 5_000)) < 600


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("claude-opus-5-5", "opus-5"),
        ("claude-opus-5-1", "opus-5"),
        ("claude-sonnet-4-20250514", "sonnet-4"),
        ("claude-3-5-sonnet-20241022", "sonnet-3"),
        ("claude-3-haiku-20240307", "haiku-3"),
        ("us.anthropic.claude-opus-4-6-v1:0", "opus-4"),
        ("anthropic/claude-haiku-4-5", "haiku-4"),
        ("claude-instant", "instant"),
        ("qwen3:8b", "qwen3:8b"),
    ],
)
def test_models_of_one_family_and_major_version_share_their_limits(
    model: str, expected: str
) -> None:
    assert model_class(model) == expected
