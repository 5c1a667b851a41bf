from __future__ import annotations

import pytest

from sdk_workflow.core.measures.windows import RequestSums, Windows

HOUR = 3600


def requests(windows: Windows, seconds: int, *, now: float) -> int:
    return windows.last(seconds, now=now)[0].requests


def filled(start: float, end: int, *, step: int = 1) -> Windows:
    """Return windows with one request each `step` seconds."""
    windows = Windows(start)
    for second in range(int(start), end, step):
        windows.slot(second + 0.25).requests += 1
    return windows


def test_a_window_is_empty_before_the_first_request() -> None:
    sums, covered_seconds = Windows(100.0).last(60, now=100.0)
    assert sums == RequestSums(latency=sums.latency)
    assert sums.error_rate == 0.0
    assert covered_seconds == 1.0


@pytest.mark.parametrize("now", [200.0, 259.9])
def test_the_last_minute_holds_the_last_sixty_seconds_whenever_it_is_read(now: float) -> None:
    windows = filled(0.0, 200)
    assert requests(windows, 60, now=now) == 200 - (int(now) - 59)


def test_the_last_minute_is_empty_when_a_minute_has_passed() -> None:
    assert requests(filled(0.0, 200), 60, now=260.0) == 0


@pytest.mark.parametrize("end", [1_000, 1_019, 1_020, 1_079])
def test_the_last_five_minutes_begin_at_a_full_minute(end: int) -> None:
    windows = filled(0.0, end)
    sums, covered_seconds = windows.last(300, now=end - 0.5)
    first = -(-(end - 300) // 60) * 60
    assert sums.requests == end - first
    assert covered_seconds == end - 0.5 - first
    assert 240 <= covered_seconds <= 300


def test_the_last_hour_forgets_what_is_older() -> None:
    windows = filled(0.0, 3 * HOUR)
    sums, covered_seconds = windows.last(HOUR, now=3.0 * HOUR - 1)
    assert sums.requests == covered_seconds + 1
    assert 3540 <= covered_seconds <= 3600


def test_windows_keep_119_slots_however_long_they_run() -> None:
    windows = filled(0.0, 3 * HOUR)
    assert (len(windows._seconds), len(windows._minutes)) == (60, 59)


def test_every_request_is_in_exactly_one_slot() -> None:
    windows = filled(0.0, HOUR - 60, step=7)
    assert requests(windows, HOUR, now=HOUR - 60.0) == len(range(0, HOUR - 60, 7))


def test_a_pause_of_hours_leaves_nothing_behind() -> None:
    windows = filled(0.0, 200)
    windows.slot(9.0 * HOUR).requests += 1
    assert requests(windows, HOUR, now=9.0 * HOUR) == 1
    assert (len(windows._seconds), len(windows._minutes)) == (1, 0)


def test_a_step_back_counts_in_the_second_that_was_reached() -> None:
    windows = Windows(0.0)
    windows.slot(500.0).requests += 1
    windows.slot(470.0).requests += 1
    assert requests(windows, 60, now=470.0) == 2
    assert requests(windows, 60, now=559.0) == 2
    assert requests(windows, 60, now=560.0) == 0


def test_a_window_covers_no_more_than_the_time_since_counting_began() -> None:
    windows = filled(90.5, 100)
    assert windows.last(60, now=100.5)[1] == 10.0
    assert windows.last(HOUR, now=100.5)[1] == 10.0


def test_sums_of_a_window_add_up_field_by_field() -> None:
    windows = Windows(0.0)
    for second in (1.0, 2.0, 90.0):
        slot = windows.slot(second)
        slot.requests += 2
        slot.errors += 1
        slot.input_tokens += 10
        slot.cost_usd += 0.25
        slot.latency.observe(1_000_000)
    sums, _ = windows.last(300, now=90.0)
    assert (sums.requests, sums.errors, sums.input_tokens, sums.cost_usd) == (6, 3, 30, 0.75)
    assert sums.latency.count == 3
    assert sums.error_rate == 0.5


def test_reading_a_window_changes_no_slot() -> None:
    windows = filled(0.0, 200)
    windows.slot(199.0).latency.observe(5)
    first, second = windows.last(300, now=200.0)[0], windows.last(300, now=200.0)[0]
    first.latency.observe(5)
    assert (second.requests, second.latency.count) == (200, 1)
    assert windows.last(300, now=200.0)[0].latency.count == 1


def test_merged_windows_hold_the_requests_of_both() -> None:
    ours, theirs = filled(0.0, 400), filled(100.0, 500, step=2)
    ours.merge(theirs)
    assert ours.started_at == 0.0
    assert requests(ours, HOUR, now=500.0) == 400 + 200
    assert requests(ours, 60, now=499.0) == 30  # of the other one alone: 440, 442, ..., 498


def test_merging_windows_forgets_what_is_too_old_by_then() -> None:
    ours, theirs = filled(0.0, 200), filled(2.0 * HOUR, 2 * HOUR + 10)
    ours.merge(theirs)
    assert requests(ours, HOUR, now=2.0 * HOUR + 10) == 10
    assert (len(ours._seconds), len(ours._minutes)) == (10, 0)
    ours.slot(2.0 * HOUR + 70).requests += 1
    assert list(ours._minutes) == [120]


def test_merging_windows_leaves_the_other_ones_as_they_were() -> None:
    ours, theirs = Windows(0.0), filled(0.0, 100)
    ours.merge(theirs)
    ours.slot(99.5).requests += 5
    assert requests(theirs, 60, now=99.5) == 60
    assert requests(ours, 60, now=99.5) == 65
